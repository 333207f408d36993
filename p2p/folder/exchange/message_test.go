package exchange

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

var dots = rapid.Custom(func(t *rapid.T) reconcile.Dot {
	return reconcile.Dot{
		Member:      p2p.ID{byte(rapid.IntRange(1, 5).Draw(t, "member"))},
		Incarnation: rapid.Uint64Range(1, 3).Draw(t, "incarnation"),
		Counter:     rapid.Uint64Range(1, 1<<53).Draw(t, "counter"),
	}
})

var vectors = rapid.Custom(func(t *rapid.T) (v reconcile.Vector) {
	for _, d := range rapid.SliceOfN(dots, 1, 6).Draw(t, "dots") {
		v = v.Bump(d)
	}
	return v
})

var entries = rapid.Custom(func(t *rapid.T) reconcile.Entry {
	e := reconcile.Entry{ID: reconcile.EntryID(dots.Draw(t, "id")), Kind: rapid.SampledFrom([]reconcile.Kind{reconcile.KindFile, reconcile.KindDir}).Draw(t, "kind")}
	hash := func() (h reconcile.Hash) {
		copy(h[:], rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "hash"))
		return h
	}
	for range rapid.IntRange(1, 3).Draw(t, "places") {
		e.Places = append(e.Places, reconcile.Place{
			Dot: dots.Draw(t, "dot"), Vector: vectors.Draw(t, "vector"),
			Spot: reconcile.Spot{Parent: reconcile.EntryID(dots.Draw(t, "parent")), Name: rapid.String().Draw(t, "name")},
			Had:  hash(), Auto: rapid.Bool().Draw(t, "auto"),
		})
	}
	for range rapid.IntRange(1, 3).Draw(t, "contents") {
		e.Contents = append(e.Contents, reconcile.Content{
			Dot: dots.Draw(t, "dot"), Vector: vectors.Draw(t, "vector"), Made: dots.Draw(t, "made"), Deleted: rapid.Bool().Draw(t, "deleted"),
			Hash: hash(), Parent: hash(), Size: rapid.Int64Range(0, 1<<53).Draw(t, "size"), Modified: rapid.Int64().Draw(t, "modified"),
			Mode: fs.FileMode(rapid.IntRange(0, 0o777).Draw(t, "mode")),
		})
	}
	return e
})

var pages = rapid.Custom(func(t *rapid.T) page {
	p := page{upto: rapid.Uint64().Draw(t, "upto"), entries: rapid.SliceOfN(entries, 0, 5).Draw(t, "entries")}
	for range rapid.IntRange(0, 4).Draw(t, "claims") {
		p.claims = append(p.claims, replica.Claim{Dot: dots.Draw(t, "claim"), Sig: rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "sig")})
	}
	return p
})

// equal compares pages; nil and empty slices are the same.
func (p page) equal(o page) bool {
	normal := func(p page) page {
		if len(p.claims) == 0 {
			p.claims = nil
		}
		if len(p.entries) == 0 {
			p.entries = nil
		}
		return p
	}
	return reflect.DeepEqual(normal(p), normal(o))
}

// What is written is read, page after page, and not a byte more.
func TestPageRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(pages, 1, 3).Draw(t, "pages")
		var b []byte
		for _, p := range all {
			var err error
			if b, err = appendPage(b, p); err != nil {
				t.Fatal(err)
			}
		}
		in := bufio.NewReader(bytes.NewReader(b))
		for _, p := range all {
			got, err := readPage(in)
			if err != nil || !got.equal(p) {
				t.Fatalf("%+v became %+v, %v", p, got, err)
			}
		}
		if _, err := readPage(in); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
		cut := rapid.IntRange(1, len(b)-1).Draw(t, "cut")
		in = bufio.NewReader(bytes.NewReader(b[:cut]))
		for {
			_, err := readPage(in)
			if err != nil {
				break
			}
		}
	})
}

// A page that is too large is refused, and sent in parts instead: only the last leads
// as far as the whole.
func TestLargePages(t *testing.T) {
	t.Parallel()
	e := reconcile.Entry{ID: reconcile.EntryID{Member: p2p.ID{1}, Incarnation: 1, Counter: 1}, Kind: reconcile.KindDir}
	d := reconcile.Dot(e.ID)
	for i := range 64 {
		name := bytes.Repeat([]byte{byte('a' + i%26)}, 255)
		e.Places = append(e.Places, reconcile.Place{Dot: d, Vector: reconcile.Vector{d}, Spot: reconcile.Spot{Name: string(name)}})
		e.Contents = append(e.Contents, reconcile.Content{Dot: d, Vector: reconcile.Vector{d}, Made: d})
	}
	p := page{upto: 1000, claims: []replica.Claim{{Dot: d, Sig: make([]byte, 64)}}}
	for range 200 {
		p.entries = append(p.entries, e)
	}
	if _, err := appendPage(nil, p); !errors.Is(err, p2p.ErrTooLarge) {
		t.Fatalf("a page of 3 MB: %v", err)
	}
	var out bytes.Buffer
	if err := writePage(&out, p); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(&out)
	count, claims := 0, 0
	for {
		got, err := readPage(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		count, claims = count+len(got.entries), claims+len(got.claims)
		if last := count == len(p.entries); last != (got.upto == p.upto) || !last && got.upto != 0 {
			t.Errorf("after %d entries it leads to %d", count, got.upto)
		}
	}
	if count != len(p.entries) || claims != 1 {
		t.Errorf("%d entries and %d claims of %d and 1", count, claims, len(p.entries))
	}
}

// The largest messages that this node makes are messages.
func TestMessageLimits(t *testing.T) {
	t.Parallel()
	q := request{Folder: "abcdefghijklmnopqrstuvwxyz", Creator: make([]byte, 32)}
	path := string(bytes.Repeat([]byte("p"), 4096))
	for n := 0; n+len(path)+48 <= maxItemBytes; n += len(path) + 48 {
		q.Items = append(q.Items, item{Hash: make([]byte, 32), Path: path, Offset: 1 << 53, Length: 1 << 53})
	}
	if b, err := wire.Marshal(q); err != nil {
		t.Errorf("%d bytes: %v", len(b), err)
	}
	q.Items = nil
	for range batchItems {
		q.Items = append(q.Items, item{Hash: make([]byte, 32), Path: "p", Offset: 1 << 53, Length: 1 << 53})
	}
	if _, err := wire.Marshal(q); err != nil || batchItems > maxItems {
		t.Error(err)
	}
}

// FuzzPage: whatever is sent is read without a panic and without more memory than it is
// worth, and what is read is written again as what reads the same.
func FuzzPage(f *testing.F) {
	d := reconcile.Dot{Member: p2p.ID{1}, Incarnation: 2, Counter: 3}
	v := reconcile.Vector{d}
	b, err := appendPage(nil, page{
		upto: 9, claims: []replica.Claim{{Dot: d, Sig: make([]byte, 64)}},
		entries: []reconcile.Entry{{
			ID: reconcile.EntryID(d), Kind: reconcile.KindFile,
			Places:   []reconcile.Place{{Dot: d, Vector: v, Spot: reconcile.Spot{Name: "name"}}},
			Contents: []reconcile.Content{{Dot: d, Vector: v, Made: d, Hash: reconcile.Hash{1}, Size: 5}, {Dot: d, Vector: v, Deleted: true, Seen: v}},
		}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[4:])
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0xff, 0x1f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := parsePage(b)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(64*len(b)+64<<10) {
			t.Errorf("%d bytes have cost %d", len(b), grown)
		}
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := appendPage(nil, p)
		if errors.Is(err, p2p.ErrTooLarge) {
			return // a longer spelling of a shorter one cannot be
		}
		if err != nil {
			t.Fatal(err)
		}
		if q, err := parsePage(again[4:]); err != nil || !q.equal(p) {
			t.Errorf("%+v became %+v, %v", p, q, err)
		}
	})
}
