package lesson

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/shoal-p2p/shoal/p2p/nat"
)

// settled is when all that a check has sent has come, or never will.
const settled = 200 * time.Millisecond

// check does what nat.Service does: three views of a fresh socket, three attempts to get into another
// one, and a call back to the p2p port.
func (p *play) check(h *host) {
	o := &nat.Observations{
		Own: []netip.Addr{h.addr.Addr()}, Port: h.addr, Linked: len(p.public), Scope: nat.ScopePublic,
		UDP: nat.Silent, IPv4: nat.Silent, Filtering: nat.FilteringTrial{Control: nat.Silent, OtherPort: nat.Silent},
	}
	r := p.public[0]
	another := netip.AddrPortFrom(r.addr.Addr(), side)
	view := h.socket()
	p.ask(h, h.addr, r.addr, func(seen netip.AddrPort) {
		h.seen[r.name] = seen
		o.UDP, o.IPv4 = nat.Came, nat.Came
		o.Seen = append(o.Seen, nat.Sighting{By: r.addr, At: seen})
	})
	p.ask(h, view, r.addr, func(seen netip.AddrPort) { o.Mapping.First = seen })
	p.ask(h, view, another, func(seen netip.AddrPort) { o.Mapping.OtherPort = seen })
	if len(p.public) > 1 {
		p.ask(h, view, p.public[1].addr, func(seen netip.AddrPort) { o.Mapping.OtherAddr = seen })
	}
	p.After(settled, func() { p.checkFilter(h, r, o) })
}

// socket is an address of a fresh socket.
func (h *host) socket() netip.AddrPort {
	h.fresh++
	return netip.AddrPortFrom(h.addr.Addr(), h.fresh)
}

func (p *play) checkFilter(h, r *host, o *nat.Observations) {
	p.Say(h.name, "opens a socket and sends to "+r.addr.String()+" only; then others try to get in")
	p.ask(h, h.socket(), r.addr, func(seen netip.AddrPort) {
		probe := func(by *host, from netip.AddrPort, what string, outcome *nat.Outcome) {
			*outcome = nat.Silent
			p.packet(by, from, seen, fmt.Sprintf("Probe from %s, %s", from, what), func(*host, netip.AddrPort) { *outcome = nat.Came })
		}
		probe(r, r.addr, "to which it has sent", &o.Filtering.Control)
		probe(r, netip.AddrPortFrom(r.addr.Addr(), side), "another port", &o.Filtering.OtherPort)
		if len(p.public) > 1 {
			probe(p.public[1], p.public[1].addr, "another address", &o.Filtering.OtherAddr)
		}
	})
	p.After(settled, func() { p.checkReach(h, o) })
}

func (p *play) checkReach(h *host, o *nat.Observations) {
	by := p.public[len(p.public)-1]
	if at, ok := p.outside(h); ok {
		from := netip.AddrPortFrom(by.addr.Addr(), side+1)
		back := nat.CallBack{To: at, Outcome: nat.Silent}
		p.packet(by, from, at, fmt.Sprintf("Call back to %s, from a port that %s never sent anything to", at, h.name), func(*host, netip.AddrPort) { back.Outcome = nat.Came })
		p.After(settled, func() {
			o.Reach = []nat.CallBack{back}
			if len(h.router.forwards) > 0 {
				o.PortMapping = nat.PortMapping{PCP: nat.Working, External: at, Router: at.Addr()}
			}
			p.judge(h, *o)
		})
		return
	}
	p.judge(h, *o)
}

// judge says what package nat makes of it.
func (p *play) judge(h *host, o nat.Observations) {
	report := nat.Judge(o)
	for _, f := range report.Findings {
		switch f.About {
		case "external", "mapping", "filtering", "reachable":
			p.Say(h.name, "finds, "+f.About+": "+f.Sentence)
		}
	}
	c := nat.Changed{Mapping: report.Mapping, Filtering: report.Filtering, Reachable: report.Reachable.Bool()}
	if report.External.IsValid() {
		c.External = report.External.String()
	}
	p.events = append(p.events, c)
}
