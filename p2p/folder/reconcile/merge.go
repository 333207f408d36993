package reconcile

import "slices"

// Global is what all members together have done, as far as one node knows.
type Global map[EntryID]Entry

// Merge adds what e says to g and reports whether anything was new. Entries that
// came from elsewhere must have passed Entry.Check.
func (g Global) Merge(e Entry) bool {
	old, ok := g[e.ID]
	merged := Join(old, e)
	if ok && same(old, merged) {
		return false
	}
	g[e.ID] = merged
	return true
}

// Join merges two states of one entry; the zero Entry is no state.
//
// Join is commutative, associative and idempotent. Proof, for one register: a
// state is a finite set of versions none of which is before another, in the strict
// partial order ≺ of their vectors, and Join(A, B) = max(A ∪ B), the elements of
// A ∪ B that are not before another. Commutative: union is. Idempotent:
// max(A ∪ A) = max(A) = A, as A is such a set. Associative: it is enough that
// max(max(X) ∪ Y) = max(X ∪ Y). "⊇": what is not before anything in X ∪ Y is in
// max(X) or in Y and not before anything in the smaller set. "⊆": let z in
// max(X) ∪ Y be before some x in X ∪ Y; X is finite and ≺ transitive, so that x
// can be chosen in max(X) ∪ Y; hence z is not in max(max(X) ∪ Y).
//
// Nothing else is done here. In particular versions of equal content are not
// merged into one with the join of their vectors. That would not be associative:
// let x = (v, {A1}), y = (v, {B1}), z = (w, {A1, B1, C1}) and z' = (w, {A1, B1}):
// x with y first gives (v, {A1, B1}), which z' does not supersede, although it
// supersedes x and y. The view shows equal contents as one instead, and the next
// version supersedes both.
func Join(a, b Entry) Entry {
	if a.ID.IsZero() {
		a.ID = b.ID
	}
	a.Kind = max(a.Kind, b.Kind) // equal, unless somebody lies; then still commutative
	a.Places = maximal(a.Places, b.Places, comparePlaces, func(p Place) Vector { return p.Vector })
	a.Contents = maximal(a.Contents, b.Contents, compareContents, func(c Content) Vector { return c.Vector })
	return a
}

// maximal returns the elements of a and b that are not before another one, each
// once, sorted.
func maximal[T any](a, b []T, compare func(T, T) int, vector func(T) Vector) []T {
	all := slices.SortedFunc(slices.Values(slices.Concat(a, b)), compare)
	all = slices.CompactFunc(all, func(x, y T) bool { return compare(x, y) == 0 })
	if len(all) < 2 {
		return all
	}
	var out []T
	for _, x := range all {
		superseded := slices.ContainsFunc(all, func(y T) bool { return vector(x).Compare(vector(y)) == Before })
		if !superseded {
			out = append(out, x)
		}
	}
	return out
}

// same reports whether two states of one entry are equal.
func same(a, b Entry) bool {
	return a.Kind == b.Kind &&
		slices.EqualFunc(a.Places, b.Places, func(x, y Place) bool { return comparePlaces(x, y) == 0 }) &&
		slices.EqualFunc(a.Contents, b.Contents, func(x, y Content) bool { return compareContents(x, y) == 0 })
}
