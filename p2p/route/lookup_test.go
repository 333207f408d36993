package route

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

// world answers as members do that know their Want.
type world struct {
	members []Member
	byID    map[p2p.ID]Member
	space   *Space
	down    map[p2p.ID]bool
	liars   map[p2p.ID][]Member // what they answer
}

func newWorld(n, seed int) *world {
	w := &world{members: crowd(n, seed), byID: map[p2p.ID]Member{}, down: map[p2p.ID]bool{}, liars: map[p2p.ID][]Member{}}
	w.space = NewSpace(w.members)
	for _, m := range w.members {
		w.byID[m.ID] = m
	}
	return w
}

func (w *world) knows(id p2p.ID) []Member {
	var known []Member
	for _, k := range w.space.Want(id, nil) {
		known = append(known, w.byID[k])
	}
	return known
}

// run drives a lookup; what is open at a time is answered in the order of draw.
func (w *world) run(l *Lookup, key p2p.Key, draw func(n int) int) {
	var open []Member
	for !l.Done() {
		open = append(open, l.Next()...)
		if len(open) == 0 {
			panic("nobody to ask, and not done")
		}
		i := draw(len(open))
		m := open[i]
		open = slices.Delete(open, i, i+1)
		switch {
		case w.down[m.ID]:
			l.Failed(m.ID)
		case w.liars[m.ID] != nil:
			l.Heard(m.ID, w.liars[m.ID])
		default:
			l.Heard(m.ID, NewSpace(append(w.knows(m.ID), m)).Closest(key, K))
		}
	}
}

// A lookup finds the nearest of those that live, whatever the order of answers, with a tenth
// down.
func TestLookup(t *testing.T) {
	w := newWorld(600, 1)
	rapid.Check(t, func(t *rapid.T) {
		key := crowd(1, rapid.IntRange(1000, 1<<30).Draw(t, "key"))[0].Position
		w.down = map[p2p.ID]bool{}
		start := w.members[rapid.IntRange(0, len(w.members)-1).Draw(t, "start")]
		for i, m := range w.members {
			w.down[m.ID] = (i+int(key[0]))%10 == 0 && m.ID != start.ID
		}
		l := NewLookup(key, NewSpace(w.knows(start.ID)).Closest(key, K), LookupOptions{})
		w.run(l, key, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") })
		var living []Member
		for _, m := range w.members {
			if !w.down[m.ID] {
				living = append(living, m)
			}
		}
		got, want := l.Closest(), byDistance(living, key)[:3]
		for i := range want {
			if got[i].ID != want[i].ID {
				t.Fatalf("the %d. nearest is not found", i)
			}
		}
		if l.Asked() > 40 {
			t.Fatalf("%d were asked", l.Asked())
		}
	})
}

// Who makes members up keeps a lookup busy for a bounded time, and what was not asked for
// does nothing.
func TestLookupIsBounded(t *testing.T) {
	key := p2p.Key{}
	l := NewLookup(key, crowd(3, 1), LookupOptions{MaxAsked: 50})
	made := 0
	for !l.Done() {
		next := l.Next()
		if len(next) > 3 {
			t.Fatalf("%d at once", len(next))
		}
		for _, m := range next {
			var closer []Member
			for range 1000 {
				made++
				var position p2p.Key // ever nearer
				binary.BigEndian.PutUint64(position[8:], 1<<40-uint64(made))
				closer = append(closer, Member{ID: p2p.ID{1, byte(made), byte(made >> 8), byte(made >> 16)}, Position: position})
			}
			l.Heard(m.ID, closer)
			l.Heard(m.ID, closer) // again
			l.Heard(p2p.ID{7}, closer)
			l.Failed(p2p.ID{7})
		}
	}
	if l.Asked() != 50 {
		t.Errorf("%d were asked, want 50", l.Asked())
	}
	if n := len(l.paths[0].known); n > 50*K+3 {
		t.Errorf("%d members are remembered", n)
	}
	if (&Lookup{}).Done() != true || len(NewLookup(key, nil, LookupOptions{}).Closest()) != 0 {
		t.Error("a lookup without seeds is done")
	}
}

// With disjoint paths liars lead astray the ways that they are on, and no others.
func TestLookupPaths(t *testing.T) {
	w := newWorld(600, 2)
	found := map[int]int{}
	const keys = 60
	for _, paths := range []int{1, 4} {
		for i := range keys {
			key := crowd(1, 5000+i)[0].Position
			w.liars = map[p2p.ID][]Member{}
			var evil []Member
			for j, m := range w.members {
				if (j+i)%10 == 0 { // each names others of its kind, which hide the nearest
					evil = append(evil, m)
				}
			}
			for _, m := range evil {
				w.liars[m.ID] = NewSpace(evil).Closest(key, K)
			}
			start := w.members[(i*7+1)%600]
			l := NewLookup(key, NewSpace(w.knows(start.ID)).Closest(key, paths*K), LookupOptions{Paths: paths})
			used := map[p2p.ID]bool{}
			for _, p := range l.paths {
				for _, c := range p.known {
					if used[c.ID] {
						t.Fatal("two paths begin at one member")
					}
					used[c.ID] = true
				}
			}
			w.run(l, key, func(int) int { return 0 })
			if got := l.Closest(); len(got) > 0 && got[0].ID == byDistance(w.members, key)[0].ID {
				found[paths]++
			}
		}
	}
	if found[4] < found[1] || found[4] < keys*9/10 {
		t.Errorf("with one path %d of %d keys are found, with four %d", found[1], keys, found[4])
	}
}

func TestDensity(t *testing.T) {
	for _, n := range []int{100, 1000, 20_000} {
		space := NewSpace(crowd(n, 9))
		sum := 0.0
		for i := range 20 {
			key := crowd(1, 100+i)[0].Position
			sum += Estimate(key, space.Closest(key, 20))
		}
		if mean := sum / 20; mean < float64(n)*.8 || mean > float64(n)*1.25 {
			t.Errorf("of %d members %.0f are estimated", n, mean)
		}
		missing, people := 0, 0
		for i := range 200 {
			key := crowd(1, 300+i)[0].Position
			from, to := space.below(key, Region(float64(n), 3))
			people += to - from
			if to-from < 3 {
				missing++
			}
			if c := Chance(float64(n), key, space.Closest(key, 20)); c < 1e-6 {
				t.Errorf("n=%d: honest members are near a key with a chance of %g", n, c)
			}
		}
		if missing > 2 || people/200 > 40 {
			t.Errorf("n=%d: %d of 200 regions have fewer than 3 members, on average they have %d", n, missing, people/200)
		}
		// Three sit closer than chance would have them.
		key := crowd(1, 1)[0].Position
		sybils := []Member{{Position: flip(key, 40, 1, 1)}, {Position: flip(key, 41, 1, 1)}, {Position: flip(key, 42, 1, 1)}}
		if c := Chance(float64(n), key, append(sybils, space.Closest(key, 17)...)); c > 1e-6 {
			t.Errorf("n=%d: three chosen positions have a chance of %g", n, c)
		}
	}
	// Known answers: P(X ≥ k) of Poisson variables.
	for _, test := range []struct {
		k    int
		mean float64
		want float64
	}{{1, 1, 1 - math.Exp(-1)}, {0, 5, 1}, {3, 2, 1 - 5*math.Exp(-2)}, {10, 1e-3, 2.7532e-37}, {1, 0, 0}} {
		if got := atLeast(test.k, test.mean); math.Abs(got-test.want) > test.want*1e-4 {
			t.Errorf("P(X ≥ %d), mean %g: %g, want %g", test.k, test.mean, got, test.want)
		}
	}
}

// Who is named somebody that it does not know as a member does not take those it has found for all
// that there are: it may hear only later that he is one.
func TestFindStrangers(t *testing.T) {
	w := newTown(t, 3)
	w.road(0, 1, 2)
	f, err := w.homes[0].Find(t.Context(), p2p.Key{}, LookupOptions{}, nil)
	if err != nil || f.Bits != 0 || len(f.Members) != 2 {
		t.Errorf("%d members, %d bits, %v", len(f.Members), f.Bits, err)
	}
	w.homes[0].o.Member = func(id p2p.ID) (Member, bool) {
		m, ok := w.member(id)
		return m, ok && id != w.homes[2].self
	}
	f, err = w.homes[0].Find(t.Context(), p2p.Key{}, LookupOptions{}, nil)
	if err != nil || f.Bits <= 256 || len(f.Members) != 1 {
		t.Errorf("with a stranger: %d members, %d bits, %v", len(f.Members), f.Bits, err)
	}
}

// By forwarded calls a node finds who is nearest, without links to them; who makes members
// up is not believed.
func TestFind(t *testing.T) {
	w := newTown(t, 8)
	w.road(7, 4, 2, 1, 0)
	var asked []Asked
	f, err := w.homes[7].Find(t.Context(), p2p.Key{}, LookupOptions{Want: 3}, func(a Asked) { asked = append(asked, a) })
	got := f.Members
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	// Homes 0, 1 and 2 are at 0, 1 and 2: no other shares seven bits with 0.
	if f.Bits != 7 || f.Rounds != 4 || f.Asked != len(asked) {
		t.Errorf("%d bits, %d rounds, %d asked", f.Bits, f.Rounds, f.Asked)
	}
	for _, a := range asked {
		i := slices.IndexFunc(w.homes, func(h *home) bool { return h.self == a.ID })
		switch {
		case i == 4 && (a.Round != 1 || !a.Named.IsZero() || a.Way != Way{a.ID, 1}):
			t.Errorf("who is linked: %+v", a)
		case i < 4 && (a.Named.IsZero() || a.Via != w.homes[4].self || a.Hops != []int{4, 3, 2}[i]):
			t.Errorf("home %d: %+v", i, a)
		}
	}
	for i, m := range got {
		if m.ID != w.homes[i].self {
			t.Errorf("the %d. nearest is at %x", i, m.Position[0])
		}
	}
	w.revoke(w.homes[0])
	if f, err = w.homes[7].Find(t.Context(), p2p.Key{}, LookupOptions{Want: 3}, nil); err != nil || f.Members[0].ID != w.homes[1].self {
		t.Errorf("after a revocation: %v, %v", f, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.homes[7].Find(ctx, p2p.Key{}, LookupOptions{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	alone := newTown(t, 1).homes[0]
	if _, err := alone.Find(t.Context(), p2p.Key{}, LookupOptions{}, nil); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("alone: %v", err)
	}
}

func FuzzDecodeFound(f *testing.F) {
	w := crowd(1, 1)[0]
	w.Key = make([]byte, 32)
	w.ID = p2p.IDOf(w.Key)
	r := New(Options{
		Identity: mustIdentity(f), Member: func(id p2p.ID) (Member, bool) { return w, id == w.ID },
		Links: func() []p2p.Link { return nil },
	})
	f.Add([]byte{0xa1, 0x01, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		members, _, err := r.decodeFound(findRequest{}, b)
		if err == nil && len(members) > K {
			t.Fatalf("%d members", len(members))
		}
		for _, m := range members {
			if m.ID != w.ID || m.Position != w.Position {
				t.Fatalf("made up: %v", m)
			}
		}
		_, _ = r.handleFind(t.Context(), p2p.ID{}, b)
	})
}

func mustIdentity(tb testing.TB) p2p.Identity {
	tb.Helper()
	identity, err := p2p.IdentityFromSeed(make([]byte, 32))
	if err != nil {
		tb.Fatal(err)
	}
	return identity
}
