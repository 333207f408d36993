package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/server/api"
)

type peersCmd struct {
	Peer string `arg:"" optional:"" help:"Tell all of this one: how it is linked, what was tried, and what really happened. Its name, or how its ID begins."`
	JSON bool   `name:"json" help:"Print the API's answer."`
}

// Run lists the other members and their links, or tells all of one.
func (p peersCmd) Run(c *console) error {
	if p.Peer != "" {
		return c.tellPeer(p.Peer, p.JSON)
	}
	var list api.PeerList
	done, err := c.get("/api/peers", nil, &list, p.JSON)
	if done || err != nil {
		return err
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Stderr, "No other members. `shoal invite` makes a link for another computer.")
		return nil
	}
	var rows [][]string
	for _, p := range list.Items {
		rows = append(rows, peerRow(p))
	}
	return table(c.Stdout, []string{"NAME", "ID", "LINK", "RTT", "IN", "OUT", "REMOTE"}, rows)
}

// peerRow says how one peer is linked. Why one is not is long and of use to few:
// shoal peers NAME tells it.
func peerRow(p api.Peer) []string {
	link, rtt, remote := "none", "-", "off or unreachable"
	if p.Through {
		remote = "through others"
	}
	if p.Connected {
		link = "linked"
		rtt = fmt.Sprintf("%.1f ms", p.RttMs)
		if p.Path != nil {
			link, remote = pathText(*p.Path), p.Path.Remote
		}
	}
	if p.Snapshot != nil {
		remote = strings.TrimSpace(remote + fmt.Sprintf(" (this node relays for it; snapshot of %s ago, %s)", secondsText(float64(time.Since(p.Snapshot.At).Milliseconds())), count(int(p.Snapshot.Answers), "answer")))
	}
	return []string{orDash(p.Name), shortID(p.Id), link, rtt, bytesText(p.BytesIn), bytesText(p.BytesOut), orDash(remote)}
}

// pathText says in a few words over which way a link runs.
func pathText(p api.Path) string {
	text := strings.TrimSpace(string(p.Kind) + " " + p.Proto)
	if p.Relay != nil {
		text += " via " + p.Relay.Name
	}
	return text
}

// tellPeer prints how one member is linked, as both ends see it.
func (c *console) tellPeer(name string, asJSON bool) error {
	id, err := c.member(name)
	if err != nil {
		return err
	}
	var p api.PeerPath
	done, err := c.get("/api/peers/"+id+"/path", nil, &p, asJSON)
	if done || err != nil {
		return err
	}
	link := "not linked"
	if p.Here.Path != nil {
		shown := *p.Here.Path
		if p.Kind != nil {
			shown.Kind = *p.Kind
		}
		link = pathText(shown)
	}
	fmt.Fprintf(c.Stdout, "%s  %s  %s\n", nodeName(p.Name, p.Id), shortID(p.Id), oneLine(link))
	if p.Why != "" {
		fmt.Fprintln(c.Stdout, oneLine(p.Why))
	}
	var rows [][]string
	for _, side := range []struct {
		name string
		view *api.PathView
	}{{"here", &p.Here}, {"there", p.There}} {
		if side.view != nil && side.view.Path != nil {
			rows = append(rows, pairRows(side.name, side.view.Path.Tried)...)
		}
	}
	if rows != nil {
		fmt.Fprintln(c.Stdout)
		if err := table(c.Stdout, []string{"SEEN", "RESULT", "WAY", "LOCAL", "REMOTE"}, rows); err != nil {
			return err
		}
	}
	c.tellTrace("What happened here", p.Here.Trace)
	switch {
	case p.There != nil:
		c.tellTrace("What happened there, as it says", p.There.Trace)
	case p.ThereError != "":
		fmt.Fprintf(c.Stdout, "\nHow the other end sees it is not known. %s\n", oneLine(p.ThereError))
	}
	return nil
}

func pairRows(side string, tried []api.Candidate) [][]string {
	var rows [][]string
	for _, t := range tried {
		way := pathText(api.Path{Kind: t.Kind, Proto: t.Proto, Relay: t.Relay})
		remote := orDash(t.Remote)
		if t.Relay != nil {
			remote = "its place there" // an address that means something to the relay only
		}
		rows = append(rows, []string{side, string(t.Result), way, orDash(t.Local), remote})
	}
	return rows
}

// tellTrace prints the steps of a trace, of each attempt with the time since its
// beginning.
func (c *console) tellTrace(title string, t *api.Trace) {
	if t == nil {
		return
	}
	start := 0.0
	for i, s := range t.Steps {
		if i == 0 || begins(s.Kind) {
			start = s.AtMs
			at := t.Began.Add(time.Duration(s.AtMs * float64(time.Millisecond)))
			fmt.Fprintf(c.Stdout, "\n%s\n", c.style.title(title+", "+at.Local().Format("2006-01-02 15:04:05")))
		}
		fmt.Fprintf(c.Stdout, "%9.1f ms  %s\n", s.AtMs-start, oneLine(s.Text))
	}
	if t.Dropped > 0 {
		fmt.Fprintf(c.Stdout, "%s were too many to be kept.\n", count(t.Dropped, "step"))
	}
}

// begins reports whether an attempt begins with a step.
func begins(kind api.StepKind) bool {
	return kind == api.StepKindOffer || kind == api.StepKindOffered || kind == api.StepKindRestart
}
