// Package pht is the prefix hash tree over a distributed table (Ramabhadran, Ratnasamy,
// Hellerstein, Shenker: Prefix Hash Tree: An Indexing Data Structure over Distributed Hash
// Tables, 2004).
//
// The first bits of a key name a segment; an entry is at one segment of its path, the first
// that has room. A segment that is full is split: what comes later goes to one of its halves.
// Entries that it has stay, since they are signed by those who put them, who need not be here:
// a query that passes through a split segment takes them along. So nothing is ever on its way
// from one place to another where a query could miss it, a split costs nothing, and as many
// entries as a segment has room for split it once, however many bits they have in common.
package pht

import (
	"math/bits"

	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// Tree is the scheme. The zero value is of no use: KeyBits must be set.
type Tree struct {
	KeyBits int // of keys; a segment of one key is never split
}

var _ ranges.Scheme = Tree{}

// Name implements ranges.Scheme.
func (Tree) Name() string { return "pht" }

// Bits implements ranges.Scheme.
func (t Tree) Bits() int { return t.KeyBits }

// Path implements ranges.Scheme: all prefixes of a key.
func (t Tree) Path(key uint64) []ranges.Segment {
	out := make([]ranges.Segment, t.KeyBits+1)
	for depth := range out {
		out[depth] = ranges.At(t.KeyBits, depth, key)
	}
	return out
}

// Everywhere implements ranges.Scheme.
func (Tree) Everywhere() bool { return false }

// Common returns how many bits all keys from one to another have in common.
func (t Tree) Common(from, to uint64) int {
	return min(t.KeyBits, bits.LeadingZeros64(from^to)-(64-t.KeyBits))
}

// Start implements ranges.Scheme: the prefixes that all keys of the range have in common.
func (t Tree) Start(from, to uint64) []ranges.Segment {
	return t.Path(from)[:t.Common(from, to)+1]
}

// Below implements ranges.Scheme.
func (t Tree) Below(s ranges.Segment) []ranges.Segment {
	if s.Depth >= t.KeyBits {
		return nil
	}
	return []ranges.Segment{s.Child(0), s.Child(1)}
}
