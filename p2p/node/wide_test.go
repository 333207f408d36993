package node

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

var wideNodes = flag.Int("node.wide", 56, "nodes of TestWide")

// TestWide: whole nodes in a network of which the roster names eight. All others are members by
// what they show, nobody knows all of them, and not everybody is linked to everybody. What one
// puts the others get, over the links that there are, and who is removed is dropped by all that
// know it within ten seconds.
func TestWide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := sim.New(sim.Options{Seed: 1, Latency: 10 * time.Millisecond})
		var nodes []*Node
		for i := range *wideNodes {
			o := Options{Name: fmt.Sprint("node ", i), Transport: func(l link.Local) (p2p.Transport, error) { return net.Transport(l), nil }}
			if i == 0 {
				o.Roster = 8
			}
			n, err := Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, n)
		}
		defer func() { // all at once: otherwise those that are left would go on looking for the others
			var closing sync.WaitGroup
			for _, n := range nodes {
				closing.Go(func() {
					if err := n.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			closing.Wait()
		}()
		for i, n := range nodes[1:] {
			inv, err := nodes[0].Invite(t.Context(), member.InviteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
				t.Fatalf("node %d: %v", i+1, err)
			}
			if named := i+1 < 8; n.members.Self().Certified == named {
				t.Fatalf("node %d has a certificate: %v", i+1, !named)
			}
			// However few it has met, there may be more than have links to everybody: whom a lookup finds can be asked.
			if i == 10 && !n.suspects.alive(p2p.ID{1}) {
				t.Error("only those with a link would be asked")
			}
		}
		time.Sleep(time.Minute) // all have looked around
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		links := 0
		for _, n := range nodes {
			peers := n.Status().Peers
			if links += peers; peers > maxLinks {
				t.Errorf("%s has %d links", n.Name(), peers)
			}
			if !n.DHT().Large() {
				t.Errorf("%s does not find members by lookups", n.Name())
			}
		}
		t.Logf("%d nodes, %d links each, %d KiB and %d goroutines each", len(nodes), links/len(nodes), int(m.HeapInuse+m.StackInuse)>>10/len(nodes), runtime.NumGoroutine()/len(nodes))

		puts, queries := make([]dht.Put, 200), make([]dht.Query, 200)
		for i := range puts {
			queries[i].Location = dht.KeyOf(fmt.Sprint("key ", i))
			puts[i] = dht.Put{Address: dht.Address{Location: queries[i].Location}, Value: []byte("hello")}
		}
		results, _, err := nodes[len(nodes)-1].DHT().MultiPut(t.Context(), puts)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Copies != 3 {
				t.Errorf("put %d: %d copies: %+v", i, r.Copies, r.Replicas)
			}
		}
		for _, n := range nodes { // no link is made for a read
			n.links.hold(true)
		}
		for i, q := range queries {
			reader := nodes[(7*i)%len(nodes)]
			found, trace, err := reader.DHT().Get(t.Context(), q, dht.ReadOptions{})
			if err != nil || len(found.Records) != 1 {
				nearest := slices.SortedFunc(slices.Values(nodes), func(a, b *Node) int {
					return a.members.Self().Key.Distance(q.Location).Compare(b.members.Self().Key.Distance(q.Location))
				})
				t.Errorf("%s gets %d: %v; it knows %d, has %d links, finds by lookups: %v", reader.Name(), i, err,
					reader.members.Size(), reader.Status().Peers, reader.DHT().Large())
				for _, n := range nearest[:8] {
					own, _, err := n.DHT().Get(t.Context(), q, dht.ReadOptions{})
					t.Logf("near is %s, which knows %s: %v, gets %d: %v", n.Name(), reader.Name(), n.isMember(reader.ID()), len(own.Records), err)
				}
				for _, r := range results[i].Replicas {
					t.Logf("put at %s: %v %s", r.Name, r.Status, r.Error)
				}
				for _, r := range found.Replicas {
					t.Logf("asked %s: %v, %d records", r.Name, r.Status, r.Records)
				}
				for _, s := range trace.Steps {
					t.Logf("%d %s to %s: %s", s.Round, s.Proto, s.To.Short(), s.Outcome)
				}
				t.FailNow()
			}
		}
		gone := nodes[len(nodes)/2]
		knew := slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return n == gone || !n.isMember(gone.ID()) })
		if err := nodes[0].Revoke(t.Context(), gone.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, n := range nodes {
			if n != gone && (n.isMember(gone.ID()) || n.Connected(gone.ID())) {
				t.Errorf("to %s it is still a member", n.Name())
			}
		}
		if len(knew) < route.Siblings || !gone.Status().Revoked {
			t.Errorf("%d knew it, and it knows: %v", len(knew), gone.Status().Revoked)
		}
		if _, err := nodes[1].members.Present(gone.members.Prove(gone.ID())); err == nil {
			t.Error("what it shows still counts")
		}
	})
}
