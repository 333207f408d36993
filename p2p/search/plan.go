package search

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/search/query"
)

// plan is a query as an index evaluates it: words that a document should have, and
// goals that it must meet. Only of the words some may be missing where no document
// has all of them.
type plan struct {
	units   []unit
	seen    map[string]int // places in units, by key
	words   []int          // units that should occur, as they were typed
	goals   []goal         // that must be met
	answers []bool         // of the conditions on nodes, in their order
	nodes   int            // conditions on nodes so far
}

// goal is a part of a query that a document meets or not.
type goal struct {
	op     op
	unit   int         // of opUnit
	phrase phrase      // of opPhrase
	match  query.Match // of opMatch: ext, type or folder
	bounds query.Range // of opRange
	of     []goal      // of opNot (one), opAnd, opOr
}

type op int

const (
	opUnit op = iota
	opPhrase
	opMatch
	opRange
	opNever
	opNot
	opAnd
	opOr
)

// expressions parses a query's text and what is to hold besides. The error may be
// a *query.Error. Errors: ErrTooLong.
func expressions(text, filter string) (wanted, besides query.Expr, err error) {
	for _, s := range []string{text, filter} {
		if n := utf8.RuneCountInString(s); n > MaxQuery {
			return nil, nil, fmt.Errorf("search: query of %d characters, at most %d: %w", n, MaxQuery, ErrTooLong)
		}
	}
	if wanted, err = query.Parse(text); err != nil {
		return nil, nil, fmt.Errorf("search: %w", err)
	}
	if besides, err = query.Parse(filter); err != nil {
		return nil, nil, &FilterError{err}
	}
	return wanted, besides, nil
}

// FilterError is about Query.Filter, and not about its text.
type FilterError struct{ err error }

func (e *FilterError) Error() string { return "search: filter: " + e.err.Error() }
func (e *FilterError) Unwrap() error { return e.err }

// errNodes: a request does not say how its conditions on nodes come out.
var errNodes = errors.New("conditions on nodes without their answers")

// newPlan returns the plan of a query for a node, for which answers are those of the
// conditions on nodes. Errors: ErrEmpty, and as expressions.
func newPlan(text, filter string, answers []bool) (*plan, error) {
	wanted, besides, err := expressions(text, filter)
	if err != nil {
		return nil, err
	}
	p := &plan{seen: make(map[string]int), answers: answers}
	var words []unit
	var conditions []query.Expr
	for _, e := range conjuncts(wanted) {
		if w, ok := e.(query.Word); ok && w.Field == "" && !w.Prefix {
			words = append(words, unitsOf(w.Text)...)
		} else {
			conditions = append(conditions, e)
		}
	}
	p.wordsOf(words)
	for _, e := range append(conditions, conjuncts(besides)...) {
		p.must(e)
	}
	if p.nodes != len(answers) {
		return nil, fmt.Errorf("search: %w", errNodes)
	}
	if len(p.words) == 0 && len(p.goals) == 0 {
		return nil, fmt.Errorf("search: query %.40q: %w", text, ErrEmpty)
	}
	p.unfinished(wanted)
	return p, nil
}

// conjuncts returns what all must hold.
func conjuncts(e query.Expr) []query.Expr {
	switch e := e.(type) {
	case nil:
		return nil
	case query.And:
		return e
	}
	return []query.Expr{e}
}

// wordsOf adds words that should occur, of equal ones the last.
func (p *plan) wordsOf(units []unit) {
	last := make(map[string]int)
	for i, u := range units {
		last[u.key()] = i
	}
	for i, u := range units {
		if last[u.key()] == i {
			p.words = append(p.words, p.add(u))
		}
	}
}

// add returns the place of a unit in units.
func (p *plan) add(u unit) int {
	key := u.key()
	if i, ok := p.seen[key]; ok {
		return i
	}
	p.seen[key] = len(p.units)
	p.units = append(p.units, u)
	return len(p.units) - 1
}

// unfinished marks the last of the words that may be mistyped: what people type
// finds something before they have written it to its end.
func (p *plan) unfinished(wanted query.Expr) {
	var last query.Expr
	query.Walk(wanted, func(e query.Expr) bool {
		w, ok := e.(query.Word)
		if ok && !w.Prefix && len(unitsOf(w.Text)) > 0 {
			last = e
		}
		_, negated := e.(query.Not)
		return !negated
	})
	if last == nil {
		return
	}
	all := unitsOf(last.(query.Word).Text)
	u := all[len(all)-1]
	u.in = placeOf(last.(query.Word).Field)
	if i, ok := p.seen[u.key()]; ok {
		p.units[i].last = true
	}
}

// must adds what must be met; nothing if there is no word in it.
func (p *plan) must(e query.Expr) {
	if g, ok := p.goal(e, false); ok {
		p.goals = append(p.goals, g)
	}
}

// goal returns e as a goal, if there is anything in it. What is in a negation is
// meant as it is written.
func (p *plan) goal(e query.Expr, negated bool) (goal, bool) {
	switch e := e.(type) {
	case query.Word:
		return p.wordGoal(e, negated)
	case query.Phrase:
		return p.phraseGoal(e, negated)
	case query.Match:
		return p.matchGoal(e)
	case query.Range:
		return goal{op: opRange, bounds: e}, true
	case query.Not:
		g, ok := p.goal(e.Of, true)
		return goal{op: opNot, of: []goal{g}}, ok
	case query.And:
		return p.goalOf(opAnd, e, negated)
	case query.Or:
		return p.goalOf(opOr, e, negated)
	}
	return goal{}, false
}

func (p *plan) goalOf(o op, all []query.Expr, negated bool) (goal, bool) {
	var of []goal
	for _, e := range all {
		if g, ok := p.goal(e, negated); ok {
			of = append(of, g)
		}
	}
	return oneOf(o, of)
}

// oneOf returns what joins goals, if there are any.
func oneOf(o op, of []goal) (goal, bool) {
	switch len(of) {
	case 0:
		return goal{}, false
	case 1:
		return of[0], true
	}
	return goal{op: o, of: of}, true
}

func (p *plan) wordGoal(w query.Word, negated bool) (goal, bool) {
	var of []goal
	units := unitsOf(w.Text)
	for i, u := range units {
		u.exact, u.quiet, u.in = negated || w.Prefix, negated, placeOf(w.Field)
		u.last = w.Prefix && i == len(units)-1
		of = append(of, goal{op: opUnit, unit: p.add(u)})
	}
	return oneOf(opAnd, of)
}

func (p *plan) phraseGoal(e query.Phrase, negated bool) (goal, bool) {
	ph := newPhrase(e.Text, placeOf(e.Field))
	if len(ph.parts) == 0 {
		return goal{}, false
	}
	if len(ph.parts) == 1 {
		u := unit{typed: e.Text, parts: ph.parts, exact: true, quiet: negated, in: ph.in}
		return goal{op: opUnit, unit: p.add(u)}, true
	}
	ph.quiet = negated
	return goal{op: opPhrase, phrase: ph}, true
}

func (p *plan) matchGoal(e query.Match) (goal, bool) {
	if e.Field != "node" {
		return goal{op: opMatch, match: e}, true
	}
	p.nodes++
	if p.nodes > len(p.answers) || !p.answers[p.nodes-1] {
		return goal{op: opNever}, true
	}
	return goal{op: opNot, of: []goal{{op: opNever}}}, true
}

// ranks reports whether there is anything by which documents are more or less relevant.
func (p *plan) ranks() bool {
	positive, _ := split(p.goals)
	return len(p.words)+len(positive) > 0
}

// hopeless reports whether nothing can meet the goals, whatever there is: then a
// node need not be asked.
func (p *plan) hopeless() bool {
	for i := range p.goals {
		if known, met := p.goals[i].settled(); known && !met {
			return true
		}
	}
	return false
}

// settled reports whether it is known without a look at a document that a goal is
// met, or not.
func (g *goal) settled() (known, met bool) {
	switch g.op {
	case opNever:
		return true, false
	case opNot:
		known, met = g.of[0].settled()
		return known, !met
	case opAnd, opOr:
		// One part that is not met settles an And, one that is met an Or.
		all := true
		for i := range g.of {
			known, met := g.of[i].settled()
			if known && met == (g.op == opOr) {
				return true, met
			}
			all = all && known
		}
		return all, g.op == opAnd
	}
	return false, false
}

// phrases yields the phrases that are wanted.
func (p *plan) phrases(yield func(phrase) bool) {
	for i := range p.goals {
		if !p.goals[i].phrases(yield) {
			return
		}
	}
}

func (g *goal) phrases(yield func(phrase) bool) bool {
	if g.op == opPhrase && !g.phrase.quiet {
		return yield(g.phrase)
	}
	for i := range g.of {
		if !g.of[i].phrases(yield) {
			return false
		}
	}
	return true
}

// placeOf returns where the words of a field are; 0: anywhere.
func placeOf(field string) uint32 {
	switch field {
	case "name":
		return inName
	case "title":
		return inTitle
	}
	return 0
}

// nodeQuestions returns the conditions on nodes of a query, in the order in which a
// plan comes by them.
func nodeQuestions(wanted, besides query.Expr) []query.Match {
	var found []query.Match
	for _, e := range []query.Expr{wanted, besides} {
		query.Walk(e, func(e query.Expr) bool {
			if m, ok := e.(query.Match); ok && m.Field == "node" {
				found = append(found, m)
			}
			return true
		})
	}
	return found
}
