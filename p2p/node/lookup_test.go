package node

import (
	"fmt"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestLookups: nodes that are told to find members by lookups do so over the links that they
// have, put and get as others do, and make good what is lost with one of them.
func TestLookups(t *testing.T) {
	net := sim.New(sim.Options{})
	var nodes []*Node
	for i := range 14 {
		nodes = append(nodes, startNode(t, Options{
			Name: fmt.Sprint("node ", i), Roster: 5,
			Transport: func(l link.Local) (p2p.Transport, error) { return net.Transport(l), nil },
		}))
	}
	inv, err := nodes[0].Invite(t.Context(), member.InviteOptions{MaxUses: len(nodes)})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		await(t, n, "links", linkedTo(n, len(nodes)-1))
		if !n.DHT().Large() {
			t.Fatal("a network of 14 is not large, where 5 are many")
		}
	}
	puts, queries := make([]dht.Put, 300), make([]dht.Query, 300)
	for i := range puts {
		location := dht.KeyOf(fmt.Sprint("key ", i))
		puts[i] = dht.Put{Address: dht.Address{Location: location}, Value: []byte("hello")}
		queries[i] = dht.Query{Location: location}
	}
	results, trace, err := nodes[0].DHT().MultiPut(t.Context(), puts)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Copies != 3 {
			t.Fatalf("put %d: %+v", i, r)
		}
		for j, m := range nodes[0].DHT().Nearest(puts[i].Location, 3) {
			if r.Replicas[j].ID != m.ID {
				t.Fatalf("put %d: the %d. nearest does not keep it", i, j+1)
			}
		}
	}
	if trace.Messages > 13+13 {
		t.Errorf("%d messages to 13 members", trace.Messages)
	}
	l, err := nodes[3].DHT().Lookup(t.Context(), puts[7].Location)
	if err != nil || len(l.Members) != 9 || l.Keep != 3 || l.Crowded() {
		t.Errorf("lookup: %d members, %d keep it: %v", len(l.Members), l.Keep, err)
	}
	for _, a := range l.Asked {
		if a.Err != nil || a.Round < 1 || a.Hops != 1 || a.Via != a.ID {
			t.Errorf("%s: round %d, %d hops by %s: %v", a.ID.Short(), a.Round, a.Hops, a.Via.Short(), a.Err)
		}
	}
	gone := nodes[13]
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	found, _, err := nodes[5].DHT().MultiGet(t.Context(), queries, dht.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		if len(f.Records) != 1 {
			t.Fatalf("get %d: %+v", i, f)
		}
	}
	eventually(t, "three copies of all", func() bool {
		copies := 0
		for _, n := range nodes[:13] {
			kept, err := n.DHT().Kept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			copies += kept.Records
		}
		return copies == 3*len(puts)
	})
	// A register works as elsewhere.
	if _, err := nodes[2].Registers().Read(t.Context(), dht.KeyOf("counter")); err != nil {
		t.Errorf("register: %v", err)
	}
}
