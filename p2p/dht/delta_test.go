package dht_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// noise returns bytes that nothing compresses.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

// edited returns a value with 10 bytes changed.
func edited(value []byte) []byte {
	out := slices.Clone(value)
	copy(out[20_000:], "0123456789")
	return out
}

// missed lets a node miss what f does, and returns what it costs to bring it in line again: bytes
// on the wire. what has to be everywhere in the end.
func missed(t *testing.T, push, narrow bool, before, during func(w *world)) (bytes int) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		w := &world{t: t, calls: sim.NewCalls(lan), ctx: t.Context(), narrow: narrow}
		w.found(3)
		defer w.end()
		time.Sleep(5 * time.Second)
		before(w)
		away := w.nodes[2]
		w.calls.Crash(away.member.ID)
		away.stop()
		during(w)
		time.Sleep(time.Second)
		start := w.calls.Stats().Bytes
		if push {
			// The other one compares first: this one answers only, until it has all.
			away.start()
			if err := w.nodes[0].table.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			bytes = w.calls.Stats().Bytes - start
		} else {
			away.start()
			if err := away.table.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			bytes = w.calls.Stats().Bytes - start
		}
		w.same()
	})
	return bytes
}

// same checks that all nodes have the same records, with the same signatures.
func (w *world) same() {
	w.t.Helper()
	all := func(n *testNode) (out []dht.Held) {
		for h, err := range n.store.Read(w.ctx, dht.Query{Location: dht.KeyOf("document"), Versions: true, Tombstones: true}) {
			if err != nil {
				w.t.Fatal(err)
			}
			out = append(out, h)
		}
		return out
	}
	want := all(w.nodes[0])
	if len(want) == 0 {
		w.t.Error("nothing is there")
	}
	for _, n := range w.nodes[1:] {
		got := all(n)
		if !slices.EqualFunc(got, want, func(a, b dht.Held) bool {
			// The remaining time travels, and travelling takes some.
			late := a.Expires - b.Expires
			a.Expires = b.Expires
			return a.Equal(&b) && late < 1000 && late > -1000
		}) {
			w.t.Errorf("%s has %d records, or others", n.member.Name, len(got))
		}
	}
}

// TestDelta: of a large value of which a replica has another version, or what was there before,
// only the difference travels, whoever compares; the record is the same in all that was signed.
func TestDelta(t *testing.T) {
	doc := at("document")
	first := noise(1, dht.MaxValue)
	name := dht.Address{Location: doc.Location}.Name()
	put := func(w *world, p dht.Put) {
		if r := w.nodes[0].put(p); !r.Stored() {
			w.t.Fatalf("%v", r.Status)
		}
	}
	vput := func(w *world, value []byte) {
		_, _, err := w.nodes[0].table.VPut(w.ctx, dht.VPut{Name: name, TTL: time.Hour, Update: func([]dht.Copy) ([]byte, error) { return value, nil }})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	const headers = 600 // that travel once more: with the question, and from both who have it
	const votes = 240   // of two, with a copy that its author brings a moment after
	other := doc
	other.Content = p2p.Key{1}
	for i := range 4 {
		push, narrow := i%2 == 1, i >= 2
		// What a comparison costs that has to move a small record.
		control := missed(t, push, narrow, func(w *world) { put(w, dht.Put{Address: doc, Value: []byte("one")}) },
			func(w *world) { put(w, dht.Put{Address: doc, Value: []byte("two"), TTL: time.Hour}) })
		for _, c := range []struct {
			what           string
			before, during func(w *world)
			most           int // bytes beside those of the small record
		}{
			{"R3: equal", func(w *world) { put(w, dht.Put{Address: doc, Value: first}) }, func(*world) {}, 0},
			{
				"R4: missing", func(*world) {}, func(w *world) { put(w, dht.Put{Address: doc, Value: first}) }, dht.MaxValue + 1024,
			},
			{
				"R2: ten bytes are others", func(w *world) { put(w, dht.Put{Address: doc, Value: first}) },
				func(w *world) {
					put(w, dht.Put{Address: doc, Value: edited(first), TTL: time.Hour, Protect: dht.ProtectEntry})
				}, 2048 + headers,
			},
			{"a new version", func(w *world) { vput(w, first) }, func(w *world) { vput(w, edited(first)) }, 2048 + headers + votes},
			{
				"R5: moved, with something before and something after", func(w *world) { put(w, dht.Put{Address: doc, Value: first[:50_000]}) },
				func(w *world) {
					put(w, dht.Put{Address: doc, Value: slices.Concat([]byte("A"), first[:50_000], []byte("LuganoAAA"))})
				}, 2048 + headers,
			},
			{
				"R1 and TomP2P's mistake: one has changed, one is the same", func(w *world) {
					put(w, dht.Put{Address: doc, Value: first})
					put(w, dht.Put{Address: other, Value: noise(2, dht.MaxValue)})
				},
				func(w *world) { put(w, dht.Put{Address: doc, Value: edited(first), TTL: time.Hour}) }, 2048 + headers,
			},
			{
				"nothing in common", func(w *world) { put(w, dht.Put{Address: doc, Value: first}) },
				func(w *world) { put(w, dht.Put{Address: doc, Value: noise(3, dht.MaxValue)}) }, dht.MaxValue + 2048 + headers,
			},
		} {
			got := missed(t, push, narrow, c.before, c.during)
			t.Logf("push %v, narrow %v, %s: %d bytes, %d more than a small record", push, narrow, c.what, got, got-control)
			if got > control+c.most {
				t.Errorf("push %v, narrow %v, %s: %d bytes, at most %d", push, narrow, c.what, got, control+c.most)
			}
		}
	}
}

// TestHostileDelta: differences of a hostile member make no other values than were signed, and
// none that are larger.
func TestHostileDelta(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHostile(t, 4, dht.Options{})
		defer h.world.end()
		victim := h.nodes[0]
		doc := at("document")
		value := noise(1, 20_000)
		victim.put(dht.Put{Address: doc, Value: value})
		sum := dht.SumOf(value)
		signed := func() dht.Record {
			r := h.sign(h.mallory.identity, dht.Record{Header: dht.Header{Address: doc, Seq: now() + 10}, Value: edited(append(slices.Clone(value), make([]byte, 10_000)...))})
			r.Value = nil
			return r
		}
		small := h.sign(h.mallory.identity, dht.Record{Header: dht.Header{Address: doc, Seq: now() + 10}, Value: []byte("small")})
		small.Value = nil
		for _, c := range []struct {
			what string
			w    dht.Write
			want string
		}{
			{"noise", dht.Write{Record: signed(), Base: sum[:], Delta: noise(2, 100)}, "malformed"},
			{"a base that is not here", dht.Write{Record: signed(), Base: make([]byte, 32), Delta: noise(2, 100)}, "not_found"},
			{"a base that is none", dht.Write{Record: signed(), Base: []byte{1}, Delta: noise(2, 100)}, "malformed"},
			{"of a small value", dht.Write{Record: small, Base: sum[:], Delta: noise(2, 100)}, "malformed"},
		} {
			if got := h.send(victim, c.w); got[0] != c.want {
				t.Errorf("%s: %v, want %s", c.what, got, c.want)
			}
		}
		many := make([]dht.Write, 100)
		for i := range many {
			many[i] = dht.Write{Record: signed(), Base: make([]byte, 32), Delta: []byte{1}}
		}
		if got := h.send(victim, many...); got[0] != "not_found" || got[99] != "malformed" {
			t.Errorf("many: %v", got)
		}
		// A peer whose blocks are nonsense, or that answers wants with something else, gets nowhere.
		h.answer(func(_ context.Context, _ p2p.ID, proto string, req []byte) ([]byte, error) {
			return message(t, map[int]any{6: []map[int]any{{1: sum[:], 2: uint32(1 << 31), 3: uint32(1), 4: uint64(1), 5: noise(1, 1000)}}}), nil
		})
		if err := victim.table.Repair(t.Context()); err != nil {
			t.Error(err)
		}
		if got := victim.get(dht.Query{Location: doc.Location}); len(got) != 1 || !strings.HasPrefix(got[0], string(value[:100])) || !bytes.Equal([]byte(got[0]), value) {
			t.Error("the value has changed")
		}
	})
}
