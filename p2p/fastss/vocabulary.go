package fastss

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// Vocabulary is a set of words with counts. Every word has a number, which stays
// the same as long as the word is there and is given to another word afterwards.
// The zero value is an empty vocabulary.
//
// A Vocabulary may be read by several goroutines at once while nobody changes it.
// It must not be copied once it has words.
type Vocabulary struct {
	// Unindexed has all words looked through, whatever there are: that costs a few nanoseconds
	// for each word, and saves two thirds of the memory. It is set before the first word comes.
	Unindexed bool

	numbers numbers
	entries []entry  // by number
	marks   []uint64 // by number; side by side because of most words nothing else is read
	free    []uint32 // numbers without a word
	sorted  blocks

	index *index // nil for few words
	most  int    // words that there were since index was made
	// What is indexFrom and numberBits but for tests, if not 0.
	from    int
	segment uint

	finders sync.Pool // of *Finder
}

type entry struct {
	word  string
	count uint32 // 0: no word
}

// indexFrom is the number of words from which there is an index. Fewer are looked
// through as fast, and without its memory.
const indexFrom = 4096

// Match is a word that was found.
type Match struct {
	Word     string
	Number   uint32
	Count    int
	Distance int
	Prefix   bool // the distance is that of the beginning of Word
}

// Len returns the number of different words.
func (v *Vocabulary) Len() int { return v.numbers.used }

// Bound returns a number that is larger than the number of any word.
func (v *Vocabulary) Bound() int { return len(v.entries) }

// Add adds n > 0 to the count of word and returns its number. It keeps a copy.
func (v *Vocabulary) Add(word []byte, n int) uint32 {
	if number, ok := v.numbers.get(v, string(word)); ok {
		v.entries[number].count += uint32(n)
		return number
	}
	return v.insert(string(word), uint32(n))
}

// AddTo adds n > 0 to the count of the word that has a number.
func (v *Vocabulary) AddTo(number uint32, n int) { v.entries[number].count += uint32(n) }

func (v *Vocabulary) insert(word string, count uint32) uint32 {
	var number uint32
	if last := len(v.free) - 1; last >= 0 {
		number, v.free = v.free[last], v.free[:last]
	} else {
		number = uint32(len(v.entries))
		v.entries, v.marks = append(v.entries, entry{}), append(v.marks, 0)
	}
	v.entries[number], v.marks[number] = entry{word, count}, mark(word)
	v.numbers.put(v, word, number)
	v.sorted.insert(v, number)
	v.most = max(v.most, v.Len())
	switch {
	case v.index != nil:
		v.index.add(word, number)
	case v.Len() >= cmp.Or(v.from, indexFrom) && !v.Unindexed:
		v.makeIndex()
	}
	return number
}

// Remove takes n from the count of word. It reports whether word is gone, which
// is when its count was n or less; its number is then free.
func (v *Vocabulary) Remove(word []byte, n int) (number uint32, gone bool) {
	number, ok := v.numbers.get(v, string(word))
	return number, ok && v.RemoveFrom(number, n)
}

// RemoveFrom is Remove for the word that has a number.
func (v *Vocabulary) RemoveFrom(number uint32, n int) (gone bool) {
	e := &v.entries[number]
	if e.count > uint32(n) {
		e.count -= uint32(n)
		return false
	}
	v.sorted.remove(v, number)
	v.numbers.remove(v, e.word)
	if v.index != nil {
		v.index.remove(e.word, number)
	}
	*e, v.marks[number] = entry{}, 0
	v.free = append(v.free, number)
	// An index that was made for many more words is too large, and what was crowded
	// in it may no longer be. Making it anew costs less than those words did.
	switch {
	case v.index == nil:
	case v.Len() < cmp.Or(v.from, indexFrom)/2:
		v.index, v.most = nil, v.Len()
	case v.Len() < v.most/4:
		v.makeIndex()
	}
	return true
}

// makeIndex makes the index from all words.
func (v *Vocabulary) makeIndex() {
	v.index, v.most = newIndex(cmp.Or(v.segment, numberBits)), v.Len()
	for number := range v.entries {
		if e := &v.entries[number]; e.count > 0 {
			v.index.add(e.word, uint32(number))
		}
	}
}

// Find returns the match of exactly word.
func (v *Vocabulary) Find(word string) (Match, bool) {
	number, ok := v.numbers.get(v, word)
	if !ok {
		return Match{}, false
	}
	return v.match(number, 0, false), true
}

// Holds reports whether m's word still has m's number.
func (v *Vocabulary) Holds(m Match) bool {
	return int(m.Number) < len(v.entries) && v.entries[m.Number].count > 0 && v.entries[m.Number].word == m.Word
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
func (v *Vocabulary) All() iter.Seq[Match] { return v.From("") }

// From yields every word that is not before word in the order of the alphabet. The
// vocabulary must not change meanwhile.
func (v *Vocabulary) From(word string) iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for number := range v.sorted.from(v, word) {
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

// mark summarises a word in 64 bits: which of a–z occur, which of the frequent ones
// occur twice, 18 bits into which all other letters are hashed, and above these
// min(n, 63), where n is the number of letters.
//
// An edit takes away at most one letter and adds at most one, and each of the
// two changes at most one bit: the first or the second occurrence of that
// letter. So words at distance k differ by at most k bits in each direction,
// and a transposition changes none.
func mark(word string) uint64 {
	const others, otherBits = 40, 18
	var mark, n uint64
	for _, r := range word {
		n++
		if r < 'a' || r > 'z' {
			mark |= 1 << (others + uint32(r)*0x9e3779b1>>16%otherBits)
			continue
		}
		bit := uint64(1) << (r - 'a')
		if mark&bit != 0 {
			mark |= seconds[r-'a']
		}
		mark |= bit
	}
	return mark | min(n, maxMarked)<<markLength
}

const (
	markLetters = 1<<58 - 1
	markLength  = 58
	maxMarked   = 63
)

// seconds has the bits of second occurrences.
var seconds = func() (bits [26]uint64) {
	for i, r := range "eiastrnolcdump" {
		bits[r-'a'] = 1 << (26 + i)
	}
	return bits
}()

// markedLength returns the number of letters, if it is less than maxMarked.
func markedLength(mark uint64) int { return int(mark >> markLength) }

// apart reports whether two marks are of words that are more than k edits apart.
func apart(a, b uint64, k int) bool {
	d := markedLength(a) - markedLength(b)
	// The largest of the three, without branches.
	return max(d, -d, bits.OnesCount64(a&^b&markLetters), bits.OnesCount64(b&^a&markLetters)) > k
}

// unlike is a weaker apart: most marks are told apart by one count of bits.
func unlike(a, b uint64, k int) bool { return bits.OnesCount64((a^b)&markLetters) > 2*k }

// lacks reports whether b is the mark of a word no beginning of which is within k
// edits of a's.
func lacks(a, b uint64, k int) bool {
	return markedLength(a)-markedLength(b) > k || bits.OnesCount64(a&^b&markLetters) > k
}
