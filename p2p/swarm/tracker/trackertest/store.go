// Package trackertest holds the tests that every tracker.Store passes.
package trackertest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// Store tests a Store that open makes empty. again returns the same store as the next run of the
// program sees it.
func Store(t *testing.T, open func(t *testing.T) (s tracker.Store, again func() tracker.Store)) {
	ctx := t.Context()
	s, again := open(t)
	ends := time.UnixMilli(1_700_000_000_123)
	member := func(b byte) p2p.ID { return p2p.ID{b, 1} }
	one := func(b byte) seed.ID { return seed.ID{b, 2} }
	source := func(of, by byte, state string) tracker.KeptSource {
		return tracker.KeptSource{Seed: one(of), Member: member(by), State: []byte(state)}
	}
	text := func(of byte, state string) tracker.KeptText {
		return tracker.KeptText{Seed: one(of), State: []byte(state)}
	}
	apply := func(c tracker.Change) {
		t.Helper()
		if err := s.Apply(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, want tracker.Kept) {
		t.Helper()
		for _, s := range []tracker.Store{s, again()} {
			got, err := s.Load(ctx)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(got.Members, func(a, b tracker.KeptMember) int { return a.ID.Compare(b.ID) })
			slices.SortFunc(got.Sources, func(a, b tracker.KeptSource) int { return cmpText(a.Seed, a.Member, b.Seed, b.Member) })
			slices.SortStableFunc(got.Texts, func(a, b tracker.KeptText) int { return cmpText(a.Seed, p2p.ID{}, b.Seed, p2p.ID{}) })
			if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
	}
	want("at first", tracker.Kept{})
	apply(tracker.Change{})
	m := tracker.KeptMember{ID: member(1), Epoch: 1<<64 - 1, Seq: 1<<63 + 7, Ends: ends}
	m2 := tracker.KeptMember{ID: member(2), Epoch: 5, Seq: 6, Ends: ends.Add(time.Second)}
	apply(tracker.Change{
		Members: []tracker.KeptMember{m, m2},
		Sources: []tracker.KeptSource{source(1, 1, "a"), source(1, 2, "b"), source(2, 1, "c")},
		Texts:   map[seed.ID][]tracker.KeptText{one(1): {text(1, "z"), text(1, "y"), text(1, "x")}, one(2): {text(2, "w")}},
	})
	want("what was put", tracker.Kept{
		Members: []tracker.KeptMember{m, m2},
		Sources: []tracker.KeptSource{source(1, 1, "a"), source(1, 2, "b"), source(2, 1, "c")},
		Texts:   []tracker.KeptText{text(1, "z"), text(1, "y"), text(1, "x"), text(2, "w")},
	})
	m.Seq, m.Ends = 8, ends.Add(time.Minute)
	apply(tracker.Change{
		Members: []tracker.KeptMember{m}, GoneMembers: []p2p.ID{member(2), member(9)},
		Sources: []tracker.KeptSource{source(1, 1, "A")}, GoneSources: []tracker.KeptSource{source(1, 2, ""), source(9, 9, "")},
		Texts: map[seed.ID][]tracker.KeptText{one(1): {text(1, "x")}, one(2): nil, one(9): nil},
	})
	after := tracker.Kept{
		Members: []tracker.KeptMember{m}, Sources: []tracker.KeptSource{source(1, 1, "A"), source(2, 1, "c")},
		Texts: []tracker.KeptText{text(1, "x")},
	}
	want("what was changed", after)
	apply(tracker.Change{Clear: true, Members: []tracker.KeptMember{m2}, Sources: []tracker.KeptSource{source(3, 2, "d")}})
	want("after all was forgotten", tracker.Kept{Members: []tracker.KeptMember{m2}, Sources: []tracker.KeptSource{source(3, 2, "d")}})
}

func cmpText(a seed.ID, am p2p.ID, b seed.ID, bm p2p.ID) int {
	if c := p2p.ID(a).Compare(p2p.ID(b)); c != 0 {
		return c
	}
	return am.Compare(bm)
}
