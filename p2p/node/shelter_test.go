package node

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// sheltered is a transport of a node that others reach through relays, or that is one.
type sheltered struct {
	p2p.Transport
	relay, client atomic.Pointer[p2p.ID]
}

func (s *sheltered) Relays() []p2p.ID {
	if id := s.relay.Load(); id != nil {
		return []p2p.ID{*id}
	}
	return nil
}

func (s *sheltered) RelaysFor(id p2p.ID) bool {
	client := s.client.Load()
	return client != nil && *client == id
}

// A node whom only its relay reaches is found by lookups, without being asked: the relay answers
// from what the node has said. Calls reach it as before, through the relay; and when it goes, nobody
// answers for it.
func TestRelayAnswers(t *testing.T) {
	net := sim.New(sim.Options{})
	var nodes []*Node
	var transports []*sheltered
	for _, name := range []string{"relay", "home", "asker", "other"} {
		s := &sheltered{}
		transports = append(transports, s)
		nodes = append(nodes, startNode(t, Options{Name: name, Roster: 2, Transport: func(l link.Local) (p2p.Transport, error) {
			s.Transport = net.Transport(l)
			return s, nil
		}}))
	}
	relay, home, asker, other := nodes[0], nodes[1], nodes[2], nodes[3]
	net.Partition(home.ID(), asker.ID())
	net.Partition(home.ID(), other.ID())
	inv, err := relay.Invite(t.Context(), member.InviteOptions{MaxUses: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range nodes {
		await(t, n, "links", linkedTo(n, []int{3, 1, 2, 2}[i]))
		await(t, n, "the roster", func() bool { return n.Status().Members == 4 })
	}
	at, ok := asker.Member(home.ID())
	if !ok {
		t.Fatal("home is no member")
	}
	asked := func() route.Asked {
		t.Helper()
		l, err := asker.DHT().Lookup(t.Context(), at.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range l.Asked {
			if a.ID == home.ID() {
				return a
			}
		}
		return route.Asked{}
	}
	if a := asked(); a.Err != nil || !a.By.Relay.IsZero() || a.Hops != 2 {
		t.Fatalf("without a snapshot: %+v", a)
	}

	client, at4 := home.ID(), relay.ID()
	transports[0].client.Store(&client)
	transports[1].relay.Store(&at4)
	home.addrsChanged()
	var a route.Asked
	eventually(t, "the relay answers", func() bool { a = asked(); return a.By.Relay == relay.ID() })
	if a.Err != nil || a.By.Gone != 0 || a.By.Age > time.Minute || a.Via != relay.ID() || a.Hops != 1 || !slices.ContainsFunc(a.Heard, func(m route.Member) bool { return m.ID == relay.ID() }) {
		t.Errorf("%+v", a)
	}
	for _, p := range relay.Peers() {
		if has := p.Snapshot != nil; has != (p.ID == home.ID()) || has && (p.Snapshot.Known == 0 || p.Snapshot.Asked == 0) {
			t.Errorf("what the relay has of %s: %+v", p.Name, p.Snapshot)
		}
	}
	if given := home.overlay.Given(); given[relay.ID()].Known == 0 {
		t.Errorf("what home has given: %+v", given)
	}
	id, err := home.AddDocument(t.Context(), search.Document{Title: "minutes", Text: "lepidolite"})
	if err != nil {
		t.Fatal(err)
	}
	if d, _, err := asker.Document(t.Context(), id, home.ID()); err != nil || d.Text != "lepidolite" {
		t.Errorf("a call to it: %q, %v", d.Text, err)
	}

	if gone, known := relay.links.gone(home.ID()); gone != 0 || !known {
		t.Errorf("linked, and gone for %s", gone)
	}
	if _, known := asker.links.gone(home.ID()); known {
		t.Error("never linked, and known since when")
	}

	// Its link breaks for a moment: the relay says since when.
	relay.links.hold(true)
	home.links.hold(true)
	broken, err := home.links.to(relay.ID())
	if err != nil {
		t.Fatal(err)
	}
	if l, err := relay.links.to(home.ID()); err != nil || l.Close() != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay tells that it is gone", func() bool { a := asked(); return a.By.Gone > 0 && a.Err == nil })
	home.links.hold(false) // one alone: of two dials at once the simulator keeps now this, now that
	await(t, home, "another link", func() bool { l, err := home.links.to(relay.ID()); return err == nil && l != broken })
	eventually(t, "the relay tells that it is back", func() bool { a := asked(); return a.By.Relay == relay.ID() && a.By.Gone == 0 })
	relay.links.hold(false)

	// A member for whom nobody relays: what it sends is not kept.
	transports[3].relay.Store(&at4)
	other.overlay.Shelter()
	if err := home.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the link", func() bool { gone, known := relay.links.gone(home.ID()); return gone > 0 && known })
	if a := asked(); !a.By.Relay.IsZero() {
		t.Errorf("it has gone, and its relay still answers: %+v", a)
	}
	if kept := relay.route.StandsIn(); len(kept) > 0 {
		t.Errorf("kept: %+v", kept)
	}
}
