package search

import (
	"slices"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// A word that no document has may have more edits than its length allows: one more, up to
// maxFuzz, and a long one of which nothing is as near as its length allows, as many as maxEdits.
const (
	// maxEdits is the number of edits that a word may have at most.
	maxEdits = 4
	// minFar is the number of letters of a word that may have maxEdits.
	minFar = 7
	// maxStretched is how many words are meant that are further away than the length of what
	// was typed allows: hundreds are, of a long word in a large vocabulary, and their documents
	// are many times those of the nearer ones.
	maxStretched = 8
	// maxWeighed is how many words are weighed for that, the likeliest first.
	maxWeighed = 128
	// weighing is what one takes that is so far away, in steps.
	weighing = 100
)

// Stretch returns the number of edits that Auto allows at most for a word of so many letters that
// no document has.
func Stretch(letters int) int {
	switch edits := Tolerance(letters); {
	case edits == 0:
		return 0
	case letters >= minFar:
		return maxEdits
	default:
		return min(edits+1, maxFuzz)
	}
}

// Meant returns the words of a vocabulary that may be meant by a whole word with Auto, the
// likeliest first; nearer ones come before others. All of them are within Tolerance, if the
// vocabulary has the word. Otherwise up to eight are further away, by slips that people make
// (fastss.Likely): one edit more, and as many as Stretch where nothing is within Tolerance.
func Meant(v *fastss.Vocabulary, word string) []fastss.Match {
	edits := Tolerance(utf8.RuneCountInString(word))
	_, known := v.Find(word)
	if edits == 0 || known {
		return nearest(word, v.Within(word, edits))
	}
	found := nearest(word, v.Within(word, min(edits+1, maxFuzz)))
	return stretch(word, found, func(edits int) []fastss.Match { return v.Within(word, edits) })
}

// stretch returns what is meant by a word that no document has, of the words that are near to it,
// the likeliest first, and those that scan finds within so many edits.
func stretch(word string, found []fastss.Match, scan func(edits int) []fastss.Match) []fastss.Match {
	letters := utf8.RuneCountInString(word)
	edits := Tolerance(letters)
	near := slices.IndexFunc(found, func(m fastss.Match) bool { return m.Distance > edits })
	if near < 0 {
		near = len(found)
	}
	far := fastss.Likely(word, found[near:min(near+maxWeighed, len(found))])
	if near == 0 && Stretch(letters) == maxEdits && len(far) < maxStretched {
		more := slices.DeleteFunc(scan(maxEdits), func(m fastss.Match) bool { return m.Distance < maxEdits })
		far = append(far, nearest(word, fastss.Likely(word, more))...)
	}
	return append(found[:near], far[:min(len(far), maxStretched)]...)
}
