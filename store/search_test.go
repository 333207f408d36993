package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/searchtest"
)

func openSearch(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSearchStore(t *testing.T) {
	searchtest.Store(t, func(t *testing.T) search.Store { return openSearch(t, t.TempDir()).Search() })
}

// TestSearchAfterRestart finds after a restart what was found before, and after
// another one what was changed in between.
func TestSearchAfterRestart(t *testing.T) {
	dir := t.TempDir()
	find := func(x *search.Index, text string) []string {
		a, err := x.Query(t.Context(), search.Query{Text: text, Fuzz: search.Auto})
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, h := range a.Hits {
			ids = append(ids, h.ID+" "+h.Snippet.Text)
		}
		return ids
	}
	reopen := func(change func(x *search.Index) error) {
		s := openSearch(t, dir)
		defer s.Close()
		x, err := search.Open(t.Context(), s.Search())
		if err != nil {
			t.Fatal(err)
		}
		if err := change(x); err != nil {
			t.Fatal(err)
		}
	}
	reopen(func(x *search.Index) error {
		return x.Put(t.Context(), []search.Document{
			{ID: "a", Title: "One", Text: "a network of peers", Fields: map[string]search.Value{"year": search.Number(1998)}},
			{ID: "b", Title: "Two", Text: "the netwrok of others"},
		})
	})
	reopen(func(x *search.Index) error {
		if diff := cmp.Diff([]string{"a a network of peers", "b the netwrok of others"}, find(x, "network")); diff != "" {
			t.Errorf("after a restart (-want +got):\n%s", diff)
		}
		d, err := x.Document(t.Context(), "a")
		if err != nil || d.Fields["year"] != search.Number(1998) {
			t.Errorf("document: %+v, %v", d, err)
		}
		return x.Remove(t.Context(), "a")
	})
	reopen(func(x *search.Index) error {
		if diff := cmp.Diff([]string{"b the netwrok of others"}, find(x, "network")); diff != "" {
			t.Errorf("after removing (-want +got):\n%s", diff)
		}
		return nil
	})
}
