package search

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func terms(text string) []string {
	found := []string{}
	for t := range Tokens(text) {
		found = append(found, t.Term)
	}
	return found
}

func TestTokens(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{" \t\n!?…", ""},
		{"Hello, World!", "hello world"},
		{"report-2024.final.pdf", "report 2024 final pdf report2024finalpdf"},
		{"snake_case __init__", "snake case snakecase init"},
		{"getUserName HTTPServer iPhone", "get user name getusername http server httpserver i phone iphone"},
		{"README sha256 utf8", "readme sha256 utf8"},
		{"e-mail E‑Mail", "e mail email e mail email"},
		{"don't l’homme", "don t dont l homme lhomme"},
		{"a/b:c=d;e", "a b c d e"},
		{"1,000 3.14", "1 000 3 14 314"},
		{"Zürich naïve CAFÉ Łódź Straße Ærø", "zurich naive cafe lodz strasse aero"},
		{"Москва ёлка", "москва елка"},
		{"ΣΊΣΥΦΟΣ σίσυφος", "σισυφοσ σισυφοσ"},
		{"東京タワー", "東 京 タワー"},
		{"한국어 검색", "한국어 검색"},
		{"ﬁle ２０２４ x²", "file 2024 x 2"},
		{"so\u00adft", "soft"},
		{"مُحَمَّد", "محمد"},
		{"हिन्दी", "हिन्दी"},
		{"🚀 launch", "🚀 launch"},
		{"a.b.c.d.e.f.g.h.i", "a b c d e f g h i"}, // too many parts for a whole
		{"end.Start", "end start endstart"},
		{"\xff\xfebad\xffbytes", "bad bytes"},
	} {
		if diff := cmp.Diff(strings.Fields(tt.want), terms(tt.text), emptyIsNil); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestTokenPlaces(t *testing.T) {
	text := "é file-Name x"
	want := []Token{
		{Term: "e", Position: 0, Start: 0, End: 2},
		{Term: "file", Position: 1, Start: 3, End: 7},
		{Term: "name", Position: 2, Start: 8, End: 12},
		{Term: "filename", Position: 1, Start: 3, End: 12, Whole: true},
		{Term: "x", Position: 3, Start: 13, End: 14},
	}
	if diff := cmp.Diff(want, slices.Collect(Tokens(text))); diff != "" {
		t.Error(diff)
	}
}

func TestLongTokensAreCut(t *testing.T) {
	for _, letter := range []string{"a", "ж", "漢"} {
		for token := range Tokens(strings.Repeat(letter, 1000)) {
			if n := utf8.RuneCountInString(token.Term); n > MaxToken {
				t.Errorf("%d letters", n)
			}
		}
	}
}

// checkTokens tests what holds for the tokens of every text.
func checkTokens(t interface{ Fatalf(string, ...any) }, text string) {
	position := -1
	for token := range Tokens(text) {
		switch {
		case token.Term == "" || utf8.RuneCountInString(token.Term) > MaxToken || !utf8.ValidString(token.Term):
			t.Fatalf("term %q", token.Term)
		case token.Start < 0 || token.Start >= token.End || token.End > len(text):
			t.Fatalf("%q at [%d,%d) of %d", token.Term, token.Start, token.End, len(text))
		case !token.Whole && token.Position != position+1, token.Whole && token.Position > position:
			t.Fatalf("%q at position %d after %d", token.Term, token.Position, position)
		case Fold(token.Term) != token.Term:
			t.Fatalf("fold %q again: %q", token.Term, Fold(token.Term))
		}
		if !token.Whole {
			position++
			if again := Fold(text[token.Start:token.End]); again != token.Term {
				t.Fatalf("%q is %q at its place", token.Term, again)
			}
		}
	}
}

func TestEveryTokenIsInOrder(t *testing.T) {
	piece := rapid.SampledFrom([]string{"a", "B", "ß", "é", "e\u0301", "_", "-", ".", "'", " ", "\n", "漢", "9", "ﬃ", "\u00ad", "\xff", "한", "🏳️‍🌈", "İ", "ǅ"})
	rapid.Check(t, func(t *rapid.T) {
		checkTokens(t, strings.Join(rapid.SliceOf(piece).Draw(t, "text"), ""))
	})
}

func FuzzTokens(f *testing.F) {
	for _, s := range []string{"report-2024.final.pdf", "getHTTPServer", "東京タワー", "e\u0301\u00ad’x", "\xff_\xfe", "ﷺ ½", "ΑΙ͂ͅ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkTokens(t, s) })
}

func BenchmarkTokens(b *testing.B) {
	for name, text := range map[string]string{
		"ascii":    strings.Repeat("The quick brown fox jumps over the lazy dog, and getUserName(x) returns snake_case. ", 100),
		"latin":    strings.Repeat("Der schnelle braune Fuchs springt über den faulen Hund, größer als je zuvor. ", 100),
		"cyrillic": strings.Repeat("Съешь же ещё этих мягких французских булок, да выпей чаю. ", 100),
		"cjk":      strings.Repeat("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", 100),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			s := scanner{}
			for b.Loop() {
				s.text = text
				s.scan(func(token) bool { return true })
			}
		})
	}
}
