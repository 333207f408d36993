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
