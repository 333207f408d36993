package lesson

import "math"

// Odds say how often different blocks look equal by chance, if the two texts are
// random bytes. Texts of people are not: there it happens more often, and who
// wants it can bring it about at any time.
type Odds struct {
	Blocks  int `json:"blocks"`  // whole blocks of the old text
	Offsets int `json:"offsets"` // where a window of that length can be in the new text
	// Short is the length of the last block if it is shorter than the others, and the
	// end of the new text is compared with it; else 0.
	Short int     `json:"short"`
	Pairs float64 `json:"pairs"` // of a block and a window: Blocks × Offsets, and 1 if Short is not 0
	// WeakBits is what the weak sum is worth for blocks of this length. It has 32
	// bits, but short blocks reach few of its values.
	WeakBits      float64 `json:"weak_bits"`
	ShortWeakBits float64 `json:"short_weak_bits"` // likewise, for the short last block; 0 without one
	// FalseAlarms is how many are to be expected: Blocks × Offsets / 2^WeakBits, and
	// 1 / 2^ShortWeakBits for the short last block. Blocks of 1 and 2 bytes have none.
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
	// FalseAlarms × 2^-StrongBits, at most 1.
	Log2 float64 `json:"log2"`
}

// OddsOf computes the odds of texts of old and target bytes with blocks of length
// bytes, which is at least 1.
func OddsOf(old, target, length int) Odds {
	o := Odds{Blocks: old / length, Offsets: max(target-length+1, 0), WeakBits: weakBits(length), Wrong: []Chance{}}
	whole := float64(o.Blocks) * float64(o.Offsets)
	o.Pairs = whole
	if length > injective {
		o.FalseAlarms = whole * math.Exp2(-o.WeakBits)
	}
	// The short block is compared once, with as many bytes at the very end.
	if short := old % length; short > 0 && target >= short {
		o.Short, o.ShortWeakBits = short, weakBits(short)
		o.Pairs++
		if short > injective {
			o.FalseAlarms += math.Exp2(-o.ShortWeakBits)
		}
	}
	if o.Impossible = o.FalseAlarms == 0; o.Impossible {
		return o
	}
	for _, strong := range []int{32, 64} {
		o.Wrong = append(o.Wrong, Chance{StrongBits: strong, Log2: min(0, math.Log2(o.FalseAlarms)-float64(strong))})
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
