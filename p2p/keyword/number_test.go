package keyword_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/ranges/rangetest"
)

// between returns the IDs of documents, in order.
func between(t *testing.T, x *keyword.Index, q keyword.Between) (ids string, rounds int) {
	t.Helper()
	a, err := x.Between(t.Context(), q)
	if err != nil || a.Partial || a.Next != nil {
		t.Fatalf("%+v: %+v, %v", q, a, err)
	}
	var out []string
	for _, e := range a.Entries {
		out = append(out, string(e.Value))
	}
	slices.Sort(out)
	return strings.Join(out, " "), a.Trace.Rounds
}

// TestBetween compares both trees with a list of all documents, whose sizes are small mostly, as
// those of files are, and equal in many.
func TestBetween(t *testing.T) {
	network := rangetest.New(20, 3, time.Now)
	r := rand.New(rand.NewPCG(7, 7))
	size := func() int64 { return int64(math.Exp(r.Float64()*24)) / 100 * 100 }
	there := map[string]int64{}
	var documents []keyword.Document
	for i := range 600 {
		id := fmt.Sprint("d", i)
		there[id] = size()
		documents = append(documents, keyword.Document{ID: id, Value: []byte(id), Numbers: []keyword.Number{{Field: "size", Value: there[id]}, {Field: "pages", Value: int64(i)}}})
	}
	publish(t, open(network, 0), 0, documents...)
	gone := documents[:200]
	if _, err := open(network, 0).Withdraw(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, d := range gone {
		delete(there, d.ID)
	}
	x := open(network, 0)
	for n := range 60 {
		from, to := size(), size()
		if n == 0 {
			from, to = math.MinInt64, math.MaxInt64
		}
		from, to = min(from, to), max(from, to)
		var want []string
		for id, has := range there {
			if k := keyword.KeyOf(has); k >= keyword.KeyOf(from) && k <= keyword.KeyOf(to) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		for _, tree := range keyword.Trees {
			got, rounds := between(t, x, keyword.Between{Field: "size", From: from, To: to, Tree: tree, Limit: 1000})
			if got != strings.Join(want, " ") {
				t.Errorf("%d to %d by %s: %d bytes of documents, want %d", from, to, tree, len(got), len(strings.Join(want, " ")))
			}
			if n > 0 && rounds > 3 {
				t.Errorf("%d to %d by %s: %d rounds", from, to, tree, rounds)
			}
		}
	}
	if got, _ := between(t, x, keyword.Between{Field: "pages", From: 300, To: 302}); got != "d300 d301 d302" {
		t.Errorf("of another field: %q", got)
	}
	for _, q := range []keyword.Between{{From: 1, To: 2}, {Field: "size", From: 2, To: 1}, {Field: "size", Tree: "oak"}, {Field: "size", Limit: -1}, {Field: "size", Limit: math.MaxInt}} {
		if _, err := x.Between(t.Context(), q); !errors.Is(err, keyword.ErrQuery) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	many := keyword.Document{ID: "many", Numbers: make([]keyword.Number, keyword.MaxNumbers+1)}
	if _, err := x.Publish(t.Context(), []keyword.Document{many}, 0, time.Hour); !errors.Is(err, keyword.ErrDocument) {
		t.Error(err)
	}
}

// TestBuckets: in a large network nothing is in buckets, and what was is taken away.
func TestBuckets(t *testing.T) {
	network := rangetest.New(5, 3, time.Now)
	small := true
	x := keyword.New(keyword.Options{Table: network, Name: "test", Small: func() bool { return small }})
	d := keyword.Document{ID: "d", Terms: []string{"word"}, Value: []byte("d"), Numbers: []keyword.Number{{Field: "size", Value: 5}}}
	q := keyword.Between{Field: "size", From: 0, To: 9, Tree: keyword.TreeBuckets}
	publish := func() {
		t.Helper()
		if _, err := x.Publish(t.Context(), []keyword.Document{d}, 0, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	if a, err := x.Between(t.Context(), q); err != nil || len(a.Entries) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	small = false
	if _, err := x.Between(t.Context(), q); !errors.Is(err, keyword.ErrQuery) {
		t.Errorf("asked in a large network: %v", err)
	}
	if _, err := x.Withdraw(t.Context(), []keyword.Document{d}); err != nil {
		t.Fatal(err)
	}
	publish()
	q.Tree = keyword.TreePHT
	if a, err := x.Between(t.Context(), q); err != nil || len(a.Entries) != 1 {
		t.Errorf("by the tree: %+v, %v", a, err)
	}
	small, q.Tree = true, keyword.TreeBuckets
	if a, err := x.Between(t.Context(), q); err != nil || len(a.Entries) != 0 {
		t.Errorf("what a large network has in buckets: %+v, %v", a, err)
	}
}
