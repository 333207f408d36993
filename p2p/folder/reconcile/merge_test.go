package reconcile

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyVector draws a vector of up to three nodes, one of which has two
// incarnations.
func anyVector(t *rapid.T) Vector {
	var v Vector
	for _, d := range []Dot{{memberOf("A"), 1, 0}, {memberOf("A"), 2, 0}, {memberOf("B"), 1, 0}, {memberOf("C"), 1, 0}} {
		if d.Counter = rapid.Uint64Range(0, 3).Draw(t, "counter"); d.Counter > 0 {
			v = v.Bump(d)
		}
	}
	return v
}

// anyState draws a state of one entry, not only such as honest nodes make.
func anyState(t *rapid.T) Entry {
	id := EntryID{memberOf("A"), 1, 1}
	e := Entry{ID: id, Kind: KindFile}
	for range rapid.IntRange(0, 3).Draw(t, "contents") {
		v := anyVector(t)
		c := Content{Vector: v, Deleted: rapid.Bool().Draw(t, "deleted"), Hash: hashOf(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "content"))}
		if len(v) > 0 {
			c.Dot, c.Made = v[0], v[len(v)-1]
		}
		e = Join(e, Entry{ID: id, Kind: KindFile, Contents: []Content{c}})
	}
	for range rapid.IntRange(0, 2).Draw(t, "places") {
		p := Place{Vector: anyVector(t), Spot: Spot{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")}}
		e = Join(e, Entry{ID: id, Kind: KindFile, Places: []Place{p}})
	}
	return e
}

// TestJoin holds the laws that the proof at Join proves.
func TestJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyState(t), anyState(t), anyState(t)
		equal := func(law string, x, y Entry) {
			if diff := cmp.Diff(x, y); diff != "" {
				t.Fatalf("%s: %s", law, diff)
			}
		}
		equal("commutative", Join(a, b), Join(b, a))
		equal("associative", Join(Join(a, b), c), Join(a, Join(b, c)))
		equal("idempotent", Join(a, a), a)
		equal("absorbing", Join(Join(a, b), b), Join(a, b))
	})
}

// TestVector holds that vectors are a lattice under Covers.
func TestVector(t *testing.T) {
	opposite := map[Order]Order{Equal: Equal, Before: After, After: Before, Concurrent: Concurrent}
	rapid.Check(t, func(t *rapid.T) {
		v, w, u := anyVector(t), anyVector(t), anyVector(t)
		m := v.Merge(w)
		switch {
		case v.Compare(w) != opposite[w.Compare(v)]:
			t.Fatal("Compare is not antisymmetric")
		case !m.Covers(v) || !m.Covers(w):
			t.Fatal("Merge is not an upper bound")
		case u.Covers(v) && u.Covers(w) && !u.Covers(m):
			t.Fatal("Merge is not the least upper bound")
		case v.Compare(w) == Before && v.compareSum(w) >= 0:
			t.Fatal("the sum does not grow")
		case (v.Compare(w) == Equal) != slices.Equal(v, w):
			t.Fatal("not canonical")
		case m.Check(Rules{}) != nil:
			t.Fatal(m.Check(Rules{}))
		}
	})
}

func TestVectorCompare(t *testing.T) {
	l := newLanguage(t)
	for _, test := range []struct {
		v, w string
		want Order
	}{
		{"", "", Equal},
		{"A1", "A1", Equal},
		{"", "A1", Before},
		{"A1", "A2", Before},
		{"A2B1", "A1", After},
		{"A1", "B1", Concurrent},
		{"A2B1", "A1B2", Concurrent},
		{"A1B2C3", "A1B2C4", Before},
	} {
		v, _ := l.vector(test.v)
		w, _ := l.vector(test.w)
		if got := v.Compare(w); got != test.want {
			t.Errorf("%s and %s: %v, want %v", test.v, test.w, got, test.want)
		}
	}
}

func TestVectorSumDoesNotWrap(t *testing.T) {
	var v Vector
	for i := range uint64(MaxVector) {
		v = append(v, Dot{memberOf("A"), i, MaxCounter})
	}
	w := v[:len(v)-1]
	if v.compareSum(w) <= 0 || w.compareSum(v) >= 0 || v.compareSum(v) != 0 {
		t.Error("the sum of a long vector wraps")
	}
}

// TestOrderDoesNotMatter: a view is the same however its entries came.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 13))
		w := newWorld(t, r.IntN, 3)
		for range 60 {
			w.anything()
		}
		var all []Entry
		for _, n := range w.nodes {
			for _, e := range n.global {
				all = append(all, e)
			}
			all = append(all, n.inbox...)
		}
		var first View
		for i := range 5 {
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			g := Global{}
			for _, e := range all[:len(all)/2] {
				g.Merge(e)
			}
			for _, e := range all {
				g.Merge(e)
			}
			view := g.View()
			if i == 0 {
				first = view
			} else if diff := cmp.Diff(first, view); diff != "" {
				t.Fatalf("seed %d: %s", seed, diff)
			}
		}
	}
}

// TestEveryIDHasOnePath: of two versions of an entry, one of which is that with
// which it began, each has an ID of its own, whichever of them wins.
func TestEveryIDHasOnePath(t *testing.T) {
	for _, global := range []string{"a=1@A1 a=2@B5", "a=1@A9 a=2@B5", "a=1@A1 a=2@B5 a=3@C5"} {
		l := newLanguage(t)
		l.read("global", global)
		view := l.global.View()
		ids := 0
		for p, shown := range view.At {
			for _, ref := range shown.Refs {
				ids++
				if view.Where[ref.ID] != p {
					t.Errorf("%s: %v is at %q and at %q", global, ref.ID, p, view.Where[ref.ID])
				}
			}
		}
		if ids != len(view.Where) {
			t.Errorf("%s: %d refs, %d IDs", global, ids, len(view.Where))
		}
	}
}
