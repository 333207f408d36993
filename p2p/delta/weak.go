package delta

import "math/bits"

// The polynomial of the bytes b0 … bn-1 is
//
//	start + b0·m^(n-1) + b1·m^(n-2) + … + bn-1  modulo 2^64,
//
// and the weak sum its upper 24 and its lower 16 bits, 40 in all. Bit i of it
// depends on the lowest i bits of the bytes and of m only, so the upper ones are
// spread best; the lower ones come for nothing in the loop of roll. Unlike sums
// in the manner of Adler it spreads short blocks and text as well as noise.
// Collisions can be constructed (the Thue–Morse sequence and its complement
// collide for every odd m), which is why Diff counts what they cost.
const (
	weakBits = 40
	weakHigh = 24
	weakLow  = weakBits - weakHigh
)

// m is any odd number with well mixed bits: here the fraction of the golden
// ratio. start keeps zeros from having the sum 0, which any filter would know: a
// sum moves on as if start were in front of every block, see departures.
const (
	m     = 0x9e3779b97f4a7c15
	start = 0xc2b2ae3d27d4eb4f
)

// The powers of m, modulo 2^64.
const (
	m2 = m * m & (1<<64 - 1)
	m3 = m2 * m & (1<<64 - 1)
	m4 = m3 * m & (1<<64 - 1)
	m8 = m4 * m4 & (1<<64 - 1)
)

// products holds what each value of a byte is with m, m² and m³. Reading that takes
// half the time of multiplying by constants.
var products = func() (t [3][256]uint64) {
	for i := range uint64(256) {
		t[0][i], t[1][i], t[2][i] = i*m3, i*m2, i*m
	}
	return t
}()

// polynomial returns all 64 bits of the sum of p. Four times eight bytes in a step
// take a sixth less time than eight.
func polynomial(p []byte) uint64 {
	t := &products
	h := uint64(0)
	i := 0
	for ; i+32 <= len(p); i += 32 {
		b := p[i : i+32 : i+32]
		x := t[0][b[0]] + t[1][b[1]] + t[2][b[2]] + uint64(b[3])
		y := t[0][b[4]] + t[1][b[5]] + t[2][b[6]] + uint64(b[7])
		h = h*m8 + (x*m4 + y)
		x = t[0][b[8]] + t[1][b[9]] + t[2][b[10]] + uint64(b[11])
		y = t[0][b[12]] + t[1][b[13]] + t[2][b[14]] + uint64(b[15])
		h = h*m8 + (x*m4 + y)
		x = t[0][b[16]] + t[1][b[17]] + t[2][b[18]] + uint64(b[19])
		y = t[0][b[20]] + t[1][b[21]] + t[2][b[22]] + uint64(b[23])
		h = h*m8 + (x*m4 + y)
		x = t[0][b[24]] + t[1][b[25]] + t[2][b[26]] + uint64(b[27])
		y = t[0][b[28]] + t[1][b[29]] + t[2][b[30]] + uint64(b[31])
		h = h*m8 + (x*m4 + y)
	}
	for _, c := range p[i:] {
		h = h*m + uint64(c)
	}
	return h + start
}

// weakOf returns the weak sum within a polynomial, spread the other way round.
func weakOf(h uint64) uint64 { return h>>(64-weakHigh)<<weakLow | h&(1<<weakLow-1) }

func spread(weak uint64) uint64 {
	return weak>>weakLow<<(64-weakHigh) | weak&(1<<weakLow-1)
}

// departures returns what has to be taken away for each value of a byte when it
// leaves a window of n bytes. With start: (h + start)·m - start·m + start is
// h·m + start.
func departures(n int) *[256]uint64 {
	power, square := uint64(1), uint64(m)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power *= square
		}
		square *= square
	}
	k, s := uint64(m), uint64(start)
	var t [256]uint64
	for i := range t {
		t[i] = uint64(i)*power + s*k - s
	}
	return &t
}

// A filter says quickly of most sums that no block has them. It is a table of 16
// bits for each value of the highest bits of a sum. The ones in an entry are bits
// that are zero in the lower 16 bits of every block that has the place. So an
// entry for which no block is there has only ones and lets one sum of 65,536
// pass, with one block 1 %, with two 12 %; and all that is asked about a sum is
// whether it has no bit in common with its entry: one word read, no collisions to
// follow, no block forgotten. Of sums that no block has 0.3 % pass with six entries
// for each block, 2 % with two. A second, smaller table is asked about them, see known.
type filter interface {
	add(h uint64)
	// seal is called once after the last add.
	seal()
	has(h uint64) bool
	// roll moves the sum h over out and in, which have the same length, until it
	// stands on a value that a block may have. It returns the number of steps and
	// the sum there.
	roll(h uint64, out, in []byte) (steps int, sum uint64, hit bool)
	// rollLanes moves the sum of each lane, from step i on, over the lanes of out and
	// in until at least one stands on a value that a block may have, or all have
	// reached the end. It returns the number of steps done since the lanes began.
	rollLanes(sums *[lanes]uint64, i int, out, in *[lanes * laneLen]byte) int
	// run returns over how many steps the sum stays the same, as it does where all
	// bytes of out and in are the same.
	run(h uint64, out, in []byte) int
}

// newFilter returns one for so many blocks of n bytes. The entries are at least six for each
// block as long as they fit in half of the second cache of a core, and two beyond
// that: a word that is not in the cache costs more than some sums in vain.
func newFilter(blocks, n int) filter {
	switch {
	case blocks <= 1<<12/6:
		return newBank[[1 << 12]uint16](n)
	case blocks <= 1<<14/6:
		return newBank[[1 << 14]uint16](n)
	case blocks <= 1<<16/6:
		return newBank[[1 << 16]uint16](n)
	case blocks <= 1<<18/2:
		return newBank[[1 << 18]uint16](n)
	case blocks <= 1<<20/2:
		return newBank[[1 << 20]uint16](n)
	case blocks <= 1<<22/2:
		return newBank[[1 << 22]uint16](n)
	}
	return newBank[[1 << 23]uint16](n)
}

// The lengths are types, so that each has its own loop, without checks of bounds
// and without variable shifts.
type entries interface {
	[1 << 12]uint16 | [1 << 14]uint16 | [1 << 16]uint16 | [1 << 18]uint16 |
		[1 << 20]uint16 | [1 << 22]uint16 | [1 << 23]uint16
}

// bank is a filter. What it needs in the loop is in one place, because a second
// pointer would be one register too many.
type bank[E entries] struct {
	gone [256]uint64
	m    uint64
	e    E

	more      []uint16 // the second table, see known
	moreShift uint
}

// mostMore bounds the second table to 2 MiB.
const mostMore = 1 << 20

func newBank[E entries](n int) *bank[E] {
	b := new(bank[E])
	b.gone, b.m = *departures(n), m
	for i := range len(b.e) {
		b.e[i] = 1<<16 - 1
	}
	b.more = make([]uint16, min(len(b.e)/4, mostMore))
	for i := range b.more {
		b.more[i] = 1<<16 - 1
	}
	b.moreShift = uint(65 - bits.Len(uint(len(b.more))))
	return b
}

func (b *bank[E]) add(h uint64) {
	b.e[h>>uint(65-bits.Len(uint(len(b.e))))] &^= uint16(h)
	at, k := b.again(h)
	b.more[at] &^= k
}

// mostOpen is which part of random sums the first table of honest blocks lets pass at most,
// rounded up: 6 % where there is a block for each entry.
const mostOpen = 1. / 12

// seal has the second table let everything pass if the first lets pass more than that of honest
// sums. What the second one stops is not paid for, and a peer's sums can be such that the first
// stops nothing, and the second all: then each sum is looked up, and paid for.
func (b *bank[E]) seal() {
	var with [17]int // entries with so many bits
	for i := range len(b.e) {
		with[bits.OnesCount16(b.e[i])]++
	}
	open := 0.
	for n, entries := range with {
		open += float64(entries) / float64(uint(1)<<n)
	}
	if open > mostOpen*float64(len(b.e)) {
		clear(b.more)
	}
}

func (b *bank[E]) has(h uint64) bool {
	return b.e[h>>uint(65-bits.Len(uint(len(b.e))))]&uint16(h) == 0 && b.known(h)
}

// known asks the second table about a sum that the first lets pass. Of those that no
// block has it stops 97 % where there are six entries of the first for each block. It
// is asked within the loops: leaving them takes longer.
func (b *bank[E]) known(h uint64) bool {
	at, k := b.again(h)
	return b.more[at]&k == 0
}

// again returns a place in the second table and the bits to compare there. They
// depend on the weak sum alone.
func (b *bank[E]) again(h uint64) (at uint64, k uint16) {
	h = (h>>(64-weakHigh) | h<<(64-weakLow)) * 0xff51afd7ed558ccd
	return h >> b.moreShift, uint16(h >> weakLow)
}

func (b *bank[E]) roll(h uint64, out, in []byte) (steps int, sum uint64, hit bool) {
	// What has does is written out below: calls of it, inlined, cost 5 %.
	shift := uint(65 - bits.Len(uint(len(b.e)))) // constant for each E
	i := 0
	for {
		// Two steps from one sum: h·m² + (x·m + x') does not wait for the sum between.
		for ; i+8 <= len(out) && i+8 <= len(in); i += 8 {
			o, n := out[i:i+8:i+8], in[i:i+8:i+8]
			x := uint64(n[0]) - b.gone[o[0]]
			y := x*m + (uint64(n[1]) - b.gone[o[1]])
			h1 := h*m + x
			h = h*m2 + y
			if b.e[h1>>shift]&uint16(h1) == 0 {
				i, h = i+1, h1
				goto passed
			}
			if b.e[h>>shift]&uint16(h) == 0 {
				i += 2
				goto passed
			}
			x = uint64(n[2]) - b.gone[o[2]]
			y = x*m + (uint64(n[3]) - b.gone[o[3]])
			h1 = h*m + x
			h = h*m2 + y
			if b.e[h1>>shift]&uint16(h1) == 0 {
				i, h = i+3, h1
				goto passed
			}
			if b.e[h>>shift]&uint16(h) == 0 {
				i += 4
				goto passed
			}
			x = uint64(n[4]) - b.gone[o[4]]
			y = x*m + (uint64(n[5]) - b.gone[o[5]])
			h1 = h*m + x
			h = h*m2 + y
			if b.e[h1>>shift]&uint16(h1) == 0 {
				i, h = i+5, h1
				goto passed
			}
			if b.e[h>>shift]&uint16(h) == 0 {
				i += 6
				goto passed
			}
			x = uint64(n[6]) - b.gone[o[6]]
			y = x*m + (uint64(n[7]) - b.gone[o[7]])
			h1 = h*m + x
			h = h*m2 + y
			if b.e[h1>>shift]&uint16(h1) == 0 {
				i, h = i+7, h1
				goto passed
			}
			if b.e[h>>shift]&uint16(h) == 0 {
				i += 8
				goto passed
			}
		}
		for ; i < len(in); i++ {
			h = h*m + uint64(in[i]) - b.gone[out[i]]
			if b.e[h>>shift]&uint16(h) == 0 {
				i += 1
				goto passed
			}
		}
		return i, h, false
	passed:
		if b.known(h) {
			return i, h, true
		}
	}
}

// What one sum after the other would do at different times, four do at the same
// time: a product takes three clock cycles, and a word of the filter that is in the
// second cache four times as many, but the processor can do much else meanwhile. This
// takes three quarters of the time of roll.
//
// laneLen is such that almost all of a window is in whole lanes, and is no multiple
// of 4 KiB, since then all lanes would compete for the same places in the first cache.
const (
	lanes   = 4
	laneLen = 40<<10 - 64
)

func (b *bank[E]) rollLanes(sums *[lanes]uint64, i int, out, in *[lanes * laneLen]byte) int {
	shift := uint(65 - bits.Len(uint(len(b.e))))
	if i < 0 { // so that the compiler knows
		return laneLen
	}
	h0, h1, h2, h3 := sums[0], sums[1], sums[2], sums[3]
	k := b.m // in a register, which a constant would not be
	for {
		for ; i <= laneLen-4; i += 4 {
			h0 = h0*k + (uint64(in[i]) - b.gone[out[i]])
			h1 = h1*k + (uint64(in[laneLen+i]) - b.gone[out[laneLen+i]])
			h2 = h2*k + (uint64(in[2*laneLen+i]) - b.gone[out[2*laneLen+i]])
			h3 = h3*k + (uint64(in[3*laneLen+i]) - b.gone[out[3*laneLen+i]])
			if b.e[h0>>shift]&uint16(h0) == 0 || b.e[h1>>shift]&uint16(h1) == 0 || b.e[h2>>shift]&uint16(h2) == 0 || b.e[h3>>shift]&uint16(h3) == 0 {
				i += 1
				goto passed
			}
			h0 = h0*k + (uint64(in[i+1]) - b.gone[out[i+1]])
			h1 = h1*k + (uint64(in[laneLen+i+1]) - b.gone[out[laneLen+i+1]])
			h2 = h2*k + (uint64(in[2*laneLen+i+1]) - b.gone[out[2*laneLen+i+1]])
			h3 = h3*k + (uint64(in[3*laneLen+i+1]) - b.gone[out[3*laneLen+i+1]])
			if b.e[h0>>shift]&uint16(h0) == 0 || b.e[h1>>shift]&uint16(h1) == 0 || b.e[h2>>shift]&uint16(h2) == 0 || b.e[h3>>shift]&uint16(h3) == 0 {
				i += 2
				goto passed
			}
			h0 = h0*k + (uint64(in[i+2]) - b.gone[out[i+2]])
			h1 = h1*k + (uint64(in[laneLen+i+2]) - b.gone[out[laneLen+i+2]])
			h2 = h2*k + (uint64(in[2*laneLen+i+2]) - b.gone[out[2*laneLen+i+2]])
			h3 = h3*k + (uint64(in[3*laneLen+i+2]) - b.gone[out[3*laneLen+i+2]])
			if b.e[h0>>shift]&uint16(h0) == 0 || b.e[h1>>shift]&uint16(h1) == 0 || b.e[h2>>shift]&uint16(h2) == 0 || b.e[h3>>shift]&uint16(h3) == 0 {
				i += 3
				goto passed
			}
			h0 = h0*k + (uint64(in[i+3]) - b.gone[out[i+3]])
			h1 = h1*k + (uint64(in[laneLen+i+3]) - b.gone[out[laneLen+i+3]])
			h2 = h2*k + (uint64(in[2*laneLen+i+3]) - b.gone[out[2*laneLen+i+3]])
			h3 = h3*k + (uint64(in[3*laneLen+i+3]) - b.gone[out[3*laneLen+i+3]])
			if b.e[h0>>shift]&uint16(h0) == 0 || b.e[h1>>shift]&uint16(h1) == 0 || b.e[h2>>shift]&uint16(h2) == 0 || b.e[h3>>shift]&uint16(h3) == 0 {
				i += 4
				goto passed
			}
		}
		for ; i < laneLen; i++ {
			h0 = h0*k + (uint64(in[i]) - b.gone[out[i]])
			h1 = h1*k + (uint64(in[laneLen+i]) - b.gone[out[laneLen+i]])
			h2 = h2*k + (uint64(in[2*laneLen+i]) - b.gone[out[2*laneLen+i]])
			h3 = h3*k + (uint64(in[3*laneLen+i]) - b.gone[out[3*laneLen+i]])
			if b.e[h0>>shift]&uint16(h0) == 0 || b.e[h1>>shift]&uint16(h1) == 0 || b.e[h2>>shift]&uint16(h2) == 0 || b.e[h3>>shift]&uint16(h3) == 0 {
				i += 1
				goto passed
			}
		}
		*sums = [lanes]uint64{h0, h1, h2, h3}
		return i
	passed:
		if b.has(h0) || b.has(h1) || b.has(h2) || b.has(h3) {
			*sums = [lanes]uint64{h0, h1, h2, h3}
			return i
		}
	}
}

func (b *bank[E]) run(h uint64, out, in []byte) int {
	stay := h - h*m
	for i := range min(len(in), len(out)) {
		if uint64(in[i])-b.gone[out[i]] != stay {
			return i
		}
	}
	return len(in)
}
