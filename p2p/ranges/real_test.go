package ranges_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// real returns a world whose table is a real one, of a network of one member.
func real(t *testing.T, scheme ranges.Scheme, capacity int) *world {
	id, err := p2p.IdentityFromSeed(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: &clock{time.Unix(1_800_000_000, 0)}, scheme: scheme, all: map[ranges.Place]expected{}}
	w.table = dht.New(dht.Options{
		Identity: id, Store: dht.NewMemory(), Alive: func(p2p.ID) bool { return false }, Now: w.clock.now,
		Network: func() p2p.ID { return p2p.ID{1} },
		Members: func() []dht.Member { return []dht.Member{{ID: id.ID(), PublicKey: id.PublicKey()}} },
	})
	w.index = w.node(capacity)
	return w
}

// TestTombstones: what was removed, and is remembered for a while, is not in the way of what
// comes after it, however small an answer may be.
func TestTombstones(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := real(t, s, 256)
		var all []ranges.Entry
		for i := range uint64(40) {
			all = append(all, entry(i, i))
		}
		w.insert(w.index, all...)
		for i, e := range all {
			if i%20 < 15 {
				if removed, _, err := w.index.Remove(context.Background(), e.Place()); err != nil || !removed {
					t.Fatal(removed, err)
				}
				delete(w.all, e.Place())
			}
		}
		for _, limit := range []int{1, 4, 5, 9} {
			for _, descending := range []bool{false, true} {
				a := w.query(w.node(256), ranges.Range{To: 100, Limit: limit, Descending: descending})
				if len(a.Entries) != limit {
					t.Errorf("limit %d: %d entries, and %d are there", limit, len(a.Entries), len(w.all))
				}
			}
		}
	})
}

// TestOldMarks: a mark is taken away however long ago it was written.
func TestOldMarks(t *testing.T) {
	w := real(t, pht.Tree{KeyBits: 64}, 4)
	for i := range uint64(12) {
		e := entry(i<<60, i)
		e.TTL = time.Hour
		w.insert(w.index, e)
	}
	w.clock.at = w.clock.at.Add(40 * 24 * time.Hour)
	for range 5 {
		w.query(w.node(4), ranges.Range{To: 1<<64 - 1})
	}
	if a := w.query(w.node(4), ranges.Range{To: 1<<64 - 1}); full(a) {
		t.Errorf("still full: %+v", a.Segments)
	}
}

// TestLargeSegments: many entries at once for one segment with much room.
func TestLargeSegments(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := real(t, s, 1024)
		for _, n := range []int{1500, 2500} {
			var all []ranges.Entry
			for i := range n {
				all = append(all, entry(uint64(i), fmt.Sprint(n, " ", i)))
			}
			w.insert(w.index, all...)
		}
		w.query(w.node(1024), ranges.Range{To: 1<<64 - 1, Limit: 700})
	})
}

// TestForgedMarks: a member who says of everything that it is full costs time, and not without
// end; what is there is found all the same.
func TestForgedMarks(t *testing.T) {
	for _, name := range []string{"dst", "pht"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, schemes[name], 8)
			for i := range uint64(20) {
				w.insert(w.index, entry(i<<59, i))
			}
			var puts []dht.Put
			for depth := range 12 {
				for prefix := range uint64(1) << depth {
					s := ranges.Segment{Depth: depth, Prefix: prefix}
					p := dht.Put{Address: dht.Address{Location: w.index.Location(s), Domain: dht.KeyOf("marks")}}
					binary.BigEndian.PutUint64(p.Content[:], s.From(64))
					p.Content[8] = byte(depth)
					puts = append(puts, p)
				}
			}
			if _, _, err := w.network.MultiPut(t.Context(), puts); err != nil {
				t.Fatal(err)
			}
			for _, descending := range []bool{false, true} {
				for range 2 {
					a := w.query(w.index, ranges.Range{To: 1<<64 - 1, Descending: descending})
					if len(a.Segments) > 5000 || a.Trace.Rounds > 100 {
						t.Errorf("%d segments were asked in %d rounds", len(a.Segments), a.Trace.Rounds)
					}
				}
			}
			hints := 0
			for _, n := range w.network.Puts() {
				hints += n
			}
			if hints -= len(puts); hints > 2000 {
				t.Errorf("%d puts by who only asks", hints)
			}
		})
	}
}

// TestForgedStamps: an entry that says it is from the end of time is not there until then.
func TestForgedStamps(t *testing.T) {
	w := real(t, pht.Tree{KeyBits: 64}, 1)
	w.insert(w.index, entry(1, "other"), entry(2, "other"))
	e := entry(7, "mine")
	table := w.table.(*dht.Table)
	for _, s := range w.scheme.Path(7)[5:8] { // below where it goes
		value := append(bytes.Repeat([]byte{0xff}, 8), "forged"...)
		if _, _, err := table.Put(t.Context(), dht.Put{Address: dht.Address{Location: w.index.Location(s), Domain: dht.KeyOf("entries"), Content: e.Place()}, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(12) {
		w.insert(w.index, entry(i<<2, i)) // so that it is asked there
	}
	w.clock.at = w.clock.at.Add(25 * time.Hour)
	e.New = true
	w.insert(w.node(1), e)
	w.query(w.node(1), ranges.Range{To: 1<<64 - 1})
}

// TestTwiceAtOnce: of two entries with one place in a batch the last one is there.
func TestTwiceAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := real(t, s, 1)
		one, two := entry(7, "x"), entry(7, "x")
		one.Value, two.Value = []byte("one"), []byte("two")
		w.insert(w.index, entry(6, "other"))
		w.insert(w.node(1), one, entry(8, "other"), two)
		w.query(w.node(1), ranges.Range{To: 1<<64 - 1})
	})
}
