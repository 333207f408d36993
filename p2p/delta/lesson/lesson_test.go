package lesson

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

var update = flag.Bool("update", false, "rewrite the golden files of the stories")

// TestStories: what the stories tell is what happens.
func TestStories(t *testing.T) {
	all := Stories()
	if len(all) < 2 || all[0].Name != "charla" || all[1].Name != "false-alarm" {
		t.Fatalf("the stories are %v", all)
	}
	for _, s := range all {
		e, err := Explain([]byte(s.Old), []byte(s.New), s.Block)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Text {
			if p.Step > len(e.Steps) {
				t.Errorf("%s tells of step %d of %d", s.Name, p.Step, len(e.Steps))
			}
		}
		got := Render(e, RenderOptions{Story: &s})
		golden := filepath.Join("testdata", s.Name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-update rewrites it): %s", golden, diff)
		}
	}
}

// TestTalk has the numbers of the talk.
func TestTalk(t *testing.T) {
	e, err := Explain([]byte("charla"), []byte("gocharla"), 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{
		{0, 2, 0x012e00cb, 0x5982e9e5, 1},
		{2, 2, 0x013400d3, 0x1c2fb9a8, 1},
		{4, 2, 0x013900cd, 0xab9e1994, 1},
	}
	if diff := cmp.Diff(want, e.Blocks); diff != "" {
		t.Error(diff)
	}
	if e.Steps[0].Weak != 0x013d00d6 || e.Steps[0].Outcome != Unknown || e.Steps[0].Roll != nil {
		t.Errorf(`"go": %+v`, e.Steps[0])
	}
	if got := *e.Steps[1].Roll; got != (Roll{0x013d00d6, 'g', 'c'}) {
		t.Errorf(`"oc": %+v`, got)
	}
	wantOps := []Op{{Op: Data, At: 0, Length: 2}, {Op: Copy, At: 2, Length: 6, From: &From{0, 3, 0}}}
	if diff := cmp.Diff(wantOps, e.Ops); diff != "" {
		t.Error(diff)
	}
	if want := (Wire{Signature: 24, Operations: 12, Literals: 2, Total: 38, Whole: 8}); e.Wire != want {
		t.Errorf("on the wire: %+v", e.Wire)
	}
	if !e.Odds.Impossible || e.Odds.Pairs != 21 {
		t.Errorf("odds: %+v", e.Odds)
	}
}

// TestTwoBytes: the story says that 406019b is the sum of no two bytes, and that
// the sum of two bytes tells them.
func TestTwoBytes(t *testing.T) {
	seen := map[uint32]bool{}
	for x := range 256 {
		for y := range 256 {
			seen[delta.NewClassic([]byte{byte(x), byte(y)}).Sum()] = true
		}
	}
	if seen[0x0406019b] {
		t.Error("406019b is the sum of two bytes")
	}
	if got := slices.Max(slices.Collect(maps.Keys(seen))); got != 0x02fd01fe {
		t.Errorf("the largest sum of two bytes is %08x", got)
	}
	if len(seen) != 1<<16 {
		t.Errorf("%d sums of two bytes", len(seen))
	}
}

// texts draws two texts with much in common, from few letters, so that blocks are
// equal, sums collide, and tails are short.
func texts(t *rapid.T) (old, target []byte, block int) {
	letter := rapid.SampledFrom([]byte("aabc"))
	old = rapid.SliceOfN(letter, 0, 120).Draw(t, "old")
	for range rapid.IntRange(0, 4).Draw(t, "parts") {
		if len(old) > 0 && rapid.Bool().Draw(t, "copy") {
			from := rapid.IntRange(0, len(old)-1).Draw(t, "from")
			to := rapid.IntRange(from, len(old)).Draw(t, "to")
			target = append(target, old[from:to]...)
		} else {
			target = append(target, rapid.SliceOfN(letter, 0, 20).Draw(t, "new")...)
		}
	}
	return old, target, rapid.IntRange(1, 40).Draw(t, "block")
}

func TestExplain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, target, block := texts(t)
		e, err := Explain(old, target, block)
		if err != nil {
			t.Fatal(err)
		}
		if got := Rebuild(old, target, e.Ops); !bytes.Equal(got, target) {
			t.Fatalf("rebuilt %q, want %q", got, target)
		}
		checkSteps(t, old, target, e)
		checkTotals(t, e)
		if out := Render(e, RenderOptions{}); !utf8.ValidString(out) {
			t.Fatalf("not UTF-8: %q", out)
		}
	})
}

// checkSteps computes each step anew, without rolling.
func checkSteps(t *rapid.T, old, target []byte, e Explanation) {
	at := 0
	for i, s := range e.Steps {
		if s.At != at {
			t.Fatalf("step %d is at %d, want %d", i, s.At, at)
		}
		window := target[s.At : s.At+s.Length]
		if want := Sum(delta.NewClassic(window).Sum()); s.Weak != want {
			t.Fatalf("step %d: weak sum %s, want %s", i, s.Weak, want)
		}
		if r := s.Roll; r != nil {
			if r.Before != e.Steps[i-1].Weak || r.Out != target[s.At-1] || r.In != window[len(window)-1] {
				t.Fatalf("step %d: %+v", i, r)
			}
		} else if i > 0 && e.Steps[i-1].Outcome != Match && s.Length == e.Block {
			t.Fatalf("step %d is not rolled", i)
		}
		equal, weak := false, false
		for _, b := range e.Blocks {
			p := old[b.Offset:][:b.Length]
			equal = equal || bytes.Equal(p, window)
			weak = weak || b.Length == s.Length && b.Weak == s.Weak
		}
		if s.Outcome != Rest && (equal != (s.Outcome == Match) || weak != (s.Candidate != nil)) {
			t.Fatalf("step %d: %s of %q, block equal %v, weak sum equal %v", i, s.Outcome, window, equal, weak)
		}
		if s.Length == e.Block && s.Outcome != Match && s.Outcome != Rest {
			at++
		} else {
			at += s.Length
		}
	}
	if at != len(target) {
		t.Fatalf("the steps end at %d of %d", at, len(target))
	}
}

// checkTotals counts what is listed.
func checkTotals(t *rapid.T, e Explanation) {
	var want Totals
	for _, s := range e.Steps {
		if s.Outcome != Rest {
			want.Windows++
		}
		if s.Candidate != nil {
			want.Known++
		}
		switch s.Outcome {
		case Match:
			want.Matches++
		case FalseAlarm:
			want.FalseAlarms++
		}
	}
	copied := 0
	for _, op := range e.Ops {
		if op.From != nil {
			want.Copies++
			want.MatchedBytes += op.Length
			copied += op.From.Blocks
		} else {
			want.Pieces++
			want.LiteralBytes += op.Length
		}
	}
	if e.Totals != want {
		t.Fatalf("totals %+v, want %+v", e.Totals, want)
	}
	for _, b := range e.Blocks {
		copied -= b.Matches
	}
	if copied != 0 || e.OpsTotal != len(e.Ops) || e.BlocksTotal != len(e.Blocks) {
		t.Fatalf("%d blocks are copied that do not say so; %+v", copied, e)
	}
}

// TestLongTexts: without steps the rest is the same.
func TestLongTexts(t *testing.T) {
	rnd := rand.NewChaCha8([32]byte{1})
	old := make([]byte, 300_000)
	if _, err := rnd.Read(old); err != nil {
		t.Fatal(err)
	}
	target := append([]byte("in front"), old[:200_001]...)
	target = append(target, old[250_000:]...)
	e, err := Explain(old, target, 50)
	if err != nil {
		t.Fatal(err)
	}
	if e.Detailed || e.Old != nil || len(e.Steps) != 0 || len(e.Blocks) != MaxList || e.BlocksTotal != 6000 {
		t.Errorf("detailed %v, %d steps, %d of %d blocks", e.Detailed, len(e.Steps), len(e.Blocks), e.BlocksTotal)
	}
	if e.Totals.LiteralBytes != 9 || e.Totals.Matches != 5000 || e.OpsTotal != 4 {
		t.Errorf("%+v, %d operations", e.Totals, e.OpsTotal)
	}
	if got := Rebuild(old, target, e.Ops); !bytes.Equal(got, target) {
		t.Error("rebuilt something else")
	}
	if out := Render(e, RenderOptions{Lines: 3}); !strings.Contains(out, "… and 5997 more blocks") {
		t.Errorf("it says %s", out)
	}
}

// TestEqualBlocks: of equal blocks the following one is taken, so that one copy
// does.
func TestEqualBlocks(t *testing.T) {
	text := bytes.Repeat([]byte("ab"), 50)
	e, err := Explain(text, text, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Op{{Op: Copy, Length: 100, From: &From{0, 50, 0}}}, e.Ops); diff != "" {
		t.Error(diff)
	}
}

// TestManyOperations: where only totals are told, so many operations are listed
// and all are counted.
func TestManyOperations(t *testing.T) {
	e, err := Explain([]byte("abcdefgh"), bytes.Repeat([]byte("abcdefgh--"), 3000), 8)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Ops) != MaxList || e.OpsTotal != 6000 || e.Totals.Copies != 3000 || e.Wire.Operations != 36_000 {
		t.Errorf("%d of %d operations, %+v, %+v", len(e.Ops), e.OpsTotal, e.Totals, e.Wire)
	}
}

func TestLimits(t *testing.T) {
	big := make([]byte, MaxFile+1)
	for _, tc := range []struct {
		old, target []byte
		block       int
		want        error
	}{
		{nil, nil, -1, ErrBlock},
		{nil, nil, MaxBlock + 1, ErrBlock},
		{big, nil, 1000, ErrTooLarge},
		{nil, big, 1000, ErrTooLarge},
		{big[1:], nil, 1, ErrTooLarge},
		{nil, nil, 0, nil},
		{big[:MaxBlocks], []byte("x"), 1, nil},
	} {
		if _, err := Explain(tc.old, tc.target, tc.block); !errors.Is(err, tc.want) {
			t.Errorf("%d and %d bytes, block %d: %v, want %v", len(tc.old), len(tc.target), tc.block, err, tc.want)
		}
	}
}

// TestManyFalseAlarms: texts made to be slow are refused instead.
func TestManyFalseAlarms(t *testing.T) {
	old := bytes.Repeat([]byte("b"), 60_000)
	old[100], old[101], old[102] = 'a', 'd', 'a' // like bbb to both sums a and b
	target := bytes.Repeat([]byte("b"), 10_000_000)
	if _, err := Explain(old, target, 60_000); !errors.Is(err, ErrWork) {
		t.Errorf("%v", err)
	}
}

// TestCollision: a wrong match is seen, because both texts are here.
func TestCollision(t *testing.T) {
	e, err := explain([]byte("catbab"), []byte("cataca"), 3, MaxText, func([]byte) Sum { return 7 })
	if err != nil {
		t.Fatal(err)
	}
	if e.Totals.Collisions != 1 || e.Totals.Matches != 1 || e.Totals.LiteralBytes != 3 {
		t.Errorf("%+v", e.Totals)
	}
	if got := Render(e, RenderOptions{}); !strings.Contains(got, "COLLISION: block 1") {
		t.Error(got)
	}
}

// TestWeakBits compares the formula with random blocks.
func TestWeakBits(t *testing.T) {
	rnd := rand.NewChaCha8([32]byte{2})
	for _, tc := range []struct{ length, blocks int }{{3, 20_000}, {8, 40_000}, {40, 100_000}, {700, 200_000}} {
		seen := map[uint32]float64{}
		p := make([]byte, tc.length)
		equal := 0.0
		for range tc.blocks {
			if _, err := rnd.Read(p); err != nil {
				t.Fatal(err)
			}
			s := delta.NewClassic(p).Sum()
			equal += seen[s]
			seen[s]++
		}
		n := float64(tc.blocks)
		got, want := weakBits(tc.length), math.Log2(n*(n-1)/2/equal)
		t.Logf("blocks of %d bytes: %.2f bits, measured %.2f (%.0f pairs)", tc.length, got, want, equal)
		if math.Abs(got-want) > 0.7 {
			t.Errorf("blocks of %d bytes: %.2f bits, measured %.2f", tc.length, got, want)
		}
	}
}

func TestOdds(t *testing.T) {
	o := OddsOf(64<<10, 1<<20+63, 64)
	if o.Pairs != 1<<30 || len(o.Wrong) != 2 {
		t.Fatalf("%+v", o)
	}
	if got := o.Wrong[0].Log2 - o.Wrong[1].Log2; got != 32 {
		t.Errorf("32 bits more make 2^%v", got)
	}
	if got, want := math.Log2(o.FalseAlarms), 30-o.WeakBits; math.Abs(got-want) > 1e-9 {
		t.Errorf("false alarms 2^%v, want 2^%v", got, want)
	}
	for _, o := range []Odds{OddsOf(0, 5, 8), OddsOf(40, 0, 8), OddsOf(40, 7, 8), OddsOf(10, 5, 2), OddsOf(5, 5, 2), OddsOf(2, 2, 8)} {
		if !o.Impossible || o.FalseAlarms != 0 || len(o.Wrong) != 0 {
			t.Errorf("%+v", o)
		}
	}
	// The short last block is compared once, at the end.
	whole, short := OddsOf(40, 100, 8), OddsOf(45, 100, 8)
	if short.Short != 5 || short.Pairs != whole.Pairs+1 || short.Blocks != 5 || short.FalseAlarms != whole.FalseAlarms+math.Exp2(-weakBits(5)) {
		t.Errorf("%+v, without the last block %+v", short, whole)
	}
	if o := OddsOf(5, 20, 8); o.Impossible || o.Pairs != 1 || o.Wrong[0].Log2 != -weakBits(5)-32 {
		t.Errorf("only a short block: %+v", o)
	}
	if o := OddsOf(5, 4, 8); o.Pairs != 0 || o.Short != 0 {
		t.Errorf("there is no room for the short block: %+v", o)
	}
}

// TestQuote: whole characters are letters, everything else is pairs of digits.
func TestQuote(t *testing.T) {
	for _, tc := range []struct {
		bytes string
		most  int
		want  string
	}{
		{"", 5, `""`},
		{"ü", 5, `"ü"`},
		{"\xc3", 5, "c3"},
		{"d\xc3", 6, "64 c3"},
		{"\xbcd", 6, "bc 64"},
		{"a b\t\r\n", 9, `"a b⇥␍↵"`},
		{"a\x1b[2J", 15, "61 1b 5b 32 4a"},
		{"abüd", 3, `"ab" …`},
		{"abüd", 4, `"abü" …`},
		{"a\u202eb", 9, "61 e2 80 …"},
		{"\u0301a", 9, "cc 81 61"},
		{"a\u0301", 9, "\"a\u0301\""},
		{"\x80\x80\x80\x80\x80", 4, "80 …"},
		{"\x00", 1, "00"},
	} {
		if got := Quote([]byte(tc.bytes), tc.most); got != tc.want {
			t.Errorf("%q, %d: %s, want %s", tc.bytes, tc.most, got, tc.want)
		}
	}
}

// TestRest: what is said of a rest is why no block is looked for in it.
func TestRest(t *testing.T) {
	for _, tc := range []struct {
		old, target string
		block       int
		want        string
	}{
		{"", "abc", 2, `"abc": the old text is empty, so that there are no blocks to find; it is literal`},
		{"abcdef", "x", 4, `"x": too short for a whole block; it is literal`},
		{"abc", "x", 4, `"x": too short for the only block, which has 3 bytes; it is literal`},
		{"abc", "uvwxyzabc", 4, `"uvwxyz": the only block has 3 bytes and can only be at the very end; it is literal`},
		{"abc", "uvwxyz", 4, `"xyz": the short last block has another weak sum; it is literal`},
	} {
		e, err := Explain([]byte(tc.old), []byte(tc.target), tc.block)
		if err != nil {
			t.Fatal(err)
		}
		if got := Render(e, RenderOptions{}); !strings.Contains(got, tc.want+"\n") {
			t.Errorf("%s does not say %s", got, tc.want)
		}
	}
}

// TestExplainAll tells the steps of longer texts, up to a limit.
func TestExplainAll(t *testing.T) {
	text := bytes.Repeat([]byte("abcdefgh"), MaxText/8)
	few, err := Explain(text, text, 8)
	if err != nil {
		t.Fatal(err)
	}
	all, err := ExplainAll(text, text, 8)
	if err != nil {
		t.Fatal(err)
	}
	if few.Detailed || !all.Detailed || len(all.Steps) != MaxText/8 || len(all.Blocks) != MaxText/8 {
		t.Errorf("%v, %v, %d steps, %d blocks", few.Detailed, all.Detailed, len(all.Steps), len(all.Blocks))
	}
	said := "in texts of 32768 bytes together; try all.\n  What follows counts all of them."
	if got := Render(few, RenderOptions{All: "try all"}); !strings.Contains(got, said) {
		t.Errorf("%s does not say %s", got[:200], said)
	}
	if e, err := ExplainAll(make([]byte, MaxAll), []byte("x"), 1000); err != nil || e.Detailed {
		t.Errorf("%v, %v", e.Detailed, err)
	}
}

func TestParseStory(t *testing.T) {
	got, err := ParseStory("dir/a.story", []byte("\ufeff# note\r\ntitle: T\r\nblock: 2\nnew: \"a\\tb \"\nold:\n\nOne\n two.\n# note\n\n[2]  Three\n[4]\n\n\n"))
	want := Story{Name: "a", Title: "T", Block: 2, New: "a\tb ", Text: []Paragraph{{0, "One two."}, {2, "Three [4]"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for text, says := range map[string]string{
		"":                                   `"block:"`,
		"block: 1\nold: a":                   `"new:"`,
		"block: 1\nold: a\nnew: b\nold: c":   "line 4: old comes twice",
		"block: x\n":                         "no number",
		"block: 0\nold:\nnew:\n":             "length of a block",
		"size: 1\n":                          "unknown",
		"nonsense\n":                         "no colon",
		"old: \"a\n":                         "double quotes",
		"old: \"\\xff\"\n":                   "not UTF-8",
		"title: a\x1b[2J\n":                  "cannot be shown",
		"block: 1\nold:\nnew:\n\na\u202eb\n": "line 5: a character that cannot be shown",
		"block: 1\nold:\nnew:\n\n[x] b\n":    "no number of a step",
		"\xff":                               "not UTF-8",
		strings.Repeat("#\n", MaxStory):      "more than",
	} {
		if _, err := ParseStory("s", []byte(text)); !errors.Is(err, ErrStory) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", text, err, says)
		}
	}
}

func FuzzParseStory(f *testing.F) {
	for _, s := range []string{"charla", "false-alarm"} {
		text, err := stories.ReadFile("stories/" + s + ".story")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseStory("s.story", text)
		if err != nil {
			return
		}
		e, err := Explain([]byte(s.Old), []byte(s.New), s.Block)
		if err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		for _, r := range Render(e, RenderOptions{Story: &s}) {
			if r != '\n' && r < ' ' || r == 0x7f {
				t.Fatalf("a control character %q", r)
			}
		}
	})
}
