package extract

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// sniffed is how much of a file is looked at to tell text from other things.
const sniffed = 8 << 10

// plain reads at most limit bytes of a text file: of any kind of text that needs
// no more than to be decoded, and HTML, of which the tags are left out. Its cost
// is linear in what is read. False: it is no text. The error is that of r.
func plain(name string, r io.Reader, limit int) (t Text, is bool, err error) {
	t = nameOnly(name)
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return t, false, fmt.Errorf("after %d bytes: %w", len(b), err)
	}
	goesOn := len(b) > limit
	if goesOn {
		b = b[:limit]
	}
	text, is := decode(b, goesOn, t.Type == search.TypeHTML || bytes.HasPrefix(b, []byte("<?xml")))
	if !is {
		t.binary(b)
		return t, false, nil
	}
	if t.Type == search.TypeOther {
		t.Type = search.TypeText
	}
	t.read(text)
	if goesOn || len(t.Text) > limit {
		t.Text = cut(t.Text, limit)
		t.because(Cut, fmt.Sprintf("the first %d bytes are kept", limit))
	}
	return t, true, nil
}

// binary notes that the content is no text; its first bytes may say what it is.
func (t *Text) binary(b []byte) {
	if t.Type != search.TypeOther {
		t.because(NotText, "binary data, in spite of its name")
	}
	t.Type = magic(b)
}

// read takes title and text out of decoded text.
func (t *Text) read(text string) {
	title := ""
	switch t.Type {
	case search.TypeHTML:
		var err error
		if title, text, err = stripHTML(text); err != nil {
			t.because(Damaged, fmt.Sprintf("not all of the page could be read: %v", err))
		}
	case search.TypeMarkdown:
		title = search.Heading(text)
	}
	t.Text = text
	if title = oneLine(title, 4*search.MaxTitle); title != "" {
		t.Title = title
	}
}

// magic tells a type by the signature of the file format.
func magic(b []byte) string {
	for _, m := range []struct{ begin, kind string }{
		{"%PDF-", search.TypePDF},
		{"\x89PNG\r\n", search.TypeImage},
		{"\xff\xd8\xff", search.TypeImage},
		{"GIF8", search.TypeImage},
		{"PK\x03\x04", search.TypeArchive},
		{"\x1f\x8b", search.TypeArchive},
		{"7z\xbc\xaf", search.TypeArchive},
		{"BZh", search.TypeArchive},
		{"\xfd7zXZ", search.TypeArchive},
		{"\x28\xb5\x2f\xfd", search.TypeArchive},
		{"Rar!", search.TypeArchive},
		{"OggS", search.TypeAudio},
		{"fLaC", search.TypeAudio},
		{"ID3", search.TypeAudio},
		{"\x1aE\xdf\xa3", search.TypeVideo},
	} {
		if bytes.HasPrefix(b, []byte(m.begin)) {
			return m.kind
		}
	}
	if len(b) > 12 && string(b[4:8]) == "ftyp" {
		return search.TypeVideo
	}
	return search.TypeOther
}

// clean returns b without half a character at the end and with replacements for
// what is not UTF-8.
func clean(b []byte, truncated bool) string {
	if truncated {
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
func sequences(b []byte, truncated bool) (valid, invalid int) {
	if truncated {
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
