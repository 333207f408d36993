package replica

import (
	"context"
	"fmt"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

const benchFiles, benchDirs = 10_000, 100

// benchNode returns a running node with a folder of 10,000 files in 100 directories,
// all in one.
func benchNode(b *testing.B) *simNode {
	b.Helper()
	w := &simWorld{t: b, rng: newSimWorld(b, 1).rng, hashes: map[string]reconcile.Hash{}, consumed: map[reconcile.Hash]bool{}, acked: map[reconcile.Hash]string{}, own: map[string]bool{}, brakeFiles: 1 << 30}
	n := newSimNode(w, 0)
	w.nodes = []*simNode{n}
	for d := range benchDirs {
		if err := n.mem.MkdirAll(fmt.Sprintf("all/dir %03d", d)); err != nil {
			b.Fatal(err)
		}
		for f := range benchFiles / benchDirs {
			if err := n.mem.WriteFile(fmt.Sprintf("all/dir %03d/file %03d", d, f), fmt.Sprint(d, f)); err != nil {
				b.Fatal(err)
			}
		}
	}
	n.start()
	benchTurns(b, n)
	return n
}

func benchTurns(b *testing.B, n *simNode) {
	b.Helper()
	for range 1000 {
		t, err := n.core.Turn(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if t.Idle {
			return
		}
	}
}

// BenchmarkEdit is one edit of a file in a large folder, without the scan.
func BenchmarkEdit(b *testing.B) {
	n := benchNode(b)
	const p = "all/dir 050/file 050"
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		if err := n.mem.WriteFile(p, fmt.Sprint("edit ", i)); err != nil {
			b.Fatal(err)
		}
		st, err := n.mem.Lstat(p)
		if err != nil {
			b.Fatal(err)
		}
		n.disk.rows[p] = n.w.seen(p, st, fmt.Append(nil, "edit ", i))
		n.core.Dirty([]string{p}, nil, false)
		b.StartTimer()
		benchTurns(b, n)
	}
}

// BenchmarkMerge is taking over 10,000 new entries, up to the wish for their contents.
func BenchmarkMerge(b *testing.B) {
	from := benchNode(b)
	var batch Batch
	err := from.store.Read(context.Background(), simFolder, func(r Reader) error {
		all, err := r.Since(0, 1<<30)
		for _, s := range all {
			batch.Entries, batch.Upto = append(batch.Entries, s.Entry), s.Seq
		}
		if err == nil {
			batch.Claims, err = r.Claims()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	batch.Incarnation = from.core.Incarnation()
	for b.Loop() {
		b.StopTimer()
		n := newSimNode(from.w, 1)
		n.start()
		benchTurns(b, n)
		b.StartTimer()
		if _, err := n.core.Merge(context.Background(), from.id, batch); err != nil {
			b.Fatal(err)
		}
		benchTurns(b, n)
	}
}

// BenchmarkRename is renaming the directory in which all 10,000 files are, without the
// scan.
func BenchmarkRename(b *testing.B) {
	n := benchNode(b)
	names := [2]string{"all", "everything"}
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		from, to := names[i%2], names[1-i%2]
		if err := n.mem.RenamePath(from, to); err != nil {
			b.Fatal(err)
		}
		paths, moved := n.disk.scan(-1)
		if len(moved) != 1 {
			b.Fatalf("%v is moved", moved)
		}
		n.core.Dirty(paths[:0], moved, false)
		b.StartTimer()
		benchTurns(b, n)
	}
}
