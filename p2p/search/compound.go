package search

import (
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// People write two words as one, and one as two. Either counts as one edit, and is
// looked for where a word of that length may have one.

// minApart is the number of letters that each of two words has at least: below, any
// word could be two.
const minApart = 2

// apart adds to the documents of a unit those in which two words follow each other
// that together are the unit.
func (r *ranking) apart(e *expansion, list []match) []match {
	u := e.unit
	if u.exact || u.in != 0 || len(u.parts) > 1 || e.edits == 0 {
		return list
	}
	word, v := u.parts[0], &r.index.vocabulary
	letters := 0
	for i := range word {
		if letters++; letters <= minApart || utf8.RuneCountInString(word[i:]) < minApart {
			continue
		}
		a, okA := v.Find(word[:i])
		b, okB := v.Find(word[i:])
		if !okA || !okB {
			continue
		}
		if r.left -= a.Count + b.Count; r.left < 0 {
			r.shortened = true
			break
		}
		found := r.follow(nil, []string{a.Word, b.Word}, 0, 1)
		if r.err != nil {
			break
		}
		if len(found) == 0 {
			continue
		}
		a.Distance, b.Distance = 1, 1
		e.also = append(e.also, a, b)
		e.apart = append(e.apart, assumption{From: u.typed, To: a.Word + " " + b.Word, Distance: 1, Documents: len(found)})
		list = r.merge(list, found)
	}
	return list
}

// merge adds documents to a list, each by the better match.
func (r *ranking) merge(list, more []match) []match {
	r.scratch.begin(r.slots)
	for i, m := range list {
		r.scratch.at(m.slot, i)
	}
	for _, m := range more {
		if at, fresh := r.scratch.at(m.slot, len(list)); fresh {
			list = append(list, m)
		} else if m.better(list[at]) {
			list[at] = m
		}
	}
	return list
}

// joined adds to the documents of two words that were typed one after the other those
// that have them as one.
func (r *ranking) joined(i, j, fuzz int) {
	a, b := &r.all[i], &r.all[j]
	if len(a.parts) > 1 || len(b.parts) > 1 {
		return
	}
	word := a.unit.parts[0] + b.unit.parts[0]
	if fuzz == Auto {
		fuzz = Tolerance(utf8.RuneCountInString(word))
	}
	m, ok := r.index.vocabulary.Find(word)
	if fuzz == 0 || !ok {
		return
	}
	m.Distance = 1
	found := r.word(guess{word: word, words: []fastss.Match{m}, room: m.Count + stepSize}, 0)
	if r.err != nil || len(found) == 0 {
		return
	}
	a.also = append(a.also, m)
	if !a.exact() || !b.exact() {
		a.joined = &assumption{From: a.unit.typed + " " + b.unit.typed, To: m.Word, Distance: 1, Documents: len(found)}
		b.second = true
	}
	r.lists[i], r.lists[j] = r.both(r.lists[i], r.lists[j], found)
}

// both adds documents to the lists of two words that are one in them: the edit is
// counted with the first of the words that a document does not have as well.
func (r *ranking) both(a, b, found []match) ([]match, []match) {
	r.scratch.begin(r.slots)
	for i, m := range a {
		r.scratch.at(m.slot, i)
	}
	counted := make(map[uint32]bool)
	for _, m := range found {
		if _, fresh := r.scratch.at(m.slot, len(a)); fresh {
			a = append(a, m)
			counted[m.slot] = true
		}
	}
	r.scratch.begin(r.slots)
	for i, m := range b {
		r.scratch.at(m.slot, i)
	}
	for _, m := range found {
		if _, fresh := r.scratch.at(m.slot, len(b)); fresh {
			if counted[m.slot] {
				m.distance = 0
			}
			b = append(b, m)
		}
	}
	return a, b
}
