package query

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Expr is an expression: Word, Phrase, Match, Range, Not, And or Or.
type Expr interface {
	// String returns the expression in the language.
	String() string
	rank() int
}

// Word is text without white space, as it was typed: often one word, but how it
// is taken apart is not this package's business, and there may be none in it.
type Word struct {
	Text   string
	Prefix bool   // words that begin so
	Field  string // "name" or "title": only there; empty: anywhere
}

// Phrase is text whose words follow each other.
type Phrase struct {
	Text  string
	Field string // as of Word
}

// Match is a property that has one of several values: "ext", "type", "folder" or
// "node".
type Match struct {
	Field  string
	Values []string // at least one
}

// Range is a property that is a number from From to To, both included: "size" in
// bytes, "modified" in nanoseconds since 1970 UTC, or a document's own field (see Own)
// in the order of numbers (see Order).
type Range struct {
	Field    string
	From, To int64 // math.MinInt64, math.MaxInt64: no bound
}

// Not is what Of is not. Of is no Not.
type Not struct{ Of Expr }

// And is what all are, at least two, none of which is an And.
type And []Expr

// Or is what any is of at least two, none of which is an Or.
type Or []Expr

// How strongly expressions bind.
const (
	rankOr = iota
	rankAnd
	rankTerm
)

func (Word) rank() int   { return rankTerm }
func (Phrase) rank() int { return rankTerm }
func (Match) rank() int  { return rankTerm }
func (Range) rank() int  { return rankTerm }
func (Not) rank() int    { return rankTerm }
func (And) rank() int    { return rankAnd }
func (Or) rank() int     { return rankOr }

func (w Word) String() string {
	s := inField(w.Field) + w.Text
	if w.Prefix {
		s += "*"
	}
	return s
}

func (p Phrase) String() string { return inField(p.Field) + `"` + p.Text + `"` }

func inField(name string) string {
	if name == "" {
		return ""
	}
	return name + ":"
}

func (m Match) String() string {
	values := make([]string, len(m.Values))
	for i, v := range m.Values {
		values[i] = v
		if !isBare(v) {
			values[i] = `"` + v + `"`
		}
	}
	return m.Field + ":" + strings.Join(values, ",")
}

// isBare reports whether a value needs no quotes.
func isBare(v string) bool {
	return v != "" && !strings.ContainsFunc(v, func(r rune) bool { return isSpace(r) || isSeparator(r) || r == ',' })
}

func (r Range) String() string {
	low, high := "", ""
	if r.From != math.MinInt64 {
		low = r.bound(r.From)
	}
	if r.To != math.MaxInt64 {
		high = r.bound(r.To)
	}
	return r.Field + ":" + low + ".." + high
}

// instant is a time to the nanosecond. It is written with all nine digits, so that
// it is read as that nanosecond and not as a whole second.
const instant = "2006-01-02T15:04:05.000000000Z"

func (r Range) bound(n int64) string {
	if r.Field == "modified" {
		return time.Unix(0, n).UTC().Format(instant)
	}
	if _, is := Own(r.Field); is {
		return strings.ReplaceAll(strconv.FormatFloat(Number(n), 'g', -1, 64), "+", "")
	}
	return strconv.FormatInt(n, 10)
}

func (n Not) String() string { return "-" + within(n.Of, rankTerm) }

func (a And) String() string { return join(a, " ", rankTerm) }

func (o Or) String() string { return join(o, " OR ", rankAnd) }

func join(all []Expr, between string, least int) string {
	parts := make([]string, len(all))
	for i, e := range all {
		parts[i] = within(e, least)
	}
	return strings.Join(parts, between)
}

// within returns e in parentheses if it binds less than least.
func within(e Expr, least int) string {
	if e.rank() < least {
		return "(" + e.String() + ")"
	}
	return e.String()
}

// All returns what all of es are; nil ones are left out, and nil is returned for
// none.
func All(es ...Expr) Expr {
	var all And
	for _, e := range es {
		switch e := e.(type) {
		case nil:
		case And:
			all = append(all, e...)
		default:
			all = append(all, e)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

// Walk calls each with e and everything in it, in the order of the text, until it
// returns false for something: what is in that is left out.
func Walk(e Expr, each func(Expr) bool) {
	if e == nil || !each(e) {
		return
	}
	switch e := e.(type) {
	case Not:
		Walk(e.Of, each)
	case And:
		for _, of := range e {
			Walk(of, each)
		}
	case Or:
		for _, of := range e {
			Walk(of, each)
		}
	}
}
