package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// unit is what a query wants of a document: a word, or a compound such as
// report-2024, which a document has when it has the whole or all parts.
type unit struct {
	typed string   // as in the query
	parts []string // folded, at least one
	whole string   // folded; empty when there is one part
	last  bool     // of the query: may be unfinished
}

// parse takes a query text apart. A unit that comes twice is wanted once.
// Errors: ErrEmpty, ErrTooLong.
func parse(text string) ([]unit, error) {
	if n := utf8.RuneCountInString(text); n > MaxQuery {
		return nil, fmt.Errorf("search: query of %d characters, at most %d: %w", n, MaxQuery, ErrTooLong)
	}
	var units []unit
	var tokens []Token // parts that are not yet in a unit
	alone := func() {
		for _, t := range tokens {
			units = append(units, unit{typed: text[t.Start:t.End], parts: []string{t.Term}})
		}
		tokens = tokens[:0]
	}
	for t := range Tokens(text) {
		if !t.Whole {
			tokens = append(tokens, t)
			continue
		}
		// The parts of a whole come just before it.
		first := slices.IndexFunc(tokens, func(part Token) bool { return part.Position == t.Position })
		parts := slices.Clone(tokens[first:])
		tokens = tokens[:first]
		alone()
		u := unit{typed: text[t.Start:t.End], whole: t.Term}
		for _, part := range parts {
			u.parts = append(u.parts, part.Term)
		}
		units = append(units, u)
	}
	alone()
	if len(units) == 0 {
		return nil, fmt.Errorf("search: query %.40q: %w", text, ErrEmpty)
	}
	return distinct(units), nil
}

// distinct drops all but the last of equal units and marks the last of all.
func distinct(units []unit) []unit {
	units[len(units)-1].last = true
	seen := make(map[string]bool, len(units))
	kept := units[:0]
	slices.Reverse(units)
	for _, u := range units {
		if key := strings.Join(u.parts, " "); !seen[key] {
			seen[key] = true
			kept = append(kept, u)
		}
	}
	slices.Reverse(kept)
	return kept
}

// Tolerance returns the number of edits that Auto allows for a word of so many
// letters. With up to three almost any word would do; beyond nine, 99 % of real
// misspellings are in reach.
func Tolerance(letters int) int {
	switch {
	case letters <= 3:
		return 0
	case letters <= 5:
		return 1
	case letters <= 9:
		return 2
	}
	return 3
}

// minTypoPrefix is the number of letters from which an unfinished word may have
// an edit in it.
const minTypoPrefix = 4

// expand returns the words of the vocabulary that may be meant by word, the
// nearest first, each once.
func expand(v *fastss.Vocabulary, word string, fuzz int, prefix bool) []fastss.Match {
	letters := utf8.RuneCountInString(word)
	if fuzz == Auto {
		fuzz = Tolerance(letters)
	}
	edits := 0
	if fuzz > 0 && letters >= minTypoPrefix {
		edits = 1
	}
	var found []fastss.Match
	switch {
	case fuzz > 0 && prefix:
		return nearest(append(v.Within(word, fuzz), v.PrefixWithin(word, edits)...))
	case fuzz > 0:
		return nearest(v.Within(word, fuzz))
	case prefix:
		// In the order of the alphabet, so that the word itself comes first.
		found = v.PrefixWithin(word, 0)
		if len(found) > 0 && found[0].Word == word {
			found[0].Prefix = false
		}
	default:
		if m, ok := v.Find(word); ok {
			found = append(found, m)
		}
	}
	return found
}

// nearest keeps the better of two matches of one word and sorts by distance,
// whole words before beginnings, frequent words before rare ones.
func nearest(found []fastss.Match) []fastss.Match {
	slices.SortFunc(found, func(a, b fastss.Match) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Distance, b.Distance), compareBool(a.Prefix, b.Prefix))
	})
	found = slices.CompactFunc(found, func(a, b fastss.Match) bool { return a.Number == b.Number })
	slices.SortFunc(found, func(a, b fastss.Match) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), compareBool(a.Prefix, b.Prefix),
			cmp.Compare(b.Count, a.Count), strings.Compare(a.Word, b.Word))
	})
	return found
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// expansion is a unit with the words of an index that may be meant.
type expansion struct {
	unit  unit
	parts [][]fastss.Match // as unit.parts
	whole []fastss.Match   // empty when there is one part
}

// expansion looks a unit up. The caller holds mu.
func (x *Index) expansion(u unit, fuzz int) expansion {
	e := expansion{unit: u}
	for i, part := range u.parts {
		e.parts = append(e.parts, expand(&x.vocabulary, part, fuzz, u.last && i == len(u.parts)-1))
	}
	if u.whole != "" {
		e.whole = expand(&x.vocabulary, u.whole, fuzz, u.last)
	}
	return e
}

// words yields all words of the index that the expansion stands for.
func (e *expansion) words(yield func(fastss.Match) bool) {
	for _, list := range append(e.parts[:len(e.parts):len(e.parts)], e.whole) {
		for _, m := range list {
			if !yield(m) {
				return
			}
		}
	}
}

// exact reports whether the unit occurs in the index as it was typed, if only as
// the beginning of a word.
func (e *expansion) exact() bool {
	return hasExact(e.whole) || !slices.ContainsFunc(e.parts, func(list []fastss.Match) bool { return !hasExact(list) })
}

func hasExact(list []fastss.Match) bool { return len(list) > 0 && list[0].Distance == 0 }

// assumed returns what stands for a unit that is not exact: for the whole if
// that is nearer than the parts, or there is nothing for them.
func (e *expansion) assumed() []assumption {
	if len(e.parts) == 1 {
		return assume(e.unit.typed, e.parts[0])
	}
	var found []assumption
	distance, complete := 0, true
	for i, list := range e.parts {
		complete = complete && len(list) > 0
		if !hasExact(list) && len(list) > 0 {
			found = append(found, assume(e.unit.parts[i], list)...)
			distance += list[0].Distance
		}
	}
	if len(e.whole) > 0 && (!complete || e.whole[0].Distance <= distance) {
		return assume(e.unit.typed, e.whole)
	}
	return found
}

// assumption is a correction as one node proposes it.
type assumption struct {
	From      string `cbor:"1,keyasint"`
	To        string `cbor:"2,keyasint,omitempty"` // empty: nothing; From occurs
	Distance  int    `cbor:"3,keyasint,omitempty"`
	Documents int    `cbor:"4,keyasint,omitempty"` // that contain To
	Prefix    bool   `cbor:"5,keyasint,omitempty"` // only the beginning of To is meant
}

func assume(from string, list []fastss.Match) []assumption {
	if len(list) == 0 {
		return nil
	}
	return []assumption{{From: from, To: list[0].Word, Distance: list[0].Distance, Documents: list[0].Count, Prefix: list[0].Prefix}}
}
