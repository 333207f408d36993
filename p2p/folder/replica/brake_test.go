package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// brakeStep is a step that takes away, or brings, a file that a member has made.
func brakeStep(do reconcile.Action, maker p2p.ID, n int, editors ...p2p.ID) (reconcile.Step, reconcile.Row) {
	dot := reconcile.Dot{Member: maker, Incarnation: 1, Counter: uint64(n)}
	contents := []reconcile.Vector{{dot}}
	for _, e := range editors {
		contents[0] = append(contents[0], reconcile.Dot{Member: e, Incarnation: 1, Counter: 1})
	}
	row := reconcile.Row{Refs: []reconcile.Ref{{ID: reconcile.EntryID(dot), Contents: contents}}}
	row.Kind = reconcile.KindFile
	s := reconcile.Step{Do: do, Path: fmt.Sprint("f", n), Row: row}
	s.Expect.Kind = reconcile.KindFile
	return s, row
}

// A file that is saved again and again is one file.
func TestBrakeCountsFiles(t *testing.T) {
	b, by, now := newBrake(), p2p.ID{1}, time.Unix(1000, 0)
	for range 100 {
		for n := range 3 {
			s, row := brakeStep(reconcile.DoReplace, by, n)
			b.count(s, victimOf(row), by, now)
			now = now.Add(time.Second)
		}
	}
	if got := b.recent(by, now); got != 3 {
		t.Errorf("3 files that were saved 100 times count as %d", got)
	}
	s, row := brakeStep(reconcile.DoTrash, by, 7)
	b.count(s, victimOf(row), by, now)
	b.count(s, victimOf(reconcile.Row{}), by, now)
	b.count(s, victimOf(reconcile.Row{}), by, now)
	if got := b.recent(by, now); got != 6 {
		t.Errorf("with three deletions they are %d", got)
	}
	now = now.Add(brakeWithin + time.Second)
	b.forget(now)
	if got := b.recent(by, now); got != 0 || len(b.done[by]) != 0 {
		t.Errorf("%d count after their time, %d are remembered", got, len(b.done[by]))
	}
}

// Who has just brought a file goes on working on it, unless somebody else has.
func TestBrakeYoung(t *testing.T) {
	b, by, other, now := newBrake(), p2p.ID{1}, p2p.ID{2}, time.Unix(1000, 0)
	fetch, _ := brakeStep(reconcile.DoFetch, by, 1)
	b.bring(fetch, by, now)
	for what, c := range map[string]struct {
		do      reconcile.Action
		n       int
		by      p2p.ID
		editors []p2p.ID
		after   time.Duration
		want    bool
	}{
		"its maker replaces it":     {reconcile.DoReplace, 1, by, nil, time.Minute, true},
		"later":                     {reconcile.DoReplace, 1, by, nil, brakeWithin + 1, false},
		"its maker deletes it":      {reconcile.DoTrash, 1, by, nil, time.Minute, false},
		"somebody else replaces it": {reconcile.DoReplace, 1, other, nil, time.Minute, false},
		"somebody else has edited":  {reconcile.DoReplace, 1, by, []p2p.ID{other}, time.Minute, false},
		"it was here before":        {reconcile.DoReplace, 2, by, nil, time.Minute, false},
	} {
		s, row := brakeStep(c.do, by, c.n, c.editors...)
		if got := b.young(s, row, c.by, now.Add(c.after)); got != c.want {
			t.Errorf("%s: young is %v", what, got)
		}
	}
}

// What is held goes on saying how much was let through before: an hour later, and after a
// restart.
func TestHoldSaysWhatWentThrough(t *testing.T) {
	a, b, settle := brakePair(t)
	name := func(n int) string { return fmt.Sprint("f", n) }
	for n := range 2 {
		a.remove(name(n))
	}
	settle()
	expect := func(when string, deleted int) {
		t.Helper()
		held, err := b.core.Held(t.Context())
		if err != nil || len(held) != 1 || held[0].Deleted != deleted || held[0].Done != 2 || held[0].Limit != 3 {
			t.Errorf("%s: held is %+v, %v", when, held, err)
		}
	}
	for n := range 4 {
		a.remove(name(2 + n))
	}
	settle()
	expect("at once", 4)
	a.remove(name(6))
	settle()
	expect("with one more", 5)
	b.w.now += int64(brakeWithin) + 1
	expect("later", 5)
	b.kill()
	settle()
	expect("after a restart", 5)
}

// brakePair returns two nodes that have ten files, f0 to f9, and a function that has them
// exchange all without anybody's word, and without taking time.
func brakePair(t *testing.T) (a, b *simNode, settle func()) {
	t.Helper()
	w := newSimWorld(t, 1)
	a, b = newSimNode(w, 0), newSimNode(w, 1)
	w.brakeFiles = 3
	w.nodes = []*simNode{a, b}
	w.links = []*simLink{{from: a, to: b}, {from: b, to: a}}
	w.calm()
	for n := range 10 {
		b.write(fmt.Sprint("f", n), fmt.Sprint("text ", n))
	}
	w.calm()
	return a, b, func() {
		for range 5 {
			for _, n := range w.nodes {
				n.start()
				n.scan(-1)
				n.turns(200)
			}
			for _, l := range w.links {
				l.connect()
				l.send(1000)
				l.deliver(true)
			}
		}
	}
}

// A restart gives nobody another chance, and what was long ago counts no more.
func TestBrakeAfterRestart(t *testing.T) {
	a, b, settle := brakePair(t)
	for n := range 3 {
		a.remove(fmt.Sprint("f", n))
	}
	settle()
	b.kill()
	settle()
	a.remove("f3")
	settle()
	if held, err := b.core.Held(t.Context()); err != nil || len(held) != 1 || held[0].Done != 3 || b.kind("f3") == "" {
		t.Errorf("held is %+v, %v", held, err)
	}

	a, b, settle = brakePair(t)
	for n := range 3 {
		a.remove(fmt.Sprint("f", n))
	}
	settle()
	b.kill()
	b.w.now += int64(brakeWithin) + int64(time.Millisecond) + 1
	settle()
	a.remove("f3")
	settle()
	if b.kind("f3") != "" {
		t.Error("what was done before counts for ever")
	}
}

// What is decided, what is saved again and again, and what somebody works on that it has just
// brought, is after a restart as it would be without one.
func TestBrakeRestartIsFair(t *testing.T) {
	for what, row := range map[string]struct {
		before func(a, b *simNode, settle func())
		after  func(a *simNode)
	}{
		"released": {func(a, b *simNode, settle func()) {
			for n := range 6 {
				a.remove(fmt.Sprint("f", n))
			}
			settle()
			if len(b.core.Holds()) != 1 {
				t.Fatal("nothing is held")
			}
			if err := b.core.Decide(t.Context(), a.id, true); err != nil {
				t.Fatal(err)
			}
			settle()
		}, func(a *simNode) { a.remove("f9") }},
		"refused": {func(a, b *simNode, settle func()) {
			for n := range 3 {
				a.remove(fmt.Sprint("f", n))
			}
			settle()
			for n := range 3 {
				a.remove(fmt.Sprint("f", 3+n))
			}
			settle()
			if err := b.core.Decide(t.Context(), a.id, false); err != nil {
				t.Fatal(err)
			}
			settle()
		}, func(a *simNode) { a.remove("f9") }},
		"saved again": {func(a, _ *simNode, settle func()) {
			for n := range 4 {
				a.write("f1", fmt.Sprint("again ", n))
				a.write("f2", fmt.Sprint("and again ", n))
				settle()
			}
		}, func(a *simNode) {
			a.write("f1", "once more")
			a.write("f2", "and once more")
			a.remove("f9")
		}},
		"young": {func(a, _ *simNode, settle func()) {
			for n := range 5 {
				a.write(fmt.Sprint("new", n), fmt.Sprint("new ", n))
			}
			settle()
			for n := range 5 {
				a.write(fmt.Sprint("new", n), fmt.Sprint("newer ", n))
			}
			settle()
		}, func(a *simNode) { a.remove("f9") }},
	} {
		a, b, settle := brakePair(t)
		row.before(a, b, settle)
		b.w.now += 1e6 // a restart takes time
		b.kill()
		settle()
		row.after(a)
		settle()
		if holds := b.core.Holds(); len(holds) > 0 || b.kind("f9") != "" {
			t.Errorf("%s: after a restart it is held: %+v", what, holds)
		}
	}
}
