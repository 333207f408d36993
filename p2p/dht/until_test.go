package dht

import (
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// TestUntil: where replicas have more than they returned, an answer ends where the first of
// them does: it may have something behind that which another one lacks.
func TestUntil(t *testing.T) {
	key := func(i byte) p2p.Key { return p2p.Key{i} }
	record := func(i byte, kind Kind) copied {
		r := Record{Header: Header{Address: Address{Content: key(i)}, Seq: 1, Kind: kind}}
		return copied{Record: signedBy(person(1), r)}
	}
	values := func(all ...byte) (out []copied) {
		for _, i := range all {
			out = append(out, record(i, KindValue))
		}
		return out
	}
	a, b, c := p2p.ID{1}, p2p.ID{2}, p2p.ID{3}
	for _, test := range []struct {
		name       string
		copies     map[p2p.ID][]copied
		cut        []p2p.ID
		descending bool
		limit      int
		want       []byte
		until      byte // 0: none
	}{
		{name: "all is there", copies: map[p2p.ID][]copied{a: values(1, 3), b: values(1, 2, 3)}, want: []byte{1, 2, 3}},
		{name: "one is cut", copies: map[p2p.ID][]copied{a: values(1, 2, 3), b: values(1, 3, 4, 5)}, cut: []p2p.ID{a}, want: []byte{1, 2, 3}, until: 3},
		{name: "who lacks one is cut later", copies: map[p2p.ID][]copied{a: values(1, 2, 4, 5), b: values(1, 2)}, cut: []p2p.ID{a, b}, want: []byte{1, 2}, until: 2},
		{name: "descending", copies: map[p2p.ID][]copied{a: values(9, 8, 6, 5), b: values(9, 8)}, cut: []p2p.ID{a, b}, descending: true, want: []byte{9, 8}, until: 8},
		{name: "removed", copies: map[p2p.ID][]copied{a: {record(1, KindTombstone), record(2, KindTombstone)}}, cut: []p2p.ID{a}, until: 2},
		{name: "one had no room at all", copies: map[p2p.ID][]copied{a: values(1, 2), b: nil}, cut: []p2p.ID{a, b}, want: []byte{1, 2}, until: 2},
		{name: "the limit", copies: map[p2p.ID][]copied{a: values(1, 3), b: values(2, 4)}, limit: 2, want: []byte{1, 2}, until: 2},
	} {
		g := getting{
			query: Query{Descending: test.descending, Limit: test.limit}, copies: test.copies, cut: map[p2p.ID]bool{},
			asked: map[p2p.ID]*Answered{a: {}, b: {}, c: {}}, order: []p2p.ID{a, b, c},
		}
		for _, id := range test.cut {
			g.cut[id] = true
		}
		f := g.merge(ReadOptions{}, &Checker{Network: testNetwork})
		var got []byte
		for _, r := range f.Records {
			got = append(got, r.Content[0])
		}
		until := byte(0)
		if f.Until != nil {
			until = f.Until[0]
		}
		if !slices.Equal(got, test.want) || until != test.until || f.More != (test.until > 0) {
			t.Errorf("%s: %v until %d, more %v; want %v until %d", test.name, got, until, f.More, test.want, test.until)
		}
	}
}
