package replicatest

import (
	"math"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

func testEmpty(t *testing.T, f fixture) {
	f.read(t, func(r replica.Reader) { isEmpty(t, r) })
	f.both(t, func(replica.Writer) error { return nil }, func(r replica.Reader) { isEmpty(t, r) })
}

func isEmpty(t *testing.T, r replica.Reader) {
	t.Helper()
	equal(t, "state", must(r.State())(t), replica.State{})
	if _, found, err := r.Entry(id(1)); found || err != nil {
		t.Fatalf("entry: %v, %v", found, err)
	}
	for _, path := range []string{"", "a", "a/b", reconcile.Aside, reconcile.Aside + "/a"} {
		if _, found, err := r.Row(path); found || err != nil {
			t.Fatalf("row %q: %v, %v", path, found, err)
		}
		equal(t, "rows in", len(must(r.RowsIn(path, 0))(t)), 0)
	}
	n, bytes, err := r.Needs()
	if n != 0 || bytes != 0 || err != nil {
		t.Fatalf("needs: %d, %d, %v", n, bytes, err)
	}
	equal(t, "at", len(must(r.At(reconcile.Spot{Name: "a"}))(t)), 0)
	equal(t, "in", len(must(r.In(reconcile.EntryID{}))(t)), 0)
	equal(t, "since", len(must(r.Since(0, 10))(t)), 0)
	equal(t, "pending", len(must(r.Pending(0, 10))(t)), 0)
	equal(t, "rows of", len(must(r.RowsOf(id(1)))(t)), 0)
	equal(t, "files", must(r.CountRows())(t), 0)
	equal(t, "cursors", len(must(r.Cursors())(t)), 0)
	equal(t, "claims", len(must(r.Claims())(t)), 0)
	equal(t, "journal", must(r.Journal())(t), []byte(nil))
	equal(t, "discarded", len(must(r.Discarded(0, 10))(t)), 0)
	equal(t, "discarded as", len(must(r.DiscardedAs(reconcile.Hash{1}))(t)), 0)
	equal(t, "conflicts", len(must(r.Conflicts())(t)), 0)
	equal(t, "holds", len(must(r.Holds())(t)), 0)
}

func testState(t *testing.T, f fixture) {
	s := replica.State{Incarnation: math.MaxUint64, Counter: 7, Seq: 99, Nonce: [16]byte{1}, Before: [16]byte{15: 2}}
	f.both(t, func(w replica.Writer) error { return w.SetState(s) }, func(r replica.Reader) {
		want := s
		want.Seq = 0
		equal(t, "state", must(r.State())(t), want)
	})
	f.both(t, func(w replica.Writer) error { return w.PutEntry(file(id(1), reconcile.EntryID{}, "a"), false, 0) }, func(r replica.Reader) {
		want := s
		want.Seq = 1
		equal(t, "state with an entry", must(r.State())(t), want)
	})
}

// seqs returns the numbers of entries, and their counters.
func seqs(all []replica.Stored) (out [][2]uint64) {
	for _, s := range all {
		out = append(out, [2]uint64{s.Seq, s.Entry.ID.Counter})
	}
	return out
}

func testEntries(t *testing.T, f fixture) {
	f.both(t, func(w replica.Writer) error {
		for n := uint64(1); n <= 5; n++ {
			if err := w.PutEntry(file(id(n), reconcile.EntryID{}, "a"), n%2 == 0, 10); err != nil {
				return err
			}
		}
		return nil
	}, func(r replica.Reader) {
		equal(t, "all", seqs(must(r.Since(0, 10))(t)), [][2]uint64{{1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}})
		equal(t, "some", seqs(must(r.Since(2, 2))(t)), [][2]uint64{{3, 3}, {4, 4}})
		equal(t, "none", len(must(r.Since(5, 2))(t)), 0)
		equal(t, "limit 0", len(must(r.Since(0, 0))(t)), 0)
		equal(t, "after all numbers", len(must(r.Since(math.MaxUint64, 2))(t)), 0)
	})
	f.both(t, func(w replica.Writer) error {
		if err := w.PutEntry(file(id(2), reconcile.EntryID{}, "b"), false, 0); err != nil {
			return err
		}
		return w.PutEntry(file(id(1), reconcile.EntryID{}, "c"), true, 5)
	}, func(r replica.Reader) {
		equal(t, "with replaced ones", seqs(must(r.Since(0, 10))(t)), [][2]uint64{{3, 3}, {4, 4}, {5, 5}, {6, 2}, {7, 1}})
		s, found, err := r.Entry(id(1))
		if !found || err != nil {
			t.Fatal(found, err)
		}
		equal(t, "entry", s, replica.Stored{Seq: 7, Entry: file(id(1), reconcile.EntryID{}, "c"), Pending: true, Need: 5})
		equal(t, "seq", must(r.State())(t).Seq, uint64(7))
		if _, found, err := r.Entry(reconcile.EntryID(dot(2, 1))); found || err != nil {
			t.Fatal("another's entry", found, err)
		}
	})
}

// testPlaces: an entry is found wherever one of its places is.
func testPlaces(t *testing.T, f fixture) {
	dir := id(9)
	top := func(name string) reconcile.Spot { return reconcile.Spot{Name: name} }
	in := func(name string) reconcile.Spot { return reconcile.Spot{Parent: dir, Name: name} }
	e := file(id(1), reconcile.EntryID{}, "a")
	e.Places = append(e.Places,
		reconcile.Place{Dot: dot(2, 1), Vector: reconcile.Vector{dot(2, 1)}, Spot: in("a")},
		reconcile.Place{Dot: dot(3, 1), Vector: reconcile.Vector{dot(3, 1)}, Spot: in("b")},
		reconcile.Place{Dot: dot(4, 1), Vector: reconcile.Vector{dot(4, 1)}, Spot: in("b"), Was: top("a")})
	other := file(reconcile.EntryID(dot(2, 7)), dir, "b")
	f.both(t, func(w replica.Writer) error {
		if err := w.PutEntry(other, false, 0); err != nil {
			return err
		}
		return w.PutEntry(e, false, 0)
	}, func(r replica.Reader) {
		equal(t, "at a", must(r.At(top("a")))(t), []reconcile.EntryID{e.ID})
		equal(t, "at dir/a", must(r.At(in("a")))(t), []reconcile.EntryID{e.ID})
		equal(t, "at dir/b", must(r.At(in("b")))(t), []reconcile.EntryID{e.ID, other.ID})
		equal(t, "in the folder", must(r.In(reconcile.EntryID{}))(t), []reconcile.EntryID{e.ID})
		equal(t, "in dir", must(r.In(dir))(t), []reconcile.EntryID{e.ID, other.ID})
	})
	e.Places = []reconcile.Place{e.Places[1], {Dot: dot(3, 2), Vector: reconcile.Vector{dot(3, 2)}, Spot: in("c")}}
	f.both(t, func(w replica.Writer) error { return w.PutEntry(e, false, 0) }, func(r replica.Reader) {
		equal(t, "at a, moved", len(must(r.At(top("a")))(t)), 0)
		equal(t, "in the folder, moved", len(must(r.In(reconcile.EntryID{}))(t)), 0)
		equal(t, "at dir/a, kept", must(r.At(in("a")))(t), []reconcile.EntryID{e.ID})
		equal(t, "at dir/b, left", must(r.At(in("b")))(t), []reconcile.EntryID{other.ID})
		equal(t, "at dir/c, new", must(r.At(in("c")))(t), []reconcile.EntryID{e.ID})
	})
}

func testPending(t *testing.T, f fixture) {
	needs := func(r replica.Reader, entries int, bytes int64) {
		t.Helper()
		n, sum, err := r.Needs()
		if n != entries || sum != bytes || err != nil {
			t.Fatalf("needs %d entries with %d bytes, %v; want %d and %d", n, sum, err, entries, bytes)
		}
	}
	f.both(t, func(w replica.Writer) error {
		for n := uint64(1); n <= 4; n++ {
			if err := w.PutEntry(file(id(n), reconcile.EntryID{}, "a"), n != 2, int64(n*n)); err != nil {
				return err
			}
		}
		return nil
	}, func(r replica.Reader) {
		equal(t, "pending", seqs(must(r.Pending(0, 10))(t)), [][2]uint64{{1, 1}, {3, 3}, {4, 4}})
		equal(t, "some", seqs(must(r.Pending(1, 1))(t)), [][2]uint64{{3, 3}})
		needs(r, 3, 1+9+16)
		s, _, err := r.Entry(id(2))
		if s.Pending || s.Need != 0 || err != nil {
			t.Fatal("not pending, and yet it needs", s.Need, err)
		}
	})
	f.both(t, func(w replica.Writer) error {
		for _, err := range []error{
			w.SetPending(id(1), false, 5), w.SetPending(id(2), true, 0), w.SetPending(id(3), true, 7),
			w.SetPending(id(77), true, 100), w.SetPending(reconcile.EntryID(dot(9, 1)), true, 100),
			w.PutEntry(file(id(4), reconcile.EntryID{}, "b"), false, 0),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}, func(r replica.Reader) {
		equal(t, "pending after", seqs(must(r.Pending(0, 10))(t)), [][2]uint64{{2, 2}, {3, 3}})
		needs(r, 2, 7)
		equal(t, "numbers stay", seqs(must(r.Since(0, 10))(t)), [][2]uint64{{1, 1}, {2, 2}, {3, 3}, {5, 4}})
	})
}

// testWholeEntries: nothing of an entry or a row is lost, however unusual.
func testWholeEntries(t *testing.T, f fixture) {
	e := file(id(1), id(2), "a")
	e.Places = append(e.Places, reconcile.Place{
		Dot: dot(2, 3), Vector: reconcile.Vector{dot(1, 1), dot(2, 3)}, Spot: reconcile.Spot{Name: "b"},
		Was: reconcile.Spot{Parent: id(5), Name: "c"}, Had: reconcile.Hash{9}, Auto: true,
	})
	e.Contents = append(e.Contents, reconcile.Content{
		Dot: dot(3, 3), Vector: reconcile.Vector{dot(1, 1), dot(3, 3)}, Made: dot(1, 1), Deleted: true,
		Seen: reconcile.Vector{dot(1, 1), dot(2, 2)}, Hash: reconcile.Hash{1}, Parent: reconcile.Hash{2},
		Size: 1 << 53, Modified: -5, Mode: 0o777,
	})
	row := rowOf(e)
	row.Kind, row.Parent, row.Made, row.Inode, row.Modified = reconcile.KindOther, reconcile.Hash{3}, dot(4, 4), math.MaxUint64, math.MinInt64
	row.Refs = append(row.Refs,
		reconcile.Ref{ID: id(8), Of: id(9), Place: reconcile.Vector{dot(1, 2), dot(7, 3)}, Contents: []reconcile.Vector{{dot(1, 1)}, nil, {dot(2, 2), dot(3, 3)}}},
		reconcile.Ref{ID: id(10)})
	bare := reconcile.Row{Item: reconcile.Item{Kind: reconcile.KindDir}}
	f.both(t, func(w replica.Writer) error {
		if err := w.PutEntry(e, true, 3); err != nil {
			return err
		}
		return w.Set([]reconcile.Placed{{Path: "r", Row: row}, {Path: "bare", Row: bare}})
	}, func(r replica.Reader) {
		s, _, err := r.Entry(e.ID)
		equal(t, "error", err, nil)
		equal(t, "entry", s.Entry, e)
		equal(t, "since", must(r.Since(0, 1))(t), []replica.Stored{s})
		equal(t, "rows", must(r.RowsIn("", 0))(t), []reconcile.Placed{{Path: "bare", Row: bare}, {Path: "r", Row: row}})
	})
}
