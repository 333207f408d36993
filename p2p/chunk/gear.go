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

// Three parts of the content are rolled over at the same time, each laneLen bytes
// long: one sum waits for its own last step most of the time. Longer lanes lose more
// of what was done in vain when a chunk ends, shorter ones more for the sums that
// they begin with. It is no power of two, so that the lanes do not ask for the same
// bank of the first cache.
const (
	lanes   = 3
	laneLen = 1544
)

// roll takes the bytes of p into the hash h until it is below the threshold. It
// returns the number of bytes taken by then, or 0 if the end of p comes first.
func roll(p []byte, h uint64) (taken int, sum uint64) {
	n := len(p)
	for ; len(p) >= lanes*laneLen; p = p[lanes*laneLen:] {
		taken, h = rollLanes((*[lanes * laneLen]byte)(p), h)
		if taken > 0 {
			return n - len(p) + taken, h
		}
	}
	taken, h = rollOne(p, h)
	if taken > 0 {
		taken += n - len(p)
	}
	return taken, h
}

// rollLanes is roll. What it finds is what rollOne finds: the hash at a place depends
// on the bytes of a window alone, so that every lane can begin with the window before
// it, and where the hash of one is below the threshold those before it go on alone.
//
// The bytes are looked up before the test of the step before: then the sum and the
// shift are one instruction. Eight steps as arrays need no check of bounds.
func rollLanes(p *[lanes * laneLen]byte, h uint64) (taken int, sum uint64) {
	g := &gear
	h0, h1, h2 := h, uint64(0), uint64(0)
	for i := laneLen - window + 1; i < laneLen; i++ {
		h1 = h1<<1 + g[p[i]]
		h2 = h2<<1 + g[p[i+laneLen]]
	}
	i := 0
	for ; i < laneLen; i += 8 {
		a, b, c := (*[8]byte)(p[i:]), (*[8]byte)(p[i+laneLen:]), (*[8]byte)(p[i+2*laneLen:])
		g0, g1, g2 := g[a[0]], g[b[0]], g[c[0]]
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		g0, g1, g2 = g[a[1]], g[b[1]], g[c[1]]
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+1, h0, h1, h2)
		}
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		g0, g1, g2 = g[a[2]], g[b[2]], g[c[2]]
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+2, h0, h1, h2)
		}
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		g0, g1, g2 = g[a[3]], g[b[3]], g[c[3]]
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+3, h0, h1, h2)
		}
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		g0, g1, g2 = g[a[4]], g[b[4]], g[c[4]]
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+4, h0, h1, h2)
		}
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		g0, g1, g2 = g[a[5]], g[b[5]], g[c[5]]
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+5, h0, h1, h2)
		}
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		g0, g1, g2 = g[a[6]], g[b[6]], g[c[6]]
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+6, h0, h1, h2)
		}
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		g0, g1, g2 = g[a[7]], g[b[7]], g[c[7]]
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+7, h0, h1, h2)
		}
		h0, h1, h2 = h0<<1+g0, h1<<1+g1, h2<<1+g2
		if h0 < threshold || h1 < threshold || h2 < threshold {
			return settle(p, i+8, h0, h1, h2)
		}
	}
	return 0, h2
}

// settle is the end of rollLanes, where a hash is below the threshold after done bytes
// of each lane.
func settle(p *[lanes * laneLen]byte, done int, sums ...uint64) (taken int, sum uint64) {
	for i, h := range sums {
		if h < threshold {
			return i*laneLen + done, h
		}
		if n, h := rollOne(p[i*laneLen+done:(i+1)*laneLen], h); n > 0 {
			return i*laneLen + done + n, h
		}
	}
	return 0, sums[lanes-1]
}

// rollOne is roll, two bytes in a step: the second sum does not wait for the first.
// Leaving at once keeps all sums in registers. This is twice as fast as byte by byte.
func rollOne(p []byte, h uint64) (int, uint64) {
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
