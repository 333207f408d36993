package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// hostile marks the context of a query that slowStore holds up.
type hostile struct{}

// slowStore tells of the queries that reach it and keeps them until free.
type slowStore struct {
	*Memory
	reached, free chan struct{}
}

func (s slowStore) Texts(ctx context.Context, ids []string) (map[string][]byte, error) {
	if ctx.Value(hostile{}) != nil {
		s.reached <- struct{}{}
		<-s.free
	}
	return s.Memory.Texts(ctx, ids)
}

func code(err error) string {
	var refused *p2p.CallError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return fmt.Sprint(err)
}

// TestOnePeerDoesNotStopTheOthers lets one member ask without end.
func TestOnePeerDoesNotStopTheOthers(t *testing.T) {
	const calls = 16
	store := slowStore{NewMemory(), make(chan struct{}, calls), make(chan struct{})}
	x, err := Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	x.gate = newGate(maxEach, time.Millisecond)
	x.gate.all = make(chan struct{}, maxEach+1)
	if err := x.Put(t.Context(), []Document{{ID: "a", Text: "network"}}); err != nil {
		t.Fatal(err)
	}
	b, err := wire.Marshal(request{Text: strings.Repeat("netwrk peers ", 70), Fuzz: maxFuzz, Limit: MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, calls)
	for range calls {
		go func() {
			_, err := x.Handler(context.WithValue(t.Context(), hostile{}, true), node(6), b)
			out <- code(err)
		}()
	}
	for range maxEach {
		<-store.reached
	}
	for range calls - maxEach {
		if got := <-out; got != codeBusy {
			t.Errorf("%s, want %s", got, codeBusy)
		}
	}
	// The peer's queries are still running.
	if err := x.Put(t.Context(), []Document{{ID: "b", Text: "network"}}); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, x, "network"); len(a.Hits) != 2 {
		t.Errorf("%d hits of a query meanwhile", len(a.Hits))
	}
	if _, err := x.Handler(t.Context(), node(7), b); err != nil {
		t.Errorf("another peer: %v", err)
	}
	close(store.free)
	for range maxEach {
		if got := <-out; got != "<nil>" {
			t.Errorf("a query that was let in: %s", got)
		}
	}
	if len(store.reached) != 0 {
		t.Errorf("%d queries too many have run", len(store.reached))
	}
	if len(x.gate.peers) != 0 || len(x.gate.all) != 0 {
		t.Errorf("left behind: %d peers, %d queries", len(x.gate.peers), len(x.gate.all))
	}
}

// TestBusyNodesMakeAnAnswerPartial: the asker learns who did not answer.
func TestBusyNodesMakeAnAnswerPartial(t *testing.T) {
	other := indexOf(t, Document{ID: "b", Text: "network"})
	m, members := meshOf(indexOf(t, Document{ID: "a", Text: "network"}), other)
	other.gate = newGate(1, time.Millisecond)
	leave, err := other.gate.enter(t.Context(), p2p.ID{})
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	a, err := m.Ask(t.Context(), Query{Text: "network"}, members, nil)
	if err != nil || !a.Partial || !slices.Equal(ids(a.Hits), []string{"a"}) || code(a.Nodes[1].Err) != codeBusy || a.Nodes[1].Name != "node 2" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestGate(t *testing.T) {
	g := newGate(1, time.Hour)
	g.all = make(chan struct{}, 2)
	var leave [3]func()
	var err error
	for i := range 2 {
		if leave[i], err = g.enter(t.Context(), node(byte(i))); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 3 { // behind its own, and behind those of others
		if _, err := g.enter(gone, node(byte(i))); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	in := make(chan error)
	go func() {
		var err error
		leave[2], err = g.enter(t.Context(), node(2))
		in <- err
	}()
	leave[0]()
	if err := <-in; err != nil {
		t.Errorf("after another has left: %v", err)
	}
	leave[1]()
	leave[2]()
	if len(g.peers) != 0 || len(g.all) != 0 {
		t.Errorf("left behind: %d peers, %d queries", len(g.peers), len(g.all))
	}
}

// letterWords returns n words of which no two are similar.
func letterWords(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = strings.Repeat(string(rune('a'+i)), 8+i)
	}
	return words
}

// typos returns words with a letter too many each.
func typos(words []string) []string {
	wrong := make([]string, len(words))
	for i, w := range words {
		wrong[i] = w + "0"
	}
	return wrong
}

func TestTyposAreLookedForInSomeWords(t *testing.T) {
	words := letterWords(maxTypos + 4)
	x := indexOf(t, Document{ID: "all", Text: strings.Join(words, " ")}, Document{ID: "last", Text: words[len(words)-1]})
	m, members := meshOf(indexOf(t), x)
	wrong := typos(words)
	for _, tt := range []struct {
		name        string
		words       []string
		truncated   bool
		missing     int
		corrections int
	}{
		{"as many as there may be", wrong[:maxTypos], false, 0, maxTypos},
		{"one more", wrong[:maxTypos+1], true, 1, maxTypos},
		{"four more", wrong, true, 4, maxTypos},
		{"those that the index has not come first", slices.Concat(wrong[:3], words[3:]), true, 0, 3},
		{"exact words need none", words, true, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := m.Ask(t.Context(), Query{Text: strings.Join(tt.words, " "), Fuzz: 1}, members, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(ids(a.Hits), []string{"all"}) || a.Truncated != tt.truncated || len(a.Corrections) != tt.corrections {
				t.Errorf("%v, truncated %v, %d corrections", ids(a.Hits), a.Truncated, len(a.Corrections))
			}
			if a.Missing != tt.missing {
				t.Errorf("%d missing, want %d", a.Missing, tt.missing)
			}
		})
	}
	plan, err := newPlan(strings.Join(wrong, " "), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, edits := range x.read(t.Context()).tolerances(plan.units, 2) {
		got = append(got, edits...)
	}
	want := append(make([]int, 4), slices.Repeat([]int{2}, maxTypos)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not the longest of equally rare words (-want +got):\n%s", diff)
	}
}

// TestWorkIsBounded: what was typed is found whatever is left of the budget.
func TestWorkIsBounded(t *testing.T) {
	var documents []Document
	for i := range 50 {
		documents = append(documents, Document{ID: fmt.Sprint(i), Text: fmt.Sprintf("network networ%c", 'a'+i%20)})
	}
	x := indexOf(t, documents...)
	for _, tt := range []struct {
		left      int
		shortened bool
	}{{maxGuessed, false}, {1, true}} {
		r := &ranking{reading: x.read(t.Context()), scratch: new(scratch), average: 1}
		r.left, r.guesses = tt.left, 1
		x.mu.RLock()
		g := r.expand("network", 2, true)
		found := r.word(g, 0)
		x.mu.RUnlock()
		if len(found) != len(documents) || r.shortened != tt.shortened || r.err != nil {
			t.Errorf("with %d steps: %d documents, shortened %v, %v", tt.left, len(found), r.shortened, r.err)
		}
		if !g.exact() || slices.ContainsFunc(found, func(m match) bool { return m.distance != 0 }) {
			t.Errorf("with %d steps: not the word itself", tt.left)
		}
	}
}

// endsAfter is a context that is cancelled after it was looked at some times.
type endsAfter struct {
	context.Context
	looks, left int
}

func (c *endsAfter) Err() error {
	c.looks++
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestQueriesEndWithTheirContext cancels one query of one word at each point.
func TestQueriesEndWithTheirContext(t *testing.T) {
	var text strings.Builder
	for i := range 5 * stepSize {
		fmt.Fprintf(&text, "word%05d ", i)
	}
	x := indexOf(t, Document{ID: "a", Text: text.String()})
	for _, q := range []request{{Text: "word00000", Fuzz: 2, Limit: 1}, {Text: "word", Fuzz: 0, Limit: 1}} {
		whole := &endsAfter{Context: t.Context(), left: 1 << 30}
		if _, err := x.evaluate(whole, q); err != nil {
			t.Fatal(err)
		}
		if whole.looks < 5 {
			t.Errorf("%q: only %d looks at the context", q.Text, whole.looks)
		}
		for n := range min(whole.looks, 50) {
			ctx := &endsAfter{Context: t.Context(), left: n}
			if _, err := x.evaluate(ctx, q); !errors.Is(err, context.Canceled) || ctx.looks > n+3 {
				t.Fatalf("%q cancelled at look %d: %v after %d looks", q.Text, n, err, ctx.looks)
			}
		}
	}
}

// TestNumberedAnewMeanwhile changes the index where a query lets go of it.
func TestNumberedAnewMeanwhile(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "other"}, Document{ID: "b", Text: "network"})
	x.mu.RLock()
	r := &ranking{reading: x.read(t.Context()), scratch: new(scratch), average: 1}
	found := r.word(guess{words: []fastss.Match{mustFind(t, x, "network")}}, 0)
	r.aside(func() {
		if err := x.Remove(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		x.squeeze()
	})
	x.mu.RUnlock()
	if len(found) != 1 || !errors.Is(r.err, errRenumbered) {
		t.Errorf("%v, %v", found, r.err)
	}
	if found := r.join([][]match{found}, []float64{1}); len(found) != 0 {
		t.Errorf("went on with %v", found)
	}
	if a := ask(t, x, "network"); len(a.Hits) != 1 {
		t.Errorf("%d hits afterwards", len(a.Hits))
	}
}

// TestNumbersOfOtherWords: a word may go and its number be another's while a
// query is between finding it and looking at its documents.
func TestNumbersOfOtherWords(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "network"}, Document{ID: "b", Text: "peers"})
	words := []fastss.Match{mustFind(t, x, "network"), mustFind(t, x, "peers")}
	if err := x.Remove(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	if err := x.Put(t.Context(), []Document{{ID: "c", Text: "peers moon"}, {ID: "d", Text: "sun"}}); err != nil {
		t.Fatal(err)
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := &ranking{reading: x.read(t.Context()), scratch: new(scratch), average: 1}
	found := r.word(guess{words: words}, 0)
	if len(found) != 1 || x.docs[found[0].slot].id != "c" {
		t.Errorf("found %v", found)
	}
}

func mustFind(t *testing.T, x *Index, word string) fastss.Match {
	t.Helper()
	m, ok := x.vocabulary.Find(word)
	if !ok {
		t.Fatalf("no word %q", word)
	}
	return m
}

// TestQueriesWhileDocumentsChange is for the race detector; what stays the same
// must always be found.
func TestQueriesWhileDocumentsChange(t *testing.T) {
	for name, turn := range map[string]int{"at one moment": turnSteps, "a step at a time": 1} {
		t.Run(name, func(t *testing.T) { testQueriesWhileDocumentsChange(t, turn) })
	}
}

func testQueriesWhileDocumentsChange(t *testing.T, turn int) {
	x := indexOf(t, Document{ID: "stays", Title: "network", Text: "stays here"})
	x.turn = turn
	var all sync.WaitGroup
	for worker := range 2 {
		all.Go(func() {
			for i := range 30 {
				d := Document{ID: fmt.Sprint(worker, "-", i%7), Folder: "f", Text: fmt.Sprint("network word", i)}
				if err := x.Put(t.Context(), []Document{d}); err != nil {
					t.Error(err)
				}
				if i%10 == 9 {
					if err := x.RemoveFolder(t.Context(), "f"); err != nil {
						t.Error(err)
					}
					x.writing.Lock()
					x.squeeze()
					x.writing.Unlock()
				}
			}
		})
		all.Go(func() {
			for range 30 {
				if a := ask(t, x, "netwrk"); !slices.Contains(ids(a.Hits), "stays") || a.Total != len(a.Hits) {
					t.Errorf("found %v of %d", ids(a.Hits), a.Total)
				}
				x.Stats()
			}
		})
	}
	all.Wait()
}
