package fastss

import (
	"slices"
	"unicode/utf8"
)

// Finder looks for similar words. It is the room that this takes, so that looking
// for one word after the other takes no memory. The zero value is ready; it serves
// one goroutine at a time, and any vocabularies.
type Finder struct {
	Metric Metric

	pattern Pattern
	word    string
	ascii   bool // word is
	mark    uint64
	keys    [maxResiduals]residual
	probes  [maxResiduals]probe
	numbers []uint32
	seen    set
	found   []Match
	first   byte
}

// probe is a list of postings, of which those with the tag count.
type probe struct {
	postings []uint32
	tag      uint32
}

// Within returns every word of v at distance k or less, in no certain order. The
// list is valid until the next call.
func (f *Finder) Within(v *Vocabulary, word string, k int) []Match {
	f.found = f.found[:0]
	f.begin(word)
	near, _, ok := f.lookup(v, word, k)
	if !ok {
		f.scan(v, k)
	}
	for _, number := range near {
		f.compare(v, number, k)
	}
	return f.found
}

// begin prepares for looking for word.
func (f *Finder) begin(word string) {
	f.pattern.compile(f.Metric, word)
	f.word, f.mark, f.ascii = word, mark(word), true
	for i := range len(word) {
		f.ascii = f.ascii && word[i] < utf8.RuneSelf
	}
}

// scan looks at every word.
func (f *Finder) scan(v *Vocabulary, k int) {
	for number, m := range v.marks {
		if !unlike(f.mark, m, k) && !apart(f.mark, m, k) && v.entries[number].count > 0 {
			f.compare(v, uint32(number), k)
		}
	}
}

// compare keeps a word if it is at distance k or less.
func (f *Finder) compare(v *Vocabulary, number uint32, k int) {
	e := &v.entries[number]
	if d := f.distance(e.word, v.marks[number], k); d <= k {
		f.found = append(f.found, Match{Word: e.word, Number: number, Count: int(e.count), Distance: d})
	}
}

// distance is Pattern.Distance for a word that has a mark.
//
// What both begin and end with costs nothing and is not looked at. Where the pattern
// is ASCII, so is that, and bytes are letters.
func (f *Finder) distance(text string, mark uint64, k int) int {
	m, n := len(f.word), markedLength(mark)
	if !f.ascii || m > word || n == maxMarked {
		return f.pattern.Distance(text, k)
	}
	start, end := 0, len(text)
	for start < m && start < end && f.word[start] == text[start] {
		start++
	}
	for m > start && end > start && f.word[m-1] == text[end-1] {
		m, end = m-1, end-1
	}
	n -= start + len(text) - end
	m -= start
	if m == 0 || n == 0 {
		return m + n
	}
	return f.pattern.middle(text[start:end], uint(start), m, n, k)
}

// lookup returns the numbers of the words that are to be compared, by the index, and how
// many steps that took. It reports false where looking at every word is better.
func (f *Finder) lookup(v *Vocabulary, word string, k int) (near []uint32, steps int, ok bool) {
	if v.index == nil || k > maxEdits || k < 0 {
		return nil, 0, false
	}
	r, n := beginning(word, v.index.letterSeed)
	keys := appendResiduals(f.keys[:0], r, n, k)
	// What follows is done in stages, each for all keys or words, so that the
	// processor waits for many of them at the same time, and without branches that
	// cannot be predicted.
	f.numbers = f.numbers[:0]
	room := lookupRoom + v.Bound()/lookupShare
	for at, t := range v.index.tables {
		before := room
		for i, key := range keys {
			hash := v.index.hash(key)
			h := t.heads[t.bucket(hash)]
			if int(h.n) > room { // also if it is crowded
				return nil, 0, false
			}
			room -= int(h.n)
			f.probes[i] = probe{t.blocks.of(h), tag(hash)}
		}
		f.read(len(keys), before-room, uint32(at)<<v.index.segment)
	}
	read := lookupRoom + v.Bound()/lookupShare - room
	return f.near(v, k), len(keys)*len(v.index.tables) + read/postingsPerStep, true
}

// read appends the numbers of all postings that count: of so many probes, with so many
// postings together.
func (f *Finder) read(probes, postings int, base uint32) {
	n := len(f.numbers)
	f.numbers = slices.Grow(f.numbers, postings)[:n+postings]
	for i := range probes {
		p := &f.probes[i]
		for _, posting := range p.postings {
			number := posting ^ p.tag
			f.numbers[n] = base | number
			n += below(number, 1<<numberBits)
		}
	}
	f.numbers = f.numbers[:n]
}

// near returns the different ones of f.numbers whose marks are near.
func (f *Finder) near(v *Vocabulary, k int) []uint32 {
	n := 0
	for _, number := range f.numbers {
		f.numbers[n] = number
		if !apart(f.mark, v.marks[number], k) {
			n++
		}
	}
	list := f.numbers[:n]
	f.seen.clear()
	near := list[:0]
	for _, number := range list {
		if f.seen.add(number) {
			near = append(near, number)
		}
	}
	// The letters of a word are far from those of others. The first one is read
	// early.
	for _, number := range near {
		if w := v.entries[number].word; len(w) > 0 {
			f.first |= w[0]
		}
	}
	return near
}

// below returns 1 if a < b, otherwise 0.
func below(a, b uint32) int { return int((uint64(a) - uint64(b)) >> 63) }

const (
	// A lookup reads at most lookupRoom postings and one for lookupShare words: a
	// posting that counts costs as much as that many words of a scan, since it is
	// anywhere in memory.
	lookupRoom  = 2048
	lookupShare = 32

	postingsPerStep = 8
)

// set is a set of numbers that is emptied at once.
type set struct {
	cells []uint64 // a power of two: the round in which the number was added, and the number
	round uint64
	used  int
}

const firstCells = 1024

func (s *set) clear() {
	if s.cells == nil {
		s.cells = make([]uint64, firstCells)
	}
	s.round += 1 << 32
	if s.round == 0 {
		clear(s.cells)
		s.round = 1 << 32
	}
	s.used = 0
}

// add adds a number and reports whether it was not there.
func (s *set) add(number uint32) bool {
	mask := uint32(len(s.cells) - 1)
	cell := s.round | uint64(number)
	i := uint32(uint64(number)*0x9e3779b97f4a7c15>>40) & mask
	for {
		c := s.cells[i]
		if c == cell {
			return false
		}
		if c>>32 != s.round>>32 {
			break
		}
		i = (i + 1) & mask
	}
	s.cells[i] = cell
	if s.used++; s.used > len(s.cells)/2 {
		s.grow()
	}
	return true
}

func (s *set) grow() {
	old := s.cells
	s.cells = make([]uint64, 2*len(old))
	s.used = 0
	for _, c := range old {
		if c>>32 == s.round>>32 {
			s.add(uint32(c))
		}
	}
}
