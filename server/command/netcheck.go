package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/shoal-p2p/shoal/server/api"
)

type netcheckCmd struct {
	JSON bool `name:"json" help:"Print the API's answer."`
}

// Run makes a check and tells what was found. Who has no token to make one is told
// the result of the last.
func (n netcheckCmd) Run(c *console) error {
	answer, err := c.call(http.MethodPost, "/api/network/check", nil, nil)
	var p *problem
	if errors.As(err, &p) && (p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden) {
		if last, lastErr := c.call(http.MethodGet, "/api/network", nil, nil); lastErr == nil {
			answer, err = last, nil
		}
	}
	if err != nil {
		return c.showProblem(answer, err, n.JSON)
	}
	var r api.NetworkReport
	done, err := c.show("/api/network", answer, &r, n.JSON)
	if done || err != nil {
		return err
	}
	return c.tellNetwork(r)
}

// tellNetwork prints a report for people: each finding with its sentence, then what
// to do.
func (c *console) tellNetwork(r api.NetworkReport) error {
	values := networkValues(r)
	var rows [][]string
	for _, f := range r.Findings {
		rows = append(rows, []string{strings.ReplaceAll(string(f.About), "_", " "), orDash(values[string(f.About)]), f.Sentence})
	}
	checked, far := "never", "Nobody could be asked."
	if r.Checked != nil {
		checked = timeText(*r.Checked)
	}
	if r.Scope != nil {
		far = map[string]string{
			"public": "Members on the Internet were asked.", "private": "Only members of the local network could be asked.",
			"loopback": "Only nodes on this computer could be asked.",
		}[string(*r.Scope)]
	}
	if err := table(c.Stdout, []string{"checked", checked, far}, rows); err != nil {
		return err
	}
	for i, relay := range r.Relays {
		if i == 0 {
			fmt.Fprintln(c.Stdout)
		}
		fmt.Fprintln(c.Stdout, relayText(relay))
	}
	for i, a := range r.Advice {
		if i == 0 {
			fmt.Fprintln(c.Stdout)
		}
		fmt.Fprintln(c.Stdout, oneLine(a))
	}
	return nil
}

// relayText tells who relays, and what it answers by itself for this node.
func relayText(r api.Relay) string {
	text := "relay " + nodeName(cmp.Or(r.Name, "(a TURN server)"), r.Id)
	if r.RttMs > 0 {
		text += fmt.Sprintf(", %.0f ms", r.RttMs)
	}
	if r.InUse {
		text += ", in use"
	}
	if r.Snapshot != nil {
		text += fmt.Sprintf("; it answers for this node whom it knows: %s, as of %s", count(r.Snapshot.Members, "member"), timeText(r.Snapshot.At))
	}
	return text
}

// networkValues says in a word what each finding is about.
func networkValues(r api.NetworkReport) map[string]string {
	m := r.PortMapping
	mapped := chosen([]string{"upnp", "nat_pmp", "pcp", "manual"}, []bool{m.Upnp, m.NatPmp, m.Pcp, m.Manual})
	if len(mapped) == 0 {
		mapped = []string{"none"}
	}
	return map[string]string{
		"udp": yesNo(&r.Udp), "tcp": yesNo(&r.Tcp), "ipv4": yesNo(&r.Ipv4), "ipv6": yesNo(&r.Ipv6),
		"external": orUnknown(r.External), "mapping": orUnknown(r.Mapping), "filtering": string(r.Filtering),
		"port_mapping": strings.Join(mapped, " "), "double_nat": yesNo(r.DoubleNat), "reachable": yesNo(r.Reachable),
		"relays": fmt.Sprint(len(r.Relays)),
	}
}

func yesNo(v *bool) string {
	switch {
	case v == nil:
		return "unknown"
	case *v:
		return "yes"
	}
	return "no"
}

func orUnknown[T ~string](v *T) string {
	if v == nil {
		return "unknown"
	}
	return string(*v)
}

// chosen are the names whose flag is set.
func chosen(names []string, flags []bool) []string {
	var out []string
	for i, name := range names {
		if flags[i] {
			out = append(out, name)
		}
	}
	return out
}
