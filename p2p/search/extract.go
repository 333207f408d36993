package search

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	textunicode "golang.org/x/text/encoding/unicode"
)

// Extracted is what a file has to say.
type Extracted struct {
	Title     string // the first heading or title in the text, else the file's name
	Text      string // valid UTF-8; empty for what is not text
	Type      string // as TypeOf, corrected by what the content is
	Truncated bool   // the text goes on
	Binary    bool   // not text: found by its name only
	Problem   string // why something is missing; empty: nothing is
}

// sniffed is how much of a file is looked at to tell text from other things.
const sniffed = 8 << 10

// Extract reads the text of the file called name, at most limit bytes of r (0 or
// less: MaxText). The content cannot make it fail: of a file that is damaged or
// no text it returns what there is, and the Problem. The error is that of r.
//
// Nothing of r is read when the name promises no text. HTML is stripped of its
// tags and scripts. Text may be UTF-8, UTF-16 with a byte order mark, or else
// Windows-1252, of which Latin-1 is a part.
func Extract(name string, r io.Reader, limit int) (Extracted, error) {
	if limit <= 0 || limit > MaxText {
		limit = MaxText
	}
	e := Extracted{Type: TypeOf(name), Title: path.Base(name)}
	switch e.Type {
	case TypePDF, TypeDocument, TypeImage, TypeAudio, TypeVideo, TypeArchive:
		e.Binary = true
		return e, nil
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return e, fmt.Errorf("search: extract %s: after %d bytes: %w", name, len(b), err)
	}
	if len(b) > limit {
		b, e.Truncated = b[:limit], true
	}
	text, ok := decode(b, e.Truncated)
	if !ok {
		e.binary(b)
		return e, nil
	}
	if e.Type == TypeOther {
		e.Type = TypeText
	}
	e.read(text)
	return e, nil
}

// binary notes that the content is no text; its first bytes may say what it is.
func (e *Extracted) binary(b []byte) {
	if e.Type != TypeOther {
		e.Problem = "not text, in spite of its name"
	}
	e.Type, e.Binary, e.Truncated = magic(b), true, false
}

// read takes title and text out of decoded text.
func (e *Extracted) read(text string) {
	title := ""
	switch e.Type {
	case TypeHTML:
		var err error
		if title, text, err = stripHTML(text); err != nil {
			e.Problem = fmt.Sprintf("not all of the page could be read: %v", err)
		}
	case TypeMarkdown:
		title = heading(text)
	}
	if len(text) > MaxText {
		text, e.Truncated = cutBytes(text, MaxText), true
	}
	e.Text = text
	if title = cutRunes(oneLine(title), MaxTitle); title != "" {
		e.Title = title
	}
}

// magic tells a type by the signature of the file format.
func magic(b []byte) string {
	for _, m := range []struct{ begin, kind string }{
		{"%PDF-", TypePDF},
		{"\x89PNG\r\n", TypeImage},
		{"\xff\xd8\xff", TypeImage},
		{"GIF8", TypeImage},
		{"PK\x03\x04", TypeArchive},
		{"\x1f\x8b", TypeArchive},
		{"7z\xbc\xaf", TypeArchive},
		{"BZh", TypeArchive},
		{"\xfd7zXZ", TypeArchive},
		{"\x28\xb5\x2f\xfd", TypeArchive},
		{"Rar!", TypeArchive},
		{"OggS", TypeAudio},
		{"fLaC", TypeAudio},
		{"ID3", TypeAudio},
		{"\x1aE\xdf\xa3", TypeVideo},
	} {
		if bytes.HasPrefix(b, []byte(m.begin)) {
			return m.kind
		}
	}
	if len(b) > 12 && string(b[4:8]) == "ftyp" {
		return TypeVideo
	}
	return TypeOther
}

// decode returns b as UTF-8; false if it is no text. With cut, the end of b may
// be half a character.
func decode(b []byte, cut bool) (string, bool) {
	if t, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok {
		return clean(t, cut), true
	}
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
		utf16 := textunicode.UTF16(textunicode.LittleEndian, textunicode.ExpectBOM)
		t, err := utf16.NewDecoder().Bytes(b[:len(b)&^1])
		return strings.ToValidUTF8(string(t), "\uFFFD"), err == nil && looksLikeText(t)
	}
	if !looksLikeText(b) {
		return "", false
	}
	if valid, invalid := sequences(b, cut); invalid <= valid/4 {
		return clean(b, cut), true
	}
	t, err := charmap.Windows1252.NewDecoder().Bytes(b)
	return string(t), err == nil
}

// clean returns b without half a character at the end and with replacements for
// what is not UTF-8.
func clean(b []byte, cut bool) string {
	if cut {
		b = b[:len(b)-partial(b)]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// partial returns how many bytes at the end of b begin a character that is not
// complete.
func partial(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// sequences counts characters of several bytes that are UTF-8 and bytes that are
// not.
func sequences(b []byte, cut bool) (valid, invalid int) {
	if cut {
		b = b[:len(b)-partial(b)]
	}
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			invalid++
		} else {
			valid++
		}
		i += n
	}
	return valid, invalid
}

// looksLikeText reports whether the beginning of b has no NUL and next to no
// other characters that text has not.
func looksLikeText(b []byte) bool {
	b = b[:min(len(b), sniffed)]
	odd := 0
	for _, c := range b {
		switch {
		case c == 0:
			return false
		case c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\v' && c != '\b' && c != 0x1b, c == 0x7f:
			odd++
		}
	}
	return odd*50 <= len(b)
}

// heading returns the title of a Markdown text: of its front matter, else the
// first heading of any level, in either style.
func heading(text string) string {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	before, fenced := "", false
	front := strings.HasPrefix(text, "---\n") || strings.HasPrefix(text, "---\r\n")
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if n++; n > 1000 {
			break
		}
		if front {
			if title, ok := strings.CutPrefix(line, "title:"); ok && n > 1 {
				return strings.Trim(strings.TrimSpace(title), `"'`)
			}
			front = n == 1 || line != "---"
			continue
		}
		if strings.HasPrefix(line, "```") || strings.HasPrefix(line, "~~~") {
			fenced, before = !fenced, ""
			continue
		}
		if title := headingLine(line, before); !fenced && title != "" {
			return title
		}
		before = line
	}
	return ""
}

// headingLine returns the heading that ends with line, if one does.
func headingLine(line, before string) string {
	if marks := len(line) - len(strings.TrimLeft(line, "#")); marks > 0 && marks <= 6 && len(line) > marks && (line[marks] == ' ' || line[marks] == '\t') {
		return strings.TrimSpace(strings.TrimRight(strings.TrimSpace(line[marks:]), "#"))
	}
	if before != "" && len(line) >= 3 && (strings.Trim(line, "=") == "" || strings.Trim(line, "-") == "") && !strings.HasPrefix(before, "- ") {
		return before
	}
	return ""
}
