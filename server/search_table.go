package server

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/query"
	"github.com/shoal-p2p/shoal/server/api"
)

// viaTable is the scope of a search in the table: nobody who has documents is asked.
const viaTable = search.Scope("dht")

// errTableQuery: a query that the table cannot answer.
var errTableQuery = errors.New("the table finds whole words, all of them or (with OR) any, ranges of size, modified and numbers in fields, and conditions of these and of ext, type and node")

// tableCursor begins a cursor; what follows is how many hits came before.
const tableCursor = "dht-"

// planAuto lets the table choose: the words, and where there are none the prefix hash tree.
const planAuto = "auto"

// searchTable answers a search from the table, as far as it can.
func (a *nodeAPI) searchTable(ctx context.Context, q question) (api.SearchAnswer, error) {
	began := time.Now()
	words, between, conditions, err := tablePlan(q)
	if err != nil {
		return api.SearchAnswer{}, err
	}
	skip := 0
	if q.Cursor != "" {
		text, is := strings.CutPrefix(q.Cursor, tableCursor)
		if skip, err = strconv.Atoi(text); !is || err != nil || skip < 0 {
			return api.SearchAnswer{}, fmt.Errorf("cursor %.40q: %w", q.Cursor, search.ErrCursor)
		}
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return api.SearchAnswer{}, err
	}
	defer leave()
	var found keyword.Answer
	var tree ranges.Answer
	if between != nil {
		if tree, err = a.node.Words().Between(ctx, *between); err != nil {
			return api.SearchAnswer{}, err
		}
		found = keyword.Answer{Hits: treeHits(tree), Total: len(tree.Entries), Truncated: tree.Next != nil, Partial: tree.Partial, Trace: tree.Trace}
	}
	var ofWords keyword.Answer
	if len(words.Terms) > 0 {
		if ofWords, err = a.node.Words().Search(ctx, words); err != nil {
			return api.SearchAnswer{}, err
		}
		found = both(ofWords, found, between != nil)
	}
	ranked := a.wordsAnswer(q.Text, words.Any, ranges.MaxLimit, found)
	ranked.Hits = slices.DeleteFunc(ranked.Hits, func(h api.WordsHit) bool {
		return slices.ContainsFunc(conditions, func(c query.Expr) bool { return !meets(c, h) })
	})
	if len(words.Terms) == 0 && cmp.Or(q.Sort, search.SortRelevance) == search.SortRelevance {
		q.Sort = search.SortModified // as members do where nothing is ranked
	}
	sortHits(ranked.Hits, q.Query)
	out := api.SearchAnswer{
		Query: q.Text, Corrections: []api.Correction{}, Hits: []api.Hit{}, Total: len(ranked.Hits), Truncated: ranked.Truncated,
		Partial: ranked.Partial, Nodes: []api.NodeAnswer{},
	}
	out.NodesAsked, out.NodesAnswered = askedIn(ranked.Trace)
	limit := cmp.Or(q.Limit, search.DefaultLimit)
	rest := ranked.Hits[min(skip, len(ranked.Hits)):]
	if len(rest) > limit {
		rest = rest[:limit]
		out.Next = new(tableCursor + strconv.Itoa(skip+limit))
	}
	for _, h := range rest {
		out.Hits = append(out.Hits, api.Hit{
			Id: h.Id, Title: h.Title, Folder: h.Folder, Path: h.Path, Node: h.Node, NodeName: h.NodeName, Local: h.Local, Type: h.Type,
			Size: h.Size, Modified: h.Modified, Score: h.Score, Distance: away(h.Terms, found.Terms), Snippet: api.Snippet{Marks: [][]int{}},
		})
	}
	for _, t := range found.Terms {
		if len(t.Similar) > 0 && !slices.ContainsFunc(ranked.Hits, func(h api.WordsHit) bool { return slices.Contains(h.Terms, t.Word) }) {
			out.Corrections = append(out.Corrections, api.Correction{From: t.Word, To: t.Similar[0].Word, Distance: t.Similar[0].Distance})
		}
	}
	if q.Explain {
		if out.Trace, err = traceOf(tableSteps(ofWords, between, tree)); err != nil {
			return out, err
		}
		out.Range, out.Table = conditionOf(q.Query), a.tableOf(words, ofWords, between, tree)
	}
	took := time.Since(began)
	a.metrics.searched(took)
	out.TookMs = milliseconds(took)
	return out, nil
}

// tablePlan decides what the table is asked: for words, or for a range, or for both; and what
// must hold of what it has.
func tablePlan(q question) (words keyword.Query, between *keyword.Between, conditions []query.Expr, err error) {
	if words, conditions, err = tableQuery(q.Query); err != nil {
		return words, nil, nil, err
	}
	ranged, is := betweenOf(conditions)
	tree := keyword.Tree(q.plan)
	switch {
	case slices.Contains(keyword.Trees[:], tree):
		if !is {
			return words, nil, nil, fmt.Errorf("plan %s: there is no range of numbers that all must be in: %w", q.plan, errTableQuery)
		}
		ranged.Tree = tree
		between = &ranged
	case len(words.Terms) > 0:
		if q.plan != planAuto {
			words.Plan = keyword.Plan(q.plan)
		}
	case is:
		between = &ranged
	default:
		return words, nil, nil, fmt.Errorf("query %.40q: %w", q.Text, search.ErrEmpty)
	}
	return words, between, conditions, nil
}

// treeHits are what a range has, as hits.
func treeHits(a ranges.Answer) []keyword.Hit {
	out := make([]keyword.Hit, len(a.Entries))
	for i, e := range a.Entries {
		out[i] = keyword.Hit{Place: e.Place, Value: e.Value, Author: e.Author}
	}
	return out
}

// both returns what the words have found, of that only what the range has too, if it was asked. A
// document has another place in each, and the same note.
func both(words, tree keyword.Answer, asked bool) keyword.Answer {
	if !asked {
		return words
	}
	type note struct {
		author p2p.ID
		value  string
	}
	has := map[note]bool{}
	for _, h := range tree.Hits {
		has[note{h.Author, string(h.Value)}] = true
	}
	words.Hits = slices.DeleteFunc(words.Hits, func(h keyword.Hit) bool { return !has[note{h.Author, string(h.Value)}] })
	words.Total = len(words.Hits)
	words.Truncated, words.Partial = words.Truncated || tree.Truncated, words.Partial || tree.Partial
	words.Trace.Add(tree.Trace)
	return words
}

// tableSteps are the steps of what the table was asked, as events of an answer's trace.
func tableSteps(words keyword.Answer, between *keyword.Between, tree ranges.Answer) []p2p.Event {
	var events []p2p.Event
	if between != nil {
		events = append(events, tableStep{
			Plan: keyword.Plan(between.Tree), What: "documents by " + between.Field, Keys: len(tree.Segments), Rounds: tree.Trace.Rounds,
			Messages: tree.Trace.Messages, Bytes: tree.Trace.Bytes, Entries: len(tree.Entries),
		})
	}
	for _, s := range words.Steps {
		events = append(events, tableStep{Plan: words.Plan, What: s.What, Keys: s.Keys, Rounds: s.Rounds, Messages: s.Messages, Bytes: s.Bytes, Entries: s.Got})
	}
	return events
}

// tableOf is what the table was asked, and what it had, in full.
func (a *nodeAPI) tableOf(words keyword.Query, found keyword.Answer, between *keyword.Between, tree ranges.Answer) *api.SearchTable {
	out := new(api.SearchTable)
	if len(words.Terms) > 0 {
		out.Words = new(a.wordsAnswer(strings.Join(words.Terms, " "), words.Any, maxDrawn, found))
	}
	if between == nil {
		return out
	}
	names := a.memberNames()
	via := api.RangeVia(between.Tree)
	out.Index = &api.RangeIndex{Name: between.Field, Bits: keyword.NumberBits, Capacity: keyword.NumberCapacity, Via: []api.RangeVia{via}}
	if between.Tree == keyword.TreeDST {
		out.Index.LeafBits = keyword.LeafBits
	}
	r := apiRange(*between)
	out.Tree = &api.RangeAnswer{
		Name: between.Field, Via: via, Bits: keyword.NumberBits, From: r.From, To: r.To, Partial: tree.Partial,
		Segments: segmentsAsked(keyword.NumberBits, tree.Segments), Trace: apiTrace(tree.Trace, names), Items: []api.RangeFound{},
	}
	for _, e := range tree.Entries {
		if len(out.Tree.Items) == maxDrawn {
			out.Tree.Next = new(hex.EncodeToString(e.Place[:]))
			break
		}
		note, err := publish.ReadNote(e.Value)
		if err != nil || note.Node != e.Author.String() {
			continue
		}
		out.Tree.Items = append(out.Tree.Items, api.RangeFound{
			Key: int64(e.Key), Entry: hex.EncodeToString(e.Place[:]), Author: note.Node, AuthorName: nameIn(names, e.Author),
			Value: new(cmp.Or(note.Title, path.Base(note.Path))),
		})
	}
	return out
}

// maxDrawn is how many documents stand in an explanation: an answer has the others.
const maxDrawn = 200

// tableStep is a step of a plan, as an event of an answer's trace.
type tableStep struct {
	Plan     keyword.Plan `json:"plan"`
	What     string       `json:"what"`
	Keys     int          `json:"keys"`
	Rounds   int          `json:"rounds"`
	Messages int          `json:"messages"`
	Bytes    int          `json:"bytes"`
	Entries  int          `json:"entries"`
}

// Topic implements p2p.Event.
func (tableStep) Topic() string { return "search.table" }

// tableQuery takes a query apart: the words that are looked for, and what must hold besides.
func tableQuery(q search.Query) (words keyword.Query, conditions []query.Expr, err error) {
	if q.Facets {
		return words, nil, fmt.Errorf("facets: %w", errTableQuery)
	}
	words = keyword.Query{Limit: ranges.MaxLimit, Similar: min(q.Fuzz, keyword.MaxSimilar)}
	if q.Fuzz == search.Auto {
		words.Similar = keyword.MaxSimilar
	}
	take := func(e query.Expr) error {
		w, ok := e.(query.Word)
		if !ok || w.Prefix || w.Field != "" {
			return fmt.Errorf("%s: %w", e, errTableQuery)
		}
		for t := range search.Tokens(w.Text) {
			if !t.Whole && !slices.Contains(words.Terms, t.Term) {
				words.Terms = append(words.Terms, t.Term)
			}
		}
		return nil
	}
	for _, text := range []string{q.Text, q.Filter} {
		e, err := query.Parse(text)
		if err != nil {
			return words, nil, err
		}
		var all []query.Expr
		switch e := e.(type) {
		case nil:
		case query.And:
			all = e
		case query.Or:
			words.Any = true
			for _, one := range e {
				if err := take(one); err != nil {
					return words, nil, err
				}
			}
		default:
			all = []query.Expr{e}
		}
		for _, one := range all {
			if isCondition(one) {
				conditions = append(conditions, one)
			} else if err := take(one); err != nil {
				return words, nil, err
			}
		}
	}
	return words, conditions, nil
}

// isCondition reports whether the note of a document says whether e holds.
func isCondition(e query.Expr) bool {
	switch e := e.(type) {
	case query.Not:
		return isCondition(e.Of)
	case query.Match:
		return e.Field == "ext" || e.Field == "type" || e.Field == "node"
	case query.Range:
		return true
	}
	return false
}

// meets reports whether a condition holds for a hit.
func meets(e query.Expr, h api.WordsHit) bool {
	switch e := e.(type) {
	case query.Not:
		return !meets(e.Of, h)
	case query.Range:
		n := h.Size
		if name, own := query.Own(e.Field); own {
			v, has := valueOf(h.Fields)[name]
			if n = query.Order(v); !has {
				return false
			}
		} else if e.Field == "modified" {
			n = h.Modified.UnixNano()
		}
		return n >= e.From && n <= e.To
	case query.Match:
		has := []string{h.Type}
		switch e.Field {
		case "ext":
			has = []string{strings.TrimPrefix(path.Ext(h.Path), ".")}
		case "node":
			has = []string{h.NodeName, h.Node}
		}
		return slices.ContainsFunc(e.Values, func(v string) bool {
			return slices.ContainsFunc(has, func(one string) bool { return strings.EqualFold(one, v) })
		})
	}
	return false
}

// sortHits orders hits in another way than by rank, if that is asked for.
func sortHits(hits []api.WordsHit, q search.Query) {
	var compare func(a, b api.WordsHit) int
	descending := true
	switch q.Sort {
	case search.SortModified:
		compare = func(a, b api.WordsHit) int { return a.Modified.Compare(b.Modified) }
	case search.SortSize:
		compare = func(a, b api.WordsHit) int { return cmp.Compare(a.Size, b.Size) }
	case search.SortName:
		compare = func(a, b api.WordsHit) int { return strings.Compare(path.Base(a.Path), path.Base(b.Path)) }
		descending = false
	default:
		return
	}
	if q.Order != "" {
		descending = q.Order == search.Descending
	}
	slices.SortStableFunc(hits, func(a, b api.WordsHit) int {
		if descending {
			return compare(b, a)
		}
		return compare(a, b)
	})
}

// away is how many edits the words of a hit are from those that were typed.
func away(has []string, terms []keyword.Term) (edits int) {
	for _, t := range terms {
		if slices.Contains(has, t.Word) {
			continue
		}
		for _, s := range t.Similar { // the nearest first
			if slices.Contains(has, s.Word) {
				edits += s.Distance
				break
			}
		}
	}
	return edits
}

// askedIn returns how many members were asked, and how many of them answered.
func askedIn(t api.DhtTrace) (asked, answered int) {
	all := map[string]bool{}
	for _, s := range t.Steps {
		all[s.To] = all[s.To] || !valueOf(s.Failed)
	}
	for _, ok := range all {
		if ok {
			answered++
		}
	}
	return len(all), answered
}
