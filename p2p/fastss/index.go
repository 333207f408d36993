package fastss

import (
	"math/bits"
	"math/rand/v2"
)

const (
	// numberBits of a posting are the word's number within its table, the others are
	// the tag: bits of the hash of the residual.
	numberBits = 20
	tagBits    = 32 - numberBits
	// A table begins with 1<<firstLevel buckets and grows by one whenever they have
	// more than fill postings on average. Whether a posting moves to the new bucket is
	// a bit of its tag, so that no hash is computed again, and nobody waits for a
	// larger table to be filled.
	firstLevel = 14
	fill       = 16
	// maxBucket is the number of postings from which a bucket is given up: most are
	// of one residual, that of thousands of words with the same beginning. Looking at
	// all words is not much slower then, and costs no memory.
	maxBucket = 8192
	crowded   = 1<<32 - 1
)

// index leads from residuals to the numbers of words.
type index struct {
	// The seeds are random, so that nobody can choose words that share buckets.
	letterSeed, seed, factor uint64
	segment                  uint // words of a table: 1<<segment
	tables                   []*table
}

func newIndex(segment uint) *index {
	return &index{letterSeed: rand.Uint64() | 1, seed: rand.Uint64(), factor: rand.Uint64() | 1, segment: segment}
}

// hash is one multiplication of 64 by 64 bits, both halves of the product used.
func (x *index) hash(r residual) uint64 {
	high, low := bits.Mul64(uint64(r)^x.seed, x.factor)
	return high ^ low
}

func (x *index) add(word string, number uint32) {
	at := int(number >> x.segment)
	for at >= len(x.tables) {
		x.tables = append(x.tables, newTable())
	}
	x.each(word, func(hash uint64) { x.tables[at].add(hash, number&(1<<x.segment-1)) })
}

func (x *index) remove(word string, number uint32) {
	t := x.tables[number>>x.segment]
	x.each(word, func(hash uint64) { t.remove(hash, number&(1<<x.segment-1)) })
}

// each calls f with the hash of each residual of word.
func (x *index) each(word string, f func(hash uint64)) {
	var room [maxResiduals]residual
	r, n := beginning(word, x.letterSeed)
	for _, r := range appendResiduals(room[:0], r, n, maxEdits) {
		f(x.hash(r))
	}
}

// table is a hash table of postings with linear hashing (Litwin 1980).
type table struct {
	heads    []head // by bucket
	postings int
	blocks   blocks32
}

// head says where the postings of a bucket are.
type head struct {
	at uint32
	n  uint32 // crowded: it has been given up
}

func newTable() *table { return &table{heads: make([]head, 1<<firstLevel)} }

// bucket returns the bucket of a hash.
func (t *table) bucket(hash uint64) uint32 {
	level := bits.Len(uint(len(t.heads))) - 1
	b := uint32(hash) & (1<<(level+1) - 1)
	if int(b) >= len(t.heads) {
		b &= 1<<level - 1
	}
	return b
}

// tag returns the tag of a hash, at its place in a posting. Its lowest bits are those
// that further levels add to the number of the bucket.
func tag(hash uint64) uint32 { return uint32(hash>>firstLevel) << numberBits }

func (t *table) add(hash uint64, number uint32) {
	h := &t.heads[t.bucket(hash)]
	switch h.n {
	case crowded:
		return
	case maxBucket:
		t.postings -= maxBucket
		t.blocks.release(h.at, h.n)
		*h = head{n: crowded}
		return
	}
	h.at = t.blocks.resize(h.at, h.n, h.n+1)
	h.n++
	t.blocks.of(*h)[h.n-1] = tag(hash) | number
	if t.postings++; t.postings > fill*len(t.heads) && len(t.heads) < 1<<(firstLevel+tagBits) {
		t.split()
	}
}

func (t *table) remove(hash uint64, number uint32) {
	h := &t.heads[t.bucket(hash)]
	if h.n == crowded {
		return
	}
	list := t.blocks.of(*h)
	for i, p := range list {
		if p == tag(hash)|number {
			list[i] = list[len(list)-1]
			h.at = t.blocks.resize(h.at, h.n, h.n-1)
			h.n--
			t.postings--
			return
		}
	}
}

// split moves the postings of one bucket that belong into the next new one.
func (t *table) split() {
	level := bits.Len(uint(len(t.heads))) - 1
	from := &t.heads[len(t.heads)-1<<level]
	if from.n == crowded {
		t.heads = append(t.heads, *from)
		return
	}
	list, moves := t.blocks.of(*from), uint32(1)<<(level-firstLevel+numberBits)
	var to head
	for _, p := range list {
		if p&moves != 0 {
			to.n++
		}
	}
	to.at = t.blocks.resize(0, 0, to.n)
	there := t.blocks.of(to)[:0]
	stay := list[:0]
	for _, p := range list {
		if p&moves != 0 {
			there = append(there, p)
		} else {
			stay = append(stay, p)
		}
	}
	from.at = t.blocks.resize(from.at, from.n, uint32(len(stay)))
	from.n = uint32(len(stay))
	t.heads = append(t.heads, to)
}

// blocks32 is memory for lists of uint32, in blocks of some sizes. A block that is
// let go of is the next one of its size. The zero value is empty.
type blocks32 struct {
	pages [][]uint32
	used  uint32               // cells of the last page
	free  [4 * pageBits]uint32 // by class: the first free block, whose first cell says the next; 0: none
}

const (
	pageBits  = 14
	pageCells = 1 << pageBits
)

// size returns the class of a block for n cells, and how many it has: a multiple of
// four, and of more than 32 one of four between a power of two and the next.
func size(n uint32) (class int, cells uint32) {
	if n <= 32 {
		return int(n+3) / 4, (n + 3) &^ 3
	}
	j := bits.Len32(n - 1)
	step := uint32(1) << (j - 3)
	cells = (n + step - 1) &^ (step - 1)
	return 4*j + int((cells-1)>>(j-3)&3), cells
}

// of returns the list of a head that is not crowded.
func (b *blocks32) of(h head) []uint32 {
	if h.n == 0 {
		return nil
	}
	at := h.at & (pageCells - 1)
	return b.pages[h.at>>pageBits][at : at+h.n : at+h.n]
}

// resize returns where a list of so many is, of which as many as fit are copied from
// where it was.
func (b *blocks32) resize(at, from, to uint32) uint32 {
	class, cells := size(to)
	if old, _ := size(from); old == class {
		return at
	}
	if to == 0 {
		b.release(at, from)
		return 0
	}
	moved := b.take(class, cells)
	copy(b.of(head{moved, to}), b.of(head{at, from}))
	if from > 0 {
		b.release(at, from)
	}
	return moved
}

func (b *blocks32) take(class int, cells uint32) uint32 {
	if at := b.free[class]; at != 0 {
		b.free[class] = b.pages[at>>pageBits][at&(pageCells-1)]
		return at
	}
	if len(b.pages) == 0 || b.used+cells > pageCells {
		b.pages = append(b.pages, make([]uint32, pageCells))
		b.used = 0
		if len(b.pages) == 1 {
			b.used = 4 // no block is at 0
		}
	}
	at := uint32(len(b.pages)-1)<<pageBits | b.used
	b.used += cells
	return at
}

func (b *blocks32) release(at, n uint32) {
	class, _ := size(n)
	b.pages[at>>pageBits][at&(pageCells-1)] = b.free[class]
	b.free[class] = at
}
