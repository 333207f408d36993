package lesson

import "math"

// Odds say how often different blocks look equal by chance, if the two texts are
// random bytes. Texts of people are not: there it happens more often, and who
// wants it can bring it about at any time.
type Odds struct {
	Blocks  int     `json:"blocks"`  // whole blocks of the old text
	Offsets int     `json:"offsets"` // where a window of that length can be in the new text
	Pairs   float64 `json:"pairs"`   // of a block and a window: the product
	// WeakBits is what the weak sum is worth for blocks of this length. It has 32
	// bits, but short blocks reach few of its values.
	WeakBits float64 `json:"weak_bits"`
	// FalseAlarms is how many are to be expected: Pairs / 2^WeakBits.
	FalseAlarms float64 `json:"false_alarms"`
	// Impossible: there is no pair, or the blocks are so short that the weak sum
	// tells all of them apart. Then FalseAlarms is 0, and Wrong is empty.
	Impossible bool     `json:"impossible"`
	Wrong      []Chance `json:"wrong"`
}

// A Chance is that of at least one wrong match: a window and another block with
// both sums equal.
type Chance struct {
	StrongBits int `json:"strong_bits"`
	// Log2 is the logarithm of an upper bound of the probability:
	// Pairs × 2^-(WeakBits + StrongBits), at most 1.
	Log2 float64 `json:"log2"`
}

// OddsOf computes the odds of that many blocks and offsets, for blocks of length
// bytes.
func OddsOf(blocks, offsets, length int) Odds {
	o := Odds{Blocks: blocks, Offsets: offsets, Pairs: float64(blocks) * float64(offsets), WeakBits: weakBits(length), Wrong: []Chance{}}
	if o.Impossible = o.Pairs == 0 || length <= injective; o.Impossible {
		return o
	}
	o.FalseAlarms = o.Pairs * math.Exp2(-o.WeakBits)
	for _, strong := range []int{32, 64} {
		o.Wrong = append(o.Wrong, Chance{StrongBits: strong, Log2: min(0, math.Log2(o.Pairs)-o.WeakBits-float64(strong))})
	}
	return o
}

// injective is the length up to which the weak sum determines the block: of two
// bytes x and y it has a = x + y and b = 2x + y, so that x is b - a.
const injective = 2

// weakBits is -log2 of the probability that two blocks of l random bytes have the
// same weak sum.
//
// A random byte has the variance v = (256² - 1)/12. So a has the variance l·v and
// b has l³·v/3, with the correlation √3/2. As long as neither reaches 2^16, they
// are nearly normal, and two such pairs are equal with the probability
// 1/(4π·σa·σb·√(1-ρ²)) = √3/(2π·v·l²). When b wraps around, it is worth 16 bits,
// and a alone -log2(1/(2√π·σa)), which grows to 16 for very long blocks. Each
// regime is an upper bound where the other one holds.
func weakBits(l int) float64 {
	const v = (256*256 - 1) / 12.0
	if l <= injective {
		return 8 * float64(l)
	}
	n := float64(l)
	plain := math.Log2(2 * math.Pi * v * n * n / math.Sqrt(3))
	wrapped := 16 + min(16, math.Log2(2*math.Sqrt(math.Pi*v*n)))
	return min(plain, wrapped)
}
