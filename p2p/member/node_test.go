package member

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// node is a Service on a simulated network, with the little of a node that it
// needs: it accepts links, tells the Service of those to members, serves their
// calls and closes those of revoked members.
type node struct {
	*Service
	t         *testing.T
	net       *sim.Network
	transport p2p.Transport

	mu     sync.Mutex // guards all following fields
	links  map[p2p.ID]p2p.Link
	events []p2p.Event
}

func start(t *testing.T, net *sim.Network, name string, o Options) *node {
	t.Helper()
	n := &node{t: t, net: net, links: map[p2p.ID]p2p.Link{}}
	o.Identity, o.Name = person(name), name
	o.Publish = func(e p2p.Event) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, e)
	}
	o.Revoked = n.drop
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	n.Service = s
	handlers := s.Handlers()
	n.transport = net.Transport(sim.Local{
		Identity: o.Identity, Network: func() p2p.ID { return s.Network().ID }, Gate: s.Gate, Proof: s.Proof,
		Handler: func(proto string) p2p.Handler {
			return func(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) {
				_, isMember := s.Role(from.Peer())
				if !Allowed(proto, isMember) || handlers[proto] == nil {
					return nil, &p2p.CallError{Code: "no_protocol", Message: proto}
				}
				return handlers[proto](ctx, from, req)
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			l, err := n.transport.Accept(ctx)
			if err != nil {
				return
			}
			n.linked(l)
			n.met(l)
			if _, ok := s.Role(l.Peer()); ok {
				wg.Go(func() { _ = s.Linked(ctx, l) })
			}
		}
	})
	wg.Go(func() { _ = s.Run(ctx, n, n.peers) })
	t.Cleanup(func() {
		cancel()
		_ = n.transport.Close()
		wg.Wait()
	})
	return n
}

// met takes in what the peer of a link has shown of itself.
func (n *node) met(l p2p.Link) {
	if p := l.(interface{ Proof() []byte }).Proof(); len(p) > 0 {
		_, _ = n.Present(p) // what it is worth is asked for later
	}
}

func (n *node) linked(l p2p.Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[l.Peer()] = l
}

func (n *node) drop(id p2p.ID) {
	n.mu.Lock()
	l := n.links[id]
	delete(n.links, id)
	n.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
}

func (n *node) peers() []p2p.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []p2p.ID
	for id, l := range n.links {
		select {
		case <-l.Done():
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

// Call implements p2p.Caller.
func (n *node) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	n.mu.Lock()
	l := n.links[to]
	n.mu.Unlock()
	if l == nil {
		return nil, p2p.ErrUnreachable
	}
	return l.Call(ctx, proto, req)
}

// knock dials with an invitation.
func (n *node) knock(inv Invitation) (p2p.Link, error) {
	pass := inv.Pass()
	return n.transport.Dial(n.t.Context(), inv.Contact(), &pass)
}

// join dials, joins and exchanges rosters, as a node does.
func (n *node) join(inv Invitation) (Joined, error) {
	l, err := n.knock(inv)
	if err != nil {
		return Joined{}, err
	}
	joined, err := n.Join(n.t.Context(), l, inv)
	if err != nil {
		_ = l.Close()
		return Joined{}, err
	}
	n.linked(l)
	return joined, n.Linked(n.t.Context(), l)
}

func (n *node) mustJoin(inviter *node, o InviteOptions) Joined {
	n.t.Helper()
	joined, err := n.join(inviter.invite(o))
	if err != nil {
		n.t.Fatal(err)
	}
	return joined
}

func (n *node) invite(o InviteOptions) Invitation {
	n.t.Helper()
	inv, err := n.Invite(o)
	if err != nil {
		n.t.Fatal(err)
	}
	if inv, err = ParseInvitation(inv.Link("")); err != nil {
		n.t.Fatal(err)
	}
	return inv
}

// meet links two members.
func (n *node) meet(other *node) {
	n.t.Helper()
	l, err := n.transport.Dial(n.t.Context(), other.Self().Contact, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	n.linked(l)
	n.met(l)
	if err := n.Linked(n.t.Context(), l); err != nil {
		n.t.Fatal(err)
	}
}

// took takes the events of one type that were told so far.
func took[E p2p.Event](n *node) []E {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []E
	for _, e := range n.events {
		if e, ok := e.(E); ok {
			out = append(out, e)
		}
	}
	return out
}

// roster is who is here, in which role, by name.
func (n *node) whoIsHere() map[string]Role {
	out := map[string]Role{}
	for _, m := range n.Members() {
		out[m.Name] = m.Role
	}
	return out
}

// world runs f in a bubble with virtual time, on a perfect network.
func world(t *testing.T, f func(t *testing.T, net *sim.Network)) {
	synctest.Test(t, func(t *testing.T) { f(t, sim.New(sim.Options{})) })
}
