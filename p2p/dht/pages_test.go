package dht_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestLongListsWithoutLinks: a list that is longer than an answer of a member without a link comes
// in several, whole and in order.
func TestLongListsWithoutLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, calls: sim.NewCalls(sim.CallOptions{}), options: dht.Options{}, ctx: t.Context(), narrow: true}
		w.found(6)
		defer w.end()
		location := dht.KeyOf("list")
		content := func(i int) (k p2p.Key) {
			binary.BigEndian.PutUint64(k[:], uint64(i))
			return k
		}
		const n = 900
		var puts []dht.Put
		var all []p2p.Key
		for i := range n {
			puts = append(puts, dht.Put{Address: dht.Address{Location: location, Content: content(i)}, Value: fmt.Appendf(nil, "%0300d", i)})
			all = append(all, content(i))
		}
		for some := range slices.Chunk(puts, 100) {
			done, _, err := w.nodes[0].table.MultiPut(t.Context(), some)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range done {
				if !r.Stored() {
					t.Fatalf("%+v", r)
				}
			}
		}
		reader := w.other(w.nodes[0].table.Responsible(location))
		reversed := slices.Clone(all)
		slices.Reverse(reversed)
		end := content(499)
		for name, test := range map[string]struct {
			query dht.Query
			want  []p2p.Key
			more  bool
		}{
			"all":        {dht.Query{}, all, false},
			"descending": {dht.Query{Descending: true}, reversed, false},
			"a range":    {dht.Query{From: content(100), To: &end}, all[100:500], false},
			"a limit":    {dht.Query{Limit: 300}, all[:300], true},
			"by names":   {dht.Query{Contents: all[17:717]}, all[17:717], false},
			"names back": {dht.Query{Contents: all[17:717], Descending: true}, reversed[n-717 : n-17], false},
			"headers":    {dht.Query{Bare: true}, all, false},
		} {
			test.query.Location = location
			found, trace, err := reader.table.Get(t.Context(), test.query, dht.ReadOptions{})
			if err != nil {
				t.Fatal(name, err)
			}
			var got []p2p.Key
			for _, r := range found.Records {
				got = append(got, r.Content)
			}
			if !slices.Equal(got, test.want) || found.More != test.more {
				t.Errorf("%s: %d records, more %v; want %d, %v (%d messages)", name, len(got), found.More, len(test.want), test.more, trace.Messages)
			}
		}
	})
}

// TestManyEdgesWithoutLinks: of a name with many versions the newest comes in one answer, however
// large it and what it replaces are.
func TestManyEdgesWithoutLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, calls: sim.NewCalls(sim.CallOptions{}), ctx: t.Context(), narrow: true}
		w.found(6)
		defer w.end()
		name := at("picture")
		var before []dht.Version
		for i := range dht.MaxVersions - 1 {
			p := dht.Put{Address: name, Value: []byte("small")}
			if i == dht.MaxVersions-2 {
				p.Value = noise(1, dht.MaxValue)
			}
			p.Version = dht.NewVersion(uint64(i+1), p.Value)
			p.Based = before[max(0, len(before)-1):]
			r, _, err := w.nodes[0].table.Put(t.Context(), p)
			if err != nil || !r.Stored() {
				t.Fatalf("version %d: %+v, %v", i, r, err)
			}
			before = append(before, p.Version)
		}
		reader := w.other(w.nodes[0].table.Responsible(name.Location))
		f, _, err := reader.table.Get(t.Context(), dht.Query{Location: name.Location}, dht.ReadOptions{})
		if err != nil || len(f.Records) != 1 || f.Records[0].Version != before[len(before)-1] || len(f.Records[0].Have) != 3 {
			t.Errorf("%d records: %v\n%+v", len(f.Records), err, f.Replicas)
		}
	})
}
