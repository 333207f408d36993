package search

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold returns a word in the form in which words are compared: compatibility
// characters replaced by what they stand for (NFKC), small letters, without the
// accents of European and the vowel points of Semitic scripts, at most MaxToken
// code points. What is neither letter, digit, symbol nor mark is dropped, so it
// may be empty.
func Fold(word string) string {
	var f folder
	return string(f.fold(word))
}

// folder holds the buffers of Fold.
type folder struct{ out, wide, composed []byte }

// fold is Fold; the result is valid until the next call.
func (f *folder) fold(word string) []byte {
	f.out = f.out[:0]
	for i := 0; i < len(word); i++ {
		c := word[i]
		if c >= utf8.RuneSelf {
			return f.foldWide(word)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if isPlain(c) {
			f.out = append(f.out, c)
		}
	}
	return f.out[:min(len(f.out), MaxToken)]
}

// foldWide folds what is not ASCII. Decomposition comes first, since it tells
// accents apart from their letters; composition afterwards puts those together
// again whose parts are not accents, such as Hangul syllables.
func (f *folder) foldWide(word string) []byte {
	f.wide = norm.NFKD.AppendString(f.wide[:0], word)
	f.out = f.out[:0]
	plain := true
	for i := 0; i < len(f.wide); {
		r, n := utf8.DecodeRune(f.wide[i:])
		i += n
		if isAccent(r) {
			continue
		}
		r = unicode.ToLower(r)
		if s := spelled(r); s != "" {
			f.out = append(f.out, s...)
		} else if isWord(r) || unicode.IsMark(r) {
			f.out = utf8.AppendRune(f.out, r)
			plain = plain && r < 0x300
		}
	}
	if !plain {
		f.composed = norm.NFKC.Append(f.composed[:0], f.out...)
		f.out, f.composed = f.composed, f.out
	}
	if utf8.RuneCount(f.out) > MaxToken {
		return f.out[:len(cutRunes(string(f.out), MaxToken))]
	}
	return f.out
}

// isAccent reports whether r is a mark that people leave out when they type.
func isAccent(r rune) bool {
	return 0x300 <= r && r <= 0x36f || // of Latin, Greek, Cyrillic
		0x591 <= r && r <= 0x5c7 || // Hebrew points
		0x64b <= r && r <= 0x65f || r == 0x670 // Arabic vowels
}

// spelled returns how a letter that has no decomposition is typed without it.
func spelled(r rune) string {
	switch r {
	case 'ß':
		return "ss"
	case 'æ':
		return "ae"
	case 'œ':
		return "oe"
	case 'ø':
		return "o"
	case 'đ', 'ð':
		return "d"
	case 'þ':
		return "th"
	case 'ł':
		return "l"
	case 'ħ':
		return "h"
	case 'ı':
		return "i"
	case 'ς': // sigma at the end of a word
		return "σ"
	}
	return ""
}
