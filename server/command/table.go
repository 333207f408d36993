package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

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

// Copies says how many members are to keep each record. The zero Copies leaves it as it is.
type Copies struct {
	N    int  // so many
	Auto bool // as many as it takes where members leave as often as they do
}

func parseCopies(text string) (Copies, error) {
	if text == "auto" {
		return Copies{Auto: true}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > dht.MaxReplicas {
		return Copies{}, UsageError{"not a number of copies"}
	}
	return Copies{N: n}, nil
}

// Options returns what that is for a table.
func (c Copies) Options() (replicas int, auto dht.Auto) {
	if c.Auto {
		auto.Reliability = dht.DefaultReliability
	}
	return c.N, auto
}

// tellCopies prints how many copies there are, and why.
func (c *console) tellCopies(d api.Dht) {
	how := "as was set"
	if d.Churn.Auto {
		how = "by how many members leave (auto)"
	}
	fmt.Fprintf(c.Stdout, "copies   %d of each record, %s\n", d.Replicas, how)
	fmt.Fprintf(c.Stdout, "leaving  %s\n", oneLine(d.Churn.Reason))
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
	fmt.Fprintf(c.Stdout, "keeps    %s of %s, %s\n", count(d.Records, "record"), count(d.Locations, "key"), bytesText(d.Bytes))
	c.tellCopies(d)
	fmt.Fprintf(c.Stdout, "cas      %s\n", keepersText(d.Keepers))
	if d.Memory.Times > 0 {
		fmt.Fprintf(c.Stdout, "memory   %s\n", oneLine(memoryText(d.Memory)))
	}
	fmt.Fprintf(c.Stdout, "domains  %s\n", ruleText(d.Rules.Domain))
	fmt.Fprintf(c.Stdout, "entries  %s\n\n", ruleText(d.Rules.Entry))
	var rows [][]string
	for _, m := range d.Members {
		rows = append(rows, []string{m.Position[:12], nodeName(m.Name, m.Id), yesText(m.Self, "this node") + yesText(!m.Alive, "not linked")})
	}
	return table(c.Stdout, []string{"POSITION", "MEMBER", ""}, rows)
}

// keepersText says who makes new registers.
func keepersText(k api.DhtKeepers) string {
	var names []string
	for _, m := range k.Members {
		names = append(names, nodeName(m.Name, m.Id)+yesText(!m.Alive, " (off)"))
	}
	who := strings.Join(names, ", ")
	if len(names) == 1 {
		return "new registers are made with " + who
	}
	return fmt.Sprintf("new registers are made with %d of %s", k.Needed, who)
}

// memoryText says that a state was put back, and what follows.
func memoryText(m api.DhtMemory) string {
	text := "this node's state was put back to an earlier time"
	if m.Times > 1 {
		text += fmt.Sprintf(" (%d times)", m.Times)
	}
	if m.Missing != nil && m.By != nil && m.ByName != nil {
		text += fmt.Sprintf(": %s has seen %s more", nodeName(*m.ByName, *m.By), number(int(*m.Missing), "promise", "promises"))
	}
	return text + "; it keeps registers only where it was made an acceptor anew since"
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
		rows = append(rows, []string{k.Record.Location[:12], place, bytesText(int64(k.Record.Size)), recordLeft(k.Record), nodeName(k.Record.AuthorName, k.Record.Author), protectText(k.Record), shownValue(k.Record)})
	}
	if err := table(c.Stdout, []string{"KEY", "PLACE", "SIZE", "LEFT", "AUTHOR", "PROTECTED", "VALUE"}, rows); err != nil {
		return err
	}
	if list.Next != nil {
		fmt.Fprintln(c.Stderr, "There are more: --limit.")
	}
	return nil
}

type dhtSetCmd struct {
	Copies       Copies `aliases:"replicas" placeholder:"N|auto" help:"How many members keep each record, 1 to 20, or auto: as many as it takes where members leave as often as they do."`
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
	body := api.DhtChange{Replicas: given(s.Copies.N), Auto: given(s.Copies.Auto)}
	rules := d.Rules
	changed := changeRule(&rules.Domain, s.DomainClaim, s.DomainMaster)
	changed = changeRule(&rules.Entry, s.EntryClaim, s.EntryMaster) || changed
	if changed {
		body.Rules = &rules
	}
	if !changed && s.Copies == (Copies{}) {
		return UsageError{"dht set: what shall be changed? --copies, --domain-claim, --domain-master, --entry-claim or --entry-master"}
	}
	answer, err := c.call(http.MethodPatch, "/api/dht", nil, body)
	if err != nil {
		return err
	}
	done, err := c.show("/api/dht", answer, &d, s.JSON)
	if done || err != nil {
		return err
	}
	c.tellCopies(d)
	fmt.Fprintf(c.Stdout, "domains  %s\nentries  %s\n", ruleText(d.Rules.Domain), ruleText(d.Rules.Entry))
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
