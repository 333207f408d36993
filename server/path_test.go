package server

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/server/api"
)

// TestPeerPathAPI: how a peer is linked is told as both ends see it, with the steps in
// sentences; of nobody it is not found.
func TestPeerPathAPI(t *testing.T) {
	a, b := newServer(t, Options{Node: startNode(t)}), newServer(t, Options{Node: startNode(t)})
	var inv api.Invite
	call(t, a, post, "/api/invites", `{}`, 201, &inv)
	body, err := json.Marshal(api.JoinNew{Link: inv.Link})
	if err != nil {
		t.Fatal(err)
	}
	since := a.options.Node.Events().Position()
	call(t, b, post, "/api/join", string(body), 200, nil)
	for m := range a.options.Node.Events().Subscribe(t.Context(), since) {
		if m.Topic == "peer.linked" {
			break
		}
	}
	other := b.options.Node.ID().String()
	var p api.PeerPath
	call(t, a, get, "/api/peers/"+other+"/path", "", 200, &p)
	if p.Kind == nil || *p.Kind != "direct" || p.There == nil || p.ThereError != "" || p.Why == "" || !p.Connected {
		t.Errorf("%+v", p)
	}
	for name, v := range map[string]*api.PathView{"here": &p.Here, "there": p.There} {
		if v.Path == nil || v.Path.Kind != "direct" || len(v.Path.Tried) == 0 || v.Trace == nil || len(v.Trace.Steps) < 5 {
			t.Fatalf("%s: %+v", name, v)
		}
		for _, s := range v.Trace.Steps {
			if !strings.HasSuffix(s.Text, ".") || strings.Contains(s.Text, "invalid") {
				t.Errorf("%s: %s: %q", name, s.Kind, s.Text)
			}
		}
	}
	for _, id := range []string{"nobody", a.options.Node.ID().String(), p2p.ID{7}.String()} {
		var refused api.Problem
		if call(t, a, get, "/api/peers/"+id+"/path", "", 404, &refused); refused.Code != "not_found" {
			t.Errorf("%s: %+v", id, refused)
		}
	}
}

// TestSayStep: each step is a sentence that can be understood alone.
func TestSayStep(t *testing.T) {
	a := &nodeAPI{node: startNode(t)}
	peer, other := p2p.ID{1}, p2p.ID{2}
	at := netip.MustParseAddrPort("192.0.2.1:4747")
	say := func(s p2p.Step) string {
		text := a.sayStep(s, peer)
		text = strings.ReplaceAll(text, peer.Short(), "PEER")
		return strings.ReplaceAll(text, other.Short(), "OTHER")
	}
	for _, c := range []struct {
		step p2p.Step
		want string
	}{
		{p2p.Step{Kind: p2p.StepOffer, Note: "1 of its own"}, "Wrote an offer to PEER with its addresses: 1 of its own."},
		{p2p.Step{Kind: p2p.StepAsk, Via: other}, "Sent the offer through OTHER."},
		{p2p.Step{Kind: p2p.StepAsk, Via: peer}, "Sent the offer over the link that there is."},
		{p2p.Step{Kind: p2p.StepAsk, Via: peer, Remote: at}, "Sent the offer over its WebSocket at 192.0.2.1:4747."},
		{p2p.Step{Kind: p2p.StepUnasked, Via: other, Remote: at, Note: "connection refused"}, "It did not get through over the WebSocket of OTHER at 192.0.2.1:4747: connection refused."},
		{p2p.Step{Kind: p2p.StepOffered, Via: other, Note: "1 of its own"}, "An offer of PEER came through OTHER: 1 of its own."},
		{p2p.Step{Kind: p2p.StepHeard, Remote: at, New: true, Way: p2p.PathPunched}, "A first packet came from 192.0.2.1:4747 (which nobody had offered: a router has made it)."},
		{p2p.Step{Kind: p2p.StepSent, Remote: at, Way: p2p.PathRelayed, Via: other}, "Sent a first packet to its place at the relay OTHER."},
		{p2p.Step{Kind: p2p.StepReply, Remote: at, Way: p2p.PathMapped, Proto: "tcp"}, "An answer came from 192.0.2.1:4747 (forwarded by a router, over TCP), so that packets go both ways."},
		{p2p.Step{Kind: p2p.StepPath}, "Chose the way to an address that is not told."},
		{p2p.Step{Kind: p2p.StepRelay}, "A TURN server relays for this end."},
		{p2p.Step{Kind: p2p.StepFailed, Note: "no reply in time"}, "It came to nothing: no reply in time."},
	} {
		if got := say(c.step); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.step.Kind, got, c.want)
		}
	}
}
