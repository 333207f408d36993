package search

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// marked returns a snippet with its marks in brackets.
func marked(s Snippet) string {
	var b strings.Builder
	runes := []rune(s.Text)
	at := 0
	for _, m := range s.Marks {
		b.WriteString(string(runes[at:m[0]]) + "[" + string(runes[m[0]:m[1]]) + "]")
		at = m[1]
	}
	return b.String() + string(runes[at:])
}

func TestSnippets(t *testing.T) {
	filler := strings.Repeat("lorem ipsum dolor ", 40)
	for _, tt := range []struct{ name, text, query, want string }{
		{"whole text", "A network of peers.", "network", "A [network] of peers."},
		{"several words", "peers form a network", "network peers", "[peers] form a [network]"},
		{"typo", "A network of peers.", "netwrk", "A [network] of peers."},
		{"accents and code points", "Grüße aus Zürich 🚀", "zurich", "Grüße aus [Zürich] 🚀"},
		{"only the nearest", "carry and harry", "carry", "[carry] and harry"},
		{"beginning", "networking", "netw", "[networking]"},
		{"compound", "see get_user_name()", "userland user", "see get_[user]_name()"},
		{"whole of a compound", "see getUserName()", "getusername", "see [getUserName]()"},
		{"parts and whole", "the wi-fi key", "wi-fi", "the [wi-fi] key"},
		{"line breaks and controls", "a\n\n\tnetwork\x00\x1b[31m of\u202e peers\n", "network", "a [network] [31m of peers"},
		{
			"in the middle", filler + "the network " + filler, "network",
			"…lorem ipsum dolor lorem ipsum dolor the [network] lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem…",
		},
		{
			"where the words come together", "network " + filler + "peers in a network " + filler + "peers", "network peers",
			"…lorem ipsum dolor lorem ipsum dolor [peers] in a [network] lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum…",
		},
		{
			"nothing matches the text", filler, "title",
			"lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor lorem ipsum dolor…",
		},
		{"no text", "", "title", ""},
	} {
		x := indexOf(t, Document{ID: "a", Title: "Title", Text: tt.text})
		a := ask(t, x, tt.query)
		if len(a.Hits) != 1 {
			t.Errorf("%s: %d hits", tt.name, len(a.Hits))
			continue
		}
		if diff := cmp.Diff(tt.want, marked(a.Hits[0].Snippet)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSnippetsOfMarkdown(t *testing.T) {
	for _, tt := range []struct{ name, title, text, query, want string }{
		{"title is not repeated", "Meeting notes: home network", "# Meeting notes: home network\n\nPresent: all\n", "network", "Present: all"},
		{"other matches count", "Home network", "\n# Home network\n\nThe network is slow.\n", "network", "The [network] is slow."},
		{"underlined title", "Home network", "Home network\n============\nSlow network", "network", "Slow [network]"},
		{"title behind front matter", "Plan", "---\ntags: network\n---\n# Plan\nWork", "network", "tags: [network] Work"},
		{"title without marks", "Plan", "Plan\n\nA network", "network", "A [network]"},
		{"title only", "Plan", "# Plan\n", "plan", ""},
		{"title in a sentence", "Plan", "Plan of the network", "plan", "[Plan] of the network"},
		{"headings and lists", "Plan", "## First\n\n* one\n- network\n  + three\n1. four\n### Last ###", "network", "First one [network] three 1. four Last ###"},
		{"quotes", "Plan", "> > said the network\n>said", "network", "said the [network] said"},
		{"rules", "Plan", "a\n\n---\n***\nnetwork\n```\ncode\n```", "network", "a [network] code"},
		{"not marks", "Plan", "#network is *not* a - heading\n-5 **bold** > text\n#######x", "network", "#[network] is *not* a - heading -5 **bold** > text #######x"},
		{"bare marks", "Plan", "network\n#\n-\n>\n", "network", "[network]"},
		{"far into a line", "Plan", strings.Repeat("lorem ipsum ", 10) + "\n# Big network\n", "network", "…ipsum lorem ipsum lorem ipsum Big [network]"},
	} {
		x := indexOf(t, Document{ID: "a", Title: tt.title, Text: tt.text, Path: "a.md", Folder: "f", Type: TypeMarkdown})
		a := ask(t, x, tt.query)
		if len(a.Hits) != 1 {
			t.Errorf("%s: %d hits", tt.name, len(a.Hits))
			continue
		}
		if diff := cmp.Diff(tt.want, marked(a.Hits[0].Snippet)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	x := indexOf(t, Document{ID: "a", Title: "Plan", Text: "# Heading\n- network", Path: "a.txt", Folder: "f", Type: TypeText})
	if got := marked(ask(t, x, "network").Hits[0].Snippet); got != "# Heading - [network]" {
		t.Errorf("plain text: %q", got)
	}
}

// TestUnmarkKeepsPlaces: words stay where they are, whatever is around them.
func TestUnmarkKeepsPlaces(t *testing.T) {
	piece := rapid.SampledFrom([]string{"# ", "#", "\n", "> ", ">", "- ", "* ", "+", "word", "wörd", " ", "\t", "---", "1. ", "\r\n", "```"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "text"), "")
		plain := unmark(text, rapid.Bool().Draw(t, "inside"))
		if len(plain) != len(text) || !utf8.ValidString(plain) {
			t.Fatalf("%q of %q", plain, text)
		}
		before, after := slices.Collect(Tokens(text)), slices.Collect(Tokens(plain))
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%q to %q:\n%s", text, plain, diff)
		}
	})
}

func TestTitleMatchesKeepSimilarWordsUnmarked(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Title: "carry", Text: "harry"})
	if got := marked(ask(t, x, "carry").Hits[0].Snippet); got != "harry" {
		t.Errorf("%q", got)
	}
}

// TestSnippetsOfLongTexts: wherever the only match is, it is shown.
func TestSnippetsOfLongTexts(t *testing.T) {
	long := strings.Repeat("lorem ipsum dolor ", 20_000)
	x := indexOf(t, Document{ID: "a", Text: "a netwrok " + long + "the network " + long + "network peers"})
	for query, want := range map[string]string{"network": "the [network]", "peers": "[peers]", "netwrok": "a [netwrok]"} {
		if got := marked(ask(t, x, query).Hits[0].Snippet); !strings.Contains(got, want) {
			t.Errorf("%s: %q", query, got)
		}
	}
}

// checkSnippet tests what holds for every snippet.
func checkSnippet(t interface{ Fatalf(string, ...any) }, s Snippet, length int) {
	runes := []rune(s.Text)
	if len(runes) > length || !utf8.ValidString(s.Text) || strings.Contains(s.Text, "  ") {
		t.Fatalf("%d code points: %q", len(runes), s.Text)
	}
	for _, r := range runes {
		if unicode.IsControl(r) {
			t.Fatalf("control character in %q", s.Text)
		}
	}
	at := 0
	for _, m := range s.Marks {
		if m[0] < at || m[1] <= m[0] || m[1] > len(runes) {
			t.Fatalf("marks %v of %d code points", s.Marks, len(runes))
		}
		at = m[1]
	}
	h := wireHit{ID: "a"}
	h.setSnippet(s)
	if err := h.check(); err != nil {
		t.Fatalf("not fit for the wire: %v", err)
	}
}

func TestEverySnippetIsSound(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"network", "Network-x", "netwrok", "peers", "a", " ", "  ", "\n", "漢字漢字", "e\u0301\u0301", "👩‍👩‍👧", "🇩🇪🇫🇷",
		"\n# ", "\n", "\n- ", "> ", "\n---\n", "\x00", "-", strings.Repeat("x", 90), strings.Repeat("\u0301", 60), "\u202e", ".",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 200).Draw(t, "text"), "")
		var w wanted
		w.add("network", 0, 0)
		w.add("netwrok", 0, 1)
		w.add("peers", 1, 0)
		w.add("networkx", 2, 0)
		w.add("漢", 3, 0)
		markup := rapid.Bool().Draw(t, "markup")
		s := w.snippet(text, markup)
		checkSnippet(t, s, snippetMax)
		for _, m := range s.Marks {
			term := Fold(string([]rune(s.Text)[m[0]:m[1]]))
			if _, ok := w.words[term]; !ok {
				t.Fatalf("marked %q in %q", term, s.Text)
			}
		}
		heap := strings.Contains(text, strings.Repeat("\u0301", snippetSlack)) // may be cut off
		if found := w.find(text); len(found) > 0 && len(s.Marks) == 0 && !heap {
			t.Fatalf("no marks in %q of %q", s.Text, text)
		}
		checkSnippet(t, s.shortened(60), 100)
	})
}
