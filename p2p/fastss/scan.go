package fastss

import (
	"math/bits"
	"slices"
	"strings"
)

// Sizes of a scan.
const (
	// pieceSize is the number of words between two pauses.
	pieceSize = 4096
	// What is done with words, in steps: the marks of eight are looked at in one,
	// one word is compared in eight, and one that was found is to be sorted.
	masksPerStep = 8
	comparison   = 8
	keeping      = 16
)

// Scan looks for what Within finds or, with prefix, PrefixWithin, in no certain
// order. After every piece of the work it calls pause with the number of steps the
// piece took; a step is some ten nanoseconds, and a piece at most a hundred thousand
// steps. While pause runs, the vocabulary may change: a word that is there all the
// time is found, one that comes or goes may be, and its number may be another's by the
// time Scan returns (see Holds). When pause returns false, Scan ends with what it has.
func (v *Vocabulary) Scan(word string, k int, prefix bool, pause func(steps int) bool) []Match {
	if prefix && k <= 0 {
		return v.scanAlphabet(word, pause)
	}
	f, _ := v.finders.Get().(*Finder)
	if f == nil {
		f = new(Finder)
	}
	defer v.finders.Put(f)
	f.Metric, f.found = OSA, nil // the list is the caller's
	f.begin(word)
	if !prefix {
		if near, steps, ok := f.lookup(v, word, k); ok {
			f.compareAll(v, near, k, steps, pause)
			return f.taken()
		}
	}
	for i := 0; i < len(v.marks); i += pieceSize {
		if !pause(f.piece(v, i, k, prefix)) {
			break
		}
	}
	return f.taken()
}

// compareAll compares words as Scan does, after so many steps. A number of which the
// word goes or comes in a pause is no match, or that of the new word.
func (f *Finder) compareAll(v *Vocabulary, near []uint32, k, steps int, pause func(int) bool) {
	for list := range slices.Chunk(near, pieceSize) {
		before := len(f.found)
		for _, number := range list {
			if v.entries[number].count > 0 {
				f.compare(v, number, k)
			}
		}
		if !pause(steps + len(list)*comparison + (len(f.found)-before)*keeping) {
			return
		}
		steps = 0
	}
	if steps > 0 {
		pause(steps)
	}
}

// taken returns what was found, which the finder forgets.
func (f *Finder) taken() []Match {
	found := f.found
	f.found = nil
	return found
}

// piece looks through the words from number i and returns how many steps that took.
func (f *Finder) piece(v *Vocabulary, i, k int, prefix bool) int {
	end, before := min(i+pieceSize, len(v.marks)), len(f.found)
	steps := (end-i)/masksPerStep + 1
	if prefix {
		return steps + comparison*f.prefixes(v, i, v.marks[i:end], k) + keeping*(len(f.found)-before)
	}
	for j, m := range v.marks[i:end] {
		if number := uint32(i + j); !unlike(f.mark, m, k) && !apart(f.mark, m, k) && v.entries[number].count > 0 {
			f.compare(v, number, k)
			steps += comparison
		}
	}
	return steps + keeping*(len(f.found)-before)
}

// prefixes keeps those of the words from number i, of which there are marks, that begin with something
// within k edits, and returns how many were compared.
func (f *Finder) prefixes(v *Vocabulary, i int, marks []uint64, k int) (compared int) {
	// What lacks does, but for nearly all words one count of bits tells.
	letters := f.mark & markLetters
	for j, m := range marks {
		if bits.OnesCount64(letters&^m) > k {
			continue
		}
		number := uint32(i + j)
		if lacks(f.mark, m, k) || v.entries[number].count == 0 {
			continue
		}
		compared++
		if d := f.pattern.PrefixDistance(v.entries[number].word, k); d <= k {
			f.found = append(f.found, v.match(number, d, true))
		}
	}
	return compared
}

// scanAlphabet finds the words that begin with exactly prefix, in the order of
// the alphabet, which shows where to go on after a pause.
func (v *Vocabulary) scanAlphabet(prefix string, pause func(steps int) bool) []Match {
	var found []Match
	last := prefix
	for {
		n := 0
		for number := range v.sorted.from(v, last) {
			word := v.entries[number].word
			if !strings.HasPrefix(word, prefix) || n == pieceSize {
				break
			}
			if word == last && len(found) > 0 {
				continue // it ended the piece before
			}
			found = append(found, v.match(number, 0, true))
			last = word
			n++
		}
		if !pause(keeping*n+1) || n < pieceSize {
			return found
		}
	}
}
