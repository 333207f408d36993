package query

import (
	"slices"
	"strings"
	"unicode"
)

// kind is what a token is.
type kind int

const (
	end    kind = iota
	term        // a Word, Phrase, Match or Range
	open        // (
	closed      // )
	minus       // - before what it excludes
	and         // AND
	or          // OR
	not         // NOT
)

// token is a piece of a query that means something.
type token struct {
	kind       kind
	expr       Expr // of a term
	start, end int  // code points
}

// isCondition reports whether people write a token only when they know the language.
func (t token) isCondition() bool {
	switch e := t.expr.(type) {
	case Match, Range:
		return true
	case Word:
		return e.Field != "" || e.Prefix
	case Phrase:
		return e.Field != ""
	}
	return t.kind != term && t.kind != open && t.kind != closed
}

// lexer finds the tokens of a text.
type lexer struct {
	text   []rune
	at     int
	tokens []token
	// fresh: a term may begin here, so that signs mean something.
	fresh bool
	// opened are the parentheses that are not closed: places of open tokens, or
	// inText.
	opened []int
}

// inText is a parenthesis that is text, and whose partner is, too.
const inText = -1

// lex returns the tokens of text. Every open token has its closed one.
func lex(text string) ([]token, error) {
	l := lexer{text: []rune(text), fresh: true}
	for l.at < len(l.text) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	if err := l.unclosed(); err != nil {
		return nil, err
	}
	return l.tokens, nil
}

// unclosed takes parentheses that are not closed for text, unless people who
// write so mean what they write.
func (l *lexer) unclosed() error {
	last := len(l.tokens) - 1 // what shows that they do
	for last >= 0 && !l.tokens[last].isCondition() {
		last--
	}
	text := make(map[int]bool)
	for _, place := range slices.Backward(l.opened) {
		if place == inText {
			continue
		}
		if t := l.tokens[place]; place < last {
			return fail(l.text, t.start, t.end, "a ) that closes it")
		}
		text[place] = true
	}
	tokens := l.tokens
	l.tokens = nil
	for i, t := range tokens {
		if !text[i] {
			l.tokens = append(l.tokens, t)
		}
	}
	return nil
}

func (l *lexer) next() error {
	switch r := l.text[l.at]; {
	case isSpace(r):
		l.at++
		l.fresh = true
	case isQuote(r):
		l.quote()
	case r == '(':
		l.open()
	case r == ')':
		l.close()
	case r == '-' && l.fresh:
		l.minus()
	case r == '*':
		l.at++
		l.fresh = false
	default:
		return l.run()
	}
	return nil
}

func (l *lexer) add(k kind, e Expr, start int) {
	l.tokens = append(l.tokens, token{kind: k, expr: e, start: start, end: l.at})
}

// quoted returns the text in quotes that begin at the code point at, and the place
// behind them.
func (l *lexer) quoted(at int) (text string, after int, ok bool) {
	if at >= len(l.text) || !isQuote(l.text[at]) {
		return "", at, false
	}
	n := slices.IndexFunc(l.text[at+1:], isQuote)
	if n < 0 {
		return "", at, false
	}
	return string(l.text[at+1 : at+1+n]), at + n + 2, true
}

func (l *lexer) quote() {
	start := l.at
	text, after, ok := l.quoted(l.at)
	if !ok || !l.fresh {
		l.at++
		l.fresh = false
		return
	}
	l.at = after
	if strings.TrimSpace(text) != "" {
		l.add(term, Phrase{Text: text}, start)
	}
}

func (l *lexer) open() {
	l.at++
	if !l.fresh {
		l.opened = append(l.opened, inText)
		return
	}
	l.opened = append(l.opened, len(l.tokens))
	l.add(open, nil, l.at-1)
}

func (l *lexer) close() {
	l.at++
	last := len(l.opened) - 1
	if last < 0 {
		l.fresh = false
		return
	}
	if l.fresh = l.opened[last] != inText; l.fresh {
		l.add(closed, nil, l.at-1)
	}
	l.opened = l.opened[:last]
}

func (l *lexer) minus() {
	start := l.at
	for l.at < len(l.text) && l.text[l.at] == '-' {
		l.at++
	}
	if l.at > start+1 || l.at == len(l.text) || isSpace(l.text[l.at]) {
		l.fresh = false
		return
	}
	l.add(minus, nil, start)
}

// run reads what goes on to the next space or sign.
func (l *lexer) run() error {
	start := l.at
	after := l.bare(start)
	run := string(l.text[start:after])
	if l.fresh {
		if field, ok := fieldOf(run); ok {
			if done, err := l.field(start, field); done || err != nil {
				return err
			}
		}
		if k, ok := operators[run]; ok {
			l.at = after
			l.add(k, nil, start)
			l.fresh = false
			return nil
		}
	}
	l.at = after
	l.words(run, start, l.star())
	l.fresh = false
	return nil
}

var operators = map[string]kind{"AND": and, "OR": or, "NOT": not}

// bare returns where the run that begins at the code point at ends.
func (l *lexer) bare(at int) int {
	for at < len(l.text) && !isSpace(l.text[at]) && !isSeparator(l.text[at]) {
		at++
	}
	return at
}

// star reads the star of a prefix.
func (l *lexer) star() bool {
	at := l.at
	for at < len(l.text) && l.text[at] == '*' {
		at++
	}
	if at == l.at || at < len(l.text) && !isSpace(l.text[at]) && l.text[at] != ')' {
		return false
	}
	l.at = at
	return true
}

// words adds a run as text. What would mean something if it was written that way
// again is taken apart where no word is: at the colon, and before a minus.
func (l *lexer) words(run string, start int, prefix bool) {
	run = trim(run)
	if field, ok := fieldOf(run); ok {
		l.words(run[:len(field)], start, false)
		l.words(run[len(field)+1:], start, prefix)
		return
	}
	if _, ok := operators[run]; ok {
		run = strings.ToLower(run)
	}
	if run != "" {
		l.add(term, Word{Text: run, Prefix: prefix}, start)
	}
}

// trim returns a run without signs that are no part of a word.
func trim(run string) string { return strings.TrimLeft(strings.TrimRight(run, ":"), "-") }

func isSpace(r rune) bool { return r <= ' ' || unicode.IsSpace(r) }

// isQuote knows the quotes that telephones write.
func isQuote(r rune) bool { return r == '"' || r >= '\u201c' && r <= '\u201f' }

// isSeparator reports whether r ends a run.
func isSeparator(r rune) bool { return r == '(' || r == ')' || r == '*' || isQuote(r) }
