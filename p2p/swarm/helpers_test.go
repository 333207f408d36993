package swarm

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

var testNetwork = p2p.ID{0xaa}

// class is a network of nodes over simulated links, with one list of who has what.
type class struct {
	t     *testing.T
	net   *sim.Network
	seats []*seat

	mu      sync.Mutex // guards all following fields
	said    map[seed.ID]map[p2p.ID]tracker.Own
	outside p2p.ID // of another network: nobody hears what it says
	// withdrawn is called when somebody has withdrawn something; nil: nothing is.
	withdrawn func()
}

// seat is one node.
type seat struct {
	*Service
	class     *class
	identity  p2p.Identity
	transport p2p.Transport
	dir       string
	store     Store
	limits    *link.Limits
	end       context.CancelFunc
	ctx       context.Context // ends with end
	serving   sync.WaitGroup
	done      chan struct{}

	mu     sync.Mutex // guards all following fields
	links  map[p2p.ID]p2p.Link
	events []p2p.Event
	serve  func(ctx context.Context, l p2p.Link, conn net.Conn) // in place of the service's; nil: that
}

func newClass(t *testing.T, n int, o sim.Options) *class {
	t.Helper()
	c := &class{t: t, net: sim.New(o), said: map[seed.ID]map[p2p.ID]tracker.Own{}}
	for i := range n {
		identity, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
		if err != nil {
			t.Fatal(err)
		}
		c.seats = append(c.seats, c.sit(identity, t.TempDir(), &Memory{}))
	}
	return c
}

// sit starts a node, or its next run.
func (c *class) sit(identity p2p.Identity, dir string, store Store) *seat {
	c.t.Helper()
	h := &seat{class: c, identity: identity, dir: dir, store: store, limits: new(link.Limits), links: map[p2p.ID]p2p.Link{}, done: make(chan struct{})}
	h.transport = c.net.Transport(sim.Local{
		Identity: identity, Network: func() p2p.ID { return testNetwork }, Limits: h.limits,
		Handler: func(string) p2p.Handler { return nil },
	})
	s, err := New(c.t.Context(), h.options())
	if err != nil {
		c.t.Fatal(err)
	}
	h.Service = s
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	h.ctx = ctx
	h.end = func() {
		cancel()
		<-h.done
		_ = h.transport.Close()
	}
	go func() {
		defer close(h.done)
		h.serving.Go(h.accept)
		if err := h.Run(ctx); err != nil {
			c.t.Error(err)
		}
		h.serving.Wait()
	}()
	c.t.Cleanup(h.end)
	for !h.runs() { // what a node that does not run yet is told it tells nobody
		time.Sleep(time.Millisecond)
	}
	return h
}

func (h *seat) runs() bool {
	h.Service.mu.Lock()
	defer h.Service.mu.Unlock()
	return h.running
}

func (h *seat) options() Options {
	return Options{
		ID: h.identity.ID(), Tracker: said{h}, Link: h.link, Store: h.store,
		Dir: filepath.Join(h.dir, "downloads"), Keep: filepath.Join(h.dir, "kept"),
		Local:  nothing{},
		Logger: slog.New(slog.NewTextHandler(h.class.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Publish: func(e p2p.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
	}
}

// nothing is a disk on which no folder has anything.
type nothing struct{}

func (nothing) Whole(context.Context, chunk.Hash) File            { return nil }
func (nothing) Similar(context.Context, []chunk.Hash) []LocalFile { return nil }

func (h *seat) accept() {
	for {
		l, err := h.transport.Accept(h.ctx)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.keep(l)
		h.mu.Unlock()
	}
}

// keep takes in a link, and serves it. h.mu is held.
func (h *seat) keep(l p2p.Link) {
	h.links[l.Peer()] = l
	h.serving.Go(func() {
		for {
			proto, conn, err := l.Accept(h.ctx)
			if err != nil {
				return
			}
			if proto != Protocol {
				reset(conn)
				continue
			}
			h.mu.Lock()
			serve := h.serve
			h.mu.Unlock()
			if serve == nil {
				serve = h.Serve
			}
			h.serving.Go(func() { serve(h.ctx, l, conn) })
		}
	})
}

// link returns the link to another node, which it makes if there is none.
func (h *seat) link(ctx context.Context, to p2p.ID) (p2p.Link, error) {
	h.mu.Lock()
	l := h.links[to]
	h.mu.Unlock()
	if l != nil && l.Err() == nil {
		return l, nil
	}
	var key p2p.Contact
	for _, o := range h.class.all() {
		if o.identity.ID() == to {
			key.PublicKey = o.identity.PublicKey()
		}
	}
	l, err := h.transport.Dial(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return nil, p2p.ErrClosed
	}
	h.keep(l)
	return l, nil
}

// said is the list, as one node sees it.
type said struct{ h *seat }

func (s said) Announce(o tracker.Own) {
	c := s.h.class
	c.mu.Lock()
	defer c.mu.Unlock()
	id := o.Seed.ID()
	if s.h.identity.ID() == c.outside {
		return
	}
	if c.said[id] == nil {
		c.said[id] = map[p2p.ID]tracker.Own{}
	}
	_, was := c.said[id][s.h.identity.ID()]
	c.said[id][s.h.identity.ID()] = o
	if !was {
		go c.tell(id)
	}
}

// all returns the nodes there are.
func (c *class) all() []*seat {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seats)
}

// again starts the next run of node i, which has ended.
func (c *class) again(i int) *seat {
	c.t.Helper()
	was := c.all()[i]
	h := c.sit(was.identity, was.dir, was.store)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seats[i] = h
	return h
}

func (c *class) tell(id seed.ID) {
	for _, h := range c.all() {
		if h != nil && h.Service != nil {
			h.SourcesChanged(id)
		}
	}
}

func (s said) Withdraw(id seed.ID) {
	c := s.h.class
	c.mu.Lock()
	delete(c.said[id], s.h.identity.ID())
	withdrawn := c.withdrawn
	c.mu.Unlock()
	if withdrawn != nil {
		withdrawn()
	}
}

func (s said) Sources(_ context.Context, id seed.ID, _ int) ([]tracker.Peer, error) {
	c := s.h.class
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []tracker.Peer
	for of, o := range c.said[id] {
		if of != s.h.identity.ID() {
			out = append(out, tracker.Peer{ID: of, Have: o.Have, Rate: o.Up, Wants: o.Wants})
		}
	}
	return out, nil
}

func (s said) Slice(id seed.ID) (int, int) {
	c := s.h.class
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := []p2p.ID{s.h.identity.ID()}
	for of, o := range c.said[id] {
		if o.Wants && of != ids[0] {
			ids = append(ids, of)
		}
	}
	slices.SortFunc(ids, p2p.ID.Compare)
	return slices.Index(ids, s.h.identity.ID()), len(ids)
}

func (s said) Missed(seed.ID, p2p.ID) {}

func (s said) Text(context.Context, seed.ID) (seed.Seed, error) { return seed.Seed{}, ErrNotFound }

// write makes a file in a node's directory.
func (h *seat) write(name string, data []byte) string {
	h.class.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.class.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		h.class.t.Fatal(err)
	}
	return path
}

// share makes a seed of a new file.
func (h *seat) share(name string, data []byte) seed.Seed {
	h.class.t.Helper()
	st, err := h.Make(h.class.t.Context(), h.write(name, data), MakeOptions{})
	if err != nil {
		h.class.t.Fatal(err)
	}
	return st.Seed
}

// get begins a download of what a link says.
func (h *seat) get(s seed.Seed) {
	h.class.t.Helper()
	known, err := s.Link().Seed()
	if s.Legacy != nil {
		known, err = s, nil
	}
	if err != nil {
		h.class.t.Fatal(err)
	}
	if _, err := h.Download(h.class.t.Context(), GetOptions{Seed: known}); err != nil {
		h.class.t.Fatal(err)
	}
}

// until waits for a state of a seed.
func (h *seat) until(id seed.ID, states ...State) Status {
	h.class.t.Helper()
	for began := time.Now(); ; {
		st, err := h.Service.Get(id)
		if err == nil && slices.Contains(states, st.State) {
			return st
		}
		if time.Since(began) > 5*time.Minute {
			p, _ := h.Picture(id)
			for _, m := range p.Members {
				h.class.t.Logf("%s: %s, %d pieces, %d bytes, %s", m.ID.Short(), m.State, m.Pieces, m.Got, m.Why)
			}
			h.class.t.Fatalf("%s is %s after five minutes, not %v: %d of %d pieces, %s %v", id.Short(), st.State, states, st.Here, st.Pieces, st.Error, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// same fails unless a file has some content.
func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes, which are others than the %d that were shared", path, len(got), len(want))
	}
}

// noise returns bytes that only a seed determines.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b) // never fails (rand.ChaCha8)
	return b
}
