package route

import (
	"iter"
	"slices"
	"sort"

	"github.com/shoal-p2p/shoal/p2p"
)

// Space is a set of members by position. It does not change.
//
// Sorted positions are a binary trie: those that share a prefix stand side by side. So
// who is nearest to a key is found by going down, first to the side on which the key is.
type Space struct{ members []Member }

// NewSpace returns the space of members, which it copies.
func NewSpace(members []Member) *Space {
	s := &Space{slices.Clone(members)}
	slices.SortFunc(s.members, func(a, b Member) int {
		if c := a.Position.Compare(b.Position); c != 0 {
			return c
		}
		return a.ID.Compare(b.ID)
	})
	return s
}

// All yields the members, nearest to a key first.
func (s *Space) All(key p2p.Key) iter.Seq[Member] {
	return func(yield func(Member) bool) { s.walk(key, 0, len(s.members), yield) }
}

// Closest returns the n members that are nearest to a key, nearest first.
func (s *Space) Closest(key p2p.Key, n int) []Member {
	var out []Member
	for m := range s.All(key) {
		if len(out) >= n {
			break
		}
		out = append(out, m)
	}
	return out
}

// walk yields members[from:to], which are all that share some prefix, nearest to key first.
func (s *Space) walk(key p2p.Key, from, to int, yield func(Member) bool) bool {
	if from == to {
		return true
	}
	depth := s.members[from].Position.CommonPrefixLen(s.members[to-1].Position)
	if depth == 8*len(key) {
		for _, m := range s.members[from:to] {
			if !yield(m) {
				return false
			}
		}
		return true
	}
	ones := from + sort.Search(to-from, func(i int) bool { return bit(s.members[from+i].Position, depth) == 1 })
	if bit(key, depth) == 0 {
		return s.walk(key, from, ones, yield) && s.walk(key, ones, to, yield)
	}
	return s.walk(key, ones, to, yield) && s.walk(key, from, ones, yield)
}

// below returns where the members are whose positions begin with the first n bits of prefix.
func (s *Space) below(prefix p2p.Key, n int) (from, to int) {
	from = sort.Search(len(s.members), func(i int) bool { return comparePrefix(s.members[i].Position, prefix, n) >= 0 })
	to = from + sort.Search(len(s.members)-from, func(i int) bool { return comparePrefix(s.members[from+i].Position, prefix, n) > 0 })
	return from, to
}

// comparePrefix compares the first n bits.
func comparePrefix(a, b p2p.Key, n int) int {
	if a.CommonPrefixLen(b) >= n {
		return 0
	}
	return a.Compare(b)
}

// bit returns bit i of a key, from the front.
func bit(k p2p.Key, i int) byte { return k[i/8] >> (7 - i%8) & 1 }

// flip returns k with the bits [from, from+n) changed by x.
func flip(k p2p.Key, from, n int, x uint) p2p.Key {
	for i := range n {
		at := from + i
		k[at/8] ^= byte(x>>(n-1-i)&1) << (7 - at%8)
	}
	return k
}
