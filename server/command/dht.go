package command

import (
	"encoding/base64"
	"encoding/json"
	"errors"
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
	Get         dhtGetCmd         `cmd:"" help:"Get the values at a key."`
	Remove      dhtRemoveCmd      `cmd:"" aliases:"rm" help:"Remove the values at a key."`
	Refreshes   dhtRefreshesCmd   `cmd:"" help:"List or stop what this node puts again and again."`
	Renew       dhtRenewCmd       `cmd:"" help:"Give a value another time to live, or another owner."`
	Vput        dhtVputCmd        `cmd:"" help:"Write a new version of a value beside the old ones."`
	Versions    dhtVersionsCmd    `cmd:"" help:"Show the versions of a value, and which replaces which."`
	Cas         dhtCasCmd         `cmd:"" help:"Read or change a register, on which all members agree (compare and swap)."`
	Responsible dhtResponsibleCmd `cmd:"" aliases:"who" help:"Show which members keep a key."`
	Status      dhtStatusCmd      `cmd:"" help:"Show what this node keeps, the rules and the members."`
	Records     dhtRecordsCmd     `cmd:"" help:"List the records that this node keeps."`
	Set         dhtSetCmd         `cmd:"" help:"Change the number of copies, or the rules of protection."`
	Repair      dhtRepairCmd      `cmd:"" help:"Compare copies with the other members now."`
	Batch       dhtBatchCmd       `cmd:"" help:"Put, get and remove many at once, as a JSON file says."`
	Send        dhtSendCmd        `cmd:"" help:"Send a message to a member, or to the one who is responsible for a key."`
	Inbox       dhtInboxCmd       `cmd:"" help:"List the messages that wait for an answer."`
	Reply       dhtReplyCmd       `cmd:"" help:"Answer a message that waits."`
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

type dhtPutCmd struct {
	Key     string        `arg:"" help:"Any text, or hex: and 64 digits."`
	Value   string        `arg:"" optional:"" help:"The value; @FILE is a file's content, - the standard input (default)."`
	TTL     time.Duration `name:"ttl" placeholder:"TIME" help:"How long it is kept, such as 90s or 24h (default: until it is removed)."`
	Absent  bool          `help:"Only if nothing is there."`
	Add     bool          `xor:"content" help:"Add to a set: the same value is there once."`
	List    bool          `xor:"content" help:"Add to a list: the same value can be there again."`
	Protect []string      `placeholder:"WHAT" enum:"domain,entry" help:"Claim the domain, the entry, or both: domain,entry."`
	Owner   string        `placeholder:"MEMBER" help:"To whom it is to belong: a member's name or ID (default: this one)."`
	Refresh time.Duration `placeholder:"TIME" help:"Put it again every so often, for as long as the node runs."`
	at
	dhtShown
}

// Run puts a value.
func (p dhtPutCmd) Run(c *console) error {
	value, err := c.value(p.Value)
	if err != nil {
		return err
	}
	if p.Owner != "" && len(p.Protect) == 0 {
		return UsageError{"dht put --owner: what shall belong to the member? --protect domain or entry"}
	}
	body := api.DhtPut{Key: p.Key, Domain: p.domain(), Content: p.content(), TtlS: ttlSeconds(p.TTL), Absent: given(p.Absent), Add: given(p.Add), List: given(p.List), RefreshS: ttlSeconds(p.Refresh)}
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

// keptBy says who has a record.
func keptBy(replicas []api.DhtReplica, copies int) string {
	var have, not []string
	for _, r := range replicas {
		switch string(r.Status) {
		case dht.StatusOK.String(), dht.StatusUnchanged.String(), dht.StatusPrepared.String():
			have = append(have, nodeName(r.Name, r.Id))
		default:
			not = append(not, nodeName(r.Name, r.Id)+" ("+string(r.Status)+")")
		}
	}
	text := number(copies, "copy", "copies") + " at " + strings.Join(have, ", ")
	if not != nil {
		text += "; not at " + strings.Join(not, ", ")
	}
	return text
}

func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
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

type dhtGetCmd struct {
	Key        string `arg:"" help:"Any text, or hex: and 64 digits."`
	All        bool   `help:"Of all domains."`
	From       string `placeholder:"NAME" help:"From this content key on."`
	To         string `placeholder:"NAME" help:"To this content key, included."`
	Limit      int    `default:"100" help:"At most so many values."`
	Descending bool   `help:"From the last content key to the first."`
	Versions   bool   `help:"All versions, not the newest ones."`
	Digest     bool   `help:"Only what there is, without the values."`
	Majority   bool   `help:"Believe what most replicas say, not what is newest."`
	Raw        bool   `help:"Write the bytes of the only value, and nothing else."`
	at
	dhtShown
}

// Run gets values.
func (g dhtGetCmd) Run(c *console) error {
	q := url.Values{"key": {g.Key}, "limit": {strconv.Itoa(g.Limit)}}
	for name, value := range map[string]string{"domain": g.Domain, "content": g.Content, "from": g.From, "to": g.To} {
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
	if g.Digest {
		q.Set("values", "false")
	}
	var found api.DhtFound
	done, err := c.get("/api/dht/values", q, &found, g.JSON)
	if done || err != nil {
		return err
	}
	if g.Raw {
		return c.writeRaw(found)
	}
	return c.tellFound(found, g.Trace)
}

// writeRaw writes the bytes of the only value.
func (c *console) writeRaw(f api.DhtFound) error {
	if len(f.Items) != 1 {
		return fmt.Errorf("there are %d values, not one: name it with --content", len(f.Items))
	}
	b, err := valueOf(f.Items[0])
	if err == nil {
		_, err = c.Stdout.Write(b)
	}
	return err
}

func valueOf(r api.DhtRecord) ([]byte, error) {
	switch {
	case r.ValueBase64 != nil:
		return *r.ValueBase64, nil
	case r.Value != nil:
		return []byte(*r.Value), nil
	}
	return nil, errors.New("the record has no value")
}

func (c *console) tellFound(f api.DhtFound, trace bool) error {
	if len(f.Items) == 0 {
		fmt.Fprintln(c.Stderr, "Nothing is there.")
	} else if err := c.tellRecords(f.Items); err != nil {
		return err
	}
	if f.More {
		fmt.Fprintln(c.Stderr, "There are more: --limit, or --from the last content key on.")
	}
	for _, r := range f.Replicas {
		if r.Error != nil {
			fmt.Fprintf(c.Stderr, "%s could not be asked: %s\n", nodeName(r.Name, r.Id), oneLine(*r.Error))
		}
	}
	if trace {
		return c.tellSteps(f.Trace)
	}
	return nil
}

// noKey is the key that was not given.
var noKey = strings.Repeat("0", 64)

func shortKey(k string) string {
	if k == noKey {
		return "-"
	}
	return k[:12]
}

func (c *console) tellRecords(items []api.DhtRecord) error {
	var rows [][]string
	for _, r := range items {
		rows = append(rows, []string{shortKey(r.Domain), shortKey(r.Content), orDash(zeroOf(r.Version)), bytesText(int64(r.Size)), recordLeft(r), nodeName(r.AuthorName, r.Author), strings.Join(protectWords(r), ","), shownValue(r)})
	}
	return table(c.Stdout, []string{"DOMAIN", "CONTENT", "VERSION", "SIZE", "LEFT", "AUTHOR", "OWNS", "VALUE"}, rows)
}

func protectWords(r api.DhtRecord) []string {
	if len(r.Protect) == 0 {
		return []string{"-"}
	}
	return r.Protect
}

func recordLeft(r api.DhtRecord) string {
	if r.LeftS == nil {
		return "-"
	}
	return time.Duration(*r.LeftS * float64(time.Second)).Round(time.Second).String()
}

// shownValueLength is how much of a value a list shows.
const shownValueLength = 60

func shownValue(r api.DhtRecord) string {
	switch {
	case r.Kind == api.Tombstone:
		return "(removed)"
	case r.Value != nil:
		text := []rune(*r.Value)
		if len(text) > shownValueLength {
			return string(text[:shownValueLength]) + "…"
		}
		return string(text)
	case r.ValueBase64 != nil:
		return fmt.Sprintf("(bytes, %x…)", (*r.ValueBase64)[:min(8, len(*r.ValueBase64))])
	default:
		return ""
	}
}

// tellSteps prints a trace.
func (c *console) tellSteps(t api.DhtTrace) error {
	var rows [][]string
	for _, s := range t.Steps {
		name := s.To
		if s.ToName != nil {
			name = nodeName(*s.ToName, s.To)
		}
		if s.To == s.From {
			name += " (itself)"
		}
		rows = append(rows, []string{strconv.Itoa(s.Round), s.Operation, name, strconv.Itoa(s.Items), strconv.Itoa(s.BytesOut), strconv.Itoa(s.BytesIn), fmt.Sprintf("%.1f", s.TookMs), s.Outcome})
	}
	if err := table(c.Stdout, []string{"ROUND", "WHAT", "TO", "ITEMS", "OUT", "IN", "MS", "OUTCOME"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "%s, %s, %s, %.1f ms\n", number(t.Rounds, "round", "rounds"), number(t.Messages, "message", "messages"), bytesText(int64(t.Bytes)), t.TookMs)
	return nil
}

type dhtRemoveCmd struct {
	Key string `arg:"" help:"Any text, or hex: and 64 digits."`
	All bool   `help:"Of all domains."`
	at
	dhtShown
}

// Run removes values.
func (r dhtRemoveCmd) Run(c *console) error {
	body := api.DhtQuery{Key: r.Key, Domain: r.domain(), Content: r.content(), AllDomains: given(r.All), Limit: new(dht.MaxResults), Values: new(false)}
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
	fmt.Fprintf(c.Stdout, "removed %s\n", number(len(removed.Items)-refused, "value", "values"))
	if r.Trace {
		if err := c.tellSteps(removed.Trace); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%s could not be removed: somebody else owns them", number(refused, "value", "values"))
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
func (v dhtVersionsCmd) Run(c *console) error {
	q := url.Values{"key": {v.Key}}
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

type dhtResponsibleCmd struct {
	Key  string `arg:"" help:"Any text, or hex: and 64 digits."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run shows who keeps a key.
func (r dhtResponsibleCmd) Run(c *console) error {
	var list api.ResponsibleList
	done, err := c.get("/api/dht/responsible", url.Values{"key": {r.Key}}, &list, r.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "key %s\n", list.Key)
	var rows [][]string
	for _, m := range list.Items {
		rows = append(rows, []string{yesText(m.Keeps, "keeps it"), nodeName(m.Name, m.Id), yesText(!m.Alive, "not linked"), m.Position[:12], m.Distance[:12]})
	}
	return table(c.Stdout, []string{"", "MEMBER", "", "POSITION", "DISTANCE"}, rows)
}

func yesText(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

type dhtStatusCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run shows the table.
func (s dhtStatusCmd) Run(c *console) error {
	var d api.Dht
	done, err := c.get("/api/dht", nil, &d, s.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "keeps    %s of %s, %s\n", number(d.Records, "record", "records"), number(d.Locations, "key", "keys"), bytesText(d.Bytes))
	fmt.Fprintf(c.Stdout, "copies   %d of each record\n", d.Replicas)
	fmt.Fprintf(c.Stdout, "domains  %s\n", ruleText(d.Rules.Domain))
	fmt.Fprintf(c.Stdout, "entries  %s\n\n", ruleText(d.Rules.Entry))
	var rows [][]string
	for _, m := range d.Members {
		rows = append(rows, []string{m.Position[:12], nodeName(m.Name, m.Id), yesText(m.Self, "this node") + yesText(!m.Alive, "not linked")})
	}
	return table(c.Stdout, []string{"POSITION", "MEMBER", ""}, rows)
}

func ruleText(r api.DhtRule) string {
	claim, master := "whoever comes first may claim them", "their master can take them over"
	if r.Claim == api.DhtRuleClaimNone {
		claim = "only their master may claim them"
	}
	if !r.Master {
		master = "nobody can take them over"
		if r.Claim == api.DhtRuleClaimNone {
			return "nobody may claim them"
		}
	}
	return claim + ", " + master
}

type dhtRecordsCmd struct {
	Limit int  `default:"100" help:"At most so many records."`
	JSON  bool `name:"json" help:"Print the API's answer."`
}

// Run lists records.
func (r dhtRecordsCmd) Run(c *console) error {
	var list api.DhtRecordList
	done, err := c.get("/api/dht/records", url.Values{"limit": {strconv.Itoa(r.Limit)}}, &list, r.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "This node keeps nothing. \"shoal dht put greeting hello\" puts something into the table.")
		return nil
	}
	var rows [][]string
	for _, k := range list.Items {
		place := "for others"
		if k.Keeps {
			place = strconv.Itoa(k.Rank)
		}
		rows = append(rows, []string{k.Record.Location[:12], place, bytesText(int64(k.Record.Size)), recordLeft(k.Record), nodeName(k.Record.AuthorName, k.Record.Author), shownValue(k.Record)})
	}
	if err := table(c.Stdout, []string{"KEY", "PLACE", "SIZE", "LEFT", "AUTHOR", "VALUE"}, rows); err != nil {
		return err
	}
	if list.Next != nil {
		fmt.Fprintln(c.Stderr, "There are more: --limit.")
	}
	return nil
}

type dhtSetCmd struct {
	Replicas     int    `placeholder:"N" help:"How many members keep each record, 1 to 20."`
	DomainClaim  string `enum:",all,none" default:"" placeholder:"WHO" help:"Who may claim a domain: all, or none but its master."`
	DomainMaster string `enum:",yes,no" default:"" placeholder:"yes|no" help:"Whether its master can take a domain over."`
	EntryClaim   string `enum:",all,none" default:"" placeholder:"WHO" help:"Who may claim an entry: all, or none but its master."`
	EntryMaster  string `enum:",yes,no" default:"" placeholder:"yes|no" help:"Whether its master can take an entry over."`
	JSON         bool   `name:"json" help:"Print the API's answer."`
}

// Run changes settings.
func (s dhtSetCmd) Run(c *console) error {
	var d api.Dht
	if _, err := c.get("/api/dht", nil, &d, false); err != nil {
		return err
	}
	body := api.DhtChange{Replicas: given(s.Replicas)}
	rules := d.Rules
	changed := changeRule(&rules.Domain, s.DomainClaim, s.DomainMaster)
	changed = changeRule(&rules.Entry, s.EntryClaim, s.EntryMaster) || changed
	if changed {
		body.Rules = &rules
	}
	if !changed && s.Replicas == 0 {
		return UsageError{"dht set: what shall be changed? --replicas, --domain-claim, --domain-master, --entry-claim or --entry-master"}
	}
	answer, err := c.call(http.MethodPatch, "/api/dht", nil, body)
	if err != nil {
		return err
	}
	done, err := c.show("/api/dht", answer, &d, s.JSON)
	if done || err != nil {
		return err
	}
	fmt.Fprintf(c.Stdout, "copies   %d of each record\ndomains  %s\nentries  %s\n", d.Replicas, ruleText(d.Rules.Domain), ruleText(d.Rules.Entry))
	return nil
}

func changeRule(r *api.DhtRule, claim, master string) bool {
	if claim != "" {
		r.Claim = api.DhtRuleClaim(claim)
	}
	if master != "" {
		r.Master = master == "yes"
	}
	return claim != "" || master != ""
}

type dhtRepairCmd struct{}

// Run compares copies.
func (dhtRepairCmd) Run(c *console) error {
	if _, err := c.call(http.MethodPost, "/api/dht/repair", nil, nil); err != nil {
		return err
	}
	fmt.Fprintln(c.Stdout, "compared")
	return nil
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

type dhtSendCmd struct {
	Member string        `arg:"" optional:"" help:"A member's name or ID; without it, --key says who."`
	Data   string        `arg:"" optional:"" help:"The message; @FILE is a file's content, - the standard input (default)."`
	Key    string        `placeholder:"KEY" help:"To whoever is responsible for this key."`
	Port   string        `placeholder:"NAME" help:"What the message is for."`
	Wait   time.Duration `default:"0" placeholder:"TIME" help:"Wait so long for an answer, at most 60s."`
	JSON   bool          `name:"json" help:"Print the API's answer."`
}

// Run sends a message.
func (s dhtSendCmd) Run(c *console) error {
	if s.Key != "" && s.Data == "" {
		s.Member, s.Data = "", s.Member // with a key the only argument is the message
	}
	if (s.Key == "") == (s.Member == "") {
		return UsageError{"dht send: to whom? MEMBER MESSAGE, or --key KEY MESSAGE"}
	}
	data, err := c.value(s.Data)
	if err != nil {
		return err
	}
	body := api.DataNew{Key: given(s.Key), Port: given(s.Port), WaitS: new(s.Wait.Seconds())}
	if s.Member != "" {
		id, err := c.member(s.Member)
		if err != nil {
			return err
		}
		body.To = &id
	}
	body.Data, body.DataBase64 = textOrBase64(data)
	var sent api.DataSent
	done, err := c.post("/api/dht/send", body, &sent, s.JSON)
	if done || err != nil {
		return err
	}
	switch {
	case !sent.Answered:
		fmt.Fprintf(c.Stdout, "%s has received it (%.1f ms)\n", nodeName(sent.ToName, sent.To), sent.TookMs)
	case sent.Data != nil:
		fmt.Fprintln(c.Stdout, Printable(*sent.Data))
	case sent.DataBase64 != nil:
		_, err = c.Stdout.Write(*sent.DataBase64)
	}
	return err
}

type dhtInboxCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run lists messages.
func (i dhtInboxCmd) Run(c *console) error {
	var in api.Inbox
	done, err := c.get("/api/dht/inbox", nil, &in, i.JSON)
	if done || err != nil {
		return err
	}
	if len(in.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No message waits for an answer.")
		return nil
	}
	var rows [][]string
	for _, m := range in.Items {
		text := "(bytes)"
		if m.Data != nil {
			text = *m.Data
		}
		rows = append(rows, []string{strconv.FormatInt(m.Number, 10), nodeName(m.FromName, m.From), m.Port, timeText(m.At), text})
	}
	return table(c.Stdout, []string{"N", "FROM", "PORT", "AT", "MESSAGE"}, rows)
}

type dhtReplyCmd struct {
	Number int64  `arg:"" help:"The message's number, from the inbox."`
	Data   string `arg:"" optional:"" help:"The answer; @FILE is a file's content, - the standard input (default)."`
}

// Run answers a message.
func (r dhtReplyCmd) Run(c *console) error {
	data, err := c.value(r.Data)
	if err != nil {
		return err
	}
	var body api.DataReply
	body.Data, body.DataBase64 = textOrBase64(data)
	_, err = c.call(http.MethodPost, "/api/dht/inbox/"+strconv.FormatInt(r.Number, 10), nil, body)
	return err
}

// zeroOf returns what v points at, or nothing.
func zeroOf(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}
