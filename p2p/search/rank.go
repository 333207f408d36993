package search

import (
	"math"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// MaxScore bounds the score of a hit.
const MaxScore = 5

// How much a place counts. The differences are at least 1, which is more than
// anything that decides between documents with a word in the same place, so for
// one word the order name, title, text is certain.
const (
	stepName  = 3
	stepTitle = 2
	stepPath  = 0.5
)

// match is a document that has a word, or a unit, or all units.
type match struct {
	slot     uint32
	distance uint16
	units    uint16
	score    float32
}

// better reports whether m's way to match is better than n's.
func (m match) better(n match) bool {
	return m.distance < n.distance || m.distance == n.distance && m.score > n.score
}

// scratch finds the match of a slot in a list that is being built. A cell counts
// only if its round is the present one, so nothing has to be cleared.
type scratch struct {
	round uint32
	cells []cell

	scanner scanner  // of names
	starts  []uint32 // of phrases
}

type cell struct{ round, place uint32 }

// begin starts a list over so many slots.
func (s *scratch) begin(slots int) {
	if s.round++; s.round == 0 || len(s.cells) < slots {
		s.round, s.cells = 1, make([]cell, slots)
	}
}

// at returns the place of slot in the list, and place with fresh when slot is
// new; then the caller appends there.
func (s *scratch) at(slot uint32, place int) (at int, fresh bool) {
	c := &s.cells[slot]
	if c.round == s.round {
		return int(c.place), false
	}
	*c = cell{round: s.round, place: uint32(place)}
	return place, true
}

// ranking evaluates one query.
type ranking struct {
	*reading
	scratch *scratch
	average float64 // words of a text

	restricted bool            // the asker may not see all folders that there could be
	hidden     map[string]bool // folders that are not there
	visible    map[uint32]int  // if restricted: how many documents a word has in the others, by its number

	named map[string]map[string]bool // the folders that are meant by a name
	all   []expansion                // of the plan's units
	lists [][]match                  // of the plan's units
}

// word returns the documents that have any of the guessed words, each by the
// best: the nearest word, and of those the one that counts most. The word itself
// is looked up whatever it costs, the others as long as there is room.
//
// With in, only those count that have it in that place.
func (r *ranking) word(g guess, in uint32) []match {
	if r.err != nil {
		return nil
	}
	x := r.index
	r.scratch.begin(r.slots)
	found := make([]match, 0, min(occurrences(g.words), r.slots))
	forms := stems{word: g.word}
	for _, w := range g.words {
		exact := w.Distance == 0 && !w.Prefix
		if !exact && g.room <= 0 {
			r.shortened = true
			break
		}
		if !x.vocabulary.Holds(w) {
			// It went, and perhaps came again, since it was found.
			now, ok := x.vocabulary.Find(w.Word)
			if !ok {
				continue
			}
			w.Number = now.Number
		}
		var steps int
		share := 1.0
		if !exact && !forms.form(w.Word) {
			share = strange
		}
		found, steps = r.add(found, w, in, share)
		if !exact {
			g.room -= steps
			r.left -= steps
		}
		if r.err != nil {
			break
		}
	}
	return found
}

// add adds the documents of one word, which counts so much, to those found, and returns
// the steps that took. What the list of the word held at the start is not changed by who changes
// the list, so after a pause the walk goes on where it was.
func (r *ranking) add(found []match, w fastss.Match, in uint32, share float64) (all []match, steps int) {
	x, s, pending, visible := r.index, r.scratch, 0, 0
	for c := x.lists[w.Number].walk(); c.advance() && int(c.slot) < r.slots; {
		if pending++; pending == stepSize {
			steps += pending
			if !r.step(pending) {
				return found, steps
			}
			pending = 0
		}
		if !r.seen(c.slot) {
			continue
		}
		visible++
		if in != 0 && !x.docs[c.slot].allows(in, c.code) {
			continue
		}
		at, fresh := s.at(c.slot, len(found))
		if !fresh && int(found[at].distance) < w.Distance {
			continue // as for most of what is further away
		}
		m := match{slot: c.slot, distance: uint16(w.Distance), units: 1, score: float32(share * r.weigh(&x.sizes[c.slot], c.code, w.Prefix))}
		if fresh {
			found = append(found, m)
		} else if m.better(found[at]) {
			found[at] = m
		}
	}
	if r.restricted {
		if r.visible == nil {
			r.visible = map[uint32]int{}
		}
		r.visible[w.Number] = visible
	}
	r.step(pending)
	return found, steps + pending
}

// seen reports whether there is a document in a slot, for who asks.
func (r *ranking) seen(slot uint32) bool {
	return r.index.sizes[slot].there && (len(r.hidden) == 0 || !r.hidden[r.index.docs[slot].folder])
}

// weigh says how much a word in these places of a document tells, between 0 and
// MaxScore. It grows with the place, with how often the word is in the text, as
// in BM25 (Robertson & Walker 1994, k1 = 1.2, b = 0.75), and with how much of the
// name or title it is.
//
// A word that only begins as the query's last word counts less than 1, a
// complete one more.
func (r *ranking) weigh(d *size, code uint32, prefix bool) float64 {
	const k1, b = 1.2, 0.75
	often, step, share := float64(code/inText), 0.0, 0.0
	if code&inPath != 0 {
		step, often = stepPath, often+1
	}
	if code&inTitle != 0 {
		step, often, share = stepTitle, often+2, 1/float64(max(d.head, 1))
	}
	if code&inName != 0 {
		step, often, share = stepName, often+3, 1/float64(max(d.name, 1))
	}
	saturated := often / (often + k1*(1-b+b*float64(d.words)/r.average))
	told := step + (saturated+share)/2 // below step+1
	if prefix {
		return told / MaxScore
	}
	return 1 + told
}

// unit returns the documents that have a unit: the whole, or all parts.
func (r *ranking) unit(e *expansion) []match {
	if len(e.parts) == 1 {
		return r.word(e.parts[0], e.unit.in)
	}
	lists := make([][]match, len(e.parts))
	for i, g := range e.parts {
		lists[i] = r.word(g, e.unit.in)
	}
	weights := make([]float64, len(lists))
	for i := range weights {
		weights[i] = 1 / float64(len(lists))
	}
	parts := r.join(lists, weights)
	whole := r.word(e.whole, e.unit.in)
	r.scratch.begin(r.slots)
	for i, m := range whole {
		r.scratch.at(m.slot, i)
	}
	for i, m := range parts {
		if i%stepSize == stepSize-1 && !r.step(stepSize) {
			break
		}
		if int(m.units) < len(lists) {
			continue
		}
		m.units = 1
		if at, fresh := r.scratch.at(m.slot, len(whole)); fresh {
			whole = append(whole, m)
		} else if m.better(whole[at]) {
			whole[at] = m
		}
	}
	return whole
}

// join adds up lists: documents that are in any of them, in how many, the sum of
// distances, and the weighted sum of scores.
func (r *ranking) join(lists [][]match, weights []float64) []match {
	r.scratch.begin(r.slots)
	var found []match
	for i, list := range lists {
		for some := range slices.Chunk(list, stepSize) {
			if !r.step(len(some)) {
				return found
			}
			for _, m := range some {
				m.score *= float32(weights[i])
				at, fresh := r.scratch.at(m.slot, len(found))
				if fresh {
					found = append(found, m)
					continue
				}
				f := &found[at]
				f.distance += m.distance
				f.units += m.units
				f.score += m.score
			}
		}
	}
	return found
}

// rarities returns a weight for each unit, together 1, by how few documents have
// it (the IDF of BM25). Only the proportions are kept, so that scores of nodes
// with few and with many documents can be compared.
func rarities(lists [][]match, documents int) []float64 { return shares(lists, documents, nil, 0) }

// shares is rarities where some may be known of the whole network: of the first lists, which
// are those of so many words, if that is how many are known.
func shares(lists [][]match, documents int, known []byte, words int) []float64 {
	weights, sum := make([]float64, len(lists)), 0.0
	for i, list := range lists {
		if weights[i] = idf(len(list), documents); i < words && len(known) == words {
			weights[i] = max(float64(known[i]), 1) / rarityStep
		}
		sum += weights[i]
	}
	for i := range weights {
		weights[i] /= sum
	}
	return weights
}

// idf is the inverse document frequency of BM25, of what n of all documents have.
func idf(n, documents int) float64 {
	return math.Log1p((float64(documents-n) + 0.5) / (float64(n) + 0.5))
}

// ranked is a document with its key.
type ranked struct {
	key
	doc doc
}

// top collects the first limit of what it is given, in order.
type top struct {
	sorting
	limit int
	list  []ranked
}

// wants reports whether what has the key k is among the first so far.
func (t *top) wants(k key) bool {
	n := len(t.list)
	return n < t.limit || t.compare(k, t.list[n-1].key) <= 0
}

// rejects reports whether a document is not among the first so far, whatever is known of it besides
// how it matches. It may be false for one that is not: most are told apart here, so that nothing else
// need be looked at.
func (t *top) rejects(distance int, score float64) bool {
	n := len(t.list)
	if n == 0 || n < t.limit || t.by != "" {
		return false
	}
	last := &t.list[n-1].key
	return distance > last.distance || distance == last.distance && score < last.score
}

func (t *top) add(r ranked) {
	at, _ := slices.BinarySearchFunc(t.list, r, func(a, b ranked) int { return t.compare(a.key, b.key) })
	t.list = slices.Insert(t.list, at, r)
	t.list = t.list[:min(len(t.list), t.limit)]
}

// rounded rounds what was computed in float32, so that a score survives being
// written down and read again as it is.
func (m match) rounded() float64 {
	return min(max(math.Round(float64(m.score)*1e4)/1e4, 0), MaxScore)
}
