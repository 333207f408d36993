package publish_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/ranges/rangetest"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// world is a node that publishes, and another one that looks.
type world struct {
	t         *testing.T
	index     *search.Index
	network   *rangetest.Network
	mu        sync.Mutex // guards open
	open      map[string]bool
	publisher *publish.Publisher
}

func inWorld(t *testing.T, budget int, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		index, err := search.Open(t.Context(), search.NewMemory())
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, index: index, network: rangetest.New(10, 3, time.Now), open: map[string]bool{"shared": true}}
		w.publisher = publish.New(publish.Options{
			Index: index, Node: p2p.ID{1}, Open: w.isOpen, Budget: budget,
			Words: w.words(),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := w.publisher.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		f(w)
		cancel()
		<-done
	})
}

func (w *world) isOpen(folder string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[folder]
}

// share says whether all may see a folder.
func (w *world) share(folder string, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[folder] = open
}

func (w *world) words() *keyword.Index {
	return keyword.New(keyword.Options{Table: w.network, Name: "documents"})
}

func (w *world) put(folder, name, text string) {
	w.t.Helper()
	d := search.Document{ID: strings.Trim(folder+"-"+name, "-"), Title: name, Text: text, Folder: folder, Type: "text", Size: int64(len(text)), Modified: time.Now()}
	if folder != "" {
		d.Path = "notes/" + name + ".txt"
	}
	if err := w.index.Put(w.t.Context(), []search.Document{d}); err != nil {
		w.t.Fatal(err)
	}
}

// find returns the IDs of the documents that a node finds which knows nothing.
func (w *world) find(words ...string) string {
	w.t.Helper()
	a, err := w.words().Search(w.t.Context(), keyword.Query{Terms: words})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, h := range a.Hits {
		n, err := publish.ReadNote(h.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, n.ID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (w *world) want(want string, words ...string) {
	w.t.Helper()
	if got := w.find(words...); got != want {
		w.t.Errorf("%v: %q, want %q", words, got, want)
	}
}

// TestPublish: what all may see is found by its words, as it is now, and nothing else is.
func TestPublish(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.put("shared", "fruit", "apples and pears")
		w.put("", "loose", "apples without a folder")
		w.put("private", "diary", "apples in secret")
		time.Sleep(10 * time.Second)
		w.want("loose shared-fruit", "apples")
		w.want("shared-fruit", "fruit", "pears")
		w.want("", "secret")

		w.put("shared", "fruit", "apples and plums")
		time.Sleep(10 * time.Second)
		w.want("", "pears")
		w.want("shared-fruit", "plums")

		w.share("private", true)
		time.Sleep(10 * time.Second)
		w.want("private-diary", "secret")
		w.share("private", false)
		time.Sleep(10 * time.Second)
		w.want("", "secret")

		if err := w.index.Remove(t.Context(), "loose"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.want("shared-fruit", "apples")
		if s := w.publisher.Status(); s.Published != 1 || s.Documents != 1 || s.Waiting != 0 || s.Failed != "" || s.Last.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// TestTime: what is there stays found for as long as the node runs.
func TestTime(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.put("shared", "fruit", "apples")
		for range 10 {
			time.Sleep(5 * time.Hour)
			w.want("shared-fruit", "apples")
		}
	})
}

// TestBudget: what members would not keep is not put, and the status says so.
func TestBudget(t *testing.T) {
	inWorld(t, 60, func(w *world) {
		for i := range 10 {
			w.put("shared", fmt.Sprint("n", i), "one two three four five six seven")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		s := w.publisher.Status()
		if s.Published == 0 || s.Skipped == 0 || s.Published+s.Skipped != 10 || s.Words > 60 {
			t.Errorf("%+v", s)
		}
		if err := w.index.Remove(t.Context(), "shared-n0"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if again := w.publisher.Status(); again.Published != s.Published || again.Skipped != s.Skipped-1 {
			t.Errorf("%+v, then %+v", s, again)
		}
	})
}

// TestNotes: what others have put at a word is checked before it is shown.
func TestNotes(t *testing.T) {
	id := p2p.ID{1}.String()
	for _, bad := range []string{"", "null", "{}", `{"i":"x","n":"nobody"}`, `{"i":"` + strings.Repeat("x", 65) + `","n":"` + id + `"}`, `{"i":"x","n":"` + id + `","s":-1}`} {
		if n, err := publish.ReadNote([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, n)
		}
	}
	if n, err := publish.ReadNote([]byte(`{"i":"x","n":"` + id + `","t":"T"}`)); err != nil || n.Title != "T" {
		t.Errorf("%+v, %v", n, err)
	}
}
