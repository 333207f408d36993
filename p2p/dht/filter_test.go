package dht_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/bloom"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// TestFilters is TomP2P's example of Bloom filters: 0 to 999 at one key, 800 to 1799 at another
// one. A digest of the first, and what the second has of it, are the 200 that both have, and a
// few more.
func TestFilters(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 5, lan, dht.Options{})
		defer w.end()
		one, two := dht.KeyOf("nr1"), dht.KeyOf("nr2")
		var puts []dht.Put
		for i := range 1000 {
			for _, p := range []struct {
				at dht.Address
				n  int
			}{{dht.Address{Location: one}, i}, {dht.Address{Location: two}, 800 + i}} {
				value := fmt.Append(nil, p.n)
				p.at.Content = dht.SumOf(value)
				puts = append(puts, dht.Put{Address: p.at, Value: value, TTL: time.Hour})
			}
		}
		if _, _, err := w.nodes[0].table.MultiPut(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
		table := w.nodes[1].table
		digest, trace, err := table.Get(t.Context(), dht.Query{Location: one, Summary: 10}, dht.ReadOptions{})
		if err != nil || digest.Count != 1000 || len(digest.Records) != 0 {
			t.Fatalf("%d counted, %d records: %v", digest.Count, len(digest.Records), err)
		}
		if trace.Bytes > 8000 {
			t.Errorf("a digest of 1000 takes %d bytes", trace.Bytes)
		}
		where := [][]bloom.Filter{{digest.Summary}}
		found, _, err := table.Get(t.Context(), dht.Query{Location: two, Where: where}, dht.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		both := 0
		for _, r := range found.Records {
			n := 0
			if _, err := fmt.Sscan(string(r.Value), &n); err != nil {
				t.Fatal(err)
			}
			if n < 1000 {
				both++
			}
		}
		if both != 200 || len(found.Records) > 215 {
			t.Errorf("%d found, %d are at both", len(found.Records), both)
		}
		if f, _, err := table.Get(t.Context(), dht.Query{Location: two, Where: where, Count: true}, dht.ReadOptions{}); err != nil || f.Count != len(found.Records) {
			t.Errorf("%d counted, %d found: %v", f.Count, len(found.Records), err)
		}
		// All filters of a list together, and each list.
		none := [][]bloom.Filter{{digest.Summary}, {bloom.New(1, 8)}}
		if f, _, err := table.Get(t.Context(), dht.Query{Location: two, Where: none}, dht.ReadOptions{}); err != nil || len(f.Records) != 0 {
			t.Errorf("%d found in what is in no filter: %v", len(f.Records), err)
		}
		some := [][]bloom.Filter{{bloom.New(1, 8), digest.Summary}}
		if f, _, err := table.Get(t.Context(), dht.Query{Location: two, Where: some}, dht.ReadOptions{}); err != nil || len(f.Records) != len(found.Records) {
			t.Errorf("%d found in one of two filters: %v", len(f.Records), err)
		}
		for _, q := range []dht.Query{
			{Summary: -1},
			{Summary: 65},
			{Where: [][]bloom.Filter{{{K: 1, Bits: make([]byte, 9)}}}},
			{Where: make([][]bloom.Filter, 65)},
			{Where: [][]bloom.Filter{{bloom.New(1<<20, 64), bloom.New(1<<20, 64)}}},
		} {
			if _, _, err := table.Get(t.Context(), q, dht.ReadOptions{}); !errors.Is(err, dht.ErrMalformed) {
				t.Errorf("%+v: %v", q.Summary, err)
			}
		}
	})
}

// TestManyDigests: what many digests weigh together, and what is looked at for them, is bounded
// in each message, and all come.
func TestManyDigests(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 3, lan, dht.Options{})
		defer w.end()
		at := dht.KeyOf("many")
		var puts []dht.Put
		for i := range 500 {
			value := fmt.Append(nil, i)
			puts = append(puts, dht.Put{Address: dht.Address{Location: at, Content: dht.SumOf(value)}, Value: value})
		}
		if _, _, err := w.nodes[0].table.MultiPut(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
		for _, q := range []dht.Query{{Location: at, Summary: 64}, {Location: at, Count: true}} {
			queries := make([]dht.Query, 1200)
			for i := range queries {
				queries[i] = q
			}
			found, trace, err := w.nodes[1].table.MultiGet(t.Context(), queries, dht.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range found {
				if f.Count != 500 || f.More || len(f.Replicas) != 3 {
					t.Fatalf("query %d: %d counted, more %v, %+v", i, f.Count, f.More, f.Replicas)
				}
				for _, r := range f.Replicas {
					if r.Status != dht.StatusOK {
						t.Fatalf("query %d: %+v", i, r)
					}
				}
			}
			for _, s := range trace.Steps {
				if s.In > 4<<20 {
					t.Errorf("an answer of %d bytes", s.In)
				}
			}
			if len(trace.Steps) < 3*1200*500/(1<<17) {
				t.Errorf("%d messages make nodes look at %d records", len(trace.Steps), 3*1200*500)
			}
		}
	})
}
