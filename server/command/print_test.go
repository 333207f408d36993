package command

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/server/api"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Grüße, 世界 👩‍💻":         "Grüße, 世界 👩‍💻",
		"e\u0301 می\u200cخواهم": "e\u0301 می\u200cخواهم",
		"\x1b]0;owned\x07":      `\x1b]0;owned\a`,
		"red\x1b[31m":           `red\x1b[31m`,
		"c1 \u009b31m":          `c1 \u009b31m`,
		"a\r\nb\tc":             `a\r\nb\tc`,
		"exe.\u202efdp":         `exe.\u202efdp`,
		"\u2066x\u2069":         `\u2066x\u2069`,
		"zero\u200bwidth\ufeff": `zero\u200bwidth\ufeff`,
		"bad \xff\xfe":          `bad \xff\xfe`,
		"real \uFFFD":           "real \uFFFD",
		"tag \U000e0041":        `tag \U000e0041`,
		"line\u2028sep":         `line\u2028sep`,
		"del\x7f":               `del\x7f`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%+q) = %q, want %q", in, got, want)
		}
	}
}

func TestPrintableAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		for _, out := range []string{Printable(in), oneLine(in)} {
			if !utf8.ValidString(out) {
				t.Fatalf("%q is not UTF-8", out)
			}
			for _, r := range out {
				if !harmless(r) {
					t.Fatalf("%+q still holds %U", out, r)
				}
			}
		}
	})
}

func TestASCIIControlsKeepsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.String())).Draw(t, "value")
		in["\x1b\u009b\u202e\U000e0041"] = []string{"\x7f\u2028"}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out := asciiControls(text)
		for _, r := range string(out) {
			if !harmless(r) {
				t.Fatalf("%s still holds %U", out, r)
			}
		}
		var back map[string][]string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if diff := cmp.Diff(in, back); diff != "" {
			t.Fatalf("value changed (-in +out):\n%s", diff)
		}
	})
}

func TestHighlight(t *testing.T) {
	for _, tc := range []struct {
		text  string
		marks [][]int
		want  string
	}{
		{"a network of nodes", [][]int{{2, 9}, {13, 18}}, "a *network* of *nodes*"},
		{"Größe zählt", [][]int{{0, 5}}, "*Größe* zählt"},
		{"two\nlines\x1b[2J", [][]int{{0, 9}}, `*two lines*\x1b[2J`},
		{"hostile marks", [][]int{{-1, 3}, {5, 2}, {4, 99}, {1}, nil, {8, 13}, {0, 3}, {9, 10}}, "hostile *marks*"},
		{"", [][]int{{0, 1}}, ""},
	} {
		if got := (style{}).highlight(api.Snippet{Text: tc.text, Marks: tc.marks}); got != tc.want {
			t.Errorf("highlight(%q, %v) = %q, want %q", tc.text, tc.marks, got, tc.want)
		}
	}
	on := style{terminal: true}
	if got, want := on.highlight(api.Snippet{Text: "a b", Marks: [][]int{{2, 3}}}), "a \x1b[1mb\x1b[0m"; got != want {
		t.Errorf("on a terminal %q, want %q", got, want)
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1500: "1.5 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 12_345_678: "12.3 MB", 1 << 62: "4.6 EB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTableAligns(t *testing.T) {
	var b strings.Builder
	err := table(&b, []string{"NAME", "X"}, [][]string{{"Jürgen", "1"}, {"evil\x1b[2J\n", "2"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "NAME          X\n" + "Jürgen        1\n" + `evil\x1b[2J   2` + "\n"
	if b.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", b.String(), want)
	}
}
