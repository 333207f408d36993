package replica_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/folder/replica/replicatest"
)

func TestMemory(t *testing.T) {
	replicatest.Run(t, func(*testing.T) replica.Store { return replica.NewMemory() })
}

// TestMemoryClone: a clone is what was committed, and neither changes with the other.
func TestMemoryClone(t *testing.T) {
	dir := reconcile.Placed{Path: "d", Row: reconcile.Row{Item: reconcile.Item{Kind: reconcile.KindDir}, Refs: []reconcile.Ref{{ID: reconcile.EntryID{Counter: 1}}}}}
	in := reconcile.Placed{Path: "d/f", Row: reconcile.Row{Item: reconcile.Item{Kind: reconcile.KindFile}, Refs: []reconcile.Ref{{ID: reconcile.EntryID{Counter: 2}}}}}
	m := replica.NewMemory()
	write := func(m *replica.Memory, fn func(w replica.Writer) error) {
		t.Helper()
		if err := m.Write(t.Context(), "folder", fn); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(m *replica.Memory) (out []string, files int) {
		t.Helper()
		err := m.Read(t.Context(), "folder", func(r replica.Reader) error {
			for n := range uint64(4) {
				paths, err := r.RowsOf(reconcile.EntryID{Counter: n})
				if err != nil {
					return err
				}
				out = append(out, paths...)
			}
			var err error
			files, err = r.CountRows()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out, files
	}
	write(m, func(w replica.Writer) error { return w.Set([]reconcile.Placed{dir, in}) })
	c := m.Clone()
	write(m, func(w replica.Writer) error { return w.MoveRows([]replica.Move{{From: "d", To: "e"}}) })
	write(c, func(w replica.Writer) error { return w.Unset([]string{"d/f"}) })
	if got, files := rows(m); len(got) != 2 || got[1] != "e/f" || files != 1 {
		t.Error("the original has", got, files)
	}
	if got, files := rows(c); len(got) != 1 || got[0] != "d" || files != 0 {
		t.Error("the clone has", got, files)
	}
}

// BenchmarkMemory writes an entry and its row.
func BenchmarkMemory(b *testing.B) {
	m := replica.NewMemory()
	for n := uint64(1); b.Loop(); n++ {
		e, row := sample(n%1000+1, n%1000+2, "0123456789")
		err := m.Write(b.Context(), "folder", func(w replica.Writer) error {
			if err := w.PutEntry(e, true, 100); err != nil {
				return err
			}
			return w.Set([]reconcile.Placed{{Path: "0123456789", Row: row}})
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
