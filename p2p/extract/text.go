package extract

import (
	"bytes"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// Version is that of what this package can read and how: files of which
// something was missing are read again when it has grown.
const Version = 1

// Text is what a file has to say.
type Text struct {
	Title  string // the document's own, else its first heading, else the file's name
	Text   string // valid UTF-8; empty if there is none
	Type   string // as search.TypeOf, corrected by what the content is
	Reason Reason // why the text or a part of it is missing; empty: it is not
	Detail string // one line about that, for people
}

// Reason is why a file has no text, or not all of it.
type Reason string

// The reasons. Their values are part of the API.
const (
	Unsupported Reason = "unsupported"   // a document of a kind that cannot be read
	NoText      Reason = "no_text"       // nothing in it but pictures
	NotText     Reason = "not_text"      // binary data, in spite of its name
	Cut         Reason = "cut"           // longer than what is kept
	TooLarge    Reason = "too_large"     // it unpacks to more than is read
	Damaged     Reason = "damaged"       // it is not what its name promises, or only a part of it
	Encrypted   Reason = "encrypted"     // a password is needed
	TimedOut    Reason = "timed_out"     // reading it took too long
	OutOfMemory Reason = "out_of_memory" // reading it took too much memory
	Crashed     Reason = "crashed"       // reading it broke the child
	Unavailable Reason = "unavailable"   // there was no child to read it
)

// reasons are all there are.
var reasons = map[Reason]bool{
	"": true, Unsupported: true, NoText: true, NotText: true, Cut: true, TooLarge: true, Damaged: true,
	Encrypted: true, TimedOut: true, OutOfMemory: true, Crashed: true, Unavailable: true,
}

// types are those that a child may say a document is of.
var types = map[string]bool{search.TypePDF: true, search.TypeDocument: true, search.TypeArchive: true, search.TypeOther: true}

// maxDetail is how many bytes a Detail has.
const maxDetail = 200

// nameOnly is what is known of a file by its name.
func nameOnly(name string) Text {
	return Text{Type: search.TypeOf(name), Title: path.Base(name)}
}

// because notes why something is missing.
func (t *Text) because(why Reason, detail string) {
	t.Reason, t.Detail = why, oneLine(detail, maxDetail)
}

// oneLine returns s with single spaces for white space, without what cannot be
// seen, and at most n bytes of it.
func oneLine(s string, n int) string {
	if len(s) > 8*n {
		s = s[:8*n]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	return cut(strings.Join(strings.Fields(s), " "), n)
}

// cut returns at most n bytes of s, without half a code point at the end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// writer collects a text up to a limit.
type writer struct {
	b     []byte
	limit int
}

func (w *writer) full() bool { return len(w.b) > w.limit }

// text adds text as it is, without control characters.
func (w *writer) text(s []byte) {
	for _, c := range s {
		if c >= ' ' || c == '\n' || c == '\t' {
			w.b = append(w.b, c)
		} else if c == '\r' {
			w.b = append(w.b, ' ')
		}
	}
}

// line ends a line, if one has begun.
func (w *writer) line() {
	w.trim()
	if n := len(w.b); n > 0 && w.b[n-1] != '\n' {
		w.b = append(w.b, '\n')
	}
}

// paragraph ends a paragraph: an empty line follows.
func (w *writer) paragraph() {
	w.line()
	if n := len(w.b); n > 1 && w.b[n-2] != '\n' {
		w.b = append(w.b, '\n')
	}
}

// tab separates cells.
func (w *writer) tab() {
	if n := len(w.b); n > 0 && w.b[n-1] != '\n' {
		w.b = append(w.b, '\t')
	}
}

// trim takes away white space at the end of a line.
func (w *writer) trim() {
	for n := len(w.b); n > 0 && (w.b[n-1] == '\t' || w.b[n-1] == ' '); n-- {
		w.b = w.b[:n-1]
	}
}

// string returns the text, with at most one empty line at a time, and whether it
// goes on: who is full may not have been told all of it.
func (w *writer) string() (s string, goesOn bool) {
	tidy := make([]byte, 0, len(w.b))
	empty := 0
	for line := range bytes.Lines(w.b) {
		content := bytes.TrimRight(line, " \t\n")
		if len(content) == 0 {
			empty++
			continue
		}
		if empty > 0 && len(tidy) > 0 {
			tidy = append(tidy, '\n')
		}
		empty = 0
		tidy = append(append(tidy, content...), '\n')
	}
	s = strings.ToValidUTF8(string(bytes.TrimRight(tidy, "\n")), "\uFFFD")
	return cut(s, w.limit), w.full() || len(s) > w.limit
}
