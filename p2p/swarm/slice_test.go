package swarm

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// TestSliceOf: the slices of those who begin together are as large as they are fast, and make up the file.
func TestSliceOf(t *testing.T) {
	rates := map[p2p.ID]int64{{1}: 50, {2}: 5, {3}: 45}
	next := 0.0
	for _, self := range []p2p.ID{{1}, {2}, {3}} {
		peers := []tracker.Peer{{ID: p2p.ID{9}, Have: tracker.Have{All: true}, Rate: 1000}}
		for id, rate := range rates {
			if id != self {
				peers = append(peers, tracker.Peer{ID: id, Rate: rate, Wants: true})
			}
		}
		from, to, ok := sliceOf(self, rates[self], peers)
		if !ok || from != next || to-from < float64(rates[self])/100-1e-9 || to-from > float64(rates[self])/100+1e-9 {
			t.Errorf("%v begins with %v to %v, %v", self[0], from, to, ok)
		}
		next = to
	}
	if next != 1 {
		t.Errorf("all slices end at %v", next)
	}
	for name, peers := range map[string][]tracker.Peer{"nobody says": {{ID: p2p.ID{2}, Wants: true}}, "alone": nil} {
		if _, _, ok := sliceOf(p2p.ID{1}, 7, peers); ok != (name == "alone") {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if _, _, ok := sliceOf(p2p.ID{1}, 0, nil); ok {
		t.Error("who does not know how fast it is has a slice")
	}
}
