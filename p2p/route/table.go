package route

import (
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// K is how many members a bucket holds, and how many an answer to find/1 has.
const K = 8

// Rule says who stays when a bucket is full.
type Rule int

// The rules.
const (
	// KeepOldest: who has been known and alive longest, because who has stayed long will
	// stay longer (Saroiu et al. 2002), and a flood of new ones drives nobody out. For open networks.
	KeepOldest Rule = iota
	// KeepNearest: who is nearest to this node. For networks in which positions cannot be
	// chosen.
	KeepNearest
)

// Table is Kademlia's: the members that a node knows, by how many bits of their
// positions are those of its own, K for each number, and beside them the Siblings nearest of
// all. It is for one goroutine.
//
// It believes what it is told. That a member is alive and is who it claims to be is
// checked before it is inserted.
type Table struct {
	self     Member
	rule     Rule
	buckets  [][]Member // by common prefix; in each the one seen last is last
	siblings []Member   // nearest first
}

// NewTable returns the empty table of a node.
func NewTable(self Member, rule Rule) *Table { return &Table{self: self, rule: rule} }

// Insert takes a member in that is alive now, or notes that it still is; added says that the
// table knows it now. If it does not, because its bucket is full and the rule is
// KeepOldest, doubt is the member that has not been seen for longest: the caller asks it, and if it
// does not answer, removes it and inserts m again. Nobody is put out without that.
func (t *Table) Insert(m Member) (added bool, doubt Member) {
	if m.ID == t.self.ID || m.ID.IsZero() || m.Position == t.self.Position {
		return false, Member{}
	}
	sibling := t.insertSibling(m)
	n := t.self.Position.CommonPrefixLen(m.Position)
	for len(t.buckets) <= n {
		t.buckets = append(t.buckets, nil)
	}
	b := t.buckets[n]
	if i := at(b, m.ID); i >= 0 {
		t.buckets[n] = append(slices.Delete(b, i, i+1), m)
		return true, Member{}
	}
	if len(b) < K {
		t.buckets[n] = append(b, m)
		return true, Member{}
	}
	if t.rule == KeepOldest {
		if sibling {
			return true, Member{}
		}
		return false, b[0]
	}
	far := 0
	for i := range b {
		if t.nearer(b[far], b[i]) {
			far = i
		}
	}
	if !t.nearer(m, b[far]) {
		return sibling, Member{}
	}
	t.buckets[n] = append(slices.Delete(b, far, far+1), m)
	return true, Member{}
}

// insertSibling keeps m if it is among the nearest.
func (t *Table) insertSibling(m Member) bool {
	t.siblings = slices.DeleteFunc(t.siblings, func(s Member) bool { return s.ID == m.ID })
	i, _ := slices.BinarySearchFunc(t.siblings, m, func(a, b Member) int {
		return a.Position.Distance(t.self.Position).Compare(b.Position.Distance(t.self.Position))
	})
	if i == Siblings {
		return false
	}
	t.siblings = slices.Insert(t.siblings, i, m)
	t.siblings = t.siblings[:min(len(t.siblings), Siblings)]
	return true
}

func (t *Table) nearer(a, b Member) bool {
	return a.Position.Distance(t.self.Position).Compare(b.Position.Distance(t.self.Position)) < 0
}

// Remove forgets a member that is gone.
func (t *Table) Remove(id p2p.ID) {
	is := func(m Member) bool { return m.ID == id }
	t.siblings = slices.DeleteFunc(t.siblings, is)
	for i := range t.buckets {
		t.buckets[i] = slices.DeleteFunc(t.buckets[i], is)
	}
	// The nearest of those that are left moves up; who is nearer than all of them, and
	// was not kept, is found by the next lookup of the node's own position.
	for _, m := range t.nearest(t.self.Position, Siblings, t.buckets) {
		if at(t.siblings, m.ID) < 0 && len(t.siblings) < Siblings {
			t.insertSibling(m)
		}
	}
}

// Members returns all that the table knows, in no order.
func (t *Table) Members() []Member {
	all := slices.Clone(t.siblings)
	for _, b := range t.buckets {
		for _, m := range b {
			if at(t.siblings, m.ID) < 0 {
				all = append(all, m)
			}
		}
	}
	return all
}

// Siblings returns the nearest members, nearest first.
func (t *Table) Siblings() []Member { return slices.Clone(t.siblings) }

// Closest returns the n members that are nearest to a key, nearest first.
func (t *Table) Closest(key p2p.Key, n int) []Member {
	return t.nearest(key, n, [][]Member{t.Members()})
}

func (t *Table) nearest(key p2p.Key, n int, lists [][]Member) []Member {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b Member) int {
		return a.Position.Distance(key).Compare(b.Position.Distance(key))
	})
	return all[:min(len(all), n)]
}

// at returns where a member is in a list, or -1.
func at(list []Member, id p2p.ID) int {
	return slices.IndexFunc(list, func(m Member) bool { return m.ID == id })
}
