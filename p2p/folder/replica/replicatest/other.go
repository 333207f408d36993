package replicatest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

func testMembers(t *testing.T, f fixture) {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	cursor := replica.Cursor{Member: member(2), Incarnation: math.MaxUint64, Seq: 1, Applied: 2, Of: 3}
	claims := []replica.Claim{
		{Dot: dot(1, 5), Sig: bytes.Repeat([]byte{1}, 64)},
		{Dot: dot(2, 3), Sig: bytes.Repeat([]byte{2}, 64)},
		{Dot: reconcile.Dot{Member: member(2), Incarnation: 1<<63 + 3, Counter: 1}, Sig: bytes.Repeat([]byte{3}, 64)},
	}
	hold := replica.Hold{Member: member(3), Since: at, Decided: at.Add(time.Second), Done: 100, Limit: 50, Released: reconcile.Vector{dot(3, 1), dot(4, 2)}}
	older, equalOne := claims[0], claims[1]
	older.Dot.Counter, older.Sig = 4, bytes.Repeat([]byte{9}, 64)
	equalOne.Sig = bytes.Repeat([]byte{8}, 64)
	f.both(t, func(w replica.Writer) error {
		return errors.Join(
			w.SetCursor(cursor), w.SetCursor(replica.Cursor{Member: member(1)}),
			w.SetClaim(claims[2]), w.SetClaim(claims[1]), w.SetClaim(claims[0]), w.SetClaim(older),
			w.SetHold(hold), w.SetHold(replica.Hold{Member: member(1)}), w.SetJournal([]byte("steps")),
		)
	}, func(r replica.Reader) {
		equal(t, "cursors", must(r.Cursors())(t), []replica.Cursor{{Member: member(1)}, cursor})
		equal(t, "claims", must(r.Claims())(t), claims)
		equal(t, "holds", must(r.Holds())(t), []replica.Hold{{Member: member(1)}, hold})
		equal(t, "journal", must(r.Journal())(t), []byte("steps"))
	})
	f.both(t, func(w replica.Writer) error {
		return errors.Join(
			w.SetCursor(replica.Cursor{Member: member(2), Incarnation: 1}), w.SetClaim(equalOne),
			w.SetHold(replica.Hold{Member: member(3), Since: at.Add(time.Hour + time.Microsecond).In(time.FixedZone("x", 3600)), Decided: at.Add(time.Microsecond)}), w.SetJournal(nil),
		)
	}, func(r replica.Reader) {
		equal(t, "cursors", must(r.Cursors())(t), []replica.Cursor{{Member: member(1)}, {Member: member(2), Incarnation: 1}})
		equal(t, "claims", must(r.Claims())(t), []replica.Claim{claims[0], equalOne, claims[2]})
		equal(t, "holds", must(r.Holds())(t), []replica.Hold{{Member: member(1)}, {Member: member(3), Since: at.Add(time.Hour), Decided: at}})
		equal(t, "journal", must(r.Journal())(t), []byte(nil))
	})
	f.both(t, func(w replica.Writer) error { return w.SetJournal([]byte{}) }, func(r replica.Reader) {
		equal(t, "empty journal", must(r.Journal())(t), []byte(nil))
	})
}

func testConflicts(t *testing.T, f fixture) {
	of := func(path string, kind reconcile.ConflictKind, others ...string) reconcile.Conflict {
		return reconcile.Conflict{Path: path, Kind: kind, Others: others}
	}
	f.both(t, func(w replica.Writer) error {
		return w.SetConflicts([]string{"no"}, []reconcile.Conflict{
			of("b", reconcile.ConflictName, "x", `"y"`), of("b", reconcile.ConflictDelete), of("a", reconcile.ConflictContent, "a b"),
			of("b", reconcile.ConflictDelete), of("b", reconcile.ConflictName, "x"), of("a", reconcile.ConflictContent, "a"),
		})
	}, func(r replica.Reader) {
		equal(t, "conflicts", noEmpty(must(r.Conflicts())(t)), []reconcile.Conflict{
			of("a", reconcile.ConflictContent, "a"), of("a", reconcile.ConflictContent, "a b"),
			of("b", reconcile.ConflictDelete), of("b", reconcile.ConflictName, "x"), of("b", reconcile.ConflictName, "x", `"y"`),
		})
	})
	f.both(t, func(w replica.Writer) error {
		return w.SetConflicts([]string{"b"}, []reconcile.Conflict{of("b", reconcile.ConflictMove), of("c", reconcile.ConflictInside)})
	}, func(r replica.Reader) {
		equal(t, "conflicts", noEmpty(must(r.Conflicts())(t)), []reconcile.Conflict{
			of("a", reconcile.ConflictContent, "a"), of("a", reconcile.ConflictContent, "a b"),
			of("b", reconcile.ConflictMove), of("c", reconcile.ConflictInside),
		})
	})
}

// noEmpty makes lists without anything nil.
func noEmpty(all []reconcile.Conflict) []reconcile.Conflict {
	for i := range all {
		if len(all[i].Others) == 0 {
			all[i].Others = nil
		}
	}
	return all
}

func testDiscarded(t *testing.T, f fixture) {
	var all []replica.Discarded // newest first
	for i := range 5 {
		d := replica.Discarded{
			Path: "d/f", Kind: reconcile.KindFile, Hash: reconcile.Hash{byte(i % 2)}, Size: int64(i), Mode: 0o600, Modified: -int64(i),
			Deleted: i%2 == 0, Counts: i%3 == 0, Member: member(byte(i)), Time: time.UnixMilli(int64(i) * 1000).UTC(),
		}
		if i != 1 {
			d.Name = "name"
		}
		all = append([]replica.Discarded{d}, all...)
	}
	f.write(t, func(w replica.Writer) error {
		for i := len(all) - 1; i >= 0; i-- {
			d := all[i]
			d.N = 77
			d.Time = d.Time.Add(time.Microsecond).Local()
			n, err := w.Discard(d)
			if err != nil {
				return err
			}
			all[i].N = n
		}
		return nil
	})
	f.read(t, func(r replica.Reader) {
		for i := range all[1:] {
			if all[i].N <= all[i+1].N {
				t.Fatal("numbers do not grow")
			}
		}
		equal(t, "all", must(r.Discarded(0, 10))(t), all)
		equal(t, "newest", must(r.Discarded(0, 2))(t), all[:2])
		equal(t, "then", must(r.Discarded(all[1].N, 2))(t), all[2:4])
		equal(t, "limit 0", len(must(r.Discarded(0, 0))(t)), 0)
		equal(t, "as", must(r.DiscardedAs(reconcile.Hash{1}))(t), []replica.Discarded{all[1]})
		equal(t, "as nothing", len(must(r.DiscardedAs(reconcile.Hash{}))(t)), 0)
	})
	f.both(t, func(w replica.Writer) error { return w.Forgo([]int64{all[0].N, all[3].N, math.MaxInt64}) }, func(r replica.Reader) {
		equal(t, "left", must(r.Discarded(0, 10))(t), []replica.Discarded{all[1], all[2], all[4]})
	})
	f.write(t, func(w replica.Writer) error {
		n, err := w.Discard(replica.Discarded{Path: "x"})
		if err == nil && n <= all[0].N {
			t.Errorf("number %d comes again", n)
		}
		return err
	})
	other := fixture{f.Store, f.folder + " other"}
	other.both(t, func(w replica.Writer) error { return w.Forgo([]int64{all[1].N}) }, func(r replica.Reader) {
		equal(t, "of another folder", len(must(r.Discarded(0, 10))(t)), 0)
	})
	f.read(t, func(r replica.Reader) { equal(t, "not another folder's to forgo", len(must(r.Discarded(0, 10))(t)), 4) })
}

// everything changes all that a Writer can change.
func everything(w replica.Writer) error {
	_, err := w.Discard(replica.Discarded{Path: "p", Name: "n", Hash: reconcile.Hash{7}})
	return errors.Join(
		err,
		w.SetState(replica.State{Incarnation: 5, Counter: 6}),
		w.PutEntry(file(id(1), id(3), "moved"), true, 9), w.PutEntry(file(id(50), reconcile.EntryID{}, "new"), true, 9),
		w.SetPending(id(2), true, 100),
		w.Set([]reconcile.Placed{placed("f", 60), placed("e/n", 61), placed("d/x/n", 62), placed("e/", 63)}),
		w.MoveRows([]replica.Move{{From: "d", To: "e"}, {From: "e", To: "d/x"}, {From: "d/x", To: "d"}}),
		w.Unset([]string{"e"}),
		w.SetCursor(replica.Cursor{Member: member(1), Seq: 4}), w.SetClaim(replica.Claim{Dot: dot(1, 100), Sig: make([]byte, 64)}),
		w.SetJournal([]byte("other")), w.SetHold(replica.Hold{Member: member(5)}),
		w.SetConflicts([]string{"a"}, []reconcile.Conflict{{Path: "b", Kind: reconcile.ConflictName}}),
	)
}

func testAtomic(t *testing.T, f fixture) {
	f.write(t, func(w replica.Writer) error {
		_, err := w.Discard(replica.Discarded{Path: "p", Name: "n", Hash: reconcile.Hash{7}})
		return errors.Join(
			err, w.PutEntry(file(id(1), reconcile.EntryID{}, "a"), true, 3), w.PutEntry(file(id(2), id(3), "b"), false, 0),
			w.Set(moveStart), w.SetCursor(replica.Cursor{Member: member(1), Seq: 3}), w.SetClaim(replica.Claim{Dot: dot(1, 3), Sig: []byte{1}}),
			w.SetJournal([]byte("steps")), w.SetConflicts(nil, []reconcile.Conflict{{Path: "a", Kind: reconcile.ConflictName}}),
		)
	})
	var before string
	f.read(t, func(r replica.Reader) { before = dump(t, r) })
	broken := errors.New("broken")
	ends := map[string]func(cancel func(), w replica.Writer) error{
		"error":  func(func(), replica.Writer) error { return broken },
		"panic":  func(func(), replica.Writer) error { panic(broken) },
		"cancel": func(cancel func(), _ replica.Writer) error { cancel(); return nil },
		"swallowed error": func(_ func(), w replica.Writer) error {
			if err := w.Set([]reconcile.Placed{placed("no/no/no", 1)}); err == nil {
				t.Error("a row without a directory")
			}
			return nil
		},
		"after all rows": func(_ func(), w replica.Writer) error { return errors.Join(w.UnsetAll(), w.Set(moveStart), broken) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := writing(ctx, f, func(w replica.Writer) error { return errors.Join(everything(w), end(cancel, w)) })
			if err == nil {
				t.Fatal("no error")
			}
			if name != "cancel" && name != "swallowed error" && !errors.Is(err, broken) {
				t.Fatal(err)
			}
			f.read(t, func(r replica.Reader) { equal(t, "state", dump(t, r), before) })
		})
	}
	// It is not broken by that.
	f.write(t, everything)
	f.read(t, func(r replica.Reader) {
		if dump(t, r) == before {
			t.Fatal("nothing is written")
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := false
	err := errors.Join(
		f.Read(ctx, f.folder, func(replica.Reader) error { called = true; return nil }),
		f.Write(ctx, f.folder, func(replica.Writer) error { called = true; return nil }),
	)
	if !errors.Is(err, context.Canceled) || called {
		t.Fatal("after the end:", err, called)
	}
	if err := f.Read(t.Context(), f.folder, func(replica.Reader) error { return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

// writing returns what Write returns, or panics with.
func writing(ctx context.Context, f fixture, fn func(w replica.Writer) error) (err error) {
	defer func() {
		if broken, ok := recover().(error); ok {
			err = broken
		}
	}()
	return f.Write(ctx, f.folder, fn)
}

// testSnapshot: what a Read reads is of one moment, while others write.
func testSnapshot(t *testing.T, f fixture) {
	f.write(t, func(w replica.Writer) error { return w.Set(moveStart) })
	written := make(chan error, 1)
	f.read(t, func(r replica.Reader) {
		started := make(chan struct{})
		go func() {
			close(started)
			written <- f.Write(t.Context(), f.folder, everything)
		}()
		<-started
		for range 20 {
			if n := must(r.CountRows())(t); n != 4 {
				t.Fatalf("%d files", n)
			}
			equal(t, "rows", listing(t, r), moveCases()[0].want)
		}
	})
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// Isolated tests that readers and a writer do not wait for each other. Memory is
// not such a store.
func Isolated(t *testing.T, s replica.Store) {
	t.Helper()
	f := fixture{s, t.Name()}
	f.write(t, func(w replica.Writer) error { return w.Set(moveStart) })
	f.write(t, func(w replica.Writer) error {
		err := everything(w)
		f.read(t, func(r replica.Reader) { equal(t, "during a write", listing(t, r), moveCases()[0].want) })
		return err
	})
	f.read(t, func(r replica.Reader) {
		before := dump(t, r)
		f.write(t, func(w replica.Writer) error {
			return errors.Join(w.UnsetAll(), w.PutEntry(file(id(1), reconcile.EntryID{}, "z"), false, 0))
		})
		equal(t, "during a read", dump(t, r), before)
	})
}

// testOwnSlices: who changes what was returned, or given, changes nothing here.
func testOwnSlices(t *testing.T, f fixture) {
	e := file(id(1), reconcile.EntryID{}, "a")
	row := placed("a", 1)
	row.Row.Refs = append(row.Row.Refs, reconcile.Ref{ID: id(2)})
	journal, sig := []byte("steps"), []byte{1, 2}
	f.write(t, func(w replica.Writer) error {
		return errors.Join(w.PutEntry(e, true, 1), w.Set([]reconcile.Placed{row}), w.SetJournal(journal), w.SetClaim(replica.Claim{Dot: dot(1, 1), Sig: sig}),
			w.SetConflicts(nil, []reconcile.Conflict{{Path: "a", Others: []string{"b"}}}))
	})
	var before string
	f.read(t, func(r replica.Reader) { before = dump(t, r) })
	row.Row.Refs[0].ID, row.Row.Refs[0].Contents[0], journal[0], sig[0] = id(9), nil, 'x', 9
	f.read(t, func(r replica.Reader) {
		equal(t, "after a change of what was given", dump(t, r), before)
		s, _, err := r.Entry(id(1))
		equal(t, "error", err, nil)
		s.Entry.Places[0].Name, s.Entry.Contents[0].Size = "x", 9
		got, _, err := r.Row("a")
		equal(t, "error", err, nil)
		got.Refs[1].ID, got.Refs[0].Contents[0] = id(9), nil
		must(r.RowsIn("", 0))(t)[0].Row.Refs[0].ID = id(9)
		must(r.Since(0, 1))(t)[0].Entry.Places[0].Name = "y"
		must(r.Journal())(t)[0] = 'x'
		must(r.Claims())(t)[0].Sig[0] = 9
		must(r.Conflicts())(t)[0].Others[0] = "x"
		must(r.RowsOf(id(1)))(t)[0] = "x"
	})
	f.read(t, func(r replica.Reader) { equal(t, "after a change of what was returned", dump(t, r), before) })
}

func testForget(t *testing.T, f fixture) {
	other := fixture{f.Store, f.folder + " other"}
	for _, f := range []fixture{f, other} {
		f.write(t, func(w replica.Writer) error { return errors.Join(w.Set(moveStart), everything(w)) })
	}
	var before string
	other.read(t, func(r replica.Reader) { before = dump(t, r) })
	for range 2 {
		if err := f.Forget(t.Context(), f.folder); err != nil {
			t.Fatal(err)
		}
		f.read(t, func(r replica.Reader) { isEmpty(t, r) })
	}
	if err := f.Forget(t.Context(), "never heard of"); err != nil {
		t.Fatal(err)
	}
	other.read(t, func(r replica.Reader) { equal(t, "the other folder", dump(t, r), before) })
	f.write(t, func(w replica.Writer) error { return errors.Join(w.Set(moveStart), everything(w)) })
	f.read(t, func(r replica.Reader) {
		if got := must(r.State())(t).Seq; got != 2 {
			t.Fatal("it begins with", got)
		}
	})
}
