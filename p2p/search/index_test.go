package search

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// TestRanking states the promises about order: each query with the documents it
// finds, best first.
func TestRanking(t *testing.T) {
	many := strings.Repeat("network ", 200)
	for _, tt := range []struct {
		name      string
		documents []Document
		query     string
		want      string
	}{
		{"exact text above a typo in the title", []Document{
			{ID: "typo", Title: "Netwrok", Text: "netwrok netwrok"},
			{ID: "exact", Title: "Other", Text: strings.Repeat("filler ", 500) + "network"},
		}, "network", "exact typo"},
		{"one edit above two", []Document{
			{ID: "two", Title: "Newtrok"},
			{ID: "one", Title: "Other", Text: "a netwrok"},
		}, "network", "one two"},
		{"name above title above path above text", []Document{
			{ID: "text", Title: "t.md", Path: "t.md", Text: many},
			{ID: "title", Title: "The network handbook", Path: "t.md", Text: "short"},
			{ID: "name", Title: "A long title", Path: "some-very-long-network-file-name-with-words.md", Text: strings.Repeat("filler ", 900)},
			{ID: "path", Title: "p.md", Path: "network/p.md"},
		}, "network", "name title path text"},
		{"the title is the name of what has no file", []Document{
			{ID: "text", Title: "Other", Text: many},
			{ID: "title", Title: "Network and other things that are long to tell"},
		}, "network", "title text"},
		{"more often is better", []Document{
			{ID: "once", Text: "network one two three four five"},
			{ID: "twice", Text: "network network two three four five"},
		}, "network", "twice once"},
		{"shorter text is better", []Document{
			{ID: "long", Text: "network " + strings.Repeat("filler ", 50)},
			{ID: "short", Text: "network filler"},
		}, "network", "short long"},
		{"all words, not any", []Document{
			{ID: "one", Text: "alpha"}, {ID: "both", Text: "beta and alpha"}, {ID: "other", Text: "beta"},
		}, "alpha beta", "both"},
		{"rare words decide", []Document{
			{ID: "a", Title: "common", Text: "rarely"},
			{ID: "b", Title: "rarely", Text: "common"},
			{ID: "c", Text: "common"},
			{ID: "d", Text: "common"},
			{ID: "e", Text: "common"},
		}, "common rarely", "b a"},
		{"most words when none has all", []Document{
			{ID: "one", Title: "alpha"}, {ID: "two", Text: "alpha beta"}, {ID: "none", Text: "delta"},
		}, "alpha beta gammaray", "two"},
		{"a word above what only begins so", []Document{
			{ID: "prefix", Title: "Network"}, {ID: "word", Text: strings.Repeat("filler ", 99) + "net"},
		}, "net", "word prefix"},
		{"a beginning counts as exact", []Document{
			{ID: "prefix", Text: "networking"}, {ID: "typo", Title: "netwrko"},
		}, "networ", "prefix typo"},
		{"only the last word may be unfinished", []Document{
			{ID: "a", Text: "network peers"}, {ID: "b", Text: "netw peers"},
		}, "netw peers", "b"},
		{"a typo in a beginning", []Document{{ID: "a", Text: "networking"}}, "ntwor", "a"},
		{"but not in a short one", []Document{{ID: "a", Text: "networking"}}, "nwt", ""},
		{"the first letter is not special", []Document{{ID: "a", Text: "network"}}, "metwork", "a"},
		{"exchanged letters are one edit", []Document{{ID: "a", Text: "four"}}, "fuor", "a"},
		{"no edits in three letters", []Document{{ID: "a", Text: "cat"}}, "cot", ""},
		{"accents do not matter", []Document{{ID: "a", Text: "Zürich"}, {ID: "b", Text: "zurich"}}, "ZÜRICH", "a b"},
		{"compounds in all spellings", []Document{
			{ID: "a", Text: "Wi-Fi"}, {ID: "b", Text: "wifi"}, {ID: "c", Text: "wi fi"},
		}, "wi-fi", "a b c"},
		{"compounds joined", []Document{{ID: "a", Text: "getUserName()"}, {ID: "b", Text: "get_user_name"}}, "getusername", "a b"},
		{"compounds with a typo", []Document{{ID: "a", Text: "javascript"}}, "JavaScirpt", "a"},
		{"file names in parts", []Document{{ID: "a", Path: "x/report-2024.final.pdf"}}, "final report", "a"},
		{"file names as they are", []Document{{ID: "a", Path: "x/report-2024.final.pdf"}, {ID: "b", Text: "report 2024 final pdf"}}, "report-2024.final.pdf", "a b"},
		{"text fields are text", []Document{{ID: "a", Title: "x", Fields: map[string]Value{"author": Text("Bocek")}}}, "bocek", "a"},
		{"equal hits by id", []Document{{ID: "b", Text: "network"}, {ID: "a", Text: "network"}, {ID: "c", Text: "network"}}, "network", "a b c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := indexOf(t, tt.documents...)
			a := ask(t, x, tt.query)
			if tt.name == "compounds in all spellings" || strings.HasPrefix(tt.name, "compounds") || strings.HasPrefix(tt.name, "accents") {
				slices.SortFunc(a.Hits, func(a, b Hit) int { return strings.Compare(a.ID, b.ID) })
			}
			if diff := cmp.Diff(strings.Fields(tt.want), ids(a.Hits), emptyIsNil); diff != "" {
				for _, h := range a.Hits {
					t.Log(h.ID, h.Distance, h.Score)
				}
				t.Errorf("%q (-want +got):\n%s", tt.query, diff)
			}
			if a.Total != len(a.Hits) {
				t.Errorf("total %d of %d hits", a.Total, len(a.Hits))
			}
		})
	}
}

func TestMissingSaysHowManyWordsLack(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "alpha beta"}, Document{ID: "b", Text: "alpha"})
	for query, want := range map[string]int{"alpha": 0, "alpha beta": 0, "alpha beta gammaray": 1, "alpha zzzzzz gammaray": 2, "zzzzzz": 0} {
		if a := ask(t, x, query); a.Missing != want {
			t.Errorf("%q: %d missing, want %d", query, a.Missing, want)
		}
	}
}

func TestCorrections(t *testing.T) {
	x := indexOf(t,
		Document{ID: "a", Text: "network networks carry harry"},
		Document{ID: "b", Text: "network network"},
		Document{ID: "c", Text: "test rest"})
	for _, tt := range []struct {
		query string
		want  []Correction
	}{
		{"network", nil},
		{"netwrk", []Correction{{"netwrk", "network", 1}}},
		{"Netwrk", []Correction{{"Netwrk", "network", 1}}},
		{"carry", nil}, // though harry is found as well
		{"netw", nil},  // begins a word
		{"netwrk carry tesx", []Correction{{"netwrk", "network", 1}, {"tesx", "test", 1}}},
		{"xyzzyxyzzy", nil},
	} {
		if diff := cmp.Diff(tt.want, ask(t, x, tt.query).Corrections, emptyIsNil); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.query, diff)
		}
	}
	if a := ask(t, x, "carry"); len(a.Hits) != 1 || a.Hits[0].Distance != 0 {
		t.Errorf("carry: %+v", a.Hits)
	}
}

func TestFuzzIsFixedWhenGiven(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "cat"}, Document{ID: "b", Text: "cut"}, Document{ID: "c", Text: "dog"})
	for fuzz, want := range []string{"", "a b", "a b c", "a b c"} {
		a, err := x.Query(t.Context(), Query{Text: "cot", Fuzz: fuzz})
		if err != nil {
			t.Fatal(err)
		}
		found := ids(a.Hits)
		slices.Sort(found)
		if got := strings.Join(found, " "); got != want {
			t.Errorf("fuzz %d: %q, want %q", fuzz, got, want)
		}
	}
}

func TestQueryLimits(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "cat"})
	for text, want := range map[string]error{
		"": ErrEmpty, " \t ": ErrEmpty, "?!": ErrEmpty,
		strings.Repeat("ä", MaxQuery):      nil,
		strings.Repeat("ä", MaxQuery+1):    ErrTooLong,
		strings.Repeat("a ", MaxQuery/2):   nil,
		strings.Repeat("\xff", MaxQuery+1): ErrTooLong,
	} {
		if _, err := x.Query(t.Context(), Query{Text: text, Fuzz: Auto}); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", text, err, want)
		}
	}
	if _, err := x.Query(t.Context(), Query{Text: "cat", Cursor: "zzzz"}); !errors.Is(err, ErrCursor) {
		t.Errorf("cursor: %v", err)
	}
}

func TestUnusableDocuments(t *testing.T) {
	x := indexOf(t)
	for name, d := range map[string]Document{
		"no id":          {},
		"long id":        {ID: strings.Repeat("a", MaxID+1)},
		"id with spaces": {ID: "a b"},
		"negative size":  {ID: "a", Size: -1},
		"long path":      {ID: "a", Path: strings.Repeat("a", MaxPath+1)},
		"path with NUL":  {ID: "a", Path: "a\x00b"},
		"path not UTF-8": {ID: "a", Path: "a\xffb"},
		"folder":         {ID: "a", Folder: "a\nb"},
		"empty field":    {ID: "a", Fields: map[string]Value{"": Number(1)}},
		"bad field":      {ID: "a", Fields: map[string]Value{"x": Text("\xff")}},
	} {
		if err := x.Put(t.Context(), []Document{d}); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := x.Stats().Documents; n != 0 {
		t.Errorf("%d documents", n)
	}
}

func TestDocument(t *testing.T) {
	want := Document{
		ID: "a", Title: "Title", Text: "some\ntext", Folder: "f", Path: "p/q.md", Type: TypeMarkdown, Size: 9,
		Modified: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Fields:   map[string]Value{"year": Number(2005.5), "author": Text("Bocek")},
	}
	x := indexOf(t, want)
	got, err := x.Document(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := x.Document(t.Context(), "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown document: %v", err)
	}
	h := ask(t, x, "bocek").Hits[0]
	want2 := Hit{
		ID: "a", Title: "Title", Folder: "f", Path: "p/q.md", Local: true, Type: TypeMarkdown, Size: 9, Modified: want.Modified,
		Score: h.Score, Snippet: Snippet{Text: "some text", Marks: [][2]int{}},
	}
	if diff := cmp.Diff(want2, h); diff != "" {
		t.Errorf("hit (-want +got):\n%s", diff)
	}
}

// TestWordsThatNobodyHas: a word that is in no document may have one edit more.
func TestWordsThatNobodyHas(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "make"}, Document{ID: "b", Text: "pigeons"}, Document{ID: "c", Text: "gnu"})
	for query, want := range map[string]string{"mkea": "make", "pijuns": "pigeons"} {
		a := ask(t, x, query)
		if len(a.Hits) != 1 || len(a.Corrections) != 1 || a.Corrections[0].To != want {
			t.Errorf("%s: %d hits, %v", query, len(a.Hits), a.Corrections)
		}
	}
	// Of three letters none is wrong, whoever has it.
	if a := ask(t, x, "gnx"); len(a.Hits) != 0 {
		t.Errorf("gnx finds %v", a.Hits)
	}
	if err := x.Put(t.Context(), []Document{{ID: "d", Text: "mkea pijuns"}}); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"mkea", "pijuns"} {
		if a := ask(t, x, query); len(a.Hits) != 1 || a.Hits[0].ID != "d" {
			t.Errorf("%s, which is there, finds %v", query, a.Hits)
		}
	}
}

// TestLikelySlips: of words that are as near, that is assumed which was most likely meant.
func TestLikelySlips(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "access"}, Document{ID: "b", Text: "acres"}, Document{ID: "c", Text: "acres"})
	a := ask(t, x, "acess")
	if len(a.Corrections) != 1 || a.Corrections[0].To != "access" {
		t.Errorf("acess is taken for %v", a.Corrections)
	}
}

// oracle finds documents as the rules say, by comparing every word with every
// other by the whole matrix.
func oracle(documents map[string]string, query string, fuzz int) map[string]int {
	plan, err := newPlan(query, "", nil)
	if err != nil {
		return nil
	}
	units := plan.units
	count := map[string]int{} // documents
	for _, text := range documents {
		for _, w := range slices.Compact(slices.Sorted(slices.Values(terms(text)))) {
			count[w]++
		}
	}
	meant := make([]map[string]int, len(units))
	for i, u := range units {
		meant[i] = oracleMeant(u.parts[0], count, fuzz, i == len(units)-1)
	}
	best, most := map[string]int{}, 0
	for id, text := range documents {
		has, sum := 0, 0
		distances := make([]int, len(units))
		for i, u := range units {
			distances[i] = oracleUnit(u.parts[0], text, fuzz, meant[i])
		}
		if len(units) == 2 {
			word := units[0].parts[0] + units[1].parts[0]
			if oracleEdits(word, fuzz) > 0 && slices.Contains(terms(text), word) {
				switch {
				case distances[0] < 0 && distances[1] < 0:
					distances = []int{1, 0}
				case distances[0] < 0:
					distances[0] = 1
				case distances[1] < 0:
					distances[1] = 1
				}
			}
		}
		for _, d := range distances {
			if d >= 0 {
				has++
				sum += d
			}
		}
		if has > most {
			best, most = map[string]int{}, has
		}
		if has == most && has > 0 {
			best[id] = sum
		}
	}
	return best
}

// oracleUnit returns the distance at which a text has a word, -1 if it has not.
func oracleUnit(word, text string, fuzz int, meant map[string]int) int {
	best, before := -1, ""
	for w := range Tokens(text) {
		if n, ok := meant[w.Term]; ok && (best < 0 || n < best) {
			best = n
		}
		if before+w.Term == word && utf8.RuneCountInString(before) >= minApart && utf8.RuneCountInString(w.Term) >= minApart &&
			oracleEdits(word, fuzz) > 0 && (best < 0 || best > 1) {
			best = 1
		}
		before = w.Term
	}
	return best
}

func oracleEdits(word string, fuzz int) int {
	if fuzz == Auto {
		return Tolerance(utf8.RuneCountInString(word))
	}
	return fuzz
}

// oracleMeant returns the words that may be meant, of those that are in so many documents, with
// their distances.
func oracleMeant(q string, count map[string]int, fuzz int, prefix bool) map[string]int {
	meant, edits := map[string]int{}, oracleEdits(q, fuzz)
	var far []fastss.Match
	for i, w := range slices.Sorted(maps.Keys(count)) {
		if d := oracleDistance(q, w, edits, prefix); d >= 0 {
			meant[w] = d
		} else if fuzz == Auto && count[q] == 0 && edits > 0 {
			far = append(far, fastss.Match{Word: w, Number: uint32(i), Count: count[w], Distance: fastss.Distance(q, w)})
		}
	}
	last := min(edits+1, 3)
	if utf8.RuneCountInString(q) >= 7 && len(meant) == 0 {
		last = 4
	}
	far = fastss.Likely(q, slices.DeleteFunc(far, func(m fastss.Match) bool { return m.Distance > last }))
	fastss.Rank(q, far)
	for _, m := range far[:min(len(far), 8)] {
		meant[m.Word] = m.Distance
	}
	return meant
}

// oracleDistance returns the distance at which word stands for q, -1 if it does
// not.
func oracleDistance(q, word string, fuzz int, prefix bool) int {
	letters := utf8.RuneCountInString(q)
	matrix := fastss.OSA.Matrix(q, word)
	last := matrix[len(matrix)-1]
	best := -1
	if d := last[len(last)-1]; d <= fuzz {
		best = d
	}
	if prefix {
		edits := 0
		if fuzz > 0 && letters >= 4 {
			edits = 1
		}
		if d := slices.Min(last); d <= edits && (best < 0 || d < best) {
			best = d
		}
	}
	return best
}

// drawWord draws words of which many are near to each other.
func drawWord(t *rapid.T, label string) string {
	letters := rapid.SliceOfN(rapid.SampledFrom([]rune("abcdeжé")), 1, 11).Draw(t, label)
	return Fold(string(letters))
}

func drawText(t *rapid.T, label string) string {
	list := make([]string, rapid.IntRange(0, 8).Draw(t, label+" length"))
	for i := range list {
		list[i] = drawWord(t, label)
	}
	return strings.Join(list, " ")
}

// TestEveryDocumentIsFound compares with the oracle: no document within the
// tolerance is left out, none beyond is found, distances are right, and the
// order is that of the keys. Documents come, change and go on the way, and an
// index that is opened anew on the same store answers the same.
func TestEveryDocumentIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := NewMemory()
		ctx := context.Background()
		x, err := Open(ctx, store)
		if err != nil {
			t.Fatal(err)
		}
		documents := make(map[string]string)
		for i := range rapid.IntRange(0, 30).Draw(t, "changes") {
			id := fmt.Sprint("doc", rapid.IntRange(0, 9).Draw(t, "id"))
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				err = x.Remove(ctx, id)
				delete(documents, id)
			} else {
				documents[id] = drawText(t, fmt.Sprint("text ", i))
				err = x.Put(ctx, []Document{{ID: id, Text: documents[id]}})
			}
			if err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 5).Draw(t, "compact") == 0 {
				x.squeeze()
			}
		}
		query := drawWord(t, "query")
		if rapid.Bool().Draw(t, "two words") {
			query += " " + drawWord(t, "query")
		}
		q := Query{Text: query, Fuzz: rapid.IntRange(Auto, 3).Draw(t, "fuzz"), Limit: MaxLimit}
		got, err := x.Query(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		distances := make(map[string]int)
		for _, h := range got.Hits {
			distances[h.ID] = h.Distance
		}
		if diff := cmp.Diff(oracle(documents, query, q.Fuzz), distances, emptyIsNil); diff != "" {
			t.Fatalf("%q in %q (-want +got):\n%s", query, documents, diff)
		}
		if !slices.IsSortedFunc(got.Hits, sorting{}.hits) || got.Total != len(got.Hits) {
			t.Fatalf("order or total of %+v", got)
		}
		again, err := Open(ctx, store)
		if err != nil {
			t.Fatal(err)
		}
		reopened, err := again.Query(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		got.Took, reopened.Took = 0, 0
		for i := range got.Nodes {
			got.Nodes[i].Took, reopened.Nodes[i].Took = 0, 0
		}
		if diff := cmp.Diff(got, reopened); diff != "" {
			t.Fatalf("incremental (-) and rebuilt (+) differ:\n%s", diff)
		}
		a, b := x.Stats(), again.Stats()
		a.Postings, b.Postings = 0, 0
		if a != b {
			t.Fatalf("incremental %+v, rebuilt %+v", a, b)
		}
	})
}

func TestPostingsAreCompacted(t *testing.T) {
	x := indexOf(t)
	var documents []Document
	for i := range 3 * batchSize {
		documents = append(documents, Document{ID: fmt.Sprint("doc", i), Folder: fmt.Sprint("folder", i%3), Text: fmt.Sprint("common word", i)})
	}
	for range 3 {
		if err := x.Put(t.Context(), documents); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(x.docs); n > 2*len(documents) {
		t.Errorf("%d slots for %d documents", n, len(documents))
	}
	if err := x.RemoveFolder(t.Context(), "folder1"); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, x, "common"); a.Total != 2*batchSize {
		t.Errorf("%d documents left, want %d", a.Total, 2*batchSize)
	}
	if a := ask(t, x, "word4"); slices.Contains(ids(a.Hits), "doc4") {
		t.Error("a removed document is found")
	}
}

func TestFolders(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Title: "none"}, Document{ID: "b", Folder: "g"}, Document{ID: "c", Folder: "f"}, Document{ID: "d", Folder: "g"})
	if got := x.Folders(); !slices.Equal(got, []string{"f", "g"}) {
		t.Errorf("folders %q", got)
	}
	if err := x.RemoveFolder(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if got := x.Folders(); !slices.Equal(got, []string{"f"}) {
		t.Errorf("folders %q after removing one", got)
	}
}

// TestDamagedWordsAreReadAgain opens stores of another version.
func TestDamagedWordsAreReadAgain(t *testing.T) {
	store := NewMemory()
	x, err := Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Put(t.Context(), []Document{{ID: "a", Title: "A", Text: "network"}, {ID: "b", Text: "network peers"}, {ID: "c", Folder: "f", Text: "network"}, {ID: "d", Title: "D", Text: "network"}}); err != nil {
		t.Fatal(err)
	}
	damage := func(id string, change func(r *Record)) {
		r, err := store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		change(&r)
		if err := store.Put(t.Context(), []Record{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	damage("a", func(r *Record) { r.Terms[0]++ })
	damage("b", func(r *Record) { r.Terms = r.Terms[:len(r.Terms)-1] })
	damage("c", func(r *Record) { r.Terms, r.Text = nil, []byte("no text") })
	damage("d", func(r *Record) { r.Terms, r.Text = nil, []byte("no text") })
	x, err = Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(ask(t, x, "network").Hits); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("found %v", got)
	}
	if a := ask(t, x, "d"); len(a.Hits) != 1 || a.Hits[0].Snippet.Text != "" || x.Stats().Documents != 3 {
		t.Errorf("what was published is found by its title: %+v of %d", a.Hits, x.Stats().Documents)
	}
}

// TestOldWordsAreReadAgain opens a store that another version has written.
func TestOldWordsAreReadAgain(t *testing.T) {
	const n = 2*batchSize + 7
	store := NewMemory()
	x, err := Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	var documents []Document
	for i := range n {
		documents = append(documents, Document{ID: fmt.Sprint(i), Folder: "f", Text: fmt.Sprintf("the network of %d", i)})
	}
	if err := x.Put(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	for _, r := range store.records {
		r.Terms[0]-- // the store's own
	}
	for round := range 2 {
		var told [][2]int
		x, err = Options{Rereading: func(done, all int) { told = append(told, [2]int{done, all}) }}.Open(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		want := [][2]int{{0, n}, {batchSize, n}, {2 * batchSize, n}, {n, n}}
		if round > 0 {
			want = nil
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if a := ask(t, x, `"network of"`); a.Total != n {
			t.Errorf("%d documents, want %d", a.Total, n)
		}
	}
}
