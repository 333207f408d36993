package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

type trackerCmd struct {
	List   trackerListCmd   `cmd:"" aliases:"ls" default:"withargs" help:"List the seeds that somebody has (default)."`
	Query  trackerQueryCmd  `cmd:"" help:"Show who has a seed."`
	Get    trackerGetCmd    `cmd:"" aliases:"get_seed" help:"Print the text of a seed."`
	Update trackerUpdateCmd `cmd:"" help:"Say again now which seeds this node has."`
}

type trackerListCmd struct {
	Words  []string `arg:"" optional:"" name:"word" help:"Words that are all in the name."`
	All    bool     `help:"Ask other members for what they know, too."`
	Limit  int      `short:"n" default:"100" help:"How many to list: 1 to 1000."`
	Cursor string   `help:"Go on where a list ended."`
	JSON   bool     `name:"json" help:"Print the API's answer."`
}

// Run lists seeds.
func (l trackerListCmd) Run(c *console) error {
	if l.Limit < 1 || l.Limit > 1000 {
		return UsageError{fmt.Sprintf("--limit %d: 1 to 1000", l.Limit)}
	}
	q := url.Values{"limit": {strconv.Itoa(l.Limit)}}
	if len(l.Words) > 0 {
		q.Set("q", strings.Join(l.Words, " "))
	}
	if l.Cursor != "" {
		q.Set("cursor", l.Cursor)
	}
	if l.All {
		q.Set("all", "true")
	}
	var list api.TrackedList
	done, err := c.get("/api/tracker", q, &list, l.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No seeds: nobody that this node knows of has any.")
	}
	var rows [][]string
	for _, s := range list.Items {
		rows = append(rows, []string{
			orDash(oneLine(s.Name)), sizeText(s.Size), strconv.Itoa(s.Whole), strconv.Itoa(s.Partial), yesText(s.Own, "yes"), s.Id[:12],
		})
	}
	if len(rows) > 0 {
		if err := table(c.Stdout, []string{"NAME", "SIZE", "WHOLE", "PART", "HERE", "ID"}, rows); err != nil {
			return err
		}
	}
	if list.Next != nil {
		fmt.Fprintf(c.Stderr, "More: --cursor %s\n", *list.Next)
	} else if list.Truncated {
		fmt.Fprintln(c.Stderr, "There are more.")
	}
	if list.Own > 0 {
		fmt.Fprintf(c.Stderr, "%s of this node, told to %s; %d in the table.\n", count(list.Own, "seed"), count(list.Told, "member"), list.Placed)
	}
	return nil
}

// sizeText is a size that may not be known.
func sizeText(n int64) string {
	if n < 0 {
		return "-"
	}
	return bytesText(n)
}

// seed returns the ID of the seed that text names: by its ID or the first characters of it, or by a
// name that no other has.
func (c *console) seed(text string) (string, error) {
	if id, err := seed.ParseID(strings.ToLower(text)); err == nil {
		return id.String(), nil
	}
	var list api.TrackedList
	about := url.Values{"q": {text}, "limit": {"1000"}}
	if _, err := c.get("/api/tracker", about, &list, false); err != nil {
		return "", err
	}
	if len(list.Items) == 0 { // whoever shares it since a moment ago knows it already
		about.Set("all", "true")
		if _, err := c.get("/api/tracker", about, &list, false); err != nil {
			return "", err
		}
	}
	var found []string
	for _, s := range list.Items {
		if s.Name == text {
			return s.Id, nil
		}
		found = append(found, s.Id[:12])
	}
	switch len(found) {
	case 0:
		return "", outcome{errNoSuch, fmt.Sprintf("nobody is known to have a seed that is called %s: shoal tracker lists those there are", text)}
	case 1:
		return list.Items[0].Id, nil
	}
	return "", UsageError{fmt.Sprintf("%s may be any of %s: take the ID", text, enumerate(found[:min(len(found), 10)]))}
}

type trackerQueryCmd struct {
	Seed string `arg:"" help:"The seed's ID, the first characters of it, or its name."`
	Want int    `default:"50" help:"How many sources to look for: 1 to 1000."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run shows the sources of a seed.
func (q trackerQueryCmd) Run(c *console) error {
	if q.Want < 1 || q.Want > 1000 {
		return UsageError{fmt.Sprintf("--want %d: 1 to 1000", q.Want)}
	}
	id, err := c.seed(q.Seed)
	if err != nil {
		return err
	}
	var found api.TrackerSources
	done, err := c.get("/api/tracker/query", url.Values{"id": {id}, "want": {strconv.Itoa(q.Want)}}, &found, q.JSON)
	if done || err != nil {
		return err
	}
	if len(found.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nobody is known to have it.")
		return nil
	}
	var rows [][]string
	for _, s := range found.Items {
		has, rate := "all", "-"
		if !s.Whole {
			has = count(s.Pieces, "piece")
		}
		if s.Wants {
			has += ", downloads"
		}
		if s.Rate > 0 {
			rate = rateText(float64(s.Rate))
		}
		rows = append(rows, []string{nodeName(s.Name, s.Id) + yesText(s.Self, " (this node)"), has, rate, yesText(s.Linked && !s.Self, "linked"), string(s.Told), fmt.Sprintf("%.0f s", s.TtlS)})
	}
	if err := table(c.Stdout, []string{"SOURCE", "HAS", "SENDS", "LINK", "TOLD BY", "HOLDS FOR"}, rows); err != nil {
		return err
	}
	if found.Slices > 1 {
		fmt.Fprintf(c.Stderr, "%d download it: this node had best begin with part %d.\n", found.Slices, found.Slice+1)
	}
	return nil
}

type trackerGetCmd struct {
	Seed string `arg:"" help:"The seed's ID, the first characters of it, or its name."`
}

// Run prints the text of a seed.
func (g trackerGetCmd) Run(c *console) error {
	id, err := c.seed(g.Seed)
	if err != nil {
		return err
	}
	text, err := c.call(http.MethodGet, "/api/tracker/get_seed", url.Values{"id": {id}}, nil)
	if err != nil {
		return err
	}
	if _, err := seed.Parse(text); err != nil {
		return fmt.Errorf("read the answer of get_seed: %w", err)
	}
	_, err = c.Stdout.Write(text)
	return err
}

type trackerUpdateCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run makes the node announce its seeds.
func (u trackerUpdateCmd) Run(c *console) error {
	var said api.TrackerUpdated
	done, err := c.post("/api/tracker/update", nil, &said, u.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "%s told to %s; every %d s without being asked, and believed for %d s.\n", count(said.Seeds, "seed"), count(said.Members, "member"), said.EveryS, said.TtlS)
	return nil
}
