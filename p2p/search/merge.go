package search

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/fastss"
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
			a.Total = r.Total + min(a.Total, math.MaxInt-r.Total) // an int may have 32 bits
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
		query: q.fingerprint(), node: h.Node, rarity: q.rarity,
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

// corrections returns what was assumed for words that no node has: of what the nodes
// propose the likeliest, as a node with all of their documents would rank it. They are in
// the order in which the nodes tell them.
func corrections(replies []reply) []Correction {
	occurs := make(map[string]bool)
	proposals := make(map[string][]fastss.Match) // by From
	order := []string{}
	for i := range replies {
		for _, w := range replies[i].Words {
			if w.To == "" {
				occurs[w.From] = true
				continue
			}
			all := proposals[w.From]
			if all == nil {
				order = append(order, w.From)
			}
			same := slices.IndexFunc(all, func(m fastss.Match) bool { return m.Word == w.To })
			if same < 0 {
				same = len(all)
				all = append(all, fastss.Match{Word: w.To, Number: uint32(same), Distance: w.Distance, Prefix: w.Prefix})
			}
			m := &all[same]
			m.Count += w.Documents
			if w.Distance < m.Distance || w.Distance == m.Distance && !w.Prefix {
				m.Distance, m.Prefix = w.Distance, w.Prefix
			}
			proposals[w.From] = all
		}
	}
	found := []Correction{}
	for _, from := range order {
		// Two words that were taken for one may both occur elsewhere.
		if occurs[from] || !slices.ContainsFunc(strings.Fields(from), func(w string) bool { return !occurs[w] }) {
			continue
		}
		all := proposals[from]
		fastss.Rank(Fold(from), all)
		found = append(found, Correction{From: from, To: all[0].Word, Distance: all[0].Distance})
	}
	return found
}
