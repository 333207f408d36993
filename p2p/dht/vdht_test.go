package dht_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// appending returns a write that appends a word to all that is there: where there are several
// heads, to the words of all of them.
func appending(name dht.Name, word string) dht.VPut {
	return dht.VPut{Name: name, Update: func(parents []dht.Copy) ([]byte, error) {
		var words []string
		for _, p := range parents {
			for _, w := range strings.Fields(string(p.Value)) {
				if !slices.Contains(words, w) {
					words = append(words, w)
				}
			}
		}
		return []byte(strings.Join(append(words, word), " ")), nil
	}}
}

// heads returns the words of each head, as a node sees them.
func (n *testNode) heads(name dht.Name) (out [][]string) {
	for _, text := range n.get(dht.Query{Location: name.Location, Domain: name.Domain, Contents: []p2p.Key{name.Content}}) {
		out = append(out, strings.Fields(text))
	}
	return out
}

// appendAll lets nodes append a word each, all at once, and returns the words that were
// acknowledged and those of which nobody knows.
func (w *world) appendAll(name dht.Name, nodes []*testNode, words []string, optimistic bool) (acked, unknown []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			put := appending(name, words[i])
			put.Optimistic = optimistic
			_, _, err := n.table.VPut(w.ctx, put)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				acked = append(acked, words[i])
			case !errors.Is(err, dht.ErrFork): // that says that it was taken back
				unknown = append(unknown, words[i])
			}
		})
	}
	all.Wait()
	return acked, unknown
}

// TestVDHT is V6: of 100 nodes three append a word each to the same value at once. In two phases
// all words are there, in any order; put at once, they are in three versions that know nothing of
// each other, which all readers see.
func TestVDHT(t *testing.T) {
	const runs = 20
	name := at("story").Name()
	whole := map[bool]int{}
	for seed := range uint64(runs) {
		for _, optimistic := range []bool{false, true} {
			inBubble(t, func(t *testing.T) {
				conditions := lan
				conditions.Seed = seed
				w := newWorld(t, 0, conditions, dht.Options{})
				defer w.end()
				for range 100 {
					w.admit()
				}
				for _, n := range w.nodes {
					n.start()
				}
				if _, _, err := w.nodes[0].table.VPut(t.Context(), appending(name, "start")); err != nil {
					t.Fatal(err)
				}
				words := []string{"one", "two", "three"}
				acked, _ := w.appendAll(name, w.nodes[1:4], words, optimistic)
				heads := w.nodes[50].heads(name)
				complete := slices.ContainsFunc(heads, func(h []string) bool {
					return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(h, word) })
				})
				if complete {
					whole[optimistic]++
				}
				if !optimistic && (len(acked) != 3 || len(heads) != 1 || len(heads[0]) != 4) {
					t.Errorf("seed %d: acknowledged %q, heads %q", seed, acked, heads)
				}
				union := slices.Concat(heads...)
				for _, word := range acked {
					if !slices.Contains(union, word) {
						t.Errorf("seed %d, optimistic %v: %q was acknowledged, heads %q", seed, optimistic, word, heads)
					}
				}
				if !complete && len(heads) < 2 {
					t.Errorf("seed %d: a fork that nobody sees: %q", seed, heads)
				}
			})
		}
	}
	t.Logf("one version has all words: in two phases %d of %d times, put at once %d of %d", whole[false], runs, whole[true], runs)
	if whole[false] != runs || whole[true] == runs {
		t.Error("what are the phases good for?")
	}
}

// TestVDHTChurn: twenty append, while each minute ten of a hundred nodes crash and come back.
// Each acknowledged word is there once, in some head that everybody sees.
func TestVDHTChurn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 0, sim.CallOptions{Latency: 20 * time.Millisecond, Jitter: 30 * time.Millisecond}, dht.Options{})
		defer w.end()
		for range 100 {
			w.admit()
		}
		for _, n := range w.nodes {
			n.start()
		}
		name := at("story").Name()
		random := rand.New(rand.NewPCG(1, 1))
		stop := make(chan struct{})
		var churning sync.WaitGroup
		churning.Go(func() {
			for {
				var gone []*testNode
				for range 5 { // they are away for half a minute each
					if n := w.nodes[20+random.IntN(80)]; w.calls.Up(n.member.ID) {
						w.calls.Crash(n.member.ID)
						n.stop()
						gone = append(gone, n)
					}
				}
				w.changed()
				select {
				case <-time.After(30 * time.Second):
				case <-stop:
				}
				for _, n := range gone {
					n.start()
				}
				select {
				case <-stop:
					w.changed()
					return
				default:
				}
			}
		})
		var acked, unknown []string
		for round := range 2 {
			words := make([]string, 20)
			for i := range words {
				words[i] = fmt.Sprintf("%d/%d", round, i)
			}
			a, u := w.appendAll(name, w.nodes[:20], words, false)
			acked, unknown = append(acked, a...), append(unknown, u...)
			time.Sleep(20 * time.Second)
		}
		close(stop)
		churning.Wait()
		time.Sleep(10 * time.Second)
		w.repair()
		heads := w.nodes[0].heads(name)
		union := slices.Concat(heads...)
		for _, word := range acked {
			if !slices.Contains(union, word) {
				t.Errorf("%q was acknowledged, and is nowhere", word)
			}
		}
		for _, h := range heads {
			slices.Sort(h)
			if len(slices.Compact(slices.Clone(h))) != len(h) {
				t.Errorf("a word is there twice: %q", h)
			}
			for _, word := range h {
				if !slices.Contains(acked, word) && !slices.Contains(unknown, word) {
					t.Errorf("%q was taken back, and is there", word)
				}
			}
		}
		for _, n := range w.nodes {
			if got := n.heads(name); len(got) != len(heads) {
				t.Errorf("%s sees %d heads, another one %d", n.member.Name, len(got), len(heads))
			}
		}
		t.Logf("%d words acknowledged, of %d nobody knows, %d heads, %d words", len(acked), len(unknown), len(heads), len(union))
		if len(acked) < 30 {
			t.Errorf("only %d of 40 words were acknowledged", len(acked))
		}
		// Forks, if there are any, are merged by the next write.
		if _, _, err := w.nodes[0].table.VPut(t.Context(), appending(name, "end")); err != nil {
			t.Fatal(err)
		}
		if heads := w.nodes[1].heads(name); len(heads) != 1 {
			t.Errorf("%d heads after a merge", len(heads))
		}
	})
}

// TestMergeForks: who has seen a fork writes a version that replaces both.
func TestMergeForks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 10, lan, dht.Options{})
		defer w.end()
		name := at("story").Name()
		w.appendAll(name, w.nodes[:1], []string{"start"}, false)
		w.appendAll(name, w.nodes[1:3], []string{"left", "right"}, true)
		f, _, err := w.nodes[4].table.Get(t.Context(), dht.Query{Location: name.Location}, dht.ReadOptions{})
		if err != nil || len(f.Records) != 2 {
			t.Fatalf("%d heads, %v", len(f.Records), err)
		}
		merge := appending(name, "merged")
		merge.Parents = []dht.Version{f.Records[0].Version}
		if _, _, err := w.nodes[4].table.VPut(t.Context(), merge); err != nil {
			t.Fatalf("go on from one head: %v", err)
		}
		if heads := w.nodes[5].heads(name); len(heads) != 2 {
			t.Errorf("heads %q: the other one is to stay", heads)
		}
		f, _, err = w.nodes[4].table.Get(t.Context(), dht.Query{Location: name.Location}, dht.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		merge = appending(name, "end")
		for _, c := range f.Records {
			merge.Parents = append(merge.Parents, c.Version)
		}
		r, _, err := w.nodes[4].table.VPut(t.Context(), merge)
		if err != nil || len(r.Parents) != 2 {
			t.Fatalf("%v, %v", r.Parents, err)
		}
		heads := w.nodes[6].heads(name)
		if len(heads) != 1 {
			t.Fatalf("heads %q", heads)
		}
		slices.Sort(heads[0])
		if !slices.Equal(heads[0], []string{"end", "left", "merged", "right", "start"}) {
			t.Errorf("head %q", heads[0])
		}
		merge.Parents = []dht.Version{dht.NewVersion(77, nil)}
		if _, _, err := w.nodes[4].table.VPut(t.Context(), merge); err == nil {
			t.Error("a parent that there is not")
		}
	})
}

// TestCoordinatorCrash: a writer that dies between the phases stands in the way of others for no
// longer than what it has prepared lives.
func TestCoordinatorCrash(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 10, lan, dht.Options{})
		defer w.end()
		name := at("story").Name()
		near := w.nodes[0].table.Responsible(name.Location)
		coordinator := w.other(near)
		writer := w.other(append(slices.Clone(near), coordinator.member))
		if acked, _ := w.appendAll(name, []*testNode{writer}, []string{"start"}, false); len(acked) != 1 {
			t.Fatal("no start")
		}
		coordinator.crash()
		var mu sync.Mutex
		prepared := 0
		w.options.Publish = func(e p2p.Event) {
			s, is := e.(dht.Step)
			if !is || s.Operation != "prepare" || s.From != coordinator.member.ID {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if prepared++; prepared == 3 {
				w.calls.Crash(coordinator.member.ID)
				coordinator.stop()
			}
		}
		coordinator.start()
		if _, _, err := coordinator.table.VPut(t.Context(), appending(name, "dead")); err == nil || prepared != 3 {
			t.Fatalf("%v after %d were prepared", err, prepared)
		}
		began := time.Now()
		r, _, err := writer.table.VPut(t.Context(), appending(name, "alive"))
		took := time.Since(began)
		if err != nil || took < 3*time.Second || took > 6*time.Second {
			t.Errorf("%d tries and %v: %v", r.Tries, took, err)
		}
		if heads := writer.heads(name); len(heads) != 1 || !slices.Equal(heads[0], []string{"start", "alive"}) {
			t.Errorf("heads %q", heads)
		}
	})
}

// TestTakenBack: a version that a minority has confirmed, and that was taken back, does not come
// back when the replica is heard of again, long after.
func TestTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 10, lan, dht.Options{})
		defer w.end()
		name := at("story").Name()
		near := w.nodes[0].table.Responsible(name.Location)
		writer := w.other(near)
		if acked, _ := w.appendAll(name, []*testNode{writer}, []string{"start"}, false); len(acked) != 1 {
			t.Fatal("no start")
		}
		writer.crash()
		var mu sync.Mutex
		prepared, confirmed := 0, false
		cut := func(i int, on bool) { w.calls.Cut(writer.member.ID, near[i].ID, on) }
		w.options.Publish = func(e p2p.Event) {
			s, is := e.(dht.Step)
			if !is || s.From != writer.member.ID {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case s.Operation == "prepare":
				if prepared++; prepared == 3 { // the confirmation is to arrive at the first one only
					cut(1, true)
					cut(2, true)
				}
			case s.Operation == "confirm" && s.To == near[0].ID && !confirmed && !s.Failed:
				confirmed = true // and that it is taken back at the others only
				cut(0, true)
				for _, n := range w.nodes {
					w.calls.Cut(n.member.ID, near[0].ID, true)
					w.calls.Cut(near[0].ID, n.member.ID, true)
				}
			case s.Operation == "confirm" && s.Failed:
				cut(1, false)
				cut(2, false)
			}
		}
		writer.start()
		_, _, err := writer.table.VPut(t.Context(), appending(name, "word"))
		if err == nil || !confirmed {
			t.Fatalf("%v, confirmed %v", err, confirmed)
		}
		time.Sleep(2 * time.Minute)
		for _, n := range w.nodes {
			w.calls.Cut(n.member.ID, near[0].ID, false)
			w.calls.Cut(near[0].ID, n.member.ID, false)
		}
		time.Sleep(10 * time.Minute)
		w.repair()
		for _, n := range w.nodes {
			if heads := n.heads(name); len(heads) != 1 || !slices.Equal(heads[0], []string{"start"}) {
				t.Errorf("%s: heads %q after %v", n.member.Name, heads, err)
			}
		}
	})
}
