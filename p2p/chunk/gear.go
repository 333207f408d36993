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
	h.WriteString(gearText)
	var b [len(table) * 8]byte
	h.Digest().Read(b[:])
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
// The loop takes two bytes in a step: the second half of each sum does not wait
// for the step before. This is a tenth faster than byte by byte.
func roll(p []byte, h uint64) (int, uint64) {
	i := 0
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		g0, g1 := gear[uint8(w)], gear[uint8(w>>8)]
		g2, g3 := gear[uint8(w>>16)], gear[uint8(w>>24)]
		g4, g5 := gear[uint8(w>>32)], gear[uint8(w>>40)]
		g6, g7 := gear[uint8(w>>48)], gear[uint8(w>>56)]
		h1 := h<<1 + g0
		h2 := h<<2 + (g0<<1 + g1)
		h3 := h2<<1 + g2
		h4 := h2<<2 + (g2<<1 + g3)
		h5 := h4<<1 + g4
		h6 := h4<<2 + (g4<<1 + g5)
		h7 := h6<<1 + g6
		h = h6<<2 + (g6<<1 + g7)
		if h1 < threshold || h2 < threshold || h3 < threshold || h4 < threshold ||
			h5 < threshold || h6 < threshold || h7 < threshold || h < threshold {
			for j, x := range [...]uint64{h1, h2, h3, h4, h5, h6, h7, h} {
				if x < threshold {
					return i + j + 1, x
				}
			}
		}
	}
	for ; i < len(p); i++ {
		h = h<<1 + gear[p[i]]
		if h < threshold {
			return i + 1, h
		}
	}
	return 0, h
}
