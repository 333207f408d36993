package replicatest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// model is rows by path, and what moving and deleting them means.
type model map[string]reconcile.Row

func modelOf(rows []reconcile.Placed) model {
	m := model{}
	for _, p := range rows {
		m[p.Path] = p.Row
	}
	return m
}

// isBelow reports whether p is dir or in it.
func isBelow(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// move is MoveRows by definition: a path follows the longest From above it, and is
// gone if a To above it is not that by which it came, or one above that.
func (m model) move(moves []replica.Move) model {
	out := model{}
	for p, row := range m {
		by := replica.Move{}
		for _, v := range moves {
			if isBelow(p, v.From) && len(v.From) > len(by.From) {
				by = v
			}
		}
		q := by.To + p[len(by.From):]
		gone := slices.ContainsFunc(moves, func(v replica.Move) bool { return isBelow(q, v.To) && len(v.To) > len(by.To) })
		if !gone {
			out[q] = row
		}
	}
	return out
}

func (m model) unset(path string) {
	maps.DeleteFunc(m, func(p string, _ reconcile.Row) bool { return isBelow(p, path) })
}

// listing is what listing reads of a store.
func (m model) listing() []string {
	var aside, other []string
	for _, p := range slices.SortedFunc(maps.Keys(m), comparePaths) {
		line := p
		if refs := m[p].Refs; len(refs) > 0 {
			line = fmt.Sprintf("%s %d", p, refs[0].ID.Counter)
		}
		if isBelow(p, reconcile.Aside) {
			aside = append(aside, line)
		} else {
			other = append(other, line)
		}
	}
	return append(other, aside...)
}

// comparePaths orders paths component by component.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// testRandom does the same to a store, to Memory and, as far as rows are concerned,
// to the model, and compares all that can be read.
func testRandom(t *testing.T, s replica.Store) {
	folder := 0
	reference := replica.NewMemory()
	rapid.Check(t, func(r *rapid.T) {
		folder++
		name := fmt.Sprint("folder ", folder)
		start := tree("a/", "a/b/", "a/b/c", "a/c/", "a/c/a", "b/", "b/a/", "b/a/b", "c", reconcile.Aside+"/a/", reconcile.Aside+"/a/b")
		rows := modelOf(start)
		for _, s := range []replica.Store{reference, s} {
			if err := s.Write(t.Context(), name, func(w replica.Writer) error { return w.Set(start) }); err != nil {
				r.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 5).Draw(r, "writes") {
			ops := rapid.SliceOfN(rapid.Custom(drawOp), 1, 8).Draw(r, "ops")
			after := maps.Clone(rows)
			for _, o := range ops {
				after = o.onModel(after)
			}
			do := func(w replica.Writer) error {
				for _, o := range ops {
					if err := o.do(w); err != nil {
						return err
					}
				}
				return nil
			}
			one := reference.Write(t.Context(), name, do)
			two := s.Write(t.Context(), name, do)
			if (one == nil) != (two == nil) {
				r.Fatalf("one says %v, the other %v", one, two)
			}
			if one == nil {
				rows = after
			}
			check(t, r, reference, s, name, rows)
		}
	})
}

func check(t *testing.T, r *rapid.T, reference, s replica.Store, folder string, rows model) {
	t.Helper()
	var dumps [2]string
	for i, s := range []replica.Store{reference, s} {
		err := s.Read(t.Context(), folder, func(reader replica.Reader) error {
			dumps[i] = dump(t, reader)
			if got, want := listing(t, reader), rows.listing(); !slices.Equal(got, want) {
				r.Fatalf("rows are\n%q, want\n%q", got, want)
			}
			return nil
		})
		if err != nil {
			r.Fatal(err)
		}
	}
	if dumps[0] != dumps[1] {
		r.Fatalf("one says\n%s\nthe other\n%s", dumps[0], dumps[1])
	}
}

// op is something done to a store.
type op struct {
	What  string
	Paths []string
	Moves []replica.Move
	ID    reconcile.EntryID
	Refs  []reconcile.Ref
	Spots []reconcile.Spot
	On    bool
	N     int64
}

func drawOp(t *rapid.T) op {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d'%"})
	ids := rapid.Custom(func(t *rapid.T) reconcile.EntryID {
		return reconcile.EntryID(dot(rapid.ByteRange(1, 2).Draw(t, "member"), rapid.Uint64Range(1, 5).Draw(t, "counter")))
	})
	paths := rapid.Custom(func(t *rapid.T) string {
		p := strings.Join(rapid.SliceOfN(names, 1, 4).Draw(t, "path"), "/")
		if rapid.IntRange(0, 4).Draw(t, "aside") == 0 {
			return reconcile.Aside + "/" + p
		}
		return p
	})
	return op{
		What:  rapid.SampledFrom([]string{"set", "set", "set", "set", "move", "move", "move", "unset", "all", "put", "put", "put", "pending", "other"}).Draw(t, "what"),
		Paths: rapid.SliceOfN(paths, 1, 3).Draw(t, "paths"),
		Moves: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) replica.Move {
			return replica.Move{From: paths.Draw(t, "from"), To: paths.Draw(t, "to")}
		}), 1, 3).Draw(t, "moves"),
		ID: ids.Draw(t, "id"),
		Refs: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) reconcile.Ref {
			ref := reconcile.Ref{ID: ids.Draw(t, "ref")}
			if rapid.Bool().Draw(t, "losing") {
				ref.Of = ids.Draw(t, "of")
			}
			return ref
		}), 0, 3).Draw(t, "refs"),
		Spots: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) reconcile.Spot {
			s := reconcile.Spot{Name: names.Draw(t, "name")}
			if rapid.Bool().Draw(t, "deep") {
				s.Parent = ids.Draw(t, "parent")
			}
			return s
		}), 1, 3).Draw(t, "spots"),
		On: rapid.Bool().Draw(t, "on"),
		N:  rapid.Int64Range(0, 1000).Draw(t, "n"),
	}
}

// rows returns what a set sets: the directories above each path and, if On, the
// path as a file.
func (o op) rows() (out []reconcile.Placed) {
	for _, p := range o.Paths {
		start := 0
		if isBelow(p, reconcile.Aside) {
			start = len(reconcile.Aside) + 1
		}
		for i := start; i < len(p); i++ {
			if p[i] == '/' {
				out = append(out, reconcile.Placed{Path: p[:i], Row: reconcile.Row{Item: reconcile.Item{Kind: reconcile.KindDir, Inode: uint64(o.N)}}})
			}
		}
		row := reconcile.Row{Item: reconcile.Item{Kind: reconcile.KindDir, Mode: 0o755}, Dot: reconcile.Dot(o.ID), Refs: o.Refs}
		if o.On {
			row.Item = reconcile.Item{Kind: reconcile.KindFile, Size: o.N, Mode: 0o640, Modified: o.N * 1e9, Hash: reconcile.Hash{byte(o.N)}}
		}
		out = append(out, reconcile.Placed{Path: p, Row: row})
	}
	return out
}

func (o op) onModel(m model) model {
	switch o.What {
	case "set":
		for _, p := range o.rows() {
			m[p.Path] = p.Row
		}
	case "move":
		return m.move(o.Moves)
	case "unset":
		for _, p := range o.Paths {
			m.unset(p)
		}
	case "all":
		clear(m)
	}
	return m
}

func (o op) do(w replica.Writer) error {
	switch o.What {
	case "set":
		return w.Set(o.rows())
	case "move":
		return w.MoveRows(o.Moves)
	case "unset":
		return w.Unset(o.Paths)
	case "all":
		return w.UnsetAll()
	case "put":
		e := file(o.ID, reconcile.EntryID{}, "")
		e.Places = nil
		for i, s := range o.Spots {
			d := dot(byte(i+1), uint64(o.N)+1)
			e.Places = append(e.Places, reconcile.Place{Dot: d, Vector: reconcile.Vector{d}, Spot: s, Was: o.Spots[0]})
		}
		return w.PutEntry(e, o.On, o.N)
	case "pending":
		return w.SetPending(o.ID, o.On, o.N)
	}
	return o.doOther(w)
}

func (o op) doOther(w replica.Writer) error {
	at := time.UnixMilli(o.N)
	d := replica.Discarded{Path: o.Paths[0], Kind: reconcile.KindFile, Hash: reconcile.Hash{byte(o.N % 3)}, Deleted: o.On, Time: at}
	if o.N%2 == 0 {
		d.Name = "trash"
	}
	n, err := w.Discard(d)
	if err != nil {
		return err
	}
	for _, err := range []error{
		w.Forgo([]int64{n - 2, n - 5}),
		w.SetState(replica.State{Incarnation: uint64(o.N), Counter: uint64(o.N)}),
		w.SetCursor(replica.Cursor{Member: o.ID.Member, Seq: uint64(o.N)}),
		w.SetClaim(replica.Claim{Dot: reconcile.Dot(o.ID), Sig: []byte{byte(o.N)}}),
		w.SetJournal([]byte(o.Paths[0])),
		w.SetHold(replica.Hold{Member: o.ID.Member, Since: at, Done: int(o.N), Released: reconcile.Vector{reconcile.Dot(o.ID)}}),
		w.SetConflicts(o.Paths[:1], []reconcile.Conflict{{Path: o.Paths[len(o.Paths)-1], Kind: reconcile.ConflictName, Others: o.Paths}}),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
