package fastss

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Vocabulary is a set of words with counts. Every word has a number, which stays
// the same as long as the word is there and is given to another word afterwards.
// The zero value is an empty vocabulary.
//
// A Vocabulary may be read by several goroutines at once while nobody changes it.
type Vocabulary struct {
	numbers map[string]uint32
	entries []entry  // by number
	free    []uint32 // numbers without a word
	lengths []bucket // by number of letters
	sorted  blocks
}

type entry struct {
	word  string
	count uint32
	place uint32 // in its bucket
}

// bucket holds the words of one length. The masks lie side by side because they
// are all that is read of most words. A word never moves, so that a scan that is
// interrupted misses none; what it leaves behind is a gap for the next word.
type bucket struct {
	masks   []uint64
	numbers []uint32 // gap: no word
	gaps    []uint32
}

// gap is no word's number.
const gap = math.MaxUint32

// put adds a word and returns its place.
func (b *bucket) put(mask uint64, number uint32) uint32 {
	if last := len(b.gaps) - 1; last >= 0 {
		place := b.gaps[last]
		b.gaps = b.gaps[:last]
		b.masks[place], b.numbers[place] = mask, number
		return place
	}
	b.masks, b.numbers = append(b.masks, mask), append(b.numbers, number)
	return uint32(len(b.numbers) - 1)
}

// Match is a word that was found.
type Match struct {
	Word     string
	Number   uint32
	Count    int
	Distance int
	Prefix   bool // the distance is that of the beginning of Word
}

// Len returns the number of different words.
func (v *Vocabulary) Len() int { return len(v.numbers) }

// Bound returns a number that is larger than the number of any word.
func (v *Vocabulary) Bound() int { return len(v.entries) }

// Add adds n > 0 to the count of word and returns its number. It keeps a copy.
func (v *Vocabulary) Add(word []byte, n int) uint32 {
	if number, ok := v.numbers[string(word)]; ok {
		v.entries[number].count += uint32(n)
		return number
	}
	return v.insert(string(word), uint32(n))
}

func (v *Vocabulary) insert(word string, count uint32) uint32 {
	var number uint32
	if last := len(v.free) - 1; last >= 0 {
		number, v.free = v.free[last], v.free[:last]
	} else {
		number = uint32(len(v.entries))
		v.entries = append(v.entries, entry{})
	}
	n := utf8.RuneCountInString(word)
	for len(v.lengths) <= n {
		v.lengths = append(v.lengths, bucket{})
	}
	v.entries[number] = entry{word: word, count: count, place: v.lengths[n].put(letters(word), number)}
	if v.numbers == nil {
		v.numbers = make(map[string]uint32)
	}
	v.numbers[word] = number
	v.sorted.insert(v, number)
	return number
}

// Remove takes n from the count of word. It reports whether word is gone, which
// is when its count was n or less; its number is then free.
func (v *Vocabulary) Remove(word []byte, n int) (number uint32, gone bool) {
	number, ok := v.numbers[string(word)]
	if !ok {
		return 0, false
	}
	e := &v.entries[number]
	if e.count > uint32(n) {
		e.count -= uint32(n)
		return number, false
	}
	v.sorted.remove(v, number)
	delete(v.numbers, e.word)
	b := &v.lengths[utf8.RuneCountInString(e.word)]
	b.numbers[e.place] = gap
	b.gaps = append(b.gaps, e.place)
	*e = entry{}
	v.free = append(v.free, number)
	return number, true
}

// Find returns the match of exactly word.
func (v *Vocabulary) Find(word string) (Match, bool) {
	number, ok := v.numbers[word]
	if !ok {
		return Match{}, false
	}
	return v.match(number, 0, false), true
}

// Holds reports whether m's word still has m's number.
func (v *Vocabulary) Holds(m Match) bool {
	return int(m.Number) < len(v.entries) && v.entries[m.Number].word == m.Word
}

// Within returns every word at distance k or less (OSA), the nearest first, then
// by the alphabet.
func (v *Vocabulary) Within(word string, k int) []Match {
	found := v.Scan(word, k, false, always)
	slices.SortFunc(found, compareMatches)
	return found
}

// PrefixWithin returns every word that begins with something at distance k or
// less (OSA) from prefix, the nearest first, then by the alphabet.
func (v *Vocabulary) PrefixWithin(prefix string, k int) []Match {
	found := v.Scan(prefix, k, true, always)
	if k > 0 { // otherwise they are in the order of the alphabet
		slices.SortFunc(found, compareMatches)
	}
	return found
}

func always(int) bool { return true }

// Prefix yields the words that begin with prefix in the order of the alphabet.
// The vocabulary must not change meanwhile.
func (v *Vocabulary) Prefix(prefix string) iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for number := range v.sorted.from(v, prefix) {
			if !strings.HasPrefix(v.entries[number].word, prefix) || !yield(v.match(number, 0, true)) {
				return
			}
		}
	}
}

// All yields every word in the order of the alphabet. The vocabulary must not
// change meanwhile.
func (v *Vocabulary) All() iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for number := range v.sorted.from(v, "") {
			if !yield(v.match(number, 0, false)) {
				return
			}
		}
	}
}

func (v *Vocabulary) match(number uint32, distance int, prefix bool) Match {
	e := &v.entries[number]
	return Match{Word: e.word, Number: number, Count: int(e.count), Distance: distance, Prefix: prefix}
}

func compareMatches(a, b Match) int {
	return cmp.Or(cmp.Compare(a.Distance, b.Distance), strings.Compare(a.Word, b.Word))
}

// letters summarises a word in 64 bits: which of a–z occur, which of them occur
// twice, and 12 bits into which all other letters are hashed.
//
// An edit takes away at most one letter and adds at most one, and each of the
// two changes at most one bit: the first or the second occurrence of that
// letter. So words at distance k differ by at most k bits in each direction,
// and a transposition changes none.
func letters(word string) uint64 {
	const second, others = 26, 52
	var mask uint64
	for _, r := range word {
		if r < 'a' || r > 'z' {
			mask |= 1 << (others + uint32(r)*0x9e3779b1>>16%12)
			continue
		}
		bit := uint64(1) << (r - 'a')
		mask |= mask & bit << second
		mask |= bit
	}
	return mask
}
