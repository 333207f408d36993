package search_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/searchtest"
)

// failing is a store that fails, having kept what it was given or not.
type failing struct {
	*search.Memory
	before, after bool
}

var errFailing = errors.New("failing")

func (f *failing) Put(ctx context.Context, records []search.Record, words []byte) error {
	if f.before {
		return errFailing
	}
	err := f.Memory.Put(ctx, records, words)
	if f.after {
		err = errFailing
	}
	return err
}

func (f *failing) Remove(ctx context.Context, ids []string) error {
	if f.before {
		return errFailing
	}
	err := f.Memory.Remove(ctx, ids)
	if f.after {
		err = errFailing
	}
	return err
}

// TestNumbersOfWords changes documents, whose words come and go, in a store that fails now and then
// and is opened again now and then: after that, each word is found where it is.
func TestNumbersOfWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := &failing{Memory: search.NewMemory()}
		var x *search.Index
		open := func() {
			var err error
			if x, err = search.Open(context.Background(), store); err != nil {
				t.Fatalf("open: %v", err)
			}
			searchtest.Found(t, x)
		}
		open()
		word := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("w", rapid.IntRange(0, 12).Draw(t, "word")) })
		id := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 6).Draw(t, "id")) })
		change := func(t *rapid.T) {
			if rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
				_ = x.Remove(context.Background(), rapid.SliceOfN(id, 1, 3).Draw(t, "ids")...)
				return
			}
			var batch []search.Document
			for range rapid.IntRange(1, 4).Draw(t, "documents") {
				d := search.Document{ID: id.Draw(t, "id"), Text: strings.Join(rapid.SliceOfN(word, 0, 6).Draw(t, "words"), " ")}
				if d.ID > "1" {
					d.Folder, d.Path = "f", "no words/"+d.ID
				}
				batch = append(batch, d)
			}
			_ = x.Put(context.Background(), batch) // may fail
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": change, "change more": change,
			"fail": func(t *rapid.T) {
				store.before = rapid.Bool().Draw(t, "before")
				store.after = true
				change(t)
				store.before, store.after = false, false
			},
			"open": func(*rapid.T) { open() },
		})
		open()
	})
}

// TestWordsGo: words that no document has any more go from the store, too, and their numbers are
// given to others.
func TestWordsGo(t *testing.T) {
	store := search.NewMemory()
	kept := func() (n int) {
		if err := store.Words(t.Context(), func(pack []byte) error { n += len(pack); return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	x, err := search.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	text := func(round int) string {
		var b strings.Builder
		for i := range 6000 {
			fmt.Fprintf(&b, "round%dword%d ", round, i)
		}
		return b.String()
	}
	first, most, sizes := 0, 0, map[int]int{}
	for round := range 6 {
		if err := x.Put(t.Context(), []search.Document{{ID: "a", Folder: "f", Text: text(round)}, {ID: "b", Folder: "f", Text: "stays"}}); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			first = kept()
		}
		most = max(most, kept())
		r, err := store.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		sizes[round] = len(r.Terms)
		if round%2 == 1 {
			if x, err = search.Open(t.Context(), store); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := kept(); n > 2*first {
		t.Errorf("%d bytes of words, %d for those of one document", n, first)
	}
	if sizes[5] > 2*sizes[1] {
		t.Errorf("the numbers of words grow: a document took %d bytes, and takes %d", sizes[1], sizes[5])
	}
	searchtest.Found(t, x)
}
