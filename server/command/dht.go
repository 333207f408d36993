package command

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

// dhtCmd is everything about the table. Keys are any text, or hex: and 64 digits.
type dhtCmd struct {
	Put         dhtPutCmd         `cmd:"" help:"Put a value at a key; the last writer wins."`
	Add         dhtAddCmd         `cmd:"" help:"Add a value to the set at a key."`
	Get         dhtGetCmd         `cmd:"" help:"Get the values at a key."`
	Digest      dhtDigestCmd      `cmd:"" help:"Show what is at a key, without the values."`
	Remove      dhtRemoveCmd      `cmd:"" aliases:"rm" help:"Remove the values at a key."`
	Refreshes   dhtRefreshesCmd   `cmd:"" help:"List or stop what this node puts again and again."`
	Renew       dhtRenewCmd       `cmd:"" help:"Give a value another time to live, or another owner."`
	Vput        dhtVputCmd        `cmd:"" help:"Write a new version of a value beside the old ones."`
	Heads       dhtHeadsCmd       `cmd:"" help:"Show the newest versions of a value, which no other replaces."`
	Versions    dhtVersionsCmd    `cmd:"" help:"Show the versions of a value, and which replaces which."`
	Cas         dhtCasCmd         `cmd:"" help:"Read or change a register, on which all members agree (compare and swap)."`
	Responsible dhtResponsibleCmd `cmd:"" aliases:"who" help:"Show which members keep a key."`
	Lookup      dhtLookupCmd      `cmd:"" help:"Ask the way to a key, and show who was asked and what it said."`
	Buckets     dhtBucketsCmd     `cmd:"" help:"Show the members that this node asks the way of, by how near they are."`
	Status      dhtStatusCmd      `cmd:"" help:"Show what this node keeps, the rules and the members."`
	Records     dhtRecordsCmd     `cmd:"" help:"List the records that this node keeps."`
	Set         dhtSetCmd         `cmd:"" help:"Change the number of copies, or the rules of protection."`
	Repair      dhtRepairCmd      `cmd:"" help:"Compare copies with the other members now."`
	Batch       dhtBatchCmd       `cmd:"" help:"Put, get and remove many at once, as a JSON file says."`
	Send        dhtSendCmd        `cmd:"" help:"Send a message to a member, or to the one who is responsible for a key."`
	Inbox       dhtInboxCmd       `cmd:"" help:"List the messages that wait for an answer."`
	Reply       dhtReplyCmd       `cmd:"" help:"Answer a message that waits."`
	Stream      dhtStreamCmd      `cmd:"" help:"Join the standard input and output to a stream to a member."`
	Accept      dhtAcceptCmd      `cmd:"" help:"Wait for a stream of a member, and join the standard input and output to it."`
}

// at names a place in the table.
type at struct {
	Domain  string `placeholder:"NAME" help:"A name space within the key."`
	Content string `placeholder:"NAME" help:"Which value of the key."`
}

func (a at) domain() *string  { return given(a.Domain) }
func (a at) content() *string { return given(a.Content) }

// given is nil for an empty flag.
func given[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

// dhtShown says how an answer is printed.
type dhtShown struct {
	Trace bool `help:"Print who was asked, and what that took."`
	JSON  bool `name:"json" help:"Print the API's answer."`
}

// stored is what put and add have in common.
type stored struct {
	Key     string        `arg:"" help:"Any text, or hex: and 64 digits."`
	Value   string        `arg:"" optional:"" help:"The value; @FILE is a file's content, - the standard input (default)."`
	TTL     time.Duration `name:"ttl" placeholder:"TIME" help:"How long it is kept, such as 90s or 24h (default: until it is removed)."`
	Protect []string      `placeholder:"WHAT" enum:"domain,entry" help:"Claim the domain, the entry, or both: domain,entry."`
	Owner   string        `placeholder:"MEMBER" help:"To whom it is to belong: a member's name or ID (default: this one)."`
	Refresh time.Duration `placeholder:"TIME" help:"Put it again every so often, for as long as the node runs."`
	dhtShown
}

type dhtPutCmd struct {
	stored
	Version string `placeholder:"VERSION" help:"As a version of the value, such as one that a digest names; vput makes new ones."`
	Absent  bool   `help:"Only if nothing is there."`
	Add     bool   `xor:"content" help:"Add to a set: the same value is there once."`
	List    bool   `xor:"content" help:"Add to a list: the same value can be there again."`
	at
}

// Run puts a value.
func (p dhtPutCmd) Run(c *console) error {
	return c.put(p.stored, api.DhtPut{Domain: p.domain(), Content: p.content(), Version: given(p.Version), Absent: given(p.Absent), Add: given(p.Add), List: given(p.List)})
}

type dhtAddCmd struct {
	stored
	List   bool   `help:"The same value can be there again."`
	Domain string `placeholder:"NAME" help:"A name space within the key."`
}

// Run adds a value to a set, or to a list.
func (a dhtAddCmd) Run(c *console) error {
	return c.put(a.stored, api.DhtPut{Domain: given(a.Domain), Add: given(!a.List), List: given(a.List)})
}

// put puts a value as body says.
func (c *console) put(p stored, body api.DhtPut) error {
	value, err := c.value(p.Value)
	if err != nil {
		return err
	}
	if p.Owner != "" && len(p.Protect) == 0 {
		return UsageError{"--owner: what shall belong to the member? --protect domain or entry"}
	}
	body.Key, body.TtlS, body.RefreshS = p.Key, ttlSeconds(p.TTL), ttlSeconds(p.Refresh)
	body.Value, body.ValueBase64 = textOrBase64(value)
	if len(p.Protect) > 0 {
		body.Protect = &p.Protect
	}
	if p.Owner != "" {
		id, err := c.member(p.Owner)
		if err != nil {
			return err
		}
		body.Owner = &id
	}
	var stored api.DhtStored
	done, err := c.post("/api/dht/values", body, &stored, p.JSON)
	if done || err != nil {
		return err
	}
	return c.tellStored(stored, p.Trace)
}

func (c *console) tellStored(s api.DhtStored, trace bool) error {
	fmt.Fprintf(c.Stdout, "%s: %s\n", s.Status, keptBy(s.Replicas, s.Copies))
	if s.Refresh != nil {
		fmt.Fprintf(c.Stdout, "put again and again: \"shoal dht refreshes --stop %d\" ends it\n", *s.Refresh)
	}
	if trace {
		return c.tellSteps(s.Trace)
	}
	return nil
}

type dhtRefreshesCmd struct {
	Stop int64 `placeholder:"N" help:"Put this one no more."`
	JSON bool  `name:"json" help:"Print the API's answer."`
}

// Run lists what is put again and again, or stops one of them.
func (r dhtRefreshesCmd) Run(c *console) error {
	if r.Stop > 0 {
		_, err := c.call(http.MethodDelete, "/api/dht/refreshes/"+strconv.FormatInt(r.Stop, 10), nil, nil)
		return err
	}
	var list api.DhtRefreshList
	done, err := c.get("/api/dht/refreshes", nil, &list, r.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing is put again and again. \"shoal dht put KEY VALUE --ttl 30s --refresh 10s\" does so.")
		return nil
	}
	var rows [][]string
	for _, f := range list.Items {
		said := "-"
		if f.Status != nil {
			said = string(*f.Status)
		}
		if f.Error != nil {
			said = oneLine(*f.Error)
		}
		rows = append(rows, []string{strconv.FormatInt(f.Number, 10), f.Location[:12], time.Duration(f.EveryS * float64(time.Second)).String(), strconv.Itoa(f.Times), said})
	}
	return table(c.Stdout, []string{"N", "KEY", "EVERY", "TIMES", "LAST"}, rows)
}

// value reads a value as it was given.
func (c *console) value(text string) ([]byte, error) {
	var r io.Reader
	switch {
	case text == "" || text == "-":
		r = c.Stdin
	case strings.HasPrefix(text, "@"):
		f, err := os.Open(text[1:])
		if err != nil {
			return nil, err
		}
		defer f.Close() // it was read only
		r = f
	default:
		return []byte(text), nil
	}
	b, err := io.ReadAll(io.LimitReader(r, dht.MaxValue+1))
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	if len(b) > dht.MaxValue {
		return nil, fmt.Errorf("a value has at most %s: share a file in a folder, and put its name into the table", bytesText(dht.MaxValue))
	}
	return b, nil
}

// textOrBase64 gives bytes the form in which JSON carries them whole.
func textOrBase64(b []byte) (text, b64 *string) {
	if utf8.Valid(b) {
		return new(string(b)), nil
	}
	return nil, new(base64.StdEncoding.EncodeToString(b))
}

func ttlSeconds(d time.Duration) *int64 {
	if d <= 0 {
		return nil
	}
	return new(int64((d + time.Second - 1) / time.Second))
}

// wanted is what get and digest have in common.
type wanted struct {
	Key         string `arg:"" help:"Any text, or hex: and 64 digits."`
	All         bool   `help:"Of all domains."`
	From        string `placeholder:"NAME" help:"From this content key on."`
	To          string `placeholder:"NAME" help:"To this content key, included."`
	Limit       int    `default:"100" help:"At most so many values."`
	Descending  bool   `help:"From the last content key to the first."`
	Versions    bool   `xor:"versions" help:"All versions, not the newest ones."`
	Version     string `xor:"versions" placeholder:"VERSION" help:"This version only, newest or not."`
	VersionFrom string `placeholder:"VERSION" help:"All versions from this one on."`
	VersionTo   string `placeholder:"VERSION" help:"All versions up to this one, included."`
	Majority    bool   `help:"Believe what most replicas say, not what is newest."`
	at
	dhtShown
}

type dhtGetCmd struct {
	wanted
	Digest bool `help:"Only what there is, without the values."`
	Raw    bool `help:"Write the bytes of the only value, and nothing else."`
}

// Run gets values.
func (g dhtGetCmd) Run(c *console) error { return c.getValues(g.wanted, g.Digest, g.Raw) }

type dhtDigestCmd struct{ wanted }

// Run shows what there is.
func (d dhtDigestCmd) Run(c *console) error { return c.getValues(d.wanted, true, false) }

func (c *console) getValues(g wanted, digest, raw bool) error {
	q := url.Values{"key": {g.Key}, "limit": {strconv.Itoa(g.Limit)}}
	for name, value := range map[string]string{
		"domain": g.Domain, "content": g.Content, "from": g.From, "to": g.To, "version": g.Version, "version_from": g.VersionFrom, "version_to": g.VersionTo,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, on := range map[string]bool{"all_domains": g.All, "descending": g.Descending, "majority": g.Majority} {
		if on {
			q.Set(name, "true")
		}
	}
	if g.Versions {
		q.Set("versions", "all")
	}
	if digest {
		q.Set("values", "false")
	}
	var found api.DhtFound
	done, err := c.get("/api/dht/values", q, &found, g.JSON)
	if done || err != nil {
		return err
	}
	if raw {
		return c.writeRaw(found)
	}
	return c.tellFound(found, g.Trace)
}

type dhtRemoveCmd struct {
	Key     string `arg:"" help:"Any text, or hex: and 64 digits."`
	All     bool   `help:"Of all domains."`
	Version string `placeholder:"VERSION" help:"This version only."`
	at
	dhtShown
}

// Run removes values.
func (r dhtRemoveCmd) Run(c *console) error {
	body := api.DhtQuery{Key: r.Key, Domain: r.domain(), Content: r.content(), AllDomains: given(r.All), Version: given(r.Version), Limit: new(dht.MaxResults), Values: new(false)}
	var removed api.DhtRemoved
	done, err := c.post("/api/dht/remove", body, &removed, r.JSON)
	if done || err != nil {
		return err
	}
	if len(removed.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing was there.")
		return nil
	}
	refused := 0
	for _, one := range removed.Results {
		if one.Copies == 0 {
			refused++
		}
	}
	fmt.Fprintf(c.Stdout, "removed %s\n", count(len(removed.Items)-refused, "value"))
	if r.Trace {
		if err := c.tellSteps(removed.Trace); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%s could not be removed: somebody else owns them", count(refused, "value"))
	}
	return nil
}

type dhtRenewCmd struct {
	Key   string        `arg:"" help:"Any text, or hex: and 64 digits."`
	TTL   time.Duration `name:"ttl" placeholder:"TIME" xor:"what" required:"" help:"How long it is kept from now on."`
	Owner string        `placeholder:"MEMBER" xor:"what" required:"" help:"To whom what it claims is to belong: a member's name or ID."`
	at
	dhtShown
}

// Run renews a value.
func (r dhtRenewCmd) Run(c *console) error {
	body := api.DhtRenew{Key: r.Key, Domain: r.domain(), Content: r.content(), TtlS: ttlSeconds(r.TTL)}
	if r.Owner != "" {
		id, err := c.member(r.Owner)
		if err != nil {
			return err
		}
		body.Owner = &id
	}
	var stored api.DhtStored
	done, err := c.post("/api/dht/renew", body, &stored, r.JSON)
	if done || err != nil {
		return err
	}
	return c.tellStored(stored, r.Trace)
}

type dhtBatchCmd struct {
	File string `arg:"" optional:"" help:"JSON with put, get and remove, as POST /api/dht/batch takes it; - is the standard input (default)."`
}

// maxBatchFile is what the API takes.
const maxBatchFile = 2 << 20

// Run does what a file says.
func (b dhtBatchCmd) Run(c *console) error {
	if b.File == "" {
		b.File = "-"
	}
	data, err := c.readSmall(b.File, maxBatchFile)
	if err != nil {
		return err
	}
	if !json.Valid(data) {
		return fmt.Errorf("%s is not JSON", b.File)
	}
	var result api.DhtBatchResult
	_, err = c.post("/api/dht/batch", json.RawMessage(data), &result, true)
	return err
}

// zeroOf returns what v points at, or nothing.
func zeroOf(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}
