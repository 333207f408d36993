package ranges

import (
	"encoding/binary"
	"math"

	"github.com/shoal-p2p/shoal/p2p"
)

// MaxBits is how many bits a key can have.
const MaxBits = 64

// Segment is a node of the binary tree over all keys: those whose first Depth bits are
// Prefix. The root has depth 0.
type Segment struct {
	Depth  int    `json:"depth"`
	Prefix uint64 `json:"prefix"` // its lowest Depth bits
}

// At returns the segment of a depth that contains a key of a domain of so many bits.
func At(bits, depth int, key uint64) Segment {
	if depth == 0 {
		return Segment{}
	}
	return Segment{Depth: depth, Prefix: key >> (bits - depth)}
}

// From returns the first key of the segment in a domain of so many bits.
func (s Segment) From(bits int) uint64 {
	if s.Depth == 0 {
		return 0
	}
	return s.Prefix << (bits - s.Depth)
}

// To returns the last key.
func (s Segment) To(bits int) uint64 { return s.From(bits) | Last(bits-s.Depth) }

// Last returns the last key of a domain of so many bits.
func Last(bits int) uint64 {
	if bits == 0 {
		return 0
	}
	return math.MaxUint64 >> (64 - bits)
}

// Child returns the left half (0) or the right one (1).
func (s Segment) Child(i uint64) Segment {
	return Segment{Depth: s.Depth + 1, Prefix: s.Prefix<<1 | i}
}

// Parent returns the segment that s is half of; the root has none.
func (s Segment) Parent() Segment { return Segment{Depth: s.Depth - 1, Prefix: s.Prefix >> 1} }

// Contains reports whether all keys of u are in s too.
func (s Segment) Contains(u Segment) bool {
	return u.Depth >= s.Depth && (s.Depth == 0 || u.Prefix>>(u.Depth-s.Depth) == s.Prefix)
}

// Meets reports whether a key from one to another is in the segment.
func (s Segment) Meets(bits int, from, to uint64) bool {
	return s.From(bits) <= to && s.To(bits) >= from
}

// markAt returns the content key of a segment's mark. Marks are in the order of the first
// keys of their segments.
func (s Segment) markAt(bits int) p2p.Key { return markKey(s.From(bits), byte(s.Depth)) }

func markKey(from uint64, depth byte) (k p2p.Key) {
	binary.BigEndian.PutUint64(k[:], from)
	k[8] = depth
	return k
}

// marked reads the content key of a mark; ok is false where it is none.
func marked(bits int, k p2p.Key) (s Segment, ok bool) {
	depth := int(k[8])
	if depth > bits {
		return s, false
	}
	s = At(bits, depth, binary.BigEndian.Uint64(k[:]))
	return s, s.Prefix <= Last(depth) && s.markAt(bits) == k
}
