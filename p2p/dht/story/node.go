package story

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/direct"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// node is one computer: what is in its store outlives a crash.
type node struct {
	w         *world
	name      string
	identity  p2p.Identity
	member    dht.Member
	store     dht.Store
	table     *dht.Table
	decoy     *dht.Table // of a liar: it takes what others want kept, and nobody reads it
	messages  *direct.Service
	tracker   *tracker.Service
	told      tracker.Store
	indexes   map[string]*ranges.Index // that it has used since it came
	keywords  *keyword.Index           // nil: it has not used it since it came
	transport p2p.Transport
	up        bool                // guarded by w.mu
	links     map[p2p.ID]p2p.Link // that are up; guarded by w.mu
	turn      *turn               // of a block "together": it waits there
}

// names are those of nodes that get one.
var names = strings.Fields("Ada Ben Cleo Dan Eve Finn Gus Hana Ida Jon Kim Leo Mia Noa Ole Pia Quin Rosa Sam Tess Uma Vic Wes Xena Yuri Zoe")

// identity returns that of a name; n tells several apart.
func identity(name string, n int) (p2p.Identity, error) {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, n))
	return p2p.IdentityFromSeed(seed[:])
}

// admission returns where somebody stands in a closed network: as in package member it is
// the hash of the network, of a number that whoever admits draws, and of the key.
func (w *world) admission(id p2p.Identity) p2p.Key {
	w.admitted++
	nonce := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("nonce"), uint64(w.admitted)))
	h := sha256.New()
	network := networkID()
	h.Write(network[:])
	h.Write(nonce[:16])
	h.Write(id.PublicKey())
	return p2p.Key(h.Sum(nil))
}

func networkID() p2p.ID { return p2p.ID{1} }

// place returns where a node stands that has not been told.
func (w *world) place(id p2p.Identity) p2p.Key {
	if w.open {
		return p2p.Key(id.ID())
	}
	return w.admission(id)
}

// come adds a node and starts it.
func (w *world) come(name string, id p2p.Identity, position p2p.Key) error {
	switch {
	case len(w.nodes) >= MaxNodes:
		return fmt.Errorf("more than %d nodes", MaxNodes)
	case name == "" || len(name) > 20:
		return fmt.Errorf("%.30q is no name of a node", name)
	case slices.ContainsFunc(w.nodes, func(n *node) bool { return n.name == name || n.member.ID == id.ID() }):
		return fmt.Errorf("there is a %s already", name)
	case slices.ContainsFunc(w.nodes, func(n *node) bool { return n.member.Position == position }):
		return errors.New("somebody stands there already")
	}
	n := &node{w: w, name: name, identity: id, store: dht.NewMemory(), told: &tracker.Memory{}}
	n.member = dht.Member{ID: id.ID(), Position: position, PublicKey: id.PublicKey(), Name: name}
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.members = append(slices.Clone(w.members), n.member)
	w.mu.Unlock()
	return n.start()
}

// start starts a node, for the first time or again.
func (n *node) start() (err error) {
	w := n.w
	n.table = dht.New(n.options(&gated{n.store, n}))
	n.keywords = nil
	n.indexes = map[string]*ranges.Index{}
	n.messages = direct.New(direct.Options{Caller: caller{n}})
	n.messages.Handle("", func(_ context.Context, from p2p.ID, data []byte) ([]byte, error) {
		return fmt.Appendf(nil, "%s has got %d bytes of %s", n.name, len(data), w.nameOf(from)), nil
	})
	if n.tracker, err = n.newTracker(); err != nil {
		return err
	}
	n.transport = w.network.Transport(sim.Local{
		Identity: n.identity,
		Network:  networkID,
		Handler: func(proto string) p2p.Handler {
			if h := n.handler(proto); h != nil {
				return func(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) { return h(ctx, from.Peer(), req) }
			}
			return nil
		},
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	n.up, n.links = true, map[p2p.ID]p2p.Link{}
	return nil
}

func (n *node) options(store dht.Store) dht.Options {
	w := n.w
	return dht.Options{
		Identity: n.identity, Network: networkID, Members: w.roster, Alive: w.alive, Caller: caller{n}, Store: store,
		Replicas: w.replicas, Root: w.root, Rules: w.rules, Now: w.time,
		// Who was refused waits until the others have done something; how long is of no importance.
		Jitter:  func(time.Duration) time.Duration { n.pause(); return 0 },
		Publish: w.publish,
	}
}

// handler returns who answers a protocol.
func (n *node) handler(proto string) dht.Handler {
	switch {
	case proto == direct.Proto:
		return n.messages.HandleCall
	case proto == tracker.Proto:
		return n.tracker.HandleCall
	case n.decoy != nil && proto == dht.ProtoPut:
		return n.decoy.Handlers()[proto]
	case n.decoy != nil && proto == dht.ProtoSync:
		return nil
	}
	return n.table.Handlers()[proto]
}

// stop takes a node away. Its links end.
func (n *node) stop() {
	w := n.w
	w.mu.Lock()
	n.up = false
	var others []*node
	for id := range n.links {
		others = append(others, w.byID(id))
	}
	w.mu.Unlock()
	for _, other := range others {
		w.unlink(n, other)
	}
	_ = n.transport.Close() // it has nothing left to lose
}

// caller asks over links, which are made when they are needed first, and stay.
type caller struct{ n *node }

// Limits of what is said at once: of a call and its answer, and of what takes a stream.
const (
	maxCall     = 56 << 10
	maxExchange = 4 << 20
)

func (caller) Limit(p2p.ID) int { return maxExchange }

// Exchange is a call of what is long. Between real nodes that takes a stream of the link; here
// it is handed over, if there is a link.
func (c caller) Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	if _, err := c.n.w.link(ctx, c.n, to); err != nil {
		return nil, err
	}
	c.n.w.mu.Lock()
	other := c.n.w.byID(to)
	c.n.w.mu.Unlock()
	h := other.handler(proto)
	if h == nil {
		return nil, p2p.ErrNoProtocol
	}
	return h(ctx, c.n.member.ID, req)
}

func (c caller) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	if len(req) > maxCall {
		return c.Exchange(ctx, to, proto, req)
	}
	l, err := c.n.w.link(ctx, c.n, to)
	if err != nil {
		return nil, err
	}
	return l.Call(ctx, proto, req)
}

// pair names two nodes, in one order.
func pair(a, b p2p.ID) [2]p2p.ID {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return [2]p2p.ID{a, b}
}

// link returns the link between two nodes, and makes it if there is none.
func (w *world) link(ctx context.Context, from *node, id p2p.ID) (p2p.Link, error) {
	w.dialing.Lock() // or both could dial at the same time
	defer w.dialing.Unlock()
	w.mu.Lock()
	to := w.byID(id)
	reachable := to != nil && to.up && from.up && !w.cuts[pair(from.member.ID, id)]
	l := from.links[id]
	w.mu.Unlock()
	if !reachable {
		return nil, p2p.ErrUnreachable
	}
	if l != nil {
		return l, nil
	}
	l, err := from.transport.Dial(ctx, p2p.Contact{PublicKey: to.member.PublicKey}, nil)
	if err != nil {
		return nil, err
	}
	other, err := to.transport.Accept(ctx)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	from.links[id], to.links[from.member.ID] = l, other
	w.opened++
	return l, nil
}

// unlink ends the link between two nodes.
func (w *world) unlink(a, b *node) {
	w.mu.Lock()
	l, other := a.links[b.member.ID], b.links[a.member.ID]
	delete(a.links, b.member.ID)
	delete(b.links, a.member.ID)
	w.mu.Unlock()
	if l != nil {
		_ = l.Close() // whoever wants to know learns it from the next call
		_ = other.Close()
	}
}

// countLinks counts the links that are up.
func (w *world) countLinks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	ends := 0
	for _, n := range w.nodes {
		ends += len(n.links)
	}
	return ends / 2
}

func (w *world) byID(id p2p.ID) *node {
	for _, n := range w.nodes {
		if n.member.ID == id {
			return n
		}
	}
	return nil
}

func (w *world) nameOf(id p2p.ID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.byID(id); n != nil {
		return n.name
	}
	return id.Short()
}

func (w *world) roster() []dht.Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.members
}

func (w *world) alive(id p2p.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.byID(id)
	return n != nil && n.up
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// publish collects the messages of operations.
func (w *world) publish(e p2p.Event) {
	if s, ok := e.(dht.Step); ok {
		w.mu.Lock()
		w.messages = append(w.messages, s)
		w.mu.Unlock()
	}
}
