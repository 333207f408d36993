package picker

import (
	"fmt"
	"iter"
	"math/bits"
)

// Bitmap is a set of pieces. Copies share their bits; Clone makes one that does not.
type Bitmap struct {
	n     int
	words []uint64
}

// NewBitmap returns an empty set of pieces of which there are n.
func NewBitmap(n int) *Bitmap {
	n = max(n, 0)
	return &Bitmap{n: n, words: make([]uint64, (n+63)/64)}
}

// ParseBitmap reads what Bytes wrote, of n pieces.
func ParseBitmap(data []byte, n int) (*Bitmap, error) {
	if n < 0 || len(data) != (n+7)/8 {
		return nil, fmt.Errorf("bitmap of %d pieces has %d bytes", n, len(data))
	}
	b := NewBitmap(n)
	for i, c := range data {
		b.words[i/8] |= uint64(c) << (i % 8 * 8)
	}
	if n%64 != 0 && b.words[len(b.words)-1]>>(n%64) != 0 {
		return nil, fmt.Errorf("bitmap of %d pieces has pieces behind the last", n)
	}
	return b, nil
}

// Bytes is the set as bytes, the first piece in the lowest bit of the first one.
func (b *Bitmap) Bytes() []byte {
	data := make([]byte, (b.n+7)/8)
	for i := range data {
		data[i] = byte(b.words[i/8] >> (i % 8 * 8))
	}
	return data
}

// Len is how many pieces there are, in the set or not.
func (b *Bitmap) Len() int { return b.n }

// Count is how many pieces are in the set.
func (b *Bitmap) Count() int {
	n := 0
	for _, w := range b.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// Has reports whether a piece is in the set.
func (b *Bitmap) Has(piece int) bool {
	return uint(piece) < uint(b.n) && b.words[piece/64]>>(piece%64)&1 != 0
}

// Set adds a piece; what is no piece changes nothing.
func (b *Bitmap) Set(piece int) {
	if uint(piece) < uint(b.n) {
		b.words[piece/64] |= 1 << (piece % 64)
	}
}

// Clear takes a piece out of the set.
func (b *Bitmap) Clear(piece int) {
	if uint(piece) < uint(b.n) {
		b.words[piece/64] &^= 1 << (piece % 64)
	}
}

// SetRange adds the pieces from first to last, both included, as far as there are any.
func (b *Bitmap) SetRange(first, last int) {
	first, last = max(first, 0), min(last, b.n-1)
	for i := first; i <= last; {
		word := i / 64
		if i%64 == 0 && last-i >= 63 {
			b.words[word] = ^uint64(0)
			i += 64
			continue
		}
		b.words[word] |= 1 << (i % 64)
		i++
	}
}

// Runs yields the runs of pieces in the set: the first of each, and how many they are.
func (b *Bitmap) Runs() iter.Seq2[int, int] {
	return func(yield func(first, count int) bool) {
		for at := 0; ; {
			first := b.next(at, 0)
			if first >= b.n {
				return
			}
			at = b.next(first, ^uint64(0))
			if !yield(first, at-first) {
				return
			}
		}
	}
}

// next returns the first piece from one on that is in the set, or, with all bits flipped, that is not; n if there is none.
func (b *Bitmap) next(from int, flip uint64) int {
	for word := from / 64; word < len(b.words); word++ {
		w := b.words[word] ^ flip
		if word == from/64 {
			w = w >> (from % 64) << (from % 64)
		}
		if w != 0 {
			return min(word*64+bits.TrailingZeros64(w), b.n)
		}
	}
	return b.n
}

// Clone returns a copy of the set.
func (b *Bitmap) Clone() *Bitmap {
	return &Bitmap{n: b.n, words: append([]uint64(nil), b.words...)}
}

// An index is a bitmap with a second one that tells which of its words are not zero: 64 words
// at a time are known to be empty.
type index struct {
	words, summary []uint64
	count          int
}

func newIndex(n int) index {
	words := (n + 63) / 64
	return index{words: make([]uint64, words), summary: make([]uint64, (words+63)/64)}
}

func (x *index) has(i int) bool { return x.words[i/64]>>(i%64)&1 != 0 }

func (x *index) set(i int) {
	word, bit := i/64, uint64(1)<<(i%64)
	if x.words[word]&bit == 0 {
		x.words[word] |= bit
		x.summary[word/64] |= 1 << (word % 64)
		x.count++
	}
}

func (x *index) clear(i int) {
	word, bit := i/64, uint64(1)<<(i%64)
	if x.words[word]&bit != 0 {
		x.words[word] &^= bit
		if x.words[word] == 0 {
			x.summary[word/64] &^= 1 << (word % 64)
		}
		x.count--
	}
}

// budget is how many words a search looks at: all of them where there are no more than 16384
// pieces, so that the choice there is exact.
const budget = 256

// choose returns one of the pieces from lo to hi-1 that are in x and in have (nil: which has
// all), -1 if none is found; r decides which. It begins at a place that r says and looks at no
// more than budget words that are not empty on both sides; among what it finds there all are
// equally likely.
func choose(x, have *index, lo, hi int, r uint64) int {
	first, end := lo/64, (hi+63)/64
	if lo >= hi || x.count == 0 {
		return -1
	}
	start := first
	if end-first > budget {
		start = first + int(r>>33)%(end-first)
	}
	var place [budget]int32
	var sum [budget]int32
	n, total := 0, 0
	scan := func(from, to int) {
		for s := from / 64; s*64 < to && n < budget; s++ {
			w := x.summary[s]
			if have != nil {
				w &= have.summary[s]
			}
			for w != 0 && n < budget {
				word := s*64 + bits.TrailingZeros64(w)
				w &= w - 1
				if word < from {
					continue
				}
				if word >= to {
					break
				}
				if c := bits.OnesCount64(masked(x, have, word, lo, hi)); c > 0 {
					total += c
					place[n], sum[n] = int32(word), int32(total)
					n++
				}
			}
		}
	}
	scan(start, end)
	scan(first, start)
	if total == 0 {
		return -1
	}
	k := int32((r & (1<<32 - 1)) * uint64(total) >> 32)
	i := 0
	for sum[i] <= k {
		i++
	}
	if i > 0 {
		k -= sum[i-1]
	}
	w := masked(x, have, int(place[i]), lo, hi)
	for ; k > 0; k-- {
		w &= w - 1
	}
	return int(place[i])*64 + bits.TrailingZeros64(w)
}

// masked is the word of x and have, of the pieces from lo to hi-1.
func masked(x, have *index, word, lo, hi int) uint64 {
	w := x.words[word]
	if have != nil {
		w &= have.words[word]
	}
	if base := word * 64; base < lo {
		w &^= 1<<(lo-base) - 1
	}
	if base := word * 64; base+64 > hi {
		w &= 1<<(hi-base) - 1
	}
	return w
}
