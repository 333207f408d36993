package node

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat/lan"
)

func addrPorts(texts ...string) (out []netip.AddrPort) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddrPort(t))
	}
	return out
}

// TestNear: what was found is tried first, some of it, and the signed contact stays as
// it is.
func TestNear(t *testing.T) {
	own := addrPorts("10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3")
	c := p2p.Contact{Name: "bob", Addrs: slices.Clone(own)}
	for _, tc := range []struct{ found, want []netip.AddrPort }{
		{nil, own},
		{addrPorts("10.0.0.9:9"), addrPorts("10.0.0.9:9", "10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3")},
		{addrPorts("10.0.0.2:2"), addrPorts("10.0.0.2:2", "10.0.0.1:1", "10.0.0.3:3")},
		{addrPorts("10.0.0.7:7", "10.0.0.8:8", "10.0.0.9:9"), addrPorts("10.0.0.7:7", "10.0.0.8:8", "10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3")},
	} {
		got := near(c, tc.found)
		if !slices.Equal(got.Addrs, tc.want) || got.Name != c.Name {
			t.Errorf("found %v: got %v", tc.found, got.Addrs)
		}
		if !slices.Equal(c.Addrs, own) {
			t.Fatalf("the contact became %v", c.Addrs)
		}
	}
}

func TestWhoLooksInTheLocalNetwork(t *testing.T) {
	for listen, want := range map[string]bool{
		"": true, "127.0.0.1:0": true, "127.9.9.9:1": true, "[::1]:4747": true, "localhost:4747": true,
		":4747": false, "0.0.0.0:4747": false, "[::]:4747": false, "192.168.1.5:4747": false, "nas:4747": false,
	} {
		if got := onLoopback(listen); got != want {
			t.Errorf("%q: %v", listen, got)
		}
	}
	for name, o := range map[string]Options{"by default": {}, "with NoLAN": {Listen: ":0", NoLAN: true}} {
		if n := startNode(t, o); n.lan != nil {
			t.Errorf("%s a node looks for others", name)
		}
	}
}

// absent is a transport whose peers do not answer. It tells which dials begin and end.
type absent struct {
	quiet
	mu    sync.Mutex
	dials [][]netip.AddrPort
	ended int
}

func (a *absent) Dial(ctx context.Context, to p2p.Contact, _ *p2p.Pass) (p2p.Link, error) {
	a.mu.Lock()
	a.dials = append(a.dials, to.Addrs)
	a.mu.Unlock()
	<-ctx.Done()
	a.mu.Lock()
	a.ended++
	a.mu.Unlock()
	return nil, ctx.Err()
}

func (a *absent) count() (begun, ended int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.dials), a.ended
}

// one is a network with one other member.
type one struct {
	people
	contact p2p.Contact
}

func (o *one) contacts() []p2p.Contact { return []p2p.Contact{o.contact} }

// TestFoundIsDialled: a dial that waits for old addresses is given up for one to the new,
// which nobody can interrupt by naming still others.
func TestFoundIsDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		contact := p2p.Contact{PublicKey: ed25519.PublicKey{1}, Addrs: addrPorts("10.0.0.1:1")}
		id := contact.ID()
		transport, roster := &absent{}, &one{contact: contact}
		roster.members = map[p2p.ID]bool{id: true}
		ls := newLinks(p2p.ID{}, slog.New(slog.DiscardHandler), nil)
		ls.transport, ls.roster = transport, roster
		var mu sync.Mutex
		var place []netip.AddrPort
		ls.nearby = func(p2p.ID) []netip.AddrPort {
			mu.Lock()
			defer mu.Unlock()
			return place
		}
		find := func(at string) {
			mu.Lock()
			place = addrPorts(at)
			mu.Unlock()
			ls.found(id)
			synctest.Wait()
		}
		done := make(chan error)
		go func() { done <- ls.run(ctx) }()
		synctest.Wait()
		if begun, _ := transport.count(); begun != 1 {
			t.Fatalf("%d dials at the start", begun)
		}
		find("10.0.0.9:9")
		if begun, ended := transport.count(); begun != 2 || ended != 1 || !slices.Equal(transport.dials[1], addrPorts("10.0.0.9:9", "10.0.0.1:1")) {
			t.Fatalf("found: %d dials begun, %d ended: %v", begun, ended, transport.dials)
		}
		for range 5 {
			find("10.0.0.66:6")
			time.Sleep(time.Second)
		}
		if begun, ended := transport.count(); begun != 2 || ended != 1 {
			t.Fatalf("found again and again: %d dials begun, %d ended", begun, ended)
		}
		time.Sleep(dialTimeout - 5*time.Second + time.Second)
		synctest.Wait()
		if begun, ended := transport.count(); begun != 3 || ended != 2 {
			t.Fatalf("after the time of a dial: %d dials begun, %d ended", begun, ended)
		}
		if p := ls.state(id); p.Error != context.DeadlineExceeded.Error() {
			t.Errorf("the reason is %q", p.Error)
		}
		ls.found(p2p.ID{9}) // somebody else
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestFoundIsTold: programs hear of members that were found, and of nobody else.
func TestFoundIsTold(t *testing.T) {
	nodes := class(t, "alice", "bob")
	alice, bob := nodes[0], nodes[1]
	position := alice.Events().Position()
	at := addrPorts("10.0.0.9:9")
	alice.found(lan.Found{ID: p2p.ID{7}, Addrs: at})
	alice.found(lan.Found{ID: bob.ID(), Addrs: at})
	var got []Found
	after, _, _ := alice.Events().Since(position)
	for _, m := range after {
		if f, ok := m.Data.(Found); ok {
			got = append(got, f)
		}
	}
	if len(got) != 1 || got[0].ID != bob.ID() || got[0].Name != "bob" || !slices.Equal(got[0].Addrs, at) || got[0].Via != "lan" || got[0].Topic() != "peer.found" {
		t.Errorf("got %+v", got)
	}
	if !alice.Connected(bob.ID()) {
		t.Error("a link was lost over it")
	}
}
