package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/folder/replica/replicatest"
)

func openReplica(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestReplica(t *testing.T) {
	replicatest.Run(t, func(t *testing.T) replica.Store { return openReplica(t).Replica() })
}

func TestReplicaIsolated(t *testing.T) { replicatest.Isolated(t, openReplica(t).Replica()) }

// sampleFile returns the n-th file of one of two members, as it is in most folders:
// its first version, in a directory of the first member.
func sampleFile(n int) (reconcile.Entry, reconcile.Placed) {
	author := func(n, counter int) reconcile.Dot {
		return reconcile.Dot{Member: p2p.ID{byte(n + 1)}, Incarnation: 0xabcdef0123456789 + uint64(n), Counter: uint64(counter)}
	}
	const perDir = 100
	dir := author(0, 1_000_000+n/perDir)
	d := author(n%2, n+1)
	v := reconcile.Vector{d}
	name := fmt.Sprintf("file%06d", n)
	h := reconcile.Hash{byte(n), byte(n >> 8), 31: 1}
	c := reconcile.Content{Dot: d, Vector: v, Made: d, Hash: h, Size: int64(n) * 997, Modified: 1_700_000_000_123_456_789 + int64(n), Mode: 0o644}
	e := reconcile.Entry{
		ID: reconcile.EntryID(d), Kind: reconcile.KindFile, Contents: []reconcile.Content{c},
		Places: []reconcile.Place{{Dot: d, Vector: v, Spot: reconcile.Spot{Parent: reconcile.EntryID(dir), Name: name}}},
	}
	return e, reconcile.Placed{Path: fmt.Sprintf("dir%03d/%s", n/perDir, name), Row: reconcile.Row{
		Item: reconcile.Item{Kind: reconcile.KindFile, Size: c.Size, Modified: c.Modified, Mode: c.Mode, Hash: h, Inode: 9_000_000 + uint64(n)},
		Dot:  d, Made: d, Refs: []reconcile.Ref{{ID: e.ID, Place: v, Contents: []reconcile.Vector{v}}},
	}}
}

// putSamples writes the entries and rows of files and of their directories.
func putSamples(ctx context.Context, s replica.Store, folder string, from, to int) error {
	return s.Write(ctx, folder, func(w replica.Writer) error {
		for n := from; n < to; n++ {
			e, row := sampleFile(n)
			if n%100 == 0 {
				if err := putDir(w, e, row.Path[:6]); err != nil {
					return err
				}
			}
			if err := w.PutEntry(e, false, 0); err != nil {
				return err
			}
			if err := w.Set([]reconcile.Placed{row}); err != nil {
				return err
			}
		}
		return nil
	})
}

// putDir writes the directory of the first file in it.
func putDir(w replica.Writer, first reconcile.Entry, path string) error {
	id := first.Places[0].Parent
	d := reconcile.Dot(id)
	v := reconcile.Vector{d}
	c := reconcile.Content{Dot: d, Vector: v, Made: d, Mode: 0o755}
	e := reconcile.Entry{
		ID: id, Kind: reconcile.KindDir, Contents: []reconcile.Content{c},
		Places: []reconcile.Place{{Dot: d, Vector: v, Spot: reconcile.Spot{Name: path}}},
	}
	if err := w.PutEntry(e, false, 0); err != nil {
		return err
	}
	return w.Set([]reconcile.Placed{{Path: path, Row: reconcile.Row{
		Item: reconcile.Item{Kind: reconcile.KindDir, Mode: 0o755}, Dot: d, Made: d,
		Refs: []reconcile.Ref{{ID: id, Place: v, Contents: []reconcile.Vector{v}}},
	}}})
}

// size returns the bytes of all pages of state.db.
func size(t *testing.T, s *Store) int64 {
	t.Helper()
	var pages, page int64
	err := s.state.Read(t.Context(), func(q Queryer) error {
		if err := q.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&pages); err != nil {
			return err
		}
		return q.QueryRowContext(t.Context(), `PRAGMA page_size`).Scan(&page)
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages * page
}

// TestReplicaSize: what a file costs in state.db, entry, place, row and indexes.
func TestReplicaSize(t *testing.T) {
	const files = 20_000
	s := openReplica(t)
	empty := size(t, s)
	for from := 0; from < files; from += 1000 {
		if err := putSamples(t.Context(), s.Replica(), "folder", from, from+1000); err != nil {
			t.Fatal(err)
		}
	}
	perFile := float64(size(t, s)-empty) / files
	t.Logf("%.1f bytes per file", perFile)
	if perFile > 300 {
		t.Error("want at most 300")
	}
}

// TestReplicaMovesAtOnce: what is in a directory is not touched when it moves.
func TestReplicaMovesAtOnce(t *testing.T) {
	s := openReplica(t)
	if err := putSamples(t.Context(), s.Replica(), "folder", 0, 1000); err != nil {
		t.Fatal(err)
	}
	changes := func() (n int64) {
		t.Helper()
		if err := s.state.writer.QueryRowContext(t.Context(), `SELECT total_changes()`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := changes()
	err := s.Replica().Write(t.Context(), "folder", func(w replica.Writer) error {
		return w.MoveRows([]replica.Move{{From: "dir000", To: "dir001"}, {From: "dir001", To: "dir000"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := changes() - before; n > 10 {
		t.Errorf("%d rows were changed", n)
	}
}

// TestReplicaForgetsWhatIsLeft: a replica whose deletion was interrupted is gone at
// once and goes with the next.
func TestReplicaForgetsWhatIsLeft(t *testing.T) {
	s := openReplica(t)
	if err := putSamples(t.Context(), s.Replica(), "folder", 0, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := s.state.writer.ExecContext(t.Context(), `UPDATE replica SET folder = NULL; DELETE FROM replica_entry WHERE counter % 2 = 0`); err != nil {
		t.Fatal(err)
	}
	err := s.Replica().Read(t.Context(), "folder", func(r replica.Reader) error {
		all, err := r.Since(0, 10)
		if len(all) > 0 {
			t.Error("it has", len(all), "entries")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replica().Forget(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"replica", "replica_actor", "replica_entry", "replica_place", "replica_dir", "replica_row"} {
		var n int
		if err := s.state.writer.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
}

// TestReplicaSurvivesRestart: also the numbers of actors and directories are read
// again.
func TestReplicaSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	for restart := range 3 {
		s, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := putSamples(t.Context(), s.Replica(), "folder", restart*50, restart*50+100); err != nil {
			t.Fatal(err)
		}
		err = s.Replica().Read(t.Context(), "folder", func(r replica.Reader) error {
			files, err := r.CountRows()
			if files != restart*50+100 {
				t.Errorf("%d files after restart %d", files, restart)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkReplicaWrite writes 1000 new entries and rows at once.
func BenchmarkReplicaWrite(b *testing.B) {
	s := openReplica(b).Replica()
	from := 0
	for b.Loop() {
		if err := putSamples(b.Context(), s, "folder", from, from+1000); err != nil {
			b.Fatal(err)
		}
		from += 1000
	}
}

// BenchmarkReplicaRead reads in one Read of a replica with 20,000 files.
func BenchmarkReplicaRead(b *testing.B) {
	s := openReplica(b).Replica()
	if err := putSamples(b.Context(), s, "folder", 0, 20_000); err != nil {
		b.Fatal(err)
	}
	type do = func(r replica.Reader, e reconcile.Entry, p reconcile.Placed) error
	for name, do := range map[string]do{
		"Entry": func(r replica.Reader, e reconcile.Entry, _ reconcile.Placed) error {
			_, _, err := r.Entry(e.ID)
			return err
		},
		"At": func(r replica.Reader, e reconcile.Entry, _ reconcile.Placed) error {
			_, err := r.At(e.Places[0].Spot)
			return err
		},
		"Row": func(r replica.Reader, _ reconcile.Entry, p reconcile.Placed) error {
			_, _, err := r.Row(p.Path)
			return err
		},
		"RowsOf": func(r replica.Reader, e reconcile.Entry, _ reconcile.Placed) error {
			_, err := r.RowsOf(e.ID)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			err := s.Read(b.Context(), "folder", func(r replica.Reader) error {
				n := 0
				for b.Loop() {
					n = (n + 7919) % 20_000
					e, p := sampleFile(n)
					if err := do(r, e, p); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
	b.Run("nothing else", func(b *testing.B) {
		for b.Loop() {
			if err := s.Read(b.Context(), "folder", func(replica.Reader) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReplicaGroup commits one entry and its row, as when a person saves a
// file.
func BenchmarkReplicaGroup(b *testing.B) {
	s := openReplica(b).Replica()
	start := time.Now()
	n := 0
	for b.Loop() {
		if err := putSamples(b.Context(), s, "folder", n, n+1); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "writes/s")
}
