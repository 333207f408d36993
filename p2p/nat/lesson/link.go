package lesson

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// link makes a link between two hosts that are both linked to via: an offer and an answer through it,
// then checks from both sides at the same time, and the relay where none gets through.
func (p *play) link(from, to, via *host) {
	a, ok := p.outside(from)
	_, knows := via.knows[to.name]
	if !ok || to.router != nil && !knows {
		p.Say(from.name, fmt.Sprintf("cannot reach %s: both have to ask %s how they are seen first", to.name, via.name))
		return
	}
	for _, h := range []*host{from, to} {
		clear(h.found)
		clear(h.heard)
	}
	p.packet(from, from.addr, via.addr, fmt.Sprintf("Offer for %s: I am at %s", to.name, a), func(r *host, shown netip.AddrPort) {
		r.knows[from.name] = shown
		p.pass(via, to, fmt.Sprintf("Offer of %s: at %s", from.name, a), func() {
			b, _ := p.outside(to)
			p.packet(to, to.addr, via.addr, fmt.Sprintf("Answer for %s: I am at %s", from.name, b), func(*host, netip.AddrPort) {
				p.pass(via, from, fmt.Sprintf("Answer of %s: at %s", to.name, b), func() { p.knock(from, to, b) })
			})
			p.knock(to, from, a)
			p.After(patience, func() { p.relay(from, to, via) })
		})
	})
}

// pass hands something to a host over the way that it has opened itself.
func (p *play) pass(via, to *host, text string, then func()) {
	at := to.addr
	if to.router != nil {
		at = via.knows[to.name]
	}
	p.packet(via, via.addr, at, text, func(*host, netip.AddrPort) { then() })
}

// knock sends the checks of one side (RFC 8445), until an answer has come.
func (p *play) knock(h, to *host, at netip.AddrPort) {
	for i := range checks {
		p.After(time.Duration(i)*every, func() {
			if !h.found[to.name] && !h.heard[to.name].IsValid() {
				p.checkOnce(h, to, at)
			}
		})
	}
}

func (p *play) checkOnce(h, to *host, at netip.AddrPort) {
	p.packet(h, h.addr, at, fmt.Sprintf("Check, to %s", at), func(_ *host, shown netip.AddrPort) {
		// Whoever gets one answers to where it came from, which may be an address that nobody has told
		// him, and checks that way too (a triggered check).
		p.packet(to, to.addr, shown, "Check answered", func(*host, netip.AddrPort) {
			if !h.found[to.name] {
				h.found[to.name] = true
				p.linked(h, to, at, shown)
			}
		})
		if !to.found[h.name] && to.heard[h.name] != shown {
			to.heard[h.name] = shown
			p.checkOnce(to, h, shown)
		}
	})
}

// linked says which kind of way it is, as package rtc does.
func (p *play) linked(h, to *host, at, shown netip.AddrPort) {
	kind, how := p2p.PathPunched, "through the holes that both have opened"
	switch {
	case to.router != nil && to.router.forwards[at.Port()].IsValid() || h.router != nil && h.router.forwards[shown.Port()].IsValid():
		kind, how = p2p.PathMapped, "through a port that a router forwards"
	case to.router == nil && h.router == nil:
		kind, how = p2p.PathDirect, "no router is in between"
	case to.router == nil:
		how = "through the hole that its own router has opened"
	}
	p.Say(h.name, fmt.Sprintf("has a way to %s, %s: %s", to.name, kind, how))
	p.events = append(p.events, Linked{h.name, to.name, kind})
}

// relay is the last way: packets go to a member that both reach.
func (p *play) relay(from, to, via *host) {
	if from.found[to.name] || to.found[from.name] {
		return
	}
	p.Say(from.name, fmt.Sprintf("has heard nothing: asks %s to relay", via.name))
	p.packet(from, from.addr, via.addr, fmt.Sprintf("Check for %s, to be relayed", to.name), func(*host, netip.AddrPort) {
		p.pass(via, to, fmt.Sprintf("Check of %s, relayed", from.name), func() {
			p.packet(to, to.addr, via.addr, fmt.Sprintf("Check answered, for %s, to be relayed", from.name), func(*host, netip.AddrPort) {
				p.pass(via, from, fmt.Sprintf("Check answered by %s, relayed", to.name), func() {
					from.found[to.name] = true
					p.Say(from.name, fmt.Sprintf("has a way to %s, %s: %s hands on what it cannot read", to.name, p2p.PathRelayed, via.name))
					p.events = append(p.events, Linked{from.name, to.name, p2p.PathRelayed})
				})
			})
		})
	})
}
