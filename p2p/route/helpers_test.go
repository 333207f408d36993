package route

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

var testNetwork = p2p.ID{0xaa}

// town is a network of routers over simulated links, which are what a test says.
type town struct {
	t     *testing.T
	net   *sim.Network
	mu    sync.Mutex // guards gone
	gone  map[p2p.ID]bool
	homes []*home
	all   map[p2p.ID]Member
}

// home is one node.
type home struct {
	*Router
	town      *town
	identity  p2p.Identity
	transport p2p.Transport

	mu     sync.Mutex  // guards all following fields
	evil   p2p.Handler // in place of forward/1
	links  map[p2p.ID]p2p.Link
	hops   []Hop
	served []string // ORIGIN: REQUEST
}

// newTown makes n nodes without links; node i is at position i·2^(8·31).
func newTown(t *testing.T, n int) *town {
	t.Helper()
	w := &town{t: t, net: sim.New(sim.Options{}), gone: map[p2p.ID]bool{}, all: map[p2p.ID]Member{}}
	for i := range n {
		identity, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
		if err != nil {
			t.Fatal(err)
		}
		w.all[identity.ID()] = Member{ID: identity.ID(), Position: p2p.Key{byte(i)}, Key: identity.PublicKey()}
		w.homes = append(w.homes, w.build(identity))
	}
	return w
}

// build makes a node, or its next run.
func (w *town) build(identity p2p.Identity) *home {
	h := &home{town: w, identity: identity, links: map[p2p.ID]p2p.Link{}}
	h.Router = New(Options{
		Identity: identity, Network: func() p2p.ID { return testNetwork }, Member: w.member,
		Links: h.list, Link: h.to,
		Publish: func(e p2p.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if e, ok := e.(Hop); ok {
				h.hops = append(h.hops, e)
			}
		},
	})
	h.Handle("echo/1", func(_ context.Context, from p2p.ID, req []byte) ([]byte, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.served = append(h.served, fmt.Sprintf("%s: %.20s", from.Short(), req))
		return append([]byte("echo "), req...), nil
	})
	h.transport = w.net.Transport(sim.Local{
		Identity: identity, Network: func() p2p.ID { return testNetwork },
		Handler: func(proto string) p2p.Handler {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.evil != nil && proto == ForwardProtocol {
				return h.evil
			}
			return h.Handlers()[proto]
		},
	})
	w.t.Cleanup(func() { _ = h.transport.Close() })
	return h
}

func (w *town) member(id p2p.ID) (Member, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, ok := w.all[id]
	return m, ok && !w.gone[id]
}

// revoke makes a node no member any more.
func (w *town) revoke(h *home) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone[h.self] = true
}

// road links nodes, each to the next one.
func (w *town) road(way ...int) {
	w.t.Helper()
	for i := range way[1:] {
		w.link(w.homes[way[i]], w.homes[way[i+1]])
	}
}

func (w *town) link(a, b *home) {
	w.t.Helper()
	l, err := a.transport.Dial(w.t.Context(), p2p.Contact{PublicKey: b.identity.PublicKey()}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := b.transport.Accept(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	a.keep(l)
	b.keep(m)
}

func (h *home) keep(l p2p.Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links[l.Peer()] = l
	go func() {
		for {
			proto, conn, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			if proto == ExchangeProtocol {
				go h.ServeStream(context.Background(), l, conn)
			}
		}
	}()
}

func (h *home) list() []p2p.Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []p2p.Link
	for _, l := range h.links {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b p2p.Link) int { return a.Peer().Compare(b.Peer()) })
	return all
}

func (h *home) to(id p2p.ID) (p2p.Link, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.links[id]; l != nil {
		return l, nil
	}
	return nil, p2p.ErrUnreachable
}

// turn makes a node do something else than to forward; nil: no more.
func (h *home) turn(evil p2p.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.evil = evil
}

// heard returns what echo/1 was asked.
func (h *home) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.served)
}

func (h *home) passed() []Hop {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.hops)
}

// ask calls echo/1 and fails the test if there is no answer.
func (h *home) ask(to *home, text string) {
	h.town.t.Helper()
	b, err := h.Call(h.town.t.Context(), to.self, "echo/1", []byte(text))
	if err != nil || string(b) != "echo "+text {
		h.town.t.Fatalf("call: %q, %v", b, err)
	}
}
