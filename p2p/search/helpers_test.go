package search

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
)

var emptyIsNil = cmpopts.EquateEmpty()

// indexOf returns an index in memory of documents.
func indexOf(t testing.TB, documents ...Document) *Index {
	t.Helper()
	x, err := Open(context.Background(), NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Put(context.Background(), documents); err != nil {
		t.Fatal(err)
	}
	return x
}

// ask queries an index with automatic tolerance and all hits.
func ask(t testing.TB, x *Index, text string) Answer {
	t.Helper()
	a, err := x.Query(context.Background(), Query{Text: text, Fuzz: Auto, Limit: MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ids(hits []Hit) []string {
	found := make([]string, len(hits))
	for i, h := range hits {
		found[i] = h.ID
	}
	return found
}
