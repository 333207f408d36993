// Package searchtest holds the tests that every search.Store passes.
package searchtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/shoal-p2p/shoal/p2p/search"
)

// Store tests what search.Store promises. open returns an empty store and is
// called once for each test.
func Store(t *testing.T, open func(t *testing.T) search.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s search.Store)
	}{
		{"Empty", testEmpty},
		{"Put", testPut},
		{"Replace", testReplace},
		{"Remove", testRemove},
		{"LoadStops", testLoadStops},
		{"Independent", testIndependent},
		{"Concurrent", testConcurrent},
		{"Words", testWords},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Found checks that each word of the texts of an index is found in the documents that have it, and
// in no others.
func Found(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, x *search.Index,
) {
	t.Helper()
	in := make(map[string][]string)
	for _, l := range x.List() {
		d, err := x.Document(context.Background(), l.ID)
		if err != nil {
			t.Fatalf("document %s: %v", l.ID, err)
		}
		here := make(map[string]bool)
		for w := range search.Tokens(d.Text) {
			if !here[w.Term] {
				here[w.Term] = true
				in[w.Term] = append(in[w.Term], d.ID)
			}
		}
	}
	if terms := x.Stats().Terms; terms < len(in) {
		t.Fatalf("%d different words, at least %d in the texts", terms, len(in))
	}
	for word, want := range in {
		a, err := x.Query(context.Background(), search.Query{Text: `"` + word + `"`, Limit: search.MaxLimit})
		if err != nil {
			t.Fatalf("%s: %v", word, err)
		}
		got := make([]string, len(a.Hits))
		for i, h := range a.Hits {
			got[i] = h.ID
		}
		slices.Sort(got)
		slices.Sort(want)
		if a.Total != len(want) || a.Total <= search.MaxLimit && !slices.Equal(got, want) {
			t.Fatalf("%s is in %d documents %v, found in %d: %v", word, len(want), want, a.Total, got)
		}
	}
}

// record returns a record in which every field says n. Those of even numbers were
// published without a file.
func record(n int) search.Record {
	r := search.Record{
		ID: fmt.Sprintf("id-%03d", n), Title: fmt.Sprint("title ", n), Folder: "folder", Path: fmt.Sprintf("dir/ä %d.md", n),
		Type: "markdown", Size: int64(n) << 33, Modified: time.Unix(int64(n), 123456789).UTC(),
		Fields: []byte(`{"n":1}`), Terms: fmt.Append(nil, "terms ", n), Text: fmt.Append(nil, "text\x00", n),
	}
	if n%2 == 0 {
		r.Folder, r.Path = "", ""
	}
	return r
}

var emptyIsNil = cmpopts.EquateEmpty()

func load(t *testing.T, s search.Store) []search.Record {
	t.Helper()
	all := []search.Record{}
	err := s.Load(t.Context(), func(r search.Record) error {
		r.Terms = slices.Clone(r.Terms)
		all = append(all, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b search.Record) int { return int(a.Size>>33 - b.Size>>33) })
	return all
}

func put(t *testing.T, s search.Store, records ...search.Record) {
	t.Helper()
	if err := s.Put(t.Context(), records, nil); err != nil {
		t.Fatal(err)
	}
}

func testEmpty(t *testing.T, s search.Store) {
	if all := load(t, s); len(all) != 0 {
		t.Errorf("an empty store holds %v", all)
	}
	if _, err := s.Get(t.Context(), "id-001"); !errors.Is(err, search.ErrNotFound) {
		t.Errorf("get: %v, want ErrNotFound", err)
	}
	if err := s.Remove(t.Context(), []string{"id-001"}); err != nil {
		t.Errorf("remove what is not there: %v", err)
	}
	texts, err := s.Texts(t.Context(), []string{"id-001"})
	if err != nil || len(texts) != 0 {
		t.Errorf("texts: %v, %v", texts, err)
	}
	put(t, s)
}

func testPut(t *testing.T, s search.Store) {
	bare := search.Record{ID: "bare", Terms: []byte{1}, Modified: time.Unix(0, 0).UTC()}
	put(t, s, record(1), record(2))
	put(t, s, bare)
	for _, want := range []search.Record{record(1), record(2), bare} {
		got, err := s.Get(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, emptyIsNil); diff != "" {
			t.Errorf("get (-want +got):\n%s", diff)
		}
	}
	want := []search.Record{bare, record(1), record(2)}
	for i := range want {
		want[i].Text = nil
	}
	if diff := cmp.Diff(want, load(t, s), emptyIsNil); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	ids := []string{"id-002", "nobody", "bare", "id-001"}
	terms, err := s.Terms(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]byte{"id-001": record(1).Terms, "id-002": record(2).Terms, "bare": {1}}, terms); diff != "" {
		t.Errorf("terms (-want +got):\n%s", diff)
	}
	texts, err := s.Texts(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]byte{"id-001": record(1).Text, "id-002": record(2).Text, "bare": nil}, texts, emptyIsNil); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func testReplace(t *testing.T, s search.Store) {
	put(t, s, record(1), record(2))
	for _, n := range []int{3, 4, 6, 5} { // of both kinds, in place of both kinds
		testReplaceBy(t, s, record(n))
	}
	put(t, s, record(1))
	if got, _ := s.Get(t.Context(), record(1).ID); string(got.Text) != string(record(1).Text) {
		t.Errorf("text after replacing again: %q", got.Text)
	}
}

func testReplaceBy(t *testing.T, s search.Store, changed search.Record) {
	changed.ID, changed.Text, changed.Fields = record(1).ID, nil, nil
	put(t, s, changed)
	got, err := s.Get(t.Context(), changed.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(changed, got, emptyIsNil); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
	if all := load(t, s); len(all) != 2 {
		t.Errorf("%d records, want 2", len(all))
	}
}

func testRemove(t *testing.T, s search.Store) {
	put(t, s, record(1), record(2), record(3))
	if err := s.Remove(t.Context(), []string{"id-001", "nobody", "id-003"}); err != nil {
		t.Fatal(err)
	}
	if all := load(t, s); len(all) != 1 || all[0].ID != "id-002" {
		t.Errorf("left: %v", all)
	}
	if texts, err := s.Texts(t.Context(), []string{"id-001", "id-003"}); err != nil || len(texts) != 0 {
		t.Errorf("texts of removed documents: %q, %v", texts, err)
	}
	// A new document must not inherit the text of a removed one.
	bare := record(4)
	bare.Text = nil
	put(t, s, bare)
	if got, _ := s.Get(t.Context(), bare.ID); len(got.Text) != 0 {
		t.Errorf("text of a document without one: %q", got.Text)
	}
}

func testLoadStops(t *testing.T, s search.Store) {
	put(t, s, record(1), record(2), record(3))
	stop := errors.New("stop")
	calls := 0
	err := s.Load(t.Context(), func(search.Record) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

// testIndependent changes what was given to and got from the store.
func testIndependent(t *testing.T, s search.Store) {
	r := record(1)
	put(t, s, r)
	r.Text[0], r.Terms[0] = '!', '!'
	got, err := s.Get(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	got.Text[0], got.Terms[0] = '!', '!'
	again, err := s.Get(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record(1), again); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testConcurrent(t *testing.T, s search.Store) {
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 10 {
				r := record(worker*100 + i)
				if err := s.Put(t.Context(), []search.Record{r}, nil); err != nil {
					t.Error(err)
				}
				if _, err := s.Get(t.Context(), r.ID); err != nil {
					t.Error(err)
				}
				if _, err := s.Terms(t.Context(), []string{r.ID}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(load(t, s)); n != 40 {
		t.Errorf("%d records, want 40", n)
	}
}

func testWords(t *testing.T, s search.Store) {
	words := func() []string {
		all := []string{}
		err := s.Words(t.Context(), func(pack []byte) error {
			all = append(all, string(pack))
			pack[0] = '!'
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	keep := func(pack string, records ...search.Record) {
		t.Helper()
		if err := s.Put(t.Context(), records, []byte(pack)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, words(), emptyIsNil); diff != "" {
			t.Errorf("words (-want +got):\n%s", diff)
		}
	}
	check()
	keep("one", record(1))
	keep("", record(3))
	keep("two", record(1), record(2))
	keep("alone")
	check("one", "two", "alone")
	if err := s.SetWords(t.Context(), [][]byte{[]byte("a"), []byte("b")}); err != nil {
		t.Fatal(err)
	}
	keep("c", record(5))
	check("a", "b", "c")
	stop := errors.New("stop")
	if err := s.Words(t.Context(), func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	if err := s.SetWords(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	check()
	keep("later", record(1))
	check("later")
}
