package chunk

import (
	"encoding/binary"

	"github.com/zeebo/blake3"
)

// Format is the version of the rules by which files are cut.
const Format = 1

// Limits of a chunk in bytes. Only the last chunk of a file may be shorter than
// Least.
const (
	Least   = 16 << 10
	Average = 64 << 10 // where the least length is not counted
	Longest = 512 << 10
)

// window is how many bytes decide whether a chunk ends: those before are shifted
// out of the gear hash.
const window = 64

// A chunk ends where the gear hash is below threshold. The high bits are compared
// because they depend on the whole window, the lowest only on its last byte.
const threshold = 1 << 64 / Average

const gearText = "shoal p2p/chunk gear 1"

var gear = newGear()

func newGear() (table [256]uint64) {
	h := blake3.New()
	_, _ = h.WriteString(gearText) // never fails (hash.Hash)
	var b [len(table) * 8]byte
	_, _ = h.Digest().Read(b[:]) // as long as anybody reads
	for i := range table {
		table[i] = binary.LittleEndian.Uint64(b[i*8:])
	}
	return table
}

// Cut returns the length of the first chunk of p, which has at least Longest bytes
// or ends with the content. It is 0 where p is empty.
func Cut(p []byte) int {
	if len(p) <= Least {
		return len(p)
	}
	p = p[:min(len(p), Longest)]
	n, _ := roll(p[Least-1:], warm(p))
	if n == 0 {
		return len(p)
	}
	return Least - 1 + n
}

// warm returns the gear hash of what precedes the byte with which the chunk p may
// end first.
func warm(p []byte) (h uint64) {
	for _, c := range p[Least-window : Least-1] {
		h = h<<1 + gear[c]
	}
	return h
}

// roll takes the bytes of p into the hash h until it is below the threshold. It
// returns the number of bytes taken by then, or 0 if the end of p comes first.
//
// The loop takes two bytes in a step: the second sum does not wait for the first.
// Eight bytes as an array need no check of bounds, and leaving at once keeps all
// sums in registers. Together this is twice as fast as byte by byte.
func roll(p []byte, h uint64) (int, uint64) {
	n, g := len(p), &gear
	for ; len(p) >= 8; p = p[8:] {
		q := (*[8]byte)(p)
		first := g[q[0]]
		odd := h<<1 + first
		if odd < threshold {
			return n - len(p) + 1, odd
		}
		h = h<<2 + (first<<1 + g[q[1]])
		if h < threshold {
			return n - len(p) + 2, h
		}
		first = g[q[2]]
		odd = h<<1 + first
		if odd < threshold {
			return n - len(p) + 3, odd
		}
		h = h<<2 + (first<<1 + g[q[3]])
		if h < threshold {
			return n - len(p) + 4, h
		}
		first = g[q[4]]
		odd = h<<1 + first
		if odd < threshold {
			return n - len(p) + 5, odd
		}
		h = h<<2 + (first<<1 + g[q[5]])
		if h < threshold {
			return n - len(p) + 6, h
		}
		first = g[q[6]]
		odd = h<<1 + first
		if odd < threshold {
			return n - len(p) + 7, odd
		}
		h = h<<2 + (first<<1 + g[q[7]])
		if h < threshold {
			return n - len(p) + 8, h
		}
	}
	for i, c := range p {
		h = h<<1 + g[c]
		if h < threshold {
			return n - len(p) + i + 1, h
		}
	}
	return 0, h
}
