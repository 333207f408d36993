package replica

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// TestGather compares, at many moments of some games, the plan for the gathered part of
// the trees with that for the whole trees: they are the same if the part was gathered
// from all that there is to do.
func TestGather(t *testing.T) {
	compared := 0
	for seed := uint64(1); seed <= 60; seed++ {
		w := newSimWorld(t, seed)
		if seed > 40 {
			w.fold()
		}
		for range simOperations {
			w.now += int64(w.roll(2000)) * 1e6
			n := w.nodes[w.roll(len(w.nodes))]
			w.step(n)
			if n.core != nil && !n.reader && !n.core.torn && n.disk.current() {
				compared++
				compareGathered(t, n)
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d moments were compared", compared)
	}
}

func compareGathered(t *testing.T, n *simNode) {
	t.Helper()
	base, disk, global := n.trees()
	s := seeds{moved: slices.Clone(n.core.moved)}
	for p := range disk {
		if base[p].Item != disk[p] {
			s.paths = append(s.paths, p)
		}
	}
	for p := range base {
		if _, there := disk[p]; !there {
			s.paths = append(s.paths, p)
		}
	}
	slices.Sort(s.paths)
	var part scope
	err := n.store.Read(context.Background(), simFolder, func(r Reader) error {
		all, err := r.Pending(0, 1<<30)
		for _, e := range all {
			s.entries = append(s.entries, e.Entry.ID)
		}
		if err == nil {
			part, err = gather(context.Background(), r, asideDisk{n.disk, n.mem, n.core.fold}, n.core.fold, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	o := reconcile.Options{Author: n.core.author, Fold: n.core.fold}
	got, want := reconcile.Reconcile(part.base, part.disk, part.global, o), reconcile.Reconcile(base, disk, global, o)
	// A directory that was moved into what was in it makes a cycle for as long as the plan
	// is made, and what that brushes against is kept where it is, needlessly.
	if slices.ContainsFunc(want.Changes, func(c reconcile.Change) bool { return below(c.Path, c.From) }) {
		return
	}
	// The whole has conflicts elsewhere, too. A path can also come from what is recorded just now.
	want.Conflicts = slices.DeleteFunc(want.Conflicts, func(c reconcile.Conflict) bool {
		return !part.looked[c.Path] && !slices.ContainsFunc(got.Conflicts, func(x reconcile.Conflict) bool { return x.Path == c.Path })
	})
	if len(want.Conflicts) == 0 {
		want.Conflicts = nil
	}
	got.Problems, want.Problems = nil, nil
	fetched(got.Steps) // where the content comes from is not a matter of the plan
	fetched(want.Steps)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Logf("paths %v moved %v entries %v", s.paths, s.moved, s.entries)
		t.Logf("gathered %v", slices.Sorted(maps.Keys(part.looked)))
		t.Logf("whole:%s", describePlan(want))
		t.Logf("part:%s", describePlan(got))
		n.w.fail("%s: the plan for a part is another: %s", n.name, diff)
	}
}

// fetched makes copies of what is here into fetches.
func fetched(steps []reconcile.Step) {
	for i, s := range steps {
		if s.Do == reconcile.DoCopy {
			steps[i] = reconcile.Step{Do: reconcile.DoFetch, Path: s.Path, Row: s.Row}
		}
	}
}
