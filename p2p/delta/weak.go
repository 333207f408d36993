package delta

// The weak sum of the bytes b0 … bn-1 is the upper 40 bits of
//
//	b0·m^(n-1) + b1·m^(n-2) + … + bn-1  modulo 2^64.
//
// The lower bits are left out because bit i of the sum depends only on the lowest
// i bits of the bytes and of m. Unlike sums in the manner of Adler it spreads
// short blocks and text as well as noise. Collisions can be constructed (the
// Thue–Morse sequence and its complement collide for every odd m), which is why
// Diff counts what they cost.

const (
	weakBits  = 40
	weakShift = 64 - weakBits
)

// m is any odd number with well mixed bits: here the fraction of the golden ratio.
const m = 0x9e3779b97f4a7c15

// The powers of m, modulo 2^64.
const (
	m2 = m * m & (1<<64 - 1)
	m3 = m2 * m & (1<<64 - 1)
	m4 = m3 * m & (1<<64 - 1)
	m5 = m4 * m & (1<<64 - 1)
	m6 = m5 * m & (1<<64 - 1)
	m7 = m6 * m & (1<<64 - 1)
	m8 = m7 * m & (1<<64 - 1)
)

// polynomial returns all 64 bits of the sum of p.
func polynomial(p []byte) (h uint64) {
	for len(p) >= 8 {
		b := p[:8:8]
		// Grouped so that the multiplications do not wait for each other.
		h = h*m8 + ((uint64(b[0])*m7 + uint64(b[1])*m6) + (uint64(b[2])*m5 + uint64(b[3])*m4)) +
			((uint64(b[4])*m3 + uint64(b[5])*m2) + (uint64(b[6])*m + uint64(b[7])))
		p = p[8:]
	}
	for _, c := range p {
		h = h*m + uint64(c)
	}
	return h
}

// departures returns what each value of a byte contributes to the sum once it is
// n bytes behind the newest one: what rolling has to take away.
func departures(n int) *[256]uint64 {
	power, square := uint64(1), uint64(m)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power *= square
		}
		square *= square
	}
	var t [256]uint64
	for i := range t {
		t[i] = uint64(i) * power
	}
	return &t
}

// roll moves the sum h over out and in, which have the same length, until it
// stands on a value that f may know. It returns the number of steps and the sum
// there.
func roll(f *filter, gone *[256]uint64, h uint64, out, in []byte) (steps int, sum uint64, hit bool) {
	// The first bitmap is asked here, in locals, because calling f.has for every
	// byte costs a third of the speed.
	first := f.first
	mask := uint64(len(first) - 1)
	i := 0
	// Two steps from one sum: h·m² + (x0·m + x1) does not wait for the sum between.
	for ; i+4 <= len(out) && i+4 <= len(in); i += 4 {
		o, n := out[i:i+4:i+4], in[i:i+4:i+4]
		x0, x1 := uint64(n[0])-gone[o[0]], uint64(n[1])-gone[o[1]]
		h1 := h*m + x0
		h = h*m2 + (x0*m + x1)
		if first[h1>>wordShift&mask]>>(h1>>weakShift&63)&1 != 0 && f.confirms(h1) {
			return i + 1, h1, true
		}
		if first[h>>wordShift&mask]>>(h>>weakShift&63)&1 != 0 && f.confirms(h) {
			return i + 2, h, true
		}
		x0, x1 = uint64(n[2])-gone[o[2]], uint64(n[3])-gone[o[3]]
		h1 = h*m + x0
		h = h*m2 + (x0*m + x1)
		if first[h1>>wordShift&mask]>>(h1>>weakShift&63)&1 != 0 && f.confirms(h1) {
			return i + 3, h1, true
		}
		if first[h>>wordShift&mask]>>(h>>weakShift&63)&1 != 0 && f.confirms(h) {
			return i + 4, h, true
		}
	}
	for ; i < len(in); i++ {
		h = h*m + uint64(in[i]) - gone[out[i]]
		if f.has(h) {
			return i + 1, h, true
		}
	}
	return i, h, false
}
