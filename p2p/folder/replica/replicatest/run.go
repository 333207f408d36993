// Package replicatest says what a replica.Store must do.
package replicatest

import (
	"reflect"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Run tests a store; open returns an empty one, which it closes at the end of the
// test that it is given.
//
// Beyond what the interfaces say: RowsOf also finds the rows of losing versions by
// the entry that Of names; SetClaim keeps the larger counter; an empty journal is
// none; Unset, Set and MoveRows refuse "" and reconcile.Aside themselves; MoveRows
// refuses a path that is in two moves on the same side, and where nothing is at From
// only what is in the way goes; and what a Writer could not do fails the whole Write,
// whatever fn returns.
func Run(t *testing.T, open func(t *testing.T) replica.Store) {
	t.Helper()
	s := open(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f fixture)
	}{
		{"empty", testEmpty},
		{"state", testState},
		{"entries", testEntries},
		{"places", testPlaces},
		{"pending", testPending},
		{"whole entries", testWholeEntries},
		{"rows", testRows},
		{"names", testNames},
		{"unset", testUnset},
		{"move", testMove},
		{"move wrongly", testMoveWrongly},
		{"rows of", testRowsOf},
		{"members", testMembers},
		{"conflicts", testConflicts},
		{"discarded", testDiscarded},
		{"atomic", testAtomic},
		{"snapshot", testSnapshot},
		{"own slices", testOwnSlices},
		{"forget", testForget},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fixture{s, t.Name()}) })
	}
	t.Run("random", func(t *testing.T) { testRandom(t, open(t)) })
}

// fixture is a folder in a store.
type fixture struct {
	replica.Store
	folder string
}

func (f fixture) read(t *testing.T, fn func(r replica.Reader)) {
	t.Helper()
	err := f.Read(t.Context(), f.folder, func(r replica.Reader) error {
		fn(r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f fixture) write(t *testing.T, fn func(w replica.Writer) error) {
	t.Helper()
	if err := f.Write(t.Context(), f.folder, fn); err != nil {
		t.Fatal(err)
	}
}

// both runs fn on a reader inside a Write, and on one after it.
func (f fixture) both(t *testing.T, change func(w replica.Writer) error, fn func(r replica.Reader)) {
	t.Helper()
	f.write(t, func(w replica.Writer) error {
		if err := change(w); err != nil {
			return err
		}
		fn(w)
		return nil
	})
	f.read(t, fn)
}

// must returns what a read has found.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got\n%+v, want\n%+v", what, got, want)
	}
}

// member returns the n-th member.
func member(n byte) (id [32]byte) {
	id[0], id[31] = n, 0x80+n
	return id
}

// dot returns an event of the n-th member.
func dot(n byte, counter uint64) reconcile.Dot {
	return reconcile.Dot{Member: member(n), Incarnation: 1<<63 + uint64(n), Counter: counter}
}

// id returns the counter-th entry of the first member.
func id(counter uint64) reconcile.EntryID { return reconcile.EntryID(dot(1, counter)) }

// file returns the first version of a file.
func file(id reconcile.EntryID, parent reconcile.EntryID, name string) reconcile.Entry {
	d := reconcile.Dot(id)
	v := reconcile.Vector{d}
	return reconcile.Entry{
		ID: id, Kind: reconcile.KindFile,
		Places: []reconcile.Place{{Dot: d, Vector: v, Spot: reconcile.Spot{Parent: parent, Name: name}}},
		Contents: []reconcile.Content{{
			Dot: d, Vector: v, Made: d, Hash: reconcile.Hash{1, byte(id.Counter)}, Size: 1234, Modified: 1700000000123456789, Mode: 0o644,
		}},
	}
}

// rowOf returns the row of what is just as e says.
func rowOf(e reconcile.Entry) reconcile.Row {
	c := e.Contents[0]
	return reconcile.Row{
		Item: reconcile.Item{Kind: e.Kind, Size: c.Size, Modified: c.Modified, Mode: c.Mode, Hash: c.Hash, Inode: e.ID.Counter + 1<<20},
		Dot:  c.Dot, Made: c.Made, Parent: c.Parent,
		Refs: []reconcile.Ref{{ID: e.ID, Place: e.Places[0].Vector, Contents: []reconcile.Vector{c.Vector}}},
	}
}

// placed returns a row for the n-th entry at path; kind is a directory if the path
// ends in a slash.
func placed(path string, n uint64) reconcile.Placed {
	row := rowOf(file(id(n), reconcile.EntryID{}, "x"))
	if path[len(path)-1] == '/' {
		path = path[:len(path)-1]
		row.Item = reconcile.Item{Kind: reconcile.KindDir, Mode: 0o755}
	}
	return reconcile.Placed{Path: path, Row: row}
}

// tree returns rows at paths, of the entries 1, 2, …
func tree(paths ...string) []reconcile.Placed {
	var rows []reconcile.Placed
	for i, p := range paths {
		rows = append(rows, placed(p, uint64(i+1)))
	}
	return rows
}

// listing returns the paths of all rows with the number of their entry, from the
// top down.
func listing(t *testing.T, r replica.Reader) []string {
	t.Helper()
	var out []string
	for _, top := range []string{"", reconcile.Aside} {
		out = append(out, listingIn(t, r, top)...)
	}
	return out
}
