package rtc

import (
	"net/netip"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Bounds of what a node offers of each kind in one description, and of what it
// tries of a peer's.
const (
	maxOwn       = 10
	maxAnnounced = 4
	maxReflexive = 3
	maxRelayed   = 2
	maxStreams   = 4
)

// relayGrace is for how long relays are not tried: most pairs of routers let packets
// pass in that time. streamGrace is the same for TCP.
const (
	relayGrace  = time.Second
	streamGrace = 1500 * time.Millisecond
)

// target is a candidate of the peer as this node tries it: ICE sends to at.
type target struct {
	candidate
	at netip.AddrPort
}

// candidates are the addresses that this node offers in a description, best first.
func (t *Transport) candidates() []candidate {
	var out []candidate
	add := func(c candidate) {
		if !slices.ContainsFunc(out, c.same) {
			out = append(out, c)
		}
	}
	own := t.own()
	own, announced := own[:min(len(own), maxOwn)], t.announced()
	announced = announced[:min(len(announced), maxAnnounced)]
	for _, a := range own {
		add(candidate{Addr: a, Kind: p2p.PathDirect})
	}
	for _, a := range announced {
		add(candidate{Addr: a, Kind: p2p.PathMapped})
	}
	for _, a := range t.seen.addrs(time.Now(), maxReflexive) {
		add(candidate{Addr: a, Kind: p2p.PathPunched})
	}
	for _, a := range append(slices.Clone(announced), own...)[:min(maxStreams, len(announced)+len(own))] {
		add(candidate{Addr: a, Kind: kindOf(out, a), TCP: true})
	}
	for _, c := range t.relays.addrs(maxRelayed) {
		add(c)
	}
	return out
}

// route says how the candidates of a peer are reached: each over the socket, if
// the socket can send to it, or through a tunnel. Through the relays of others,
// which send to any address, each is tried as well. What was routed is held until
// unroute. A TCP connection may be silent for as long as idle.
func (t *Transport) route(offered []candidate, idle time.Duration) []target {
	var out []target
	now := time.Now()
	through := func(via tunnel, to netip.AddrPort, c candidate, wait time.Duration) {
		if v, err := t.mux.virtual(via, to, now.Add(wait)); err == nil {
			c.virtual = true
			out = append(out, target{c, v})
		}
	}
	streams := 0
	for _, c := range offered {
		switch {
		case c.TCP && streams < maxStreams:
			streams++
			through(newStream(t.mux, c.Addr, idle), c.Addr, c, streamGrace)
		case c.TCP:
		case !c.Relay.IsZero():
			if r := t.relays.at(c.Relay); r != nil {
				through(r, c.Addr, c, relayGrace)
			}
		default:
			out = append(out, target{c, c.Addr})
			for _, r := range t.relays.foreign() {
				if public(c.Addr.Addr()) {
					relayed := c
					relayed.Kind = p2p.PathRelayed
					through(r, c.Addr, relayed, relayGrace)
				}
			}
		}
	}
	t.meets(plain(offered))
	return out
}

// plain are the addresses of a peer to which datagrams go without a tunnel or a relay.
func plain(offered []candidate) (out []netip.AddrPort) {
	for _, c := range offered {
		if !c.TCP && c.Kind != p2p.PathRelayed {
			out = append(out, c.Addr)
		}
	}
	return out
}

func (t *Transport) unroute(targets []target) {
	for _, g := range targets {
		if g.virtual {
			t.mux.unroute(g.at)
		}
	}
}

// told is what ICE is told of the peer that d describes.
func told(d description, targets []target) description {
	d.Candidates, d.Repair = nil, false
	for _, g := range targets {
		c := g.candidate
		c.Addr, c.TCP, c.Relay = g.at, false, p2p.ID{}
		d.Candidates = append(d.Candidates, c)
	}
	return d
}
