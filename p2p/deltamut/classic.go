package delta

// Classic is the weak sum of the rsync algorithm as it was published (Tridgell
// and Mackerras, "The rsync algorithm", 1996, section 3): of a block of l bytes
// x1 … xl
//
//	a = Σ xi mod 2^16,  b = Σ (l-i+1)·xi mod 2^16,  s = a + 2^16·b
//
// It is here to be taught and compared with; [Sign] uses a better one. The zero
// value is the sum of no bytes.
type Classic struct {
	a, b uint16
	n    int
}

// NewClassic returns the sum of a block.
func NewClassic(block []byte) Classic {
	var c Classic
	for _, x := range block {
		c = c.Add(x)
	}
	return c
}

// Add returns the sum of the block with one byte more at its end.
func (c Classic) Add(in byte) Classic {
	a := c.a + uint16(in)
	return Classic{a: a, b: c.b + a, n: c.n + 1}
}

// Roll returns the sum of the block one byte further: without out, which was its
// first byte, and with in after its last. It costs the same for blocks of any
// length. A block of no bytes stays one.
func (c Classic) Roll(out, in byte) Classic {
	if c.n == 0 {
		return c
	}
	a := c.a - uint16(out) + uint16(in)
	return Classic{a: a, b: c.b - uint16(c.n)*uint16(out) + a, n: c.n}
}

// Sum returns s.
func (c Classic) Sum() uint32 { return uint32(c.a) | uint32(c.b)<<16 }
