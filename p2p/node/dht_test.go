package node

import (
	"fmt"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/dht"
)

// TestDHT: real nodes over real links keep what one of them puts, and another one finds it,
// many records in one message to each.
func TestDHT(t *testing.T) {
	nodes := class(t, "Ada", "Ben", "Chiara", "Dmitri")
	ctx := t.Context()
	puts := make([]dht.Put, 1000)
	queries := make([]dht.Query, len(puts))
	for i := range puts {
		location := dht.KeyOf(fmt.Sprint("key ", i))
		puts[i] = dht.Put{Address: dht.Address{Location: location}, Value: fmt.Appendf(nil, "value %d", i)}
		queries[i] = dht.Query{Location: location}
	}
	results, trace, err := nodes[0].DHT().MultiPut(ctx, puts)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Copies != 3 {
			t.Fatalf("put %d: %v, %d copies: %+v", i, r.Status, r.Copies, r.Replicas)
		}
	}
	if trace.Messages > 3 {
		t.Errorf("%d messages: %+v", trace.Messages, trace.Steps)
	}
	found, trace, err := nodes[3].DHT().MultiGet(ctx, queries, dht.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		if len(f.Records) != 1 || string(f.Records[0].Value) != fmt.Sprint("value ", i) {
			t.Fatalf("get %d: %+v", i, f)
		}
	}
	if trace.Messages > 3 {
		t.Errorf("%d messages: %+v", trace.Messages, trace.Steps)
	}
}
