package server

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/node"
	routing "github.com/shoal-p2p/shoal/p2p/route"
)

// The API says which relay has answered for a member, and for whom this node does.
func TestStandIn(t *testing.T) {
	relay := p2p.ID{7}
	names := map[p2p.ID]string{relay: "Ruth"}
	q := routing.Asked{By: routing.StandIn{Relay: relay, Age: 12 * time.Second, Gone: 1500 * time.Millisecond}}
	if s := apiAsked(q, p2p.Key{}, names).StandIn; s == nil || s.Id != relay.String() || s.Name != "Ruth" || s.AgeMs != 12_000 || s.GoneMs != 1500 {
		t.Errorf("%+v", s)
	}
	if s := apiAsked(routing.Asked{}, p2p.Key{}, names).StandIn; s != nil {
		t.Errorf("a member that was asked itself: %+v", s)
	}
	a, at := &nodeAPI{}, time.Unix(1_800_000_000, 0)
	if s := a.apiPeer(node.Peer{Snapshot: &routing.Kept{At: at, Known: 3, Asked: 9}}).Snapshot; s == nil || !s.At.Equal(at) || s.Members != 3 || s.Answers != 9 {
		t.Errorf("%+v", s)
	}
	if s := a.apiPeer(node.Peer{}).Snapshot; s != nil {
		t.Errorf("a peer for which this node does not relay: %+v", s)
	}
}
