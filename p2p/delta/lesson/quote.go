package lesson

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote shows bytes in one notation, which the page has too. Whole characters of
// UTF-8 that can be seen are a text in double quotes, in which ↵ is a line feed,
// ␍ a carriage return and ⇥ a tab. Everything else is two hexadecimal digits for
// each byte, such as c3 bc. Of a text at most that many bytes are shown, of other
// bytes a third of them, as each takes three characters; … says that more follow.
func Quote(p []byte, most int) string {
	if text, ok := readable(beginning(p, most)); ok {
		return `"` + text + `"` + more(len(beginning(p, most)) < len(p))
	}
	n := min(len(p), max(most/3, 1))
	return pairs(p[:n]) + more(n < len(p))
}

// beginning is the first bytes of p, and no part of a character at its end.
func beginning(p []byte, most int) []byte {
	if len(p) <= most {
		return p
	}
	n := most
	for n > 0 && n > most-utf8.UTFMax+1 && !utf8.RuneStart(p[n]) {
		n--
	}
	return p[:n]
}

// readable returns p as a text that shows all there is in it, if it is one.
func readable(p []byte) (text string, ok bool) {
	var b strings.Builder
	for rest := p; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == '\n':
			r = '↵'
		case r == '\r':
			r = '␍'
		case r == '\t':
			r = '⇥'
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r), b.Len() == 0 && unicode.IsMark(r):
			return "", false
		}
		b.WriteRune(r)
		rest = rest[n:]
	}
	return b.String(), true
}

func more(left bool) string {
	if left {
		return " …"
	}
	return ""
}

// pairs writes two hexadecimal digits for each byte.
func pairs(p []byte) string {
	out := make([]string, len(p))
	for i := range p {
		out[i] = hex.EncodeToString(p[i : i+1])
	}
	return strings.Join(out, " ")
}
