package search

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/search/query"
)

// shelf is a small collection in which each query of TestLanguage is told from the
// others.
func shelf(t testing.TB) *Index {
	at := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	x := indexOf(t,
		Document{
			ID: "pie", Title: "Apple pie", Folder: "f1", Path: "recipes/apple-pie.md", Type: TypeMarkdown, Size: 1500, Modified: at("2024-03-01"),
			Text: "Peel the apples, slice them and put the slices on the pastry. The pie is done when the pastry is brown.",
		},
		Document{
			ID: "pear", Title: "pear.pdf", Folder: "f1", Path: "recipes/pear.pdf", Type: TypePDF, Size: 2_000_000, Modified: at("2025-07-09"),
			Text: "Pears in red wine. Peel the pears and leave them whole. Anyway, a shared folder is not for fruit.",
		},
		Document{
			ID: "annual", Title: "Annual report 2025", Folder: "f2", Path: "work/report-final.pdf", Type: TypePDF, Size: 12_000_000, Modified: at("2026-01-02"),
			Text: "The report of the annual meeting. Wi-Fi routers were bought. sharedfolder was a typo.",
		},
		Document{ID: "photo", Title: "pie.jpg", Folder: "f3", Path: "2024/pie.jpg", Type: TypeImage, Size: 3_000_000, Modified: at("2024-12-24")},
		Document{ID: "note", Title: "Apple and pear", Text: "the whole of the pie", Size: 20, Modified: at("2023-05-05"), Fields: map[string]Value{"author": Text("anna berg"), "Portions": Number(-2.5)}},
	)
	x.Name(func(folder string) string {
		return map[string]string{"f1": "Kitchen", "f2": "Work", "f3": "Family photos"}[folder]
	})
	return x
}

// TestLanguage: each query with what it finds, in the order of the alphabet.
func TestLanguage(t *testing.T) {
	x := shelf(t)
	for _, tt := range []struct{ query, want string }{
		{"apples OR pears", "note pear pie"}, // apple and pear are one edit away
		{`"peel the apples"`, "pie"},
		{`"peel the"`, "pear pie"},
		{`"the peel"`, ""},
		{`"apple pie"`, "pie"},        // the title, and the name
		{`"annual report"`, "annual"}, // the title
		{`"report of the annual"`, "annual"},
		{`"report annual"`, ""},
		{`"the whole"`, "note"},
		{`"wi-fi routers"`, "annual"},
		{`"wifi routers"`, ""}, // as written
		{`"anna berg"`, "note"},
		{`"pie anna"`, ""}, // a field is not behind the text
		{`"pie`, "note photo pie"},
		{"pea*", "note pear"},
		{"pea* pie", "note"},
		{"peers*", ""},
		{"pie -apple", "photo"},
		{"pie -apples", "note photo"},
		{`pie -"the pie"`, "photo"},
		{"NOT pie", "annual pear"},
		{"-pie -report", "pear"},
		{"(apple OR report) -pear", "annual pie"},
		{"pie (ext:md OR type:image)", "photo pie"},
		{"ext:pdf", "annual pear"},
		{"ext:PDF,jpg", "annual pear photo"},
		{"-ext:pdf", "note photo pie"},
		{"type:pdf report", "annual"},
		{"fields.Portions:-3..0", "note"},
		{"fields.Portions:<-2.5", ""},
		{"fields.portions:-3..0", ""}, // fields have the case they have
		{"fields.author:1..2", ""},
		{"pie -fields.Portions:<0", "photo pie"},
		{"size:>10mb", "annual"},
		{"size:1mb..3mb", "pear photo"},
		{"size:2mb", "pear"},
		{"size:<1kb", "note"},
		{"modified:2024", "photo pie"},
		{"modified:2024..2025", "pear photo pie"},
		{"modified:>2026-01-01", "annual"},
		{"modified:>=2026-01-02", "annual"},
		{"modified:<2024", "note"},
		{"folder:kitchen", "pear pie"},
		{"folder:f2", "annual"},
		{`folder:"photos family"`, "photo"},
		{"folder:photo", ""},
		{"-folder:kitchen,work", "note photo"},
		{"name:apple", "note pie"}, // what has no file is named by its title
		{"name:report", "annual"},
		{"title:report", "annual"},
		{"title:pie", "photo pie"},
		{"name:final", "annual"},
		{"title:final", ""},
		{"name:reprot", "annual"},
		{`name:"apple pie"`, "pie"},
		{`title:"and pear"`, "note"},
		{"name:pe*", "note pear"},
		{"any way", "pear"},
		{"anyway", "pear"},
		{"sharedfolder", "annual pear"},
		{`"shared folder"`, "pear"},
		{"shared folder", "annual pear"},
		{"pie zzzzzzzz", "note photo pie"}, // a word may be missing
		{"pie zzzzzzzz*", ""},              // a condition may not
		{`pie "red wine"`, "pear"},         // with the phrase, without the word
		{"ext:pdf zzzzzzzz", ""},
		{"node:alice", ""},
		{"-node:alice pears", "note pear"},
	} {
		a, err := x.Query(t.Context(), Query{Text: tt.query, Fuzz: Auto, Limit: MaxLimit})
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		found := ids(a.Hits)
		slices.Sort(found)
		if got := strings.Join(found, " "); got != tt.want || a.Total != len(found) {
			t.Errorf("%s: %q of %d, want %q", tt.query, got, a.Total, tt.want)
		}
	}
}

func TestExactAboveJoinedAndSplit(t *testing.T) {
	x := shelf(t)
	for text, want := range map[string]string{"sharedfolder": "annual:0 pear:1", "shared folder": "pear:0 annual:1", "any way": "pear:1"} {
		got := ""
		for _, h := range ask(t, x, text).Hits {
			got += fmt.Sprint(" ", h.ID, ":", h.Distance)
		}
		if got != " "+want {
			t.Errorf("%s:%s, want %s", text, got, want)
		}
	}
	x = indexOf(t, Document{ID: "a", Text: "a shared folder, anyway"}, Document{ID: "b", Text: "any"})
	for text, want := range map[string][]Correction{
		"sharedfolder": {{"sharedfolder", "shared folder", 1}},
		"any way":      {{"any way", "anyway", 1}},
		"shared":       nil,
	} {
		if diff := cmp.Diff(want, ask(t, x, text).Corrections, emptyIsNil); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	a, err := x.Query(t.Context(), Query{Text: "sharedfolder any way", Fuzz: 0})
	if err != nil || len(a.Corrections) > 0 || a.Missing != 2 {
		t.Errorf("searched exactly: %+v, %v", a.Corrections, err)
	}
}

func TestFormsOfAWordFirst(t *testing.T) {
	x := indexOf(t,
		Document{ID: "a", Text: "folderx that is no form of it"},
		Document{ID: "b", Text: "folders and more that is said"})
	if got := strings.Join(ids(ask(t, x, "folder ").Hits), " "); got != "b a" {
		t.Errorf("found %s", got)
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"network", "networks", true},
		{"running", "runs", true},
		{"книги", "книгами", true},
		{"spiele", "spielen", true},
		{"network", "artwork", false},
		{"2024", "2025", false},
		{"東京", "東京都", false},
	} {
		s := stems{word: Fold(tt.a)}
		if got := s.form(Fold(tt.b)); got != tt.want {
			t.Errorf("%s is a form of %s: %v", tt.b, tt.a, got)
		}
	}
}

func TestOddQueries(t *testing.T) {
	x := shelf(t)
	for _, text := range []string{
		strings.Repeat("a ", 5000), strings.Repeat("(", 10_000), strings.Repeat("x OR ", 2000), `"`, `"""`, "((((", "))))", `^(?:\d+|[^"]*)\s*$`, "pie\x00apple",
		"\u202eeip", "e\u0301\u0301\u0301", strings.Repeat("\u0301", 500), "שלום pie", "-", "--", "AND OR NOT", strings.Repeat("-(", 100), strings.Repeat("(a OR ", 30) + "b" + strings.Repeat(")", 30),
		strings.Repeat("pie OR ", 140) + "pie", strings.Repeat("-(pie) ", 140), strings.Repeat("(pie) ", 160), strings.Repeat("NOT ", 200) + "pie",
	} {
		_, err := x.Query(t.Context(), Query{Text: text, Fuzz: 3})
		var at *query.Error
		if err != nil && !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrTooLong) && !errors.As(err, &at) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
}

func TestFilterHoldsBesides(t *testing.T) {
	x := shelf(t)
	for _, tt := range []struct{ text, filter, want string }{
		{"apple OR report", "ext:pdf", "annual"},
		{"pie", "type:image OR folder:kitchen", "photo pie"},
		{"", "type:image", "photo"},
		{"?!", "type:image", "photo"},
		{"pie", "", "note photo pie"},
	} {
		a, err := x.Query(t.Context(), Query{Text: tt.text, Filter: tt.filter, Fuzz: Auto})
		found := ids(a.Hits)
		slices.Sort(found)
		if err != nil || strings.Join(found, " ") != tt.want {
			t.Errorf("%q with %q: %v, %v; want %s", tt.text, tt.filter, found, err, tt.want)
		}
	}
	_, err := x.Query(t.Context(), Query{Text: "pie", Filter: "size:big"})
	var at *FilterError
	if !errors.As(err, &at) || !errors.Is(err, query.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if _, err := x.Query(t.Context(), Query{Text: "pie size:big"}); errors.As(err, &at) || !errors.Is(err, query.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// drawExpr draws an expression without words that may be missing or mistyped.
func drawExpr(t *rapid.T, depth int) query.Expr {
	word := func() string { return rapid.SampledFrom([]string{"aa", "bb", "cc", "dd"}).Draw(t, "word") }
	kinds := 5
	if depth > 0 {
		kinds = 8
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return query.Phrase{Text: word()}
	case 1:
		return query.Phrase{Text: word() + " " + word()}
	case 2:
		return query.Word{Text: word()[:1], Prefix: true}
	case 3:
		return query.Match{Field: "type", Values: []string{rapid.SampledFrom([]string{"text", "code"}).Draw(t, "type")}}
	case 4:
		return query.Range{Field: "size", From: int64(rapid.IntRange(0, 3).Draw(t, "from")), To: math.MaxInt64}
	case 5:
		e := drawExpr(t, depth-1)
		if n, ok := e.(query.Not); ok {
			return n.Of
		}
		return query.Not{Of: e}
	case 6:
		return query.And{drawExpr(t, depth-1), drawExpr(t, depth-1)}
	default:
		return query.Or{drawExpr(t, depth-1), drawExpr(t, depth-1)}
	}
}

// meets decides an expression by looking at the document itself.
func meets(e query.Expr, d Document) bool {
	words := strings.Fields(d.Text)
	switch e := e.(type) {
	case query.Phrase:
		return strings.Contains(" "+d.Text+" ", " "+e.Text+" ")
	case query.Word:
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, e.Text) })
	case query.Match:
		return slices.Contains(e.Values, d.Type)
	case query.Range:
		return e.From <= d.Size && d.Size <= e.To
	case query.Not:
		return !meets(e.Of, d)
	case query.And:
		return !slices.ContainsFunc(e, func(e query.Expr) bool { return !meets(e, d) })
	case query.Or:
		return slices.ContainsFunc(e, func(e query.Expr) bool { return meets(e, d) })
	}
	return false
}

// TestExpressionsFindWhatMeetsThem compares random expressions with a look at every
// document, in an index that changes and one that is opened anew.
func TestExpressionsFindWhatMeetsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := NewMemory()
		x, err := Open(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		x.turn = rapid.SampledFrom([]int{1, 3, turnSteps}).Draw(t, "turn")
		documents := make(map[string]Document)
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			id := fmt.Sprint("doc", rapid.IntRange(0, 9).Draw(t, "id"))
			if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
				err = x.Remove(t.Context(), id)
				delete(documents, id)
			} else {
				d := Document{
					ID: id, Type: rapid.SampledFrom([]string{"text", "code"}).Draw(t, "type"), Size: int64(rapid.IntRange(0, 4).Draw(t, "size")),
					Text: strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"aa", "bb", "cc", "dd", "ab"}), 0, 7).Draw(t, "text"), " "),
				}
				documents[id] = d
				err = x.Put(t.Context(), []Document{d})
			}
			if err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 5).Draw(t, "compact") == 0 {
				x.squeeze()
			}
		}
		e := drawExpr(t, 3)
		var want []string
		for _, id := range slices.Sorted(maps.Keys(documents)) {
			if meets(e, documents[id]) {
				want = append(want, id)
			}
		}
		again, err := Open(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range map[string]*Index{"incremental": x, "rebuilt": again} {
			a, err := x.Query(t.Context(), Query{Text: e.String(), Limit: MaxLimit})
			if err != nil {
				t.Fatalf("%s: %v", e, err)
			}
			found := ids(a.Hits)
			slices.Sort(found)
			if diff := cmp.Diff(want, found, emptyIsNil); diff != "" {
				t.Fatalf("%s, %s in %v (-want +got):\n%s", name, e, documents, diff)
			}
		}
	})
}
