package publish_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/publish/publishtest"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/ranges/rangetest"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/query"
)

// world is a node that publishes, and another one that looks.
type world struct {
	t         *testing.T
	index     *search.Index
	network   *rangetest.Network
	publisher *publish.Publisher
	options   publish.Options
	stop      func()

	mu     sync.Mutex // guards what follows
	open   map[string]bool
	member p2p.ID // of which network
}

func (w *world) set(folder string, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[folder] = open
}

func (w *world) join(network p2p.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.member = network
}

func (w *world) isOpen(folder string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[folder]
}

func (w *world) of() p2p.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.member
}

func inWorld(t *testing.T, budget int, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		index, err := search.Open(t.Context(), search.NewMemory())
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, index: index, network: rangetest.New(10, 3, time.Now), open: map[string]bool{"shared": true}}
		w.options = publish.Options{
			Index: index, Node: p2p.ID{1}, Open: w.isOpen, Budget: budget,
			Network: w.of,
			Words:   w.words(),
			Store:   new(publish.Memory),
		}
		w.start()
		f(w)
		w.stop()
	})
}

// start starts a publisher, as a node does that is switched on.
func (w *world) start() {
	w.publisher = publish.New(w.options)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.publisher.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.stop = func() {
		cancel()
		<-done
	}
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

// between returns the IDs of the documents of a size, by either tree.
func (w *world) between(from, to int64) string {
	w.t.Helper()
	var all []string
	for _, tree := range keyword.Trees {
		a, err := w.words().Between(w.t.Context(), keyword.Between{Field: publish.FieldSize, From: from, To: to, Tree: tree})
		if err != nil {
			w.t.Fatal(err)
		}
		var out []string
		for _, e := range a.Entries {
			n, err := publish.ReadNote(e.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			out = append(out, n.ID)
		}
		all = append(all, strings.Join(out, " "))
	}
	if all[0] != all[1] {
		w.t.Errorf("from %d to %d: %q in one tree, %q in the other", from, to, all[0], all[1])
	}
	return all[0]
}

// TestNumbers: what all may see is found by its size, the one that it has now, and by nothing when
// it is gone, whether the node was on or off then.
func TestNumbers(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		want := func(want string, from, to int64) {
			t.Helper()
			time.Sleep(10 * time.Second)
			if got := w.between(from, to); got != want {
				t.Errorf("from %d to %d: %q, want %q", from, to, got, want)
			}
		}
		w.put("shared", "short", "pears")
		w.put("shared", "long", "apples and pears")
		w.put("private", "diary", "apples in secret")
		want("shared-short shared-long", 0, 1000)
		want("shared-long", 6, 16)
		w.put("shared", "long", "pear")
		want("shared-long shared-short", 0, 1000)
		want("", 6, 1000)
		if err := w.index.Remove(t.Context(), "shared-long"); err != nil {
			t.Fatal(err)
		}
		want("shared-short", 0, 1000)
		w.stop()
		w.put("shared", "short", "pears and quinces")
		w.start()
		want("shared-short", 0, 1000)
		want("", 0, 6)
		w.stop()
		w.options.Off = true
		w.start()
		want("", 0, 1000)
	})
}

// TestOwnNumbers: a document is found by the numbers in its own fields, until it is gone.
func TestOwnNumbers(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		d := search.Document{ID: "dune", Title: "Dune", Modified: time.Unix(5, 0), Fields: map[string]search.Value{
			"year": search.Number(1965), "author": search.Text("Herbert"), "two words": search.Number(2), strings.Repeat("x", 33): search.Number(3),
		}}
		if err := w.index.Put(t.Context(), []search.Document{d}); err != nil {
			t.Fatal(err)
		}
		year := publish.OwnKey(query.Order(1965))
		if year != 0xc09eb400 { // the first half of the bits of 1965, with the sign turned
			t.Errorf("the key of 1965 is %x", year)
		}
		find := func() (found []publish.Note) {
			time.Sleep(10 * time.Second)
			for _, tree := range keyword.Trees {
				a, err := w.words().Between(t.Context(), keyword.Between{Field: "fields.year", From: year, To: year, Tree: tree})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range a.Entries {
					n, err := publish.ReadNote(e.Value)
					if err != nil {
						t.Fatal(err)
					}
					found = append(found, n)
				}
			}
			return found
		}
		if found := find(); len(found) != 3 || found[0].ID != "dune" || len(found[0].Numbers) != 1 || found[0].Numbers["year"] != 1965 {
			t.Errorf("%+v", found)
		}
		if err := w.index.Remove(t.Context(), "dune"); err != nil {
			t.Fatal(err)
		}
		if found := find(); len(found) > 0 {
			t.Errorf("gone, and found: %+v", found)
		}
	})
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

		w.set("private", true)
		time.Sleep(10 * time.Second)
		w.want("private-diary", "secret")
		w.set("private", false)
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
	for _, bad := range []string{"", "null", "{}", `{"i":"x","n":"nobody"}`, `{"i":"` + strings.Repeat("x", 65) + `","n":"` + id + `"}`, `{"i":"x","n":"` + id + `","s":-1}`, `{"i":"x","n":"` + id + `","m":1000000000000}`, `{"i":"x","n":"` + id + `","k":"` + strings.Repeat("x", 5000) + `"}`} {
		if n, err := publish.ReadNote([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, n)
		}
	}
	if n, err := publish.ReadNote([]byte(`{"i":"x","n":"` + id + `","t":"T"}`)); err != nil || n.Title != "T" {
		t.Errorf("%+v, %v", n, err)
	}
}

// at returns where the table keeps a list.
func (w *world) at(kind, name string) p2p.Key {
	x := ranges.New(ranges.Options{Table: w.network, Name: kind + "\x00documents\x00" + name, Scheme: pht.Tree{KeyBits: ranges.MaxBits}})
	return x.Location(ranges.Segment{})
}

// TestAwayAfterFailure: what was put in part is taken away when it is not to be seen, and one
// word that nobody keeps is in nobody's way.
func TestAwayAfterFailure(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.network.Refuse(w.at("word", "cursed"), true)
		w.put("shared", "fruit", "apples cursed")
		time.Sleep(10 * time.Second)
		w.put("shared", "more", "pears")
		time.Sleep(10 * time.Second)
		w.want("shared-more", "pears")
		w.want("shared-fruit", "apples")
		if s := w.publisher.Status(); s.Published != 1 || s.Failed == "" {
			t.Errorf("%+v", s)
		}
		w.put("shared", "fruit", "plums cursed")
		time.Sleep(10 * time.Second)
		w.want("shared-fruit", "plums")
		w.want("", "apples")
		w.set("shared", false)
		time.Sleep(10 * time.Second)
		w.want("", "plums")
		w.want("", "pears")
	})
	inWorld(t, 0, func(w *world) {
		w.network.Refuse(w.at("word", "cursed"), true)
		w.put("shared", "fruit", "apples cursed")
		time.Sleep(10 * time.Second)
		w.network.Refuse(w.at("word", "cursed"), false)
		time.Sleep(20 * time.Minute)
		w.want("shared-fruit", "cursed")
		if s := w.publisher.Status(); s.Published != 1 || s.Failed != "" {
			t.Errorf("%+v", s)
		}
	})
}

// TestAwayLater: what cannot be taken away at once is taken away as soon as it can be.
func TestAwayLater(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.put("private", "diary", "secret")
		w.put("shared", "fruit", "apples")
		w.set("private", true)
		time.Sleep(10 * time.Second)
		w.want("private-diary", "secret")
		w.network.Fail(w.at("word", "secret"), true)
		w.set("private", false)
		time.Sleep(10 * time.Second)
		w.put("shared", "more", "pears")
		time.Sleep(10 * time.Second)
		w.want("shared-more", "pears")
		w.network.Fail(w.at("word", "secret"), false)
		time.Sleep(2 * time.Minute)
		w.want("", "secret")
		w.want("shared-fruit", "apples")
	})
}

// TestClosedMeanwhile: what is not to be seen any more is not put, though much was to be put
// when it still was.
func TestClosedMeanwhile(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		for i := range 500 {
			w.put("shared", fmt.Sprintf("n%03d", i), fmt.Sprint("apples number", i))
			time.Sleep(time.Microsecond)
		}
		var puts atomic.Int32
		w.network.Before(func(op string) {
			if op == "put" {
				if puts.Add(1) == 2 {
					w.set("shared", false)
				}
				time.Sleep(time.Second)
			}
		})
		time.Sleep(time.Minute)
		w.network.Before(nil)
		if n := puts.Load(); n > 3 {
			t.Errorf("%d puts, two before it was closed", n)
		}
		w.want("", "apples")
	})
}

// TestTitles: a document that has another title is not found by two words of the old one.
func TestTitles(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		pairs := func(want string, words ...string) {
			t.Helper()
			a, err := w.words().Search(t.Context(), keyword.Query{Terms: words, Plan: keyword.PlanPairs})
			if err != nil || fmt.Sprint(len(a.Hits)) != want {
				t.Errorf("%v: %d hits, want %s: %v", words, len(a.Hits), want, err)
			}
		}
		d := search.Document{ID: "x", Title: "red apples", Text: "text", Type: "text", Modified: time.Now()}
		for _, title := range []string{"red apples", "red pears", "red apples"} {
			d.Title = title
			if err := w.index.Put(t.Context(), []search.Document{d}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			for _, word := range []string{"apples", "pears"} {
				want := "0"
				if strings.HasSuffix(title, word) {
					want = "1"
				}
				pairs(want, "red", word)
			}
		}
	})
}

// TestOtherNetwork: in another network everything is put again.
func TestOtherNetwork(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.put("shared", "fruit", "apples")
		time.Sleep(10 * time.Second)
		w.network.Clear()
		w.want("", "apples")
		w.join(p2p.ID{9})
		time.Sleep(10 * time.Second)
		w.want("shared-fruit", "apples")
	})
}

// TestBytes: long notes have less room.
func TestBytes(t *testing.T) {
	network := rangetest.New(10, 3, time.Now)
	index, err := search.Open(t.Context(), search.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		d := search.Document{ID: fmt.Sprint("d", i), Title: strings.Repeat("x", 60), Text: "apples pears plums", Type: "text", Modified: time.Now()}
		if err := index.Put(t.Context(), []search.Document{d}); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		p := publish.New(publish.Options{
			Index: index, Node: p2p.ID{1}, Open: func(string) bool { return true }, Bytes: 10_000,
			Words: keyword.New(keyword.Options{Table: network, Name: "documents"}),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(10 * time.Second)
		if s := p.Status(); s.Published == 0 || s.Skipped == 0 || s.Published+s.Skipped != 20 {
			t.Errorf("%+v", s)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRestart: what went, changed or was closed while the node was switched off is taken away when
// it is on again; what stayed is not put again before it is due.
func TestRestart(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.put("shared", "stays", "quinces")
		w.put("shared", "goes", "apples")
		w.put("shared", "changes", "pears plums")
		w.put("private", "diary", "secret")
		w.set("private", true)
		time.Sleep(10 * time.Second)
		w.want("private-diary", "secret")
		w.stop()
		if err := w.index.Remove(t.Context(), "shared-goes"); err != nil {
			t.Fatal(err)
		}
		w.put("shared", "changes", "plums")
		w.set("private", false)
		var puts atomic.Int32
		w.network.Before(func(op string) {
			if op == "put" {
				puts.Add(1)
			}
		})
		w.start()
		time.Sleep(10 * time.Second)
		w.network.Before(nil)
		for word, want := range map[string]string{"apples": "", "pears": "", "secret": "", "plums": "shared-changes", "quinces": "shared-stays"} {
			w.want(want, word)
		}
		if s := w.publisher.Status(); s.Published != 2 || s.Failed != "" {
			t.Errorf("%+v", s)
		}
		changed := puts.Load()
		puts.Store(0)
		w.network.Before(func(op string) {
			if op == "put" {
				puts.Add(1)
			}
		})
		w.stop()
		w.start()
		time.Sleep(10 * time.Second)
		w.network.Before(nil)
		if n := puts.Load(); n != 0 || changed == 0 {
			t.Errorf("%d puts for what has not changed, %d for what has", n, changed)
		}
		time.Sleep(7 * time.Hour)
		w.want("shared-stays", "quinces")
	})
}

// TestPowerCut: what was being put when the node went off is taken away when it is on again.
func TestPowerCut(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.stop()
		disk := &full{Store: w.options.Store}
		w.options.Store = disk
		w.network.Before(func(op string) {
			if op == "put" {
				disk.full.Store(true) // nothing more gets there
			}
		})
		w.put("private", "diary", "secret")
		w.set("private", true)
		w.start()
		time.Sleep(10 * time.Second)
		w.want("private-diary", "secret")
		w.stop()
		disk.full.Store(false)
		w.network.Before(nil)
		w.set("private", false)
		w.start()
		time.Sleep(10 * time.Second)
		w.want("", "secret")
		if all, err := w.options.Store.Load(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("noted: %+v, %v", all, err)
		}
	})
}

// TestOff: a node that publishes no more takes away what it has published.
func TestOff(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.put("shared", "fruit", "apples")
		time.Sleep(10 * time.Second)
		w.want("shared-fruit", "apples")
		w.stop()
		w.options.Off = true
		w.start()
		time.Sleep(10 * time.Second)
		w.want("", "apples")
		if all, err := w.options.Store.Load(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("noted: %+v, %v", all, err)
		}
	})
}

// TestNotedFirst: nothing is put whose place could not be noted.
func TestNotedFirst(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.stop()
		broken := &full{Store: w.options.Store}
		broken.full.Store(true)
		w.options.Store = broken
		w.start()
		w.put("shared", "fruit", "apples")
		time.Sleep(10 * time.Second)
		w.want("", "apples")
		if s := w.publisher.Status(); s.Failed == "" {
			t.Errorf("%+v", s)
		}
		broken.full.Store(false)
		time.Sleep(2 * time.Minute)
		w.want("shared-fruit", "apples")
	})
}

// full is a Store on a disk that may be full.
type full struct {
	publish.Store
	full atomic.Bool
}

func (f *full) Save(ctx context.Context, put []publish.Record, gone []string) error {
	if f.full.Load() {
		return errors.New("no space left on device")
	}
	return f.Store.Save(ctx, put, gone)
}

func TestMemory(t *testing.T) {
	publishtest.Store(t, func(*testing.T) publish.Store { return new(publish.Memory) })
}
