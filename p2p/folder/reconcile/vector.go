package reconcile

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// Dot names one event: the Counter-th that member made in this folder during one
// incarnation. An incarnation is a random number that a node draws whenever its
// state is new or restored, so that a counter which was forgotten is never used
// again.
type Dot struct {
	Member      p2p.ID
	Incarnation uint64
	Counter     uint64 // from 1
}

// IsZero reports whether d names no event.
func (d Dot) IsZero() bool { return d == Dot{} }

// Compare orders dots by member, incarnation and counter.
func (d Dot) Compare(e Dot) int {
	return cmp.Or(d.compareNode(e), cmp.Compare(d.Counter, e.Counter))
}

func (d Dot) compareNode(e Dot) int {
	return cmp.Or(d.Member.Compare(e.Member), cmp.Compare(d.Incarnation, e.Incarnation))
}

// String returns a short form for people and tests: member.incarnation.counter.
func (d Dot) String() string {
	return fmt.Sprintf("%.4s.%x.%d", d.Member, d.Incarnation, d.Counter)
}

// Vector is a version vector: for each node the last of its events that is
// included, and with it all of that node's before. It is sorted by member and
// incarnation, with no pair twice and no zero counter; that is its only form. A
// Vector is never changed in place. The empty Vector includes nothing.
type Vector []Dot

// Order is how two vectors stand to each other.
type Order int

// The four ways in which vectors can stand to each other.
const (
	Equal      Order = iota
	Before           // included in the other, and not equal
	After            // includes the other, and is not equal
	Concurrent       // each has what the other has not
)

// Compare says how v stands to w.
func (v Vector) Compare(w Vector) Order {
	switch below, above := w.Covers(v), v.Covers(w); {
	case below && above:
		return Equal
	case below:
		return Before
	case above:
		return After
	}
	return Concurrent
}

// Covers reports whether every event in w is in v.
func (v Vector) Covers(w Vector) bool {
	i := 0
	for _, d := range w {
		for i < len(v) && v[i].compareNode(d) < 0 {
			i++
		}
		if i == len(v) || v[i].compareNode(d) != 0 || v[i].Counter < d.Counter {
			return false
		}
	}
	return true
}

// Has reports whether v includes the event d.
func (v Vector) Has(d Dot) bool { return v.counter(d) >= d.Counter }

// counter returns the last event of d's node in v, 0 for none.
func (v Vector) counter(d Dot) uint64 {
	if i, ok := slices.BinarySearchFunc(v, d, Dot.compareNode); ok {
		return v[i].Counter
	}
	return 0
}

// Merge returns the least vector that covers both. It is commutative, associative
// and idempotent, being a maximum per component.
func (v Vector) Merge(w Vector) Vector {
	if v.Covers(w) {
		return v
	}
	if w.Covers(v) {
		return w
	}
	out := make(Vector, 0, len(v)+len(w))
	for len(v) > 0 && len(w) > 0 {
		switch c := v[0].compareNode(w[0]); {
		case c < 0:
			out, v = append(out, v[0]), v[1:]
		case c > 0:
			out, w = append(out, w[0]), w[1:]
		default:
			d := v[0]
			d.Counter = max(d.Counter, w[0].Counter)
			out, v, w = append(out, d), v[1:], w[1:]
		}
	}
	return append(append(out, v...), w...)
}

// Bump returns v with the event d included.
func (v Vector) Bump(d Dot) Vector { return v.Merge(Vector{d}) }

// compareSum orders vectors by the sum of their counters, in 128 bits: a sum never
// overflows. If v is before w its sum is smaller.
func (v Vector) compareSum(w Vector) int {
	vh, vl := v.sum()
	wh, wl := w.sum()
	return cmp.Or(cmp.Compare(vh, wh), cmp.Compare(vl, wl))
}

func (v Vector) sum() (high, low uint64) {
	for _, d := range v {
		var carry uint64
		low, carry = bits.Add64(low, d.Counter, 0)
		high += carry
	}
	return high, low
}

// compare is any total order of vectors; it is not that of causality.
func (v Vector) compare(w Vector) int { return slices.CompareFunc(v, w, Dot.Compare) }

// mergeAll merges any number of vectors.
func mergeAll(vs []Vector) Vector {
	var out Vector
	for _, v := range vs {
		out = out.Merge(v)
	}
	return out
}
