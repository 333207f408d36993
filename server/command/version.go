package command

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/server/api"
)

type dhtVputCmd struct {
	Key        string        `arg:"" help:"Any text, or hex: and 64 digits."`
	Value      string        `arg:"" optional:"" help:"The value; @FILE is a file's content, - the standard input (default)."`
	Append     bool          `help:"Append the value to what is there, and merge forked versions."`
	Parents    []string      `placeholder:"VERSION" help:"Versions that the new one replaces, to merge forks by hand."`
	TTL        time.Duration `name:"ttl" placeholder:"TIME" help:"How long it is kept (default: until it is removed)."`
	Optimistic bool          `help:"Do not prepare it first, so that writers do not notice each other."`
	at
	dhtShown
}

// Run writes a version.
func (v dhtVputCmd) Run(c *console) error {
	value, err := c.value(v.Value)
	if err != nil {
		return err
	}
	body := api.DhtVersionPut{Key: v.Key, Domain: v.domain(), Content: v.content(), TtlS: ttlSeconds(v.TTL), Append: given(v.Append), Optimistic: given(v.Optimistic)}
	if len(v.Parents) > 0 {
		body.Parents = &v.Parents
	}
	body.Value, body.ValueBase64 = textOrBase64(value)
	var stored api.DhtVersionStored
	done, err := c.post("/api/dht/versions", body, &stored, v.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "version %s: %s\n", orDash(zeroOf(stored.Record.Version)), keptBy(stored.Replicas, stored.Copies))
	if stored.Tries > 1 {
		fmt.Fprintf(c.Stdout, "others wrote at the same time: %s\n", number(stored.Tries, "try", "tries"))
	}
	if v.Trace {
		return c.tellSteps(stored.Trace)
	}
	return nil
}

type dhtVersionsCmd struct {
	Key string `arg:"" help:"Any text, or hex: and 64 digits."`
	at
	dhtShown
}

// Run shows versions.
func (v dhtVersionsCmd) Run(c *console) error { return c.versions(v, false) }

type dhtHeadsCmd struct{ dhtVersionsCmd }

// Run shows the newest versions.
func (h dhtHeadsCmd) Run(c *console) error { return c.versions(h.dhtVersionsCmd, true) }

func (c *console) versions(v dhtVersionsCmd, heads bool) error {
	q := url.Values{"key": {v.Key}}
	if heads {
		q.Set("heads", "true")
	}
	if v.Domain != "" {
		q.Set("domain", v.Domain)
	}
	if v.Content != "" {
		q.Set("content", v.Content)
	}
	var versions api.DhtVersions
	done, err := c.get("/api/dht/versions", q, &versions, v.JSON)
	if done || err != nil {
		return err
	}
	if len(versions.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No version is there.")
		return nil
	}
	var rows [][]string
	for _, one := range versions.Items {
		head := ""
		if one.Head {
			head = "newest"
		}
		rows = append(rows, []string{head, orDash(zeroOf(one.Record.Version)), strings.Join(one.Record.Based, " "), nodeName(one.Record.AuthorName, one.Record.Author), shownValue(one.Record)})
	}
	if err := table(c.Stdout, []string{"", "VERSION", "REPLACES", "AUTHOR", "VALUE"}, rows); err != nil {
		return err
	}
	if versions.Forked {
		fmt.Fprintln(c.Stderr, "Versions have forked: vput --append merges them, or vput --parents those that you name.")
	}
	if v.Trace {
		return c.tellSteps(versions.Trace)
	}
	return nil
}
