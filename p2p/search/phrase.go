package search

import (
	"slices"
	"strings"
)

// phrase is words that follow each other.
type phrase struct {
	typed string
	parts []string // folded
	// other is how else it can be written: its compounds as one word each; empty if
	// it has none.
	other []string
	in    uint32 // inName or inTitle: only there; 0: anywhere
	quiet bool   // nobody is told of it: it is not wanted
}

func newPhrase(text string, in uint32) phrase {
	p := phrase{typed: text, in: in}
	compounds := false
	for _, u := range unitsOf(text) {
		p.parts = append(p.parts, u.parts...)
		if u.whole != "" {
			p.other = append(p.other, u.whole)
			compounds = true
		} else {
			p.other = append(p.other, u.parts...)
		}
	}
	if !compounds {
		p.other = nil
	}
	return p
}

// phrase returns the documents that have a phrase, exactly.
func (r *ranking) phrase(p *phrase) []match {
	found := r.follow(nil, p.parts, p.in, 0)
	if len(p.other) > 0 {
		found = r.follow(found, p.other, p.in, 0)
	}
	return found
}

// follow adds the documents in which words follow each other to those found.
func (r *ranking) follow(found []match, words []string, in uint32, distance uint16) []match {
	x := r.index
	cursors := make([]cursor, len(words))
	for i, w := range words {
		m, ok := x.vocabulary.Find(w)
		if !ok || r.err != nil {
			return found
		}
		cursors[i] = x.lists[m.Number].walk()
	}
	known := make(map[uint32]int, len(found))
	for i, m := range found {
		known[m.slot] = i
	}
	steps, slot := 0, uint32(0)
	for i := 0; i < len(cursors); {
		// The cursors before i are at slot.
		c := &cursors[i]
		for c.next <= slot {
			if steps++; steps >= stepSize {
				if !r.step(steps) {
					return found
				}
				steps = 0
			}
			if !c.advance() || int(c.slot) >= r.slots {
				r.step(steps)
				return found
			}
		}
		switch {
		case c.slot > slot:
			slot, i = c.slot, 0
			continue
		case i+1 < len(cursors):
			i++
			continue
		}
		steps += len(cursors[0].places) / 8
		if !r.seen(slot) {
			// Not there.
		} else if code := r.together(&x.docs[slot], cursors, words, in); code != 0 {
			m := match{slot: slot, distance: distance, units: 1, score: float32(r.weigh(&x.sizes[slot], code, false))}
			if at, ok := known[slot]; !ok {
				found = append(found, m)
			} else if m.better(found[at]) {
				found[at] = m
			}
		}
		slot, i = slot+1, 0
	}
	return found
}

// together returns where and how often the words of a document follow each other,
// as the code of a word; 0: nowhere. The cursors are at that document.
func (r *ranking) together(d *doc, cursors []cursor, words []string, in uint32) uint32 {
	everywhere := cursors[0].code
	often := cursors[0].code / inText
	for _, c := range cursors[1:] {
		everywhere &= c.code
		often = min(often, c.code/inText)
	}
	code := uint32(0)
	if often > 0 && in == 0 {
		code = r.times(cursors) * inText
	}
	if everywhere&(inName|inTitle|inPath) == 0 {
		return code // as in most documents, of which nothing else need be looked at
	}
	name, title, directory := d.places()
	for _, place := range []struct {
		bit  uint32
		text string
	}{{inName, name}, {inTitle, title}, {inPath, directory}} {
		if everywhere&place.bit != 0 && d.allows(in, place.bit) && r.scratch.has(place.text, words) {
			code |= place.bit
		}
	}
	return code
}

// times returns how often words follow each other in a text.
func (r *ranking) times(cursors []cursor) uint32 {
	s := r.scratch
	s.starts = s.starts[:0]
	for p := (places{rest: cursors[0].places}); ; {
		at, ok := p.advance()
		if !ok {
			break
		}
		s.starts = append(s.starts, at)
	}
	for i, c := range cursors[1:] {
		p := places{rest: c.places}
		at, ok := p.advance()
		kept := s.starts[:0]
		for _, start := range s.starts {
			want := start + uint32(i) + 1
			for ok && at < want {
				at, ok = p.advance()
			}
			if ok && at == want {
				kept = append(kept, start)
			}
		}
		if s.starts = kept; len(kept) == 0 {
			return 0
		}
	}
	return uint32(len(s.starts))
}

// has reports whether words follow each other in a short text.
func (s *scratch) has(text string, words []string) bool {
	var at [][]string // the words at each position
	s.scanner.text, s.scanner.position = text, 0
	s.scanner.scan(func(t token) bool {
		for len(at) <= t.position {
			at = append(at, nil)
		}
		at[t.position] = append(at[t.position], string(t.term))
		return true
	})
	for start := range len(at) - len(words) + 1 {
		n := 0
		for n < len(words) && slices.Contains(at[start+n], words[n]) {
			n++
		}
		if n == len(words) {
			return true
		}
	}
	return false
}

// places is Document.places for what is known of a document here.
func (d *doc) places() (name, title, directory string) {
	return (&Document{Title: d.title, Path: d.path}).places()
}

// allows reports whether a word in these places of a document is where it is wanted.
func (d *doc) allows(in, code uint32) bool {
	switch in {
	case 0:
		return true
	case inName:
		return code&inName != 0
	}
	// A title that only repeats the name is indexed as the name.
	return code&inTitle != 0 || code&inName != 0 && (d.path == "" || strings.HasSuffix(d.path, d.title) &&
		len(d.path)-len(d.title) == strings.LastIndexByte(d.path, '/')+1)
}
