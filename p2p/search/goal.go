package search

import (
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/search/query"
)

// expandAll looks up the plan's units.
func (r *ranking) expandAll(p *plan, fuzz int) {
	edits := r.tolerances(p.units, fuzz)
	r.all = make([]expansion, len(p.units))
	r.lists = make([][]match, len(p.units))
	for i, u := range p.units {
		r.all[i] = r.expansion(u, edits[i])
		r.lists[i] = r.apart(&r.all[i], r.unit(&r.all[i]))
		if r.err != nil {
			return
		}
	}
	for i := range len(p.words) - 1 {
		r.joined(p.words[i], p.words[i+1], fuzz)
	}
	for i := range r.all {
		r.all[i].documents = len(r.lists[i])
	}
}

// met marks in a match's units that the goals are met; the bits below count words.
const met = 1 << 15

// found returns the documents that meet all goals and have some of the words, if any
// are wanted; units counts them. Rarity is that of the request.
func (r *ranking) found(p *plan, documents int, rarity []byte) []match {
	lists := make([][]match, 0, len(p.words)+1)
	for _, i := range p.words {
		lists = append(lists, r.lists[i])
	}
	positive, rest := split(p.goals)
	if len(positive) > 0 {
		list := slices.Clone(r.every(positive, documents))
		for i := range list {
			list[i].units = met
		}
		lists = append(lists, list)
	}
	var found []match
	switch {
	case len(lists) == 0:
		found = r.everything()
		for i := range found {
			found[i].units = 0
		}
	case len(lists) == 1:
		found = lists[0]
	default:
		found = r.join(lists, shares(lists, max(documents, longest(lists)), rarity, len(p.words)))
	}
	if len(positive) > 0 {
		found = r.keep(found, func(m match, _ *doc) bool { return m.units >= met })
		for i := range found {
			found[i].units -= met
		}
	}
	return r.without(found, rest)
}

// split parts goals that are met by what they find from those that only leave
// something out.
func split(goals []goal) (positive, rest []goal) {
	for _, g := range goals {
		if g.op == opNot || g.isProperty() {
			rest = append(rest, g)
		} else {
			positive = append(positive, g)
		}
	}
	return positive, rest
}

// isProperty reports whether a goal can be decided by what is known of a document
// without its words.
func (g *goal) isProperty() bool {
	switch g.op {
	case opUnit, opPhrase:
		return false
	}
	return !slices.ContainsFunc(g.of, func(g goal) bool { return !g.isProperty() })
}

// list returns the documents that meet a goal, each with one unit. The caller must
// not change it.
func (r *ranking) list(g *goal, documents int) []match {
	switch {
	case r.err != nil:
		return nil
	case g.op == opUnit:
		return r.lists[g.unit]
	case g.op == opPhrase:
		return r.phrase(&g.phrase)
	case g.op == opOr && !g.isProperty():
		return r.any(g.of, documents)
	case g.op == opAnd:
		positive, rest := split(g.of)
		if len(positive) > 0 {
			return r.without(r.every(positive, documents), rest)
		}
		return r.without(r.everything(), g.of)
	}
	return r.without(r.everything(), []goal{*g})
}

// every returns the documents that meet all goals.
func (r *ranking) every(goals []goal, documents int) []match {
	if len(goals) == 1 {
		return r.list(&goals[0], documents)
	}
	lists := make([][]match, len(goals))
	for i := range goals {
		lists[i] = r.list(&goals[i], documents)
	}
	found := r.join(lists, rarities(lists, max(documents, longest(lists))))
	found = r.keep(found, func(m match, _ *doc) bool { return int(m.units) == len(goals) })
	for i := range found {
		found[i].units = 1
	}
	return found
}

// any returns the documents that meet one of goals, each by the best.
func (r *ranking) any(goals []goal, documents int) []match {
	lists := make([][]match, len(goals))
	for i := range goals {
		lists[i] = r.list(&goals[i], documents)
	}
	r.scratch.begin(r.slots)
	var found []match
	for _, list := range lists {
		for some := range slices.Chunk(list, stepSize) {
			if !r.step(len(some)) {
				return found
			}
			for _, m := range some {
				if at, fresh := r.scratch.at(m.slot, len(found)); fresh {
					found = append(found, m)
				} else if m.better(found[at]) {
					found[at] = m
				}
			}
		}
	}
	return found
}

// everything returns all documents.
func (r *ranking) everything() []match {
	found := make([]match, 0, r.slots)
	for slot := 0; slot < r.slots; slot++ {
		if slot%stepSize == stepSize-1 && !r.step(stepSize) {
			return found
		}
		if r.seen(uint32(slot)) {
			found = append(found, match{slot: uint32(slot), units: 1})
		}
	}
	return found
}

// keep returns those of found that are to be kept.
func (r *ranking) keep(found []match, keep func(match, *doc) bool) []match {
	kept := make([]match, 0, len(found))
	for m, d := range r.documents(found) {
		if keep(m, d) {
			kept = append(kept, m)
		}
	}
	return kept
}

// without returns those of found that meet goals, which are negations and
// properties.
func (r *ranking) without(found []match, goals []goal) []match {
	for i := range goals {
		g := &goals[i]
		if g.isProperty() {
			found = r.keep(found, func(_ match, d *doc) bool { return r.holds(g, d) })
			continue
		}
		out := r.list(&g.of[0], r.slots) // how it ranks does not matter
		r.scratch.begin(r.slots)
		for j, m := range out {
			r.scratch.at(m.slot, j)
		}
		s := r.scratch
		found = r.keep(found, func(m match, _ *doc) bool { return s.cells[m.slot].round != s.round })
	}
	return found
}

// holds reports whether a document meets a goal that is a property.
func (r *ranking) holds(g *goal, d *doc) bool {
	switch g.op {
	case opMatch:
		return r.matches(g, d)
	case opRange:
		n, ok := d.number(g.bounds.Field)
		return ok && g.bounds.From <= n && n <= g.bounds.To
	case opNot:
		return !r.holds(&g.of[0], d)
	case opAnd, opOr:
		for i := range g.of {
			if r.holds(&g.of[i], d) == (g.op == opOr) {
				return g.op == opOr
			}
		}
		return g.op == opAnd
	}
	return false // opNever
}

// number returns what a document has in a field that ranges are of.
func (d *doc) number(field string) (n int64, ok bool) {
	switch field {
	case "size":
		return d.size, true
	case "modified":
		return d.modified, true
	}
	name, _ := query.Own(field)
	n, ok = d.own[name]
	return n, ok
}

func (r *ranking) matches(g *goal, d *doc) bool {
	for _, v := range g.match.Values {
		switch g.match.Field {
		case "ext":
			// The name of .profile has no extension.
			if n := len(d.path) - len(v) - 1; n > 0 && d.path[n] == '.' && d.path[n-1] != '/' && strings.EqualFold(d.path[n+1:], v) {
				return true
			}
		case "type":
			if strings.EqualFold(d.kind, v) {
				return true
			}
		case "folder":
			if d.folder != "" && r.named[v][d.folder] {
				return true
			}
		}
	}
	return false
}

// foldersNamed returns for each name of folders in a plan which ones are meant: by
// the ID, or by a label that has all words of the name.
func (x *Index) foldersNamed(p *plan) map[string]map[string]bool {
	named := make(map[string]map[string]bool)
	for i := range p.goals {
		p.goals[i].folderNames(func(name string) { named[name] = nil })
	}
	if len(named) == 0 {
		return named
	}
	labels := make(map[string]map[string]bool) // by folder: the words of its label
	for _, id := range x.Folders() {
		words := make(map[string]bool)
		if x.nameOf != nil {
			for t := range Tokens(x.nameOf(id)) {
				words[t.Term] = true
			}
		}
		labels[id] = words
	}
	for name := range named {
		meant := make(map[string]bool)
		for id, words := range labels {
			meant[id] = id == name || hasWords(words, name)
		}
		named[name] = meant
	}
	return named
}

func hasWords(words map[string]bool, name string) bool {
	n := 0
	for t := range Tokens(name) {
		if n++; !t.Whole && !words[t.Term] {
			return false
		}
	}
	return n > 0
}

func (g *goal) folderNames(each func(string)) {
	if g.op == opMatch && g.match.Field == "folder" {
		for _, v := range g.match.Values {
			each(v)
		}
	}
	for i := range g.of {
		g.of[i].folderNames(each)
	}
}
