package replica_test

import (
	"errors"
	"io/fs"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// actors numbers pairs as they come.
type actors struct{ all []reconcile.Dot }

func (a *actors) Number(member p2p.ID, incarnation uint64) (int, error) {
	d := reconcile.Dot{Member: member, Incarnation: incarnation}
	for i, known := range a.all {
		if known == d {
			return i + 1, nil
		}
	}
	a.all = append(a.all, d)
	return len(a.all), nil
}

func (a *actors) Actor(n int) (p2p.ID, uint64, error) {
	if n < 1 || n > len(a.all) {
		return p2p.ID{}, 0, errors.New("unknown")
	}
	return a.all[n-1].Member, a.all[n-1].Incarnation, nil
}

// sample returns the first version of a file and its row.
func sample(counter, parent uint64, name string) (reconcile.Entry, reconcile.Row) {
	d := reconcile.Dot{Member: p2p.ID{1}, Incarnation: 1 << 60, Counter: counter}
	up := reconcile.EntryID{Member: p2p.ID{2}, Incarnation: 1 << 61, Counter: parent}
	v := reconcile.Vector{d}
	c := reconcile.Content{Dot: d, Vector: v, Made: d, Hash: reconcile.Hash{31: 1}, Size: 300_000, Modified: 1_700_000_000_123_456_789, Mode: 0o644}
	e := reconcile.Entry{
		ID: reconcile.EntryID(d), Kind: reconcile.KindFile, Contents: []reconcile.Content{c},
		Places: []reconcile.Place{{Dot: d, Vector: v, Spot: reconcile.Spot{Parent: up, Name: name}}},
	}
	return e, reconcile.Row{
		Item: reconcile.Item{Kind: reconcile.KindFile, Size: c.Size, Modified: c.Modified, Mode: c.Mode, Hash: c.Hash, Inode: 30_000_000},
		Dot:  d, Made: d, Refs: []reconcile.Ref{{ID: e.ID, Place: v, Contents: []reconcile.Vector{v}}},
	}
}

// TestPackedSize: most entries and rows are first versions.
func TestPackedSize(t *testing.T) {
	a := &actors{}
	e, row := sample(500_000, 400_000, "0123456789")
	packed, err := replica.PackEntry(a, e)
	if err != nil {
		t.Fatal(err)
	}
	packedRow, err := replica.PackRow(a, row)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("an entry has %d bytes, its row %d", len(packed), len(packedRow))
	if len(packed) > 75 || len(packedRow) > 70 {
		t.Error("want at most 75 and 70")
	}
}

// generators of values that need not make sense.
var (
	genDot = rapid.Custom(func(t *rapid.T) reconcile.Dot {
		return reconcile.Dot{Member: p2p.ID{rapid.ByteRange(0, 3).Draw(t, "member")}, Incarnation: rapid.Uint64Range(0, 2).Draw(t, "incarnation"), Counter: rapid.Uint64().Draw(t, "counter")}
	})
	genHash = rapid.Custom(func(t *rapid.T) reconcile.Hash { return reconcile.Hash{rapid.ByteRange(0, 2).Draw(t, "hash")} })
	genSpot = rapid.Custom(func(t *rapid.T) reconcile.Spot {
		return reconcile.Spot{Parent: reconcile.EntryID(genDot.Draw(t, "parent")), Name: rapid.String().Draw(t, "name")}
	})
	genMode = rapid.Custom(func(t *rapid.T) fs.FileMode {
		return fs.FileMode(rapid.SampledFrom([]uint32{0, 0o600, 0o644, 0o755, 0o777, 1 << 31}).Draw(t, "mode"))
	})
	genTime = rapid.OneOf(rapid.Int64(), rapid.Just(int64(0)), rapid.Map(rapid.Int64Range(-1<<33, 1<<33), func(s int64) int64 { return s * 1e9 }))
)

// draw returns d or another dot.
func drawDot(t *rapid.T, d reconcile.Dot) reconcile.Dot {
	return rapid.OneOf(rapid.Just(d), genDot).Draw(t, "dot")
}

func drawVector(t *rapid.T, d reconcile.Dot) reconcile.Vector {
	if v := rapid.SliceOfN(genDot, 0, 3).Draw(t, "vector"); len(v) > 0 {
		return rapid.SampledFrom([]reconcile.Vector{v, {d}}).Draw(t, "usual vector")
	}
	return nil
}

func drawEntry(t *rapid.T) reconcile.Entry {
	id := genDot.Draw(t, "id")
	e := reconcile.Entry{ID: reconcile.EntryID(id), Kind: rapid.SampledFrom([]reconcile.Kind{"", reconcile.KindFile, reconcile.KindDir, reconcile.KindOther}).Draw(t, "kind")}
	for range rapid.IntRange(0, 3).Draw(t, "contents") {
		c := reconcile.Content{
			Dot: drawDot(t, id), Deleted: rapid.Bool().Draw(t, "deleted"), Seen: drawVector(t, id), Hash: genHash.Draw(t, "hash"), Parent: genHash.Draw(t, "parent"),
			Size: rapid.Int64().Draw(t, "size"), Modified: genTime.Draw(t, "modified"), Mode: genMode.Draw(t, "mode"),
		}
		c.Vector, c.Made = drawVector(t, c.Dot), drawDot(t, c.Dot)
		e.Contents = append(e.Contents, c)
	}
	for range rapid.IntRange(0, 3).Draw(t, "places") {
		p := reconcile.Place{Dot: drawDot(t, id), Spot: genSpot.Draw(t, "spot"), Had: genHash.Draw(t, "had"), Auto: rapid.Bool().Draw(t, "auto")}
		p.Vector = drawVector(t, p.Dot)
		p.Was = rapid.OneOf(rapid.Just(p.Spot), rapid.Just(reconcile.Spot{}), genSpot).Draw(t, "was")
		e.Places = append(e.Places, p)
	}
	return e
}

func drawRow(t *rapid.T) reconcile.Row {
	id := genDot.Draw(t, "id")
	r := reconcile.Row{
		Item: reconcile.Item{
			Kind: rapid.SampledFrom([]reconcile.Kind{reconcile.KindFile, reconcile.KindDir, reconcile.KindOther}).Draw(t, "kind"),
			Size: rapid.Int64().Draw(t, "size"), Modified: genTime.Draw(t, "modified"), Mode: genMode.Draw(t, "mode"),
			Hash: genHash.Draw(t, "hash"), Inode: rapid.Uint64().Draw(t, "inode"),
		},
		Dot: drawDot(t, id), Parent: genHash.Draw(t, "parent"),
	}
	r.Made = drawDot(t, r.Dot)
	for i := range rapid.IntRange(0, 3).Draw(t, "refs") {
		ref := reconcile.Ref{ID: reconcile.EntryID(id), Of: reconcile.EntryID(drawDot(t, reconcile.Dot{})), Place: drawVector(t, id)}
		if i > 0 {
			ref.ID = reconcile.EntryID(drawDot(t, id))
		}
		for range rapid.IntRange(0, 2).Draw(t, "contents") {
			ref.Contents = append(ref.Contents, drawVector(t, r.Dot))
		}
		r.Refs = append(r.Refs, ref)
	}
	return r
}

// firstID returns what is kept beside a packed row.
func firstID(r reconcile.Row) reconcile.EntryID {
	if len(r.Refs) == 0 {
		return reconcile.EntryID{}
	}
	return r.Refs[0].ID
}

func TestPackedIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &actors{}
		e := drawEntry(t)
		b, err := replica.PackEntry(a, e)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := replica.UnpackEntry(a, e.ID, b); err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("got %+v, %v\nof %+v", got, err, e)
		}
		r := drawRow(t)
		if b, err = replica.PackRow(a, r); err != nil {
			t.Fatal(err)
		}
		if got, err := replica.UnpackRow(a, firstID(r), b); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("got %+v, %v\nof %+v", got, err, r)
		}
		v := drawVector(t, reconcile.Dot{})
		if b, err = replica.PackVector(a, v); err != nil {
			t.Fatal(err)
		}
		if got, err := replica.UnpackVector(a, b); err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("got %+v, %v\nof %+v", got, err, v)
		}
	})
}

func TestPackUnknownKind(t *testing.T) {
	if _, err := replica.PackEntry(&actors{}, reconcile.Entry{Kind: "socket"}); err == nil {
		t.Error("packed an entry of a kind that cannot be unpacked")
	}
	if _, err := replica.PackRow(&actors{}, reconcile.Row{Item: reconcile.Item{Kind: "socket"}}); err == nil {
		t.Error("packed a row of a kind that cannot be unpacked")
	}
}

// FuzzUnpack: whatever the bytes are, no decoder panics, and what one accepts is
// packed and unpacked to the same.
func FuzzUnpack(f *testing.F) {
	known := []reconcile.Dot{{Member: p2p.ID{1}, Incarnation: 1 << 60}, {Member: p2p.ID{2}, Incarnation: 1 << 61}}
	e, row := sample(5, 4, "name")
	for _, pack := range []func(a replica.Actors) ([]byte, error){
		func(a replica.Actors) ([]byte, error) { return replica.PackEntry(a, e) },
		func(a replica.Actors) ([]byte, error) { return replica.PackRow(a, row) },
		func(a replica.Actors) ([]byte, error) {
			row := row
			row.Refs = append(row.Refs[:1:1], reconcile.Ref{ID: e.ID, Of: e.ID, Contents: []reconcile.Vector{nil, {e.Places[0].Dot, {}}}})
			return replica.PackRow(a, row)
		},
		func(a replica.Actors) ([]byte, error) {
			return replica.PackVector(a, reconcile.Vector{e.Places[0].Dot, e.Contents[0].Dot})
		},
	} {
		b, err := pack(&actors{all: known})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 0))
	}
	f.Add([]byte{4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &actors{all: known}
		id := reconcile.EntryID{Member: p2p.ID{1}, Incarnation: 1 << 60, Counter: 7}
		if e, err := replica.UnpackEntry(a, id, b); err == nil {
			again, err := replica.PackEntry(a, e)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := replica.UnpackEntry(a, id, again); err != nil || !reflect.DeepEqual(got, e) {
				t.Fatalf("got %+v, %v\nof %+v", got, err, e)
			}
		}
		if r, err := replica.UnpackRow(a, id, b); err == nil {
			again, err := replica.PackRow(a, r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := replica.UnpackRow(a, firstID(r), again); err != nil || !reflect.DeepEqual(got, r) {
				t.Fatalf("got %+v, %v\nof %+v", got, err, r)
			}
		}
		if v, err := replica.UnpackVector(a, b); err == nil {
			again, err := replica.PackVector(a, v)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := replica.UnpackVector(a, again); err != nil || !reflect.DeepEqual(got, v) {
				t.Fatalf("got %+v, %v\nof %+v", got, err, v)
			}
		}
	})
}
