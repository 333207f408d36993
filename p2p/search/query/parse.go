package query

import (
	"fmt"
	"strings"
)

// Limits of a query.
const (
	MaxDepth   = 32   // parentheses in parentheses
	MaxTerms   = 1024 // words, phrases and conditions
	MaxPhrases = 16
	MaxValues  = 64 // of all properties together
)

// Parse returns what text asks for; nil if there is nothing in it. The error is an
// *Error.
func Parse(text string) (Expr, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := parser{text: text, tokens: append(tokens, token{kind: end})}
	if err := p.count(); err != nil {
		return nil, err
	}
	return p.or(), nil
}

// parser reads tokens whose parentheses fit.
type parser struct {
	text   string
	tokens []token
	at     int
}

// count holds the tokens to the limits.
func (p *parser) count() error {
	depth, terms, phrases, values := 0, 0, 0, 0
	for _, t := range p.tokens {
		switch t.kind {
		case open:
			depth++
		case closed:
			depth--
		case term:
			terms++
		}
		switch e := t.expr.(type) {
		case Phrase:
			phrases++
		case Match:
			values += len(e.Values)
		}
		expected := ""
		switch {
		case depth > MaxDepth:
			expected = fmt.Sprintf("at most %d parentheses in each other", MaxDepth)
		case terms > MaxTerms:
			expected = fmt.Sprintf("at most %d words", MaxTerms)
		case phrases > MaxPhrases:
			expected = fmt.Sprintf("at most %d phrases", MaxPhrases)
		case values > MaxValues:
			expected = fmt.Sprintf("at most %d values", MaxValues)
		}
		if expected != "" {
			return fail([]rune(p.text), t.start, t.end, expected)
		}
	}
	return nil
}

func (p *parser) kind() kind { return p.tokens[p.at].kind }

// joins reports whether an operator has something behind it.
func (p *parser) joins() bool {
	switch p.tokens[p.at+1].kind {
	case term, open, minus, not:
		return true
	}
	return false
}

func (p *parser) or() Expr {
	var any Or
	for {
		switch e := p.and().(type) {
		case nil:
		case Or:
			any = append(any, e...)
		default:
			any = append(any, e)
		}
		if p.kind() != or {
			break
		}
		p.at++
	}
	switch len(any) {
	case 0:
		return nil
	case 1:
		return any[0]
	}
	return any
}

// and reads up to the end, a parenthesis that closes, or an OR that joins.
func (p *parser) and() Expr {
	var all []Expr
	for {
		switch p.kind() {
		case end, closed:
			return All(all...)
		case or:
			if len(all) > 0 && p.joins() {
				return All(all...)
			}
			all = append(all, p.asWord())
		case and:
			if len(all) > 0 && p.joins() {
				p.at++
				continue
			}
			all = append(all, p.asWord())
		default:
			if e := p.unary(); e != nil {
				all = append(all, e)
			}
		}
	}
}

// asWord reads an operator that joins nothing.
func (p *parser) asWord() Expr {
	t := p.tokens[p.at]
	p.at++
	return Word{Text: strings.ToLower(string([]rune(p.text)[t.start:t.end]))}
}

// unary reads a term or parentheses, and what negates them.
func (p *parser) unary() Expr {
	negated := false
	for p.kind() == minus || p.kind() == not {
		if !p.joins() {
			if p.kind() == not {
				return p.negate(p.asWord(), negated)
			}
			p.at++
			return nil
		}
		negated = !negated
		p.at++
	}
	t := p.tokens[p.at]
	p.at++
	if t.kind == term {
		return p.negate(t.expr, negated)
	}
	e := p.or() // open
	p.at++      // closed
	return p.negate(e, negated)
}

func (p *parser) negate(e Expr, negated bool) Expr {
	if e == nil || !negated {
		return e
	}
	if n, ok := e.(Not); ok {
		return n.Of
	}
	return Not{Of: e}
}
