package extract

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	textunicode "golang.org/x/text/encoding/unicode"
)

// decode returns b as UTF-8; false if it is no text. With truncated, the end of b may
// be half a character; with marked, it may say its own encoding as HTML and XML do.
//
// A byte order mark counts first, then what is valid as UTF-8, then what the text
// says of itself. What is left is guessed, from how its bytes are distributed.
func decode(b []byte, truncated, marked bool) (string, bool) {
	if t, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok {
		return clean(t, truncated), looksLikeText(t)
	}
	switch order := utf16Order(b); order {
	case "":
	case "le":
		return decode16(b, textunicode.LittleEndian)
	case "be":
		return decode16(b, textunicode.BigEndian)
	}
	if !looksLikeText(b) {
		return "", false
	}
	valid, invalid := sequences(b, truncated)
	if invalid == 0 {
		if marked && valid == 0 && bytes.Contains(b[:min(len(b), sniffed)], []byte("\x1b$")) {
			if t, err := japanese.ISO2022JP.NewDecoder().Bytes(b); err == nil {
				return strings.ToValidUTF8(string(t), "\uFFFD"), true
			}
		}
		return clean(b, truncated), true
	}
	if marked {
		if e := declared(b); e != nil {
			if t, err := e.NewDecoder().Bytes(b); err == nil {
				return strings.ToValidUTF8(string(t), "\uFFFD"), true
			}
		}
	}
	if invalid <= valid/4 {
		return clean(b, truncated), true
	}
	t, err := guess(b).NewDecoder().Bytes(b)
	return strings.ToValidUTF8(string(t), "\uFFFD"), err == nil
}

func decode16(b []byte, order textunicode.Endianness) (string, bool) {
	t, err := textunicode.UTF16(order, textunicode.UseBOM).NewDecoder().Bytes(b[:len(b)&^1])
	return strings.ToValidUTF8(string(t), "\uFFFD"), err == nil && looksLikeText(t)
}

// utf16Order returns the byte order of what is UTF-16: by its mark, or because
// every other byte is 0 in what is mostly Latin.
func utf16Order(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return "le"
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return "be"
	}
	b = b[:min(len(b), sniffed)&^1]
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i&1]++
		}
	}
	half := len(b) / 2
	switch {
	case half < 2:
	case zeros[1]*10 >= half*6 && zeros[0]*50 <= half:
		return "le"
	case zeros[0]*10 >= half*6 && zeros[1]*50 <= half:
		return "be"
	}
	return ""
}

// declared returns the encoding that a page says it has, in <?xml … encoding="…"?>
// or <meta … charset=…>; nil: none that is known.
func declared(b []byte) encoding.Encoding {
	head := bytes.ToLower(b[:min(len(b), 2048)])
	for _, mark := range [][2]string{{"<?xml", "encoding"}, {"<meta", "charset"}} {
		for rest := head; ; {
			_, after, found := bytes.Cut(rest, []byte(mark[0]))
			if !found {
				break
			}
			inside, _, _ := bytes.Cut(after, []byte(">"))
			rest = after
			_, value, found := bytes.Cut(inside, []byte(mark[1]))
			value, assigned := bytes.CutPrefix(bytes.TrimSpace(value), []byte("="))
			if !found || !assigned {
				continue
			}
			label := bytes.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'?;/", r) })
			if len(label) > 0 {
				if e, _ := charset.Lookup(string(label[0])); e != nil {
					return e
				}
			}
		}
	}
	return nil
}

// guessed are the encodings of several bytes that are guessed, and what their
// texts are made of. They are tried in this order: of those that fit equally the
// first is taken.
var guessed = []struct {
	encoding encoding.Encoding
	usual    func(r rune) bool
}{
	{japanese.ShiftJIS, isJapanese},
	{japanese.EUCJP, isJapanese},
	{simplifiedchinese.GB18030, func(r rune) bool { return unicode.Is(unicode.Han, r) && simplified(r) }},
	{traditionalchinese.Big5, func(r rune) bool { return unicode.Is(unicode.Han, r) && traditional(r) }},
	{korean.EUCKR, func(r rune) bool { return r >= 0xac00 && r <= 0xd7a3 }},
}

func isJapanese(r rune) bool { return r >= 0x3041 && r <= 0x30ff }

// simplified and traditional report whether r is of the more frequent half of the
// characters of GB 2312 and Big5: level 1 of each.
func simplified(r rune) bool  { return leads(simplifiedchinese.GBK, r, 0xb0, 0xd7) }
func traditional(r rune) bool { return leads(traditionalchinese.Big5, r, 0xa4, 0xc6) }

func leads(e encoding.Encoding, r rune, low, high byte) bool {
	b, err := e.NewEncoder().Bytes([]byte(string(r)))
	return err == nil && len(b) == 2 && b[0] >= low && b[0] <= high
}

// guess returns the encoding of a text that is not UTF-8. Western texts have
// single bytes above 127 among letters, others have hardly anything else.
func guess(b []byte) encoding.Encoding {
	b = b[:min(len(b), sniffed)]
	high, ascii := 0, 0
	for _, c := range b {
		switch {
		case c >= 0x80:
			high++
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			ascii++
		}
	}
	if high*3 < ascii {
		return charmap.Windows1252
	}
	best, most := encoding.Encoding(charmap.Windows1252), 0.0
	for _, g := range guessed {
		share := fit(b, g.encoding, g.usual)
		switch {
		case g.encoding == japanese.ShiftJIS || g.encoding == japanese.EUCJP:
			share *= 2.5 // kana are some of the characters of a text only
		case g.encoding == korean.EUCKR && share > 0.85:
			share *= 1.2 // its codes are the first half of those that Chinese has
		}
		if share > most && share > 0.6 {
			best, most = g.encoding, share
		}
	}
	if most > 0 {
		return best
	}
	return singleByte(b)
}

// fit returns which part of the characters of b that are not ASCII are usual in an
// encoding; 0 if b is not in it.
func fit(b []byte, e encoding.Encoding, usual func(rune) bool) float64 {
	t, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return 0
	}
	all, bad, found := 0, 0, 0
	for _, r := range string(t) {
		if r < utf8.RuneSelf {
			continue
		}
		all++
		switch {
		case r == utf8.RuneError:
			bad++
		case usual(r):
			found++
		}
	}
	if all == 0 || bad > 1 {
		return 0
	}
	return float64(found) / float64(all)
}

// singleByte chooses among encodings of single bytes: that of Cyrillic in which
// there are mostly small letters, if there is one.
func singleByte(b []byte) encoding.Encoding {
	best, most := encoding.Encoding(charmap.Windows1252), 0.6
	for _, e := range []encoding.Encoding{charmap.Windows1251, charmap.KOI8R, charmap.CodePage866} {
		if share := fit(b, e, func(r rune) bool { return r >= 'а' && r <= 'я' || r == 'ё' }); share > most {
			best, most = e, share
		}
	}
	return best
}
