package dht_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
)

var manyNodes = flag.Int("dht.nodes", 500, "nodes of TestManyNodes")

// TestManyNodes: in a large network a put or get costs as many messages as in a small one, and
// what fails is made good by those who are near to it alone.
func TestManyNodes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, *manyNodes, lan, dht.Options{})
		defer w.end()
		const keys = 200
		for i := range keys {
			a := at(fmt.Sprint("key ", i))
			r, trace, err := w.nodes[i*7%len(w.nodes)].table.Put(t.Context(), dht.Put{Address: a, Value: []byte("hello")})
			if err != nil || r.Copies != 3 || trace.Messages > 3 {
				t.Fatalf("put %d: %+v, %d messages: %v", i, r, trace.Messages, err)
			}
		}
		for i := range keys {
			f, trace, err := w.nodes[i*11%len(w.nodes)].table.Get(t.Context(), dht.Query{Location: at(fmt.Sprint("key ", i)).Location}, dht.ReadOptions{})
			if err != nil || len(f.Records) != 1 || len(f.Records[0].Have) != 3 || trace.Messages > 3 {
				t.Fatalf("get %d: %+v, %d messages: %v", i, f, trace.Messages, err)
			}
		}
		before := w.calls.Stats()
		for i := range keys / 10 {
			w.node(w.nodes[0].table.Responsible(at(fmt.Sprint("key ", i)).Location)[0].ID).crash()
		}
		time.Sleep(10 * time.Second)
		for i := range keys / 10 {
			if n := w.copies(at(fmt.Sprint("key ", i)), "hello"); n != 3 {
				t.Errorf("key %d has %d copies", i, n)
			}
		}
		after := w.calls.Stats()
		t.Logf("%d nodes: %d calls and %d bytes to make good what %d nodes had", len(w.nodes), after.Calls-before.Calls, after.Bytes-before.Bytes, keys/10)
	})
}
