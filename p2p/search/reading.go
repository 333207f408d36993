package search

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// Bounds of the work for one query. A step is what a posting costs, some ten
// nanoseconds.
const (
	// maxTypos is the number of words in which typos are looked for.
	maxTypos = 16
	// maxGuessed is the number of steps for all that is not exactly what was
	// typed: similar words, beginnings, and the documents that have them.
	maxGuessed = 4 << 20
	// turnSteps is the number of steps after which the index is let go of, so
	// that who wants to change it need not wait for the end of a query.
	turnSteps = 256 << 10
	// stepSize is the number of steps between two looks at the context.
	stepSize = 4096
)

// errRenumbered: slots mean other documents than when the query began.
var errRenumbered = errors.New("documents numbered anew")

// reading is one query's way through the index, whose mu it holds for reading,
// a turn at a time. A query of less than a turn, as most are, sees the index at
// one moment. What changes during a longer one may be found as it was, as it is,
// or not; everything else is found.
type reading struct {
	ctx       context.Context
	index     *Index
	slots     int      // there were at the start; later ones are not looked at
	squeezed  uint64   // Index.squeezed at the start
	stretched []string // words that may have more edits than their length allows
	secret    bool     // there are documents that the asker may not see
	steps     int      // of this turn
	unseen    int      // steps since the last look at the context
	err       error    // why the query ended early

	left      int  // of maxGuessed
	guesses   int  // words that have not yet had their share of left
	shortened bool // a bound left something out
}

// read begins a reading; the caller holds mu for reading. Slots that are not filled yet are not for it: their documents may
// be of folders that were not there when it was found out what the asker may not see.
func (x *Index) read(ctx context.Context) *reading {
	return &reading{ctx: ctx, index: x, slots: x.filled, squeezed: x.squeezed, left: maxGuessed, err: ctx.Err()}
}

// step counts steps and reports whether to go on; if not, err says why. The index
// may have changed when it returns.
func (r *reading) step(n int) bool {
	if r.unseen += n; r.unseen < min(stepSize, r.index.turn) {
		return r.err == nil
	}
	r.steps += r.unseen
	r.unseen = 0
	if r.err == nil {
		r.err = r.ctx.Err()
	}
	if r.err == nil && r.steps >= r.index.turn {
		return r.aside(func() {})
	}
	return r.err == nil
}

// aside runs f, which does not look at the index, while others may change it, and
// reports like step whether to go on.
func (r *reading) aside(f func()) bool {
	r.steps = 0
	r.index.mu.RUnlock()
	f()
	r.index.mu.RLock() // behind who waits to change the index
	if r.err == nil && r.squeezed != r.index.squeezed {
		r.err = errRenumbered
	}
	return r.err == nil
}

// share returns how many steps the next guessed word may take: what is left is
// divided evenly, and what a word does not need is for those after it.
func (r *reading) share() int {
	n := r.left / max(r.guesses, 1)
	r.guesses--
	return n
}

// guess is a word of a query with the words of the index that may be meant.
type guess struct {
	word  string
	edits int            // that were allowed
	words []fastss.Match // the nearest first
	room  int            // steps for the documents of those that are not exactly the word
}

// tolerances returns how many edits are allowed for each word of each unit, and
// sets how many words are guessed. Typos are looked for in maxTypos words: the
// rarest, since those that the index does not have need it most, of equally rare
// ones the longest, in which they are most likely. The others must be exact.
//
// With Auto, a word in which there may be a typo and that the index does not have is
// stretched; but not where that would tell whether the word is in documents that the asker may
// not see.
func (r *reading) tolerances(units []unit, fuzz int) [][]int {
	type wish struct {
		edits          *int
		count, letters int
	}
	var wishes []wish
	all := make([][]int, len(units))
	for i, u := range units {
		words := u.words()
		all[i] = make([]int, len(words))
		for j, word := range words {
			letters := utf8.RuneCountInString(word)
			switch {
			case u.exact:
			case fuzz == Auto:
				all[i][j] = Tolerance(letters)
			default:
				all[i][j] = fuzz
			}
			if all[i][j] > 0 {
				m, known := r.index.vocabulary.Find(word)
				if fuzz == Auto && !known && !r.secret {
					all[i][j] = min(all[i][j]+1, maxFuzz)
					r.stretched = append(r.stretched, word)
				}
				wishes = append(wishes, wish{&all[i][j], m.Count, letters})
			}
		}
	}
	if len(wishes) > maxTypos {
		slices.SortStableFunc(wishes, func(a, b wish) int {
			return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(b.letters, a.letters))
		})
		for _, w := range wishes[maxTypos:] {
			*w.edits = 0
		}
		r.shortened = true
	}
	for i, u := range units {
		for j, edits := range all[i] {
			if edits > 0 || u.unfinished(j) {
				r.guesses++
			}
		}
	}
	return all
}

// expand returns the words of the vocabulary that may be meant by word, the word
// itself first.
func (r *reading) expand(word string, fuzz int, prefix bool) guess {
	v := &r.index.vocabulary
	if fuzz <= 0 && !prefix {
		if m, ok := v.Find(word); ok {
			return guess{word: word, words: []fastss.Match{m}}
		}
		return guess{word: word}
	}
	// Half of a share is for finding words, the rest for their documents.
	share := r.share()
	looking := share / 2
	pause := func(n int) bool {
		looking -= n
		r.shortened = r.shortened || looking < 0
		return r.step(n) && looking >= 0
	}
	found := r.similar(word, fuzz, prefix, pause)
	g := guess{word: word, edits: fuzz, words: found, room: share/2 + max(looking, 0)}
	r.left -= share - g.room
	switch {
	case fuzz <= 0 && occurrences(found) <= g.room:
		// All of them are looked up, in whatever order.
	case len(found) < stepSize:
		g.words = nearest(word, found)
	default:
		r.aside(func() { g.words = nearest(word, found) })
	}
	if slices.Contains(r.stretched, word) {
		g.words = stretch(word, g.words, func(edits int) []fastss.Match {
			if looking < v.Bound() {
				return nil // the last edit is for what is left
			}
			found := v.Scan(word, edits, false, pause)
			pause(len(found) * weighing)
			return found
		})
	}
	if n := len(g.words); n > 0 {
		g.edits = max(fuzz, g.words[n-1].Distance)
	}
	return g
}

// similar returns the words at distance fuzz and, with prefix, those that begin
// so. Without edits the order is that of the alphabet, so the word itself is the first.
func (r *reading) similar(word string, fuzz int, prefix bool, pause func(int) bool) []fastss.Match {
	v := &r.index.vocabulary
	if fuzz <= 0 {
		found := v.Scan(word, 0, true, pause)
		if len(found) > 0 && found[0].Word == word {
			found[0].Prefix = false
		}
		return found
	}
	var found []fastss.Match
	if m, ok := v.Find(word); ok {
		found = append(found, m) // even if there is no room for a scan
	}
	found = append(found, v.Scan(word, fuzz, false, pause)...)
	if prefix {
		edits := 0
		if utf8.RuneCountInString(word) >= minTypoPrefix {
			edits = 1
		}
		found = append(found, v.Scan(word, edits, true, pause)...)
	}
	return found
}

// occurrences returns how many documents the lists of words have together.
func occurrences(words []fastss.Match) int {
	n := 0
	for _, w := range words {
		n += w.Count
	}
	return n
}

// expansion looks a unit up, of which each word may have so many edits.
func (r *reading) expansion(u unit, edits []int) expansion {
	e := expansion{unit: u}
	for i, word := range u.words() {
		g := r.expand(word, edits[i], u.unfinished(i))
		if i < len(u.parts) {
			e.parts = append(e.parts, g)
		} else {
			e.whole = g
		}
	}
	e.edits = e.parts[0].edits
	return e
}
