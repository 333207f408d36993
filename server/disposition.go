package server

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFileName is how many bytes of a name are offered to whoever saves it; file
// systems take 255.
const maxFileName = 200

// attachment is the Content-Disposition (RFC 6266) under which a browser saves
// the file of that name and never shows it. Names come from other people: they
// may hold quotes, line ends, path separators, or letters that turn the writing
// direction to make "exe.txt" of "txt.exe".
func attachment(name string) string {
	name = savable(name)
	var plain, encoded strings.Builder
	for _, r := range name {
		// Old browsers decode % and some take \ for an escape or a separator.
		if r < 0x20 || r > 0x7e || strings.ContainsRune(`"\%;`, r) {
			plain.WriteByte('_')
		} else {
			plain.WriteRune(r)
		}
	}
	const hex = "0123456789ABCDEF"
	for _, b := range []byte(name) {
		if isAttrChar(b) {
			encoded.WriteByte(b)
		} else {
			encoded.Write([]byte{'%', hex[b>>4], hex[b&15]})
		}
	}
	return `attachment; filename="` + plain.String() + `"; filename*=UTF-8''` + encoded.String()
}

// savable replaces what no file name should have, and bounds the length. The end
// stays, since it says what the file is.
func savable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r == '/' || r == '\\' || r == ':' || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) ||
			unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return '_'
		}
		return r
	}, name)
	for len(name) > maxFileName {
		_, size := utf8.DecodeRuneInString(name)
		name = name[size:]
	}
	if strings.Trim(name, ". ") == "" {
		return "file"
	}
	return name
}

// isAttrChar is RFC 5987's attr-char: what needs no percent-encoding.
func isAttrChar(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("!#$&+-.^_`|~", b) >= 0
}
