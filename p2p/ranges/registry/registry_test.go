package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/ranges/registry"
)

// alone returns a table of a network of one member.
func alone(t *testing.T) *dht.Table {
	id, err := p2p.IdentityFromSeed(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return dht.New(dht.Options{
		Identity: id, Store: dht.NewMemory(), Alive: func(p2p.ID) bool { return false },
		Network: func() p2p.ID { return p2p.ID{1} },
		Members: func() []dht.Member { return []dht.Member{{ID: id.ID(), PublicKey: id.PublicKey()}} },
	})
}

// TestRegistry: an index is what it was when it was made, for everybody.
func TestRegistry(t *testing.T) {
	table := alone(t)
	r := registry.New(table, nil)
	if _, err := r.Open(t.Context(), "lecture"); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("an index that is not there: %v", err)
	}
	d := registry.Definition{Name: "lecture", Bits: 3, LeafBits: 1, Capacity: 2, Via: []registry.Via{"dst", "pht", "buckets"}}
	if _, err := r.Define(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Define(t.Context(), registry.Definition{Name: "b"}); err != nil {
		t.Fatal(err)
	}
	other := registry.New(table, time.Now)
	x, err := other.Define(t.Context(), d)
	if err != nil {
		t.Fatalf("the same again: %v", err)
	}
	if _, err := other.Define(t.Context(), registry.Definition{Name: "lecture"}); !errors.Is(err, registry.ErrExists) {
		t.Errorf("another one of that name: %v", err)
	}
	for _, via := range d.Via {
		index, way, ok := x.By(via)
		if !ok || way != via {
			t.Fatalf("via %s: %s, %v", via, way, ok)
		}
		results, _, err := index.Insert(t.Context(), []ranges.Entry{{Key: 5, ID: "sys", Value: []byte("sys")}})
		if err != nil || !results[0].Status.Stored() {
			t.Fatal(results, err)
		}
		y, err := r.Open(t.Context(), "lecture")
		if err != nil {
			t.Fatal(err)
		}
		mine, _, _ := y.By(via)
		a, err := mine.Query(t.Context(), ranges.Range{From: 5, To: 7})
		if err != nil || len(a.Entries) != 1 {
			t.Errorf("via %s: %+v, %v", via, a, err)
		}
	}
	if _, way, ok := x.By(""); way != "dst" || !ok {
		t.Errorf("the first way is %s", way)
	}
	all, err := other.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "b" || all[0].Bits != 53 || all[0].Via[0] != "pht" || all[1].Name != "lecture" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestInvalid: what no index can be, in requests and in the table.
func TestInvalid(t *testing.T) {
	table := alone(t)
	r := registry.New(table, nil)
	for _, d := range []registry.Definition{
		{},
		{Name: strings.Repeat("x", 101)},
		{Name: "a\nb"},
		{Name: "."},
		{Name: ".."},
		{Name: "\xff"},
		{Name: "x", Bits: 54},
		{Name: "x", Bits: -1},
		{Name: "x", Bits: 3, LeafBits: 4},
		{Name: "x", Capacity: 1 << 20},
		{Name: "x", Via: []registry.Via{"tree"}},
		{Name: "x", Via: []registry.Via{"dst", "dst"}},
	} {
		if _, err := r.Define(t.Context(), d); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	for i, value := range []string{`{"name":"x","bits":99}`, `{"name":"other"}`, `nothing`} {
		_, _, err := table.Put(t.Context(), dht.Put{Address: dht.Address{Location: dht.KeyOf("range indexes"), Content: dht.KeyOf("x")}, Value: []byte(value)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(t.Context(), "x"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%d: %v", i, err)
		}
		if all, err := r.List(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%d: %v, %v", i, all, err)
		}
	}
}

// short answers with few records at a time.
type short struct{ *dht.Table }

func (s short) Get(ctx context.Context, q dht.Query, o dht.ReadOptions) (dht.Found, dht.Trace, error) {
	q.Limit = 7
	return s.Table.Get(ctx, q, o)
}

// TestManyIndexes: a list has all indexes, also where an answer has only some of them.
func TestManyIndexes(t *testing.T) {
	r := registry.New(short{alone(t)}, nil)
	for i := range 40 {
		if _, err := r.Define(t.Context(), registry.Definition{Name: fmt.Sprint("index ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := r.List(t.Context()); err != nil || len(all) != 40 {
		t.Errorf("%d of 40 indexes: %v", len(all), err)
	}
}
