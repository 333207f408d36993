package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// unit is what a query wants of a document: a word, or a compound such as
// report-2024, which a document has when it has the whole or all parts.
type unit struct {
	typed string   // as in the query
	parts []string // folded, at least one
	whole string   // folded; empty when there is one part
	last  bool     // may be unfinished, or only begins so
	exact bool     // no edits
	quiet bool     // nobody is told of it: it is not wanted
	in    uint32   // inName or inTitle: only there; 0: anywhere
}

// words returns the parts and then the whole, if there is one.
func (u unit) words() []string {
	if u.whole == "" {
		return u.parts
	}
	return append(u.parts[:len(u.parts):len(u.parts)], u.whole)
}

// unfinished reports whether the word i may be the beginning of one.
func (u unit) unfinished(i int) bool { return u.last && i >= len(u.parts)-1 }

// key tells units apart.
func (u unit) key() string {
	return fmt.Sprint(u.last, u.exact, u.quiet, u.in, strings.Join(u.parts, " "))
}

// unitsOf takes a text apart.
func unitsOf(text string) []unit {
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
	return units
}

// Tolerance returns the number of edits that Auto allows for a word of so many
// letters. With up to three almost any word would do. Of real misspellings 97.9 % are
// in reach, and 99.2 % where no document has the word (Meant).
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

// nearest keeps the better of two matches of one word and sorts by what was most
// likely meant by what was typed.
func nearest(typed string, found []fastss.Match) []fastss.Match {
	slices.SortFunc(found, func(a, b fastss.Match) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Distance, b.Distance), compareBool(a.Prefix, b.Prefix))
	})
	found = slices.CompactFunc(found, func(a, b fastss.Match) bool { return a.Number == b.Number })
	fastss.Rank(typed, found)
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
	unit   unit
	parts  []guess        // as unit.parts
	whole  guess          // without words when there is one part
	edits  int            // that were allowed in the first part
	apart  []assumption   // two words that follow each other and together are the unit
	joined *assumption    // the word that this unit and the next one are together
	second bool           // of two that may be joined: what is assumed is told with the first
	also   []fastss.Match // the words of apart and joined

	documents int // that have the unit
}

// words yields all words of the index that the expansion stands for.
func (e *expansion) words(yield func(fastss.Match) bool) {
	for _, g := range append(e.parts[:len(e.parts):len(e.parts)], e.whole, guess{words: e.also}) {
		for _, m := range g.words {
			if !yield(m) {
				return
			}
		}
	}
}

// only leaves out the words that are in no document which the asker may see, and so were
// not found in any.
func (e *expansion) only(visible map[uint32]int) {
	keep := func(g *guess) {
		g.words = slices.DeleteFunc(slices.Clone(g.words), func(m fastss.Match) bool { return visible[m.Number] == 0 })
		for i := range g.words {
			g.words[i].Count = visible[g.words[i].Number]
		}
	}
	for i := range e.parts {
		keep(&e.parts[i])
	}
	keep(&e.whole)
	also := guess{words: e.also}
	keep(&also)
	e.also = also.words
}

// exact reports whether the unit occurs in the index as it was typed, if only as
// the beginning of a word.
func (e *expansion) exact() bool {
	return e.whole.exact() || !slices.ContainsFunc(e.parts, func(g guess) bool { return !g.exact() })
}

func (g *guess) exact() bool { return len(g.words) > 0 && g.words[0].Distance == 0 }

// assumed returns what stands for a unit that is not exact: for the whole if
// that is nearer than the parts, or there is nothing for them.
func (e *expansion) assumed() []assumption {
	switch {
	case e.second:
		return nil
	case e.joined != nil:
		return []assumption{*e.joined}
	case len(e.parts) == 1:
		return nearer(assume(e.unit.typed, e.parts[0].words), e.apart)
	}
	var found []assumption
	distance, complete := 0, true
	for i, g := range e.parts {
		complete = complete && len(g.words) > 0
		if !g.exact() && len(g.words) > 0 {
			found = append(found, assume(e.unit.parts[i], g.words)...)
			distance += g.words[0].Distance
		}
	}
	if whole := e.whole.words; len(whole) > 0 && (!complete || whole[0].Distance <= distance) {
		return assume(e.unit.typed, whole)
	}
	return found
}

// nearer returns the likelier of what may stand for one word: a word, if there is
// one, or one of two words.
func nearer(word, apart []assumption) []assumption {
	for _, two := range apart {
		if len(word) == 0 || cmp.Or(cmp.Compare(two.Distance, word[0].Distance), cmp.Compare(word[0].Documents, two.Documents)) < 0 {
			word = []assumption{two}
		}
	}
	return word
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
