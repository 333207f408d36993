package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// Local is what a transport must know of its node.
type Local = link.Local

// Options are the conditions between any two nodes. The zero value is a perfect
// network.
type Options struct {
	Seed    uint64
	Latency time.Duration // one way
	Jitter  time.Duration // up to so much more; lets messages of channel 1 overtake each other
	// Loss is the probability, from 0 to below 1, that a packet of 1200 bytes is
	// lost. All channels are reliable, so a loss shows as a delay: of the lost
	// message and, on an ordered channel, of those behind it.
	Loss float64
	// Bandwidth in bytes per second for each direction of each link; 0 is without
	// limit.
	Bandwidth int
}

// Network connects the transports made from it. All methods may be used by
// several goroutines at once.
type Network struct {
	options Options

	// mu guards all following fields.
	mu         sync.Mutex
	transports map[p2p.ID]*Transport
	joined     uint32 // transports so far
	links      map[pairKey]uint64
	cuts       map[pairKey]bool
	wires      map[*wire]struct{} // that are up
}

// pairKey names two nodes in either order.
type pairKey [2]p2p.ID

func keyOf(a, b p2p.ID) pairKey {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return pairKey{a, b}
}

// New returns a network without nodes.
func New(o Options) *Network {
	return &Network{
		options:    o,
		transports: make(map[p2p.ID]*Transport),
		links:      make(map[pairKey]uint64),
		cuts:       make(map[pairKey]bool),
		wires:      make(map[*wire]struct{}),
	}
}

// Transport connects a node to the network. A node with the same identity that is
// there already is crashed first: this is its restart.
func (n *Network) Transport(l Local) p2p.Transport {
	id := l.Identity.ID()
	n.Crash(id)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joined++
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], 10<<24|n.joined&0xffffff)
	t := newTransport(n, l, netip.AddrPortFrom(netip.AddrFrom4(ip), 4747))
	n.transports[id] = t
	return t
}

// Partition cuts the way between a and b. Existing links fall silent, what is on
// its way stays on its way, and dialling gives p2p.ErrUnreachable.
func (n *Network) Partition(a, b p2p.ID) { n.cut(a, b, true) }

// Heal undoes Partition. Links that still live get everything that was held up.
func (n *Network) Heal(a, b p2p.ID) { n.cut(a, b, false) }

func (n *Network) cut(a, b p2p.ID, on bool) {
	key := keyOf(a, b)
	n.mu.Lock()
	defer n.mu.Unlock()
	if on {
		n.cuts[key] = true
	} else {
		delete(n.cuts, key)
	}
	for w := range n.wires {
		if w.key == key {
			w.hold(on)
		}
	}
}

// Crash takes a node away as a power cut does: its own links break at once, its
// peers hear nothing more of it and have to find out. Its transport is closed.
// Crashing a node that is not there does nothing.
func (n *Network) Crash(id p2p.ID) {
	n.mu.Lock()
	t := n.transports[id]
	delete(n.transports, id)
	for w := range n.wires {
		for _, e := range w.ends {
			if e.self == id {
				w.crash(e)
				delete(n.wires, w)
			}
		}
	}
	n.mu.Unlock()
	if t != nil {
		t.crashed()
	}
}

// lookup returns the transport of to as far as from can reach it.
func (n *Network) lookup(from, to p2p.ID) *Transport {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cuts[keyOf(from, to)] {
		return nil
	}
	return n.transports[to]
}

// remove forgets a transport that was closed.
func (n *Network) remove(t *Transport) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.transports[t.id] == t {
		delete(n.transports, t.id)
	}
}

// connect lays a wire between two nodes. The result is nil if one of them is gone
// by now.
func (n *Network) connect(a, b *Transport) *wire {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := keyOf(a.id, b.id)
	if n.transports[a.id] != a || n.transports[b.id] != b || n.cuts[key] {
		return nil
	}
	nth := n.links[key]
	n.links[key]++
	seed := binary.BigEndian.Uint64(a.id[:]) ^ binary.BigEndian.Uint64(b.id[:])<<1 ^ nth
	w := newWire(n, key, a, b, rand.New(rand.NewPCG(n.options.Seed, seed)))
	n.wires[w] = struct{}{}
	return w
}

// unplug forgets a wire of which one end was closed.
func (n *Network) unplug(w *wire) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.wires, w)
}
