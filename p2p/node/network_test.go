package node

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat"
)

// TestNetwork: on loopback nothing is in the way, and the members say so.
func TestNetwork(t *testing.T) {
	nodes := class(t, "ada", "ben", "cleo")
	r, err := nodes[0].CheckNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Mapping != nat.MappingNone || r.Filtering != nat.FilteringOpen || r.Reachable != nat.Yes || r.Scope != nat.ScopeLoopback {
		t.Errorf("got %+v", r)
	}
	if !r.UDP || !r.TCP || !r.IPv4 || r.IPv6 || r.External.Addr() != netip.MustParseAddr("127.0.0.1") || len(r.Advice) > 0 {
		t.Errorf("got %+v", r)
	}
	if got := nodes[0].Network(); got.Checked != r.Checked {
		t.Errorf("the last report is that of %v, not of %v", got.Checked, r.Checked)
	}
	told := false
	after, _, _ := nodes[0].Events().Since(nodes[0].events.id(0))
	for _, m := range after {
		if c, ok := m.Data.(nat.Changed); ok {
			told = c.Mapping == r.Mapping && c.Reachable != nil && *c.Reachable
		}
	}
	if !told {
		t.Errorf("no event in %+v", after)
	}
}

// TestNetworkAlone: a node without members learns what it lacks.
func TestNetworkAlone(t *testing.T) {
	n := startNode(t, Options{})
	if r := n.Network(); !r.Checked.IsZero() || r.Filtering != nat.FilteringUnknown || len(r.Findings) == 0 {
		t.Errorf("got %+v", r)
	}
	r, err := n.CheckNetwork(t.Context())
	if err != nil || r.Checked.IsZero() || r.UDP || r.Mapping != "" || r.Reachable != "" || len(r.Advice) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.CheckNetwork(t.Context()); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
