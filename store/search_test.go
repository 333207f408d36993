package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strings"
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

// indexUntilKilled indexes, replaces and removes documents, whose words come and go, and tells each
// change.
func indexUntilKilled(ctx context.Context, s search.Store) error {
	x, err := search.Open(ctx, s)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		var batch []search.Document
		for range 1 + rand.IntN(60) {
			i := rand.IntN(200)
			text := fmt.Sprint("document", i)
			for range 30 {
				text += fmt.Sprintf(" w%d", rand.IntN(20*n)+rand.IntN(2)<<rand.IntN(20))
			}
			d := search.Document{ID: fmt.Sprint(i), Text: text}
			if i%10 > 0 {
				d.Folder, d.Path = "f", fmt.Sprintf("%d.txt", i)
			}
			batch = append(batch, d)
		}
		if err := x.Put(ctx, batch); err != nil {
			return err
		}
		if err := x.Remove(ctx, batch[0].ID, fmt.Sprint(rand.IntN(200))); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKillLeavesWordsInPlace kills a node that indexes, again and again: each word is found in the
// documents that have it, and in no others.
func TestKillLeavesWordsInPlace(t *testing.T) {
	dir := t.TempDir()
	for range 4 {
		cmd, out, _ := startChild(t, "index", dir)
		for range 3 + rand.IntN(60) {
			if !out.Scan() {
				t.Fatal("child ended by itself")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() {
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("killed child: %v", err)
		}
		s := openSearch(t, dir)
		x := openIndex(t, s)
		if x.Stats().Documents < 10 {
			t.Errorf("%d documents", x.Stats().Documents)
		}
		searchtest.Found(t, x)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// documents returns n documents of about 5 KB, with few frequent words and many
// rare ones.
func documents(n int) []search.Document {
	rng := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(rng, 1.07, 3, 40_000)
	list := make([]search.Document, n)
	for i := range list {
		var text strings.Builder
		for text.Len() < 5000 {
			fmt.Fprintf(&text, "w%x ", zipf.Uint64()*2654435761%(1<<26))
		}
		list[i] = search.Document{ID: search.FileID("f", fmt.Sprint(i)), Path: fmt.Sprintf("dir%d/file-%d.txt", i%50, i), Text: text.String()}
	}
	return list
}

func BenchmarkSearchPut(b *testing.B) {
	list := documents(1000)
	b.SetBytes(1000 * 5000)
	for b.Loop() {
		x, err := search.Open(b.Context(), openSearch(b, b.TempDir()).Search())
		if err != nil {
			b.Fatal(err)
		}
		if err := x.Put(b.Context(), list); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSearchOpen opens an index of 2,000 documents and reports what stays in
// memory.
func BenchmarkSearchOpen(b *testing.B) {
	s := openSearch(b, b.TempDir())
	x, err := search.Open(b.Context(), s.Search())
	if err != nil {
		b.Fatal(err)
	}
	if err := x.Put(b.Context(), documents(2000)); err != nil {
		b.Fatal(err)
	}
	x = nil
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	before := heap()
	for b.Loop() {
		if x, err = search.Open(b.Context(), s.Search()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(heap()-before, "MB-kept")
	b.ReportMetric(float64(x.Stats().Postings)/1e6, "MB-postings")
	b.ReportMetric(float64(x.Stats().Terms), "terms")
}
