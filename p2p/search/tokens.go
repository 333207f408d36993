package search

import (
	"iter"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/words"
)

// MaxToken is the number of code points of a token; longer words are cut, in
// documents and queries alike.
const MaxToken = 64

// maxParts is the number of words that are also indexed as one. A longer chain
// of words, such as a host name with many labels, is only its parts.
const maxParts = 8

// Token is a word of a text in the form in which words are compared.
type Token struct {
	Term     string // folded: see Fold
	Position int    // counts words; the whole of a compound has that of its first part
	Start    int    // bytes of the text: [Start, End)
	End      int
	Whole    bool // all parts of a compound written together
}

// Tokens yields the words of text by the rules of Unicode (UAX #29), folded.
//
// What people write in several ways is found in all of them: a compound, which
// is words joined by one of "-", "_", ".", "'", or by a change of case, as in
// report-2024.final.pdf, snake_case or getUserName, gives its parts and then the
// whole without what joins them (report2024finalpdf).
func Tokens(text string) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		s := scanner{text: text}
		s.scan(func(t token) bool {
			return yield(Token{Term: string(t.term), Position: t.position, Start: t.start, End: t.end, Whole: t.whole})
		})
	}
}

// token is a Token whose term is valid until the next one.
type token struct {
	term       []byte
	position   int
	start, end int
	whole      bool
}

// span is a part of a compound: a run of letters and digits.
type span struct{ start, end int }

// scanner finds the tokens of one text.
type scanner struct {
	text     string
	each     func(token) bool
	folder   folder
	parts    []span // of the compound being read
	position int
	whole    []byte
	stopped  bool
}

// scan calls each with every token until it returns false.
//
// White space always separates words, so text is cut there first: a piece of
// plain ASCII needs none of the Unicode rules.
func (s *scanner) scan(each func(token) bool) {
	s.each = each
	for i := 0; i < len(s.text) && !s.stopped; {
		start, ascii := i, true
		for i < len(s.text) && s.text[i] > ' ' {
			ascii = ascii && s.text[i] < utf8.RuneSelf
			i++
		}
		switch {
		case start == i:
			i++
		case ascii:
			s.plain(start, i)
		default:
			s.unicode(start, i)
		}
	}
}

// plain reads the ASCII piece [start, end).
func (s *scanner) plain(start, end int) {
	for i := start; i < end && !s.stopped; {
		if !isPlain(s.text[i]) {
			i++
			continue
		}
		from, capitals := i, 0
		for i < end && isPlain(s.text[i]) {
			if s.text[i] <= 'Z' && s.text[i] >= 'A' && i > from {
				capitals++
			}
			i++
		}
		alone := i == end || !isPlain(s.text[min(i+1, end-1)]) && s.text[i] != '_'
		if alone && capitals == 0 && len(s.parts) == 0 {
			// Most words: not part of a compound.
			s.tell(token{term: s.folder.fold(s.text[from:i]), position: s.position, start: from, end: i})
			s.position++
			continue
		}
		s.run(from, i)
	}
	s.flush()
}

// unicode reads the piece [start, end) of any characters. The rules decide where
// scripts without spaces have their words; inside of what they keep together,
// punctuation separates like everywhere else.
func (s *scanner) unicode(start, end int) {
	it := words.FromString(s.text[start:end])
	for it.Next() && !s.stopped {
		from := -1
		base := start + it.Start()
		for i, r := range it.Value() {
			switch {
			case isWord(r) || from >= 0 && isInner(r):
				if from < 0 {
					from = base + i
				}
			case from >= 0:
				s.run(from, base+i)
				from = -1
			}
		}
		if from >= 0 {
			s.run(from, start+it.End())
		}
	}
	s.flush()
}

// run adds the letters and digits of [start, end) to the compound, or begins the
// next compound.
func (s *scanner) run(start, end int) {
	if n := len(s.parts); n > 0 && !isJoint(s.text[s.parts[n-1].end:start]) {
		s.flush()
	}
	from := start
	var before, here rune // the two characters before i
	for i, r := range s.text[start:end] {
		// getUser: a capital behind a small letter. HTTPServer: the last of
		// several capitals, when a small letter follows.
		at := start + i
		if i > 0 && unicode.IsUpper(r) && unicode.IsLower(here) {
			s.parts = append(s.parts, span{from, at})
			from = at
		} else if i > 0 && unicode.IsLower(r) && unicode.IsUpper(here) && unicode.IsUpper(before) {
			cut := at - utf8.RuneLen(here)
			s.parts = append(s.parts, span{from, cut})
			from = cut
		}
		before, here = here, r
	}
	s.parts = append(s.parts, span{from, end})
}

// flush tells the compound.
func (s *scanner) flush() {
	first := s.position
	s.whole = s.whole[:0]
	for _, p := range s.parts {
		term := s.folder.fold(s.text[p.start:p.end])
		if len(term) == 0 {
			continue
		}
		s.whole = append(s.whole, term...)
		s.tell(token{term: term, position: s.position, start: p.start, end: p.end})
		s.position++
	}
	if n := s.position - first; n > 1 && n <= maxParts && utf8.RuneCount(s.whole) <= MaxToken {
		s.tell(token{term: s.whole, position: first, start: s.parts[0].start, end: s.parts[len(s.parts)-1].end, whole: true})
	}
	s.parts = s.parts[:0]
}

func (s *scanner) tell(t token) {
	if !s.stopped && !s.each(t) {
		s.stopped = true
	}
}

// isPlain reports whether c is an ASCII letter or digit.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isWord reports whether r can begin a word. Symbols such as emoji can.
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return isPlain(byte(r))
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.So, r) && r != utf8.RuneError
}

// isInner reports whether r belongs to the word it stands in: accents that are
// characters of their own, and invisible characters such as soft hyphens.
func isInner(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.IsMark(r) || unicode.Is(unicode.Cf, r))
}

// isJoint reports whether what stands between two words makes them a compound.
func isJoint(between string) bool {
	switch between {
	case "-", "_", ".", "'", "’", "‐", "‑", "__":
		return true
	}
	return false
}
