// Package dst is the segment tree over a distributed table (Zheng, Shen, Li, Shenker:
// Distributed Segment Tree: Support of Range Query and Cover Query over DHT, IPTPS 2006).
//
// An entry is kept at the segment of each level that contains its key, all in one round.
// A range is cut into the fewest segments that make it up, at most two of each level, and
// these are asked at once. The upper segments would keep everything: one that is full
// refuses what comes later, and a query that meets it asks its halves instead, which is the
// paper's downward load stripping.
package dst

import (
	"slices"

	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// Tree is the scheme. The zero value is of no use: KeyBits must be set.
type Tree struct {
	KeyBits  int // of keys
	LeafBits int // a leaf has 2^LeafBits keys
}

var _ ranges.Scheme = Tree{}

// Name implements ranges.Scheme.
func (Tree) Name() string { return "dst" }

// Bits implements ranges.Scheme.
func (t Tree) Bits() int { return t.KeyBits }

// Depth returns the depth of the leaves; the tree has one level more.
func (t Tree) Depth() int { return t.KeyBits - t.LeafBits }

// Path implements ranges.Scheme: the segments that contain a key, from the root to its leaf.
func (t Tree) Path(key uint64) []ranges.Segment {
	out := make([]ranges.Segment, t.Depth()+1)
	for depth := range out {
		out[depth] = ranges.At(t.KeyBits, depth, key)
	}
	return out
}

// Everywhere implements ranges.Scheme.
func (Tree) Everywhere() bool { return true }

// Start implements ranges.Scheme.
func (t Tree) Start(from, to uint64) []ranges.Segment { return t.Cover(from, to) }

// Cover returns the fewest segments that contain all keys from one to another, and of each
// level but the leaves no other keys: at most two of each level, in the order of keys.
//
// It goes up from the leaves at both ends (as in a segment tree in an array): a right half at
// the left end, and a left half at the right end, have no parent that is all inside, so they
// are taken, and what is left between them is a range of parents.
func (t Tree) Cover(from, to uint64) []ranges.Segment {
	var left, right []ranges.Segment
	a, b := from>>t.LeafBits, to>>t.LeafBits
	for depth := t.Depth(); ; depth-- {
		if a == b {
			left = append(left, ranges.Segment{Depth: depth, Prefix: a})
			break
		}
		if a&1 == 1 {
			left = append(left, ranges.Segment{Depth: depth, Prefix: a})
			a++
		}
		if b&1 == 0 {
			right = append(right, ranges.Segment{Depth: depth, Prefix: b})
			b-- // not below a, which is at most b here
		}
		if a > b {
			break
		}
		a, b = a>>1, b>>1
	}
	slices.Reverse(right)
	return append(left, right...)
}

// Below implements ranges.Scheme.
func (t Tree) Below(s ranges.Segment) []ranges.Segment {
	if s.Depth >= t.Depth() {
		return nil
	}
	return []ranges.Segment{s.Child(0), s.Child(1)}
}
