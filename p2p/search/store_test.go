package search_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/searchtest"
)

func TestMemory(t *testing.T) {
	searchtest.Store(t, func(*testing.T) search.Store { return search.NewMemory() })
}

func TestValuesAsJSON(t *testing.T) {
	want := map[string]search.Value{"year": search.Number(-1.5), "zero": search.Number(0), "author": search.Text("Bocek"), "empty": search.Text("")}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != `{"author":"Bocek","empty":"","year":-1.5,"zero":0}` {
		t.Errorf("%s", b)
	}
	var got map[string]search.Value
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`null`, `true`, `[]`, `{}`} {
		if err := json.Unmarshal([]byte(bad), new(search.Value)); err == nil {
			t.Errorf("%s is a value", bad)
		}
	}
}
