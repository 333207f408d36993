package search

import (
	"cmp"
	"slices"
	"strings"
)

// merge makes one answer of the replies of all nodes, which it sorts. In which
// order they came does not matter.
//
// Some document with all words makes those without them uninteresting wherever
// they are: only replies with the least number of missing words count.
func merge(q Query, replies []reply) Answer {
	a := Answer{Query: q.Text, Hits: []Hit{}, Nodes: []NodeReport{}}
	slices.SortFunc(replies, func(a, b reply) int {
		return cmp.Or(compareBool(b.part.Local, a.part.Local), a.part.Node.Compare(b.part.Node))
	})
	a.Missing = leastMissing(replies)
	rest, by := 0, q.sorting()
	var end *reply // whose last hit is where the page must end
	for i := range replies {
		r := &replies[i]
		report := NodeReport{Node: r.part.Node, Name: r.part.Name, Took: r.part.Took, Err: r.part.Err}
		if r.part.Err == nil {
			a.NodesAnswered++
			a.Truncated = a.Truncated || r.Shortened
		} else {
			a.Partial = true
		}
		if r.part.Err == nil && r.part.Missing == a.Missing {
			report.Hits = r.Total
			a.Total += r.Total
			rest += r.Rest
			a.Hits = append(a.Hits, r.part.Hits...)
			if r.Cut && (end == nil || by.hits(r.lastHit(), end.lastHit()) < 0) {
				end = r
			}
		}
		a.Nodes = append(a.Nodes, report)
	}
	slices.SortFunc(a.Hits, by.hits)
	a.page(q, rest, end)
	if q.Facets && q.Cursor == "" {
		a.Facets = facets(replies, a.Missing)
	}
	a.Corrections = corrections(replies)
	return a
}

// page cuts the hits to what was asked for. Behind the last hit of a reply that
// was cut, hits of that node would be left out, so there the page ends, too.
func (a *Answer) page(q Query, rest int, end *reply) {
	n := min(len(a.Hits), q.Limit)
	if end != nil {
		last := end.lastHit()
		whole := slices.IndexFunc(a.Hits, func(h Hit) bool { return q.sorting().hits(h, last) > 0 })
		if whole >= 0 && whole < n {
			n, a.Truncated = whole, true
		}
		a.Truncated = a.Truncated || len(a.Hits) < q.Limit
	}
	a.Hits = a.Hits[:n]
	if n == 0 || n >= rest {
		return
	}
	h := a.Hits[n-1]
	a.Next = place{
		query: q.fingerprint(), node: h.Node,
		key: q.sorting().key(&h, a.Missing),
	}.String()
}

// lastHit returns the last hit of a reply that was cut, which has at least one.
func (r *reply) lastHit() Hit { return r.part.Hits[len(r.part.Hits)-1] }

// leastMissing returns the least number of missing words of those that found
// anything.
func leastMissing(replies []reply) int {
	least := -1
	for i := range replies {
		if r := &replies[i]; r.part.Err == nil && r.Total > 0 && (least < 0 || r.part.Missing < least) {
			least = r.part.Missing
		}
	}
	return max(least, 0)
}

// corrections returns what was assumed for words that no node has: the nearest
// word, rather a whole one than the beginning of one, of those the one in most
// documents. They are in the order in which the nodes tell them.
func corrections(replies []reply) []Correction {
	type proposal struct {
		Correction
		documents int
		prefix    bool
	}
	occurs := make(map[string]bool)
	proposals := make(map[string]map[string]*proposal) // by From and To
	order := []string{}
	for i := range replies {
		for _, w := range replies[i].Words {
			if w.To == "" {
				occurs[w.From] = true
				continue
			}
			if proposals[w.From] == nil {
				proposals[w.From] = make(map[string]*proposal)
				order = append(order, w.From)
			}
			p := proposals[w.From][w.To]
			if p == nil {
				p = &proposal{Correction: Correction{From: w.From, To: w.To, Distance: w.Distance}, prefix: w.Prefix}
				proposals[w.From][w.To] = p
			}
			p.documents += w.Documents
		}
	}
	found := []Correction{}
	for _, from := range order {
		// Two words that were taken for one may both occur elsewhere.
		if occurs[from] || !slices.ContainsFunc(strings.Fields(from), func(w string) bool { return !occurs[w] }) {
			continue
		}
		var best *proposal
		for _, p := range proposals[from] {
			if best == nil || cmp.Or(cmp.Compare(p.Distance, best.Distance), compareBool(p.prefix, best.prefix), cmp.Compare(best.documents, p.documents), strings.Compare(p.To, best.To)) < 0 {
				best = p
			}
		}
		found = append(found, best.Correction)
	}
	return found
}
