package fastss

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Sizes of a scan.
const (
	// pieceSize is the number of words between two pauses.
	pieceSize = 4096
	// What is done with words, in steps: the masks of eight are looked at in one,
	// one word is compared in eight, and one that was found is to be sorted.
	masksPerStep = 8
	comparison   = 8
	keeping      = 16
)

// Scan looks for what Within finds or, with prefix, PrefixWithin, in no certain
// order, but words of a similar length before others. After every piece of the
// work it calls pause with the number of steps the piece took; a step is some ten
// nanoseconds, and a piece at most a hundred thousand steps. While pause runs, the
// vocabulary may change: a word that is there all the time is found, one that
// comes or goes may be, and its number may be another's by the time Scan returns
// (see Holds). When pause returns false, Scan ends with what it has.
func (v *Vocabulary) Scan(word string, k int, prefix bool, pause func(steps int) bool) []Match {
	if prefix && k <= 0 {
		return v.scanAlphabet(word, pause)
	}
	s := scan{
		vocabulary: v, pattern: OSA.Compile(word), k: k, prefix: prefix,
		mask: letters(word), more: k, pause: pause,
	}
	n := utf8.RuneCountInString(word)
	longest := n + k
	if prefix {
		s.more, longest = 64, len(v.lengths)-1 // what follows the beginning may be anything
	}
	for d := 0; d <= k || n+d <= longest; d++ {
		if d > 0 && d <= k && !s.length(n-d) || n+d <= longest && !s.length(n+d) {
			break
		}
	}
	return s.found
}

// scan is a search through the words of some lengths.
type scan struct {
	vocabulary *Vocabulary
	pattern    *Pattern
	k          int
	prefix     bool
	mask       uint64 // of the pattern
	more       int    // bits that a word's mask may have beyond
	pause      func(steps int) bool
	found      []Match
}

// length looks through the words of l letters and reports whether to go on.
func (s *scan) length(l int) bool {
	// The bucket is looked up anew for each piece, since a pause may move it.
	for i := 0; l >= 0 && l < len(s.vocabulary.lengths) && i < len(s.vocabulary.lengths[l].masks); i += pieceSize {
		if !s.pause(s.piece(&s.vocabulary.lengths[l], i)) {
			return false
		}
	}
	return true
}

// piece looks through a bucket from place i and returns how many steps that took.
func (s *scan) piece(b *bucket, i int) int {
	end := min(i+pieceSize, len(b.masks))
	steps := (end-i)/masksPerStep + 1
	for j, m := range b.masks[i:end] {
		if bits.OnesCount64(s.mask&^m) > s.k || bits.OnesCount64(m&^s.mask) > s.more {
			continue
		}
		number := b.numbers[i+j]
		if number == gap {
			continue
		}
		steps += comparison
		if d := s.distance(s.vocabulary.entries[number].word); d <= s.k {
			steps += keeping
			s.found = append(s.found, s.vocabulary.match(number, d, s.prefix))
		}
	}
	return steps
}

func (s *scan) distance(word string) int {
	if s.prefix {
		return s.pattern.PrefixDistance(word, s.k)
	}
	return s.pattern.Distance(word, s.k)
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
