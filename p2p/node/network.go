package node

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
	"github.com/shoal-p2p/shoal/p2p/nat"
	"github.com/shoal-p2p/shoal/p2p/nat/portmap"
)

// reacher is a transport over a real network, which wants to know how others see it.
type reacher interface {
	Port() uint16
	SetMapped([]netip.AddrPort)
	SetReach(rtc.Reach)
	KnownRelays() []rtc.RelayState
}

// newNetwork makes the part that finds out how this node is seen from outside.
func (n *Node) newNetwork(o Options) *nat.Service {
	return nat.New(nat.Options{
		Links: n.links.all, Addrs: n.addrsOf, Announced: o.Announce, Servers: n.stun.addrs,
		PortMapping: n.portMapping, Relays: n.relays,
		Publish: n.networkChanged, Logger: n.log,
	})
}

// newRouter makes the part that asks the router for the p2p port, unless nobody could
// come to it or the owner does not want that.
func (n *Node) newRouter(o Options) *portmap.Mapper {
	t, ok := n.transport.(reacher)
	if o.NoPortMap || o.Transport != nil || !ok || onLoopback(o.Listen) {
		return nil
	}
	return portmap.New(portmap.Options{Port: t.Port(), Logger: n.log})
}

// addrsOf returns where a member says that its p2p port is.
func (n *Node) addrsOf(id p2p.ID) []netip.AddrPort {
	m, ok := n.members.Member(id)
	if !ok {
		return nil
	}
	return m.Contact.Addrs
}

// networkChanged hands the events of a check on, and tells the transport what it has
// found.
func (n *Node) networkChanged(e p2p.Event) {
	if t, ok := n.transport.(reacher); ok {
		reach := rtc.ReachUnknown
		switch n.network.Report().Reachable {
		case nat.Yes:
			reach = rtc.ReachOpen
		case nat.No:
			reach = rtc.ReachClosed
		}
		t.SetReach(reach)
	}
	n.events.publish(e)
}

// watchRouter keeps the mapping of the p2p port, and tells everybody who has to know.
func (n *Node) watchRouter(ctx context.Context) error {
	if n.router == nil {
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- n.router.Run(ctx) }()
	var last []netip.AddrPort
	for {
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		case <-n.router.Changed():
		}
		mapped := mappedAddrs(n.router.Status())
		n.transport.(reacher).SetMapped(mapped)
		if !slices.Equal(mapped, last) {
			n.network.Hint() // can others come to it?
		}
		for _, e := range mappings(last, n.router.Status()) {
			n.events.publish(e)
		}
		last = mapped
	}
}

// mappedAddrs are the outside addresses of the p2p port that are of use to others.
func mappedAddrs(s portmap.Status) []netip.AddrPort {
	var out []netip.AddrPort
	for _, m := range s.Mappings {
		if m.Proto == "udp" && !s.DoubleNAT {
			out = append(out, m.External)
		}
	}
	return out
}

// mappings are the events of a change.
func mappings(before []netip.AddrPort, s portmap.Status) []p2p.Event {
	now := mappedAddrs(s)
	var out []p2p.Event
	for _, a := range now {
		if !slices.Contains(before, a) {
			for _, m := range s.Mappings {
				if m.External == a {
					out = append(out, Mapped{Protocol: string(m.Protocol), External: a.String()})
					break
				}
			}
		}
	}
	for _, a := range before {
		if !slices.Contains(now, a) {
			out = append(out, Unmapped{External: a.String()})
		}
	}
	return out
}

// portMapping is what the router was asked for, as the report has it.
func (n *Node) portMapping() nat.PortMapping {
	if n.router == nil {
		return nat.PortMapping{}
	}
	s := n.router.Status()
	p := nat.PortMapping{
		UPnP: verdict(s, portmap.UPnP), NATPMP: verdict(s, portmap.NATPMP), PCP: verdict(s, portmap.PCP),
		Router: s.External,
	}
	if addrs := mappedAddrs(s); len(addrs) > 0 {
		p.External = addrs[0]
	}
	return p
}

func verdict(s portmap.Status, q portmap.Protocol) nat.Verdict {
	return nat.Verdict(s.Protocols[q].Verdict)
}

// relays are those that this node knows, as the report has them.
func (n *Node) relays() []nat.Relay {
	t, ok := n.transport.(reacher)
	if !ok {
		return nil
	}
	var out []nat.Relay
	for _, r := range t.KnownRelays() {
		name := n.nameOf(r.ID)
		if r.ID.IsZero() {
			name = r.Addr.String()
		}
		out = append(out, nat.Relay{ID: r.ID, Name: name, RTT: r.RTT, InUse: r.InUse})
	}
	return out
}

// ownRelays returns the members that relay for this node, because nobody reaches it.
func (n *Node) ownRelays() []p2p.ID {
	if t, ok := n.transport.(interface{ Relays() []p2p.ID }); ok {
		return t.Relays()
	}
	return nil
}

// relaysOf returns the members at which a member says that it is reached.
func (n *Node) relaysOf(id p2p.ID) []p2p.ID {
	m, ok := n.members.Member(id)
	if !ok {
		return nil
	}
	return m.Contact.Relays
}

// relaysFor reports whether this node relays for a member, and for how long the link to it has
// been gone.
func (n *Node) relaysFor(id p2p.ID) (gone time.Duration, ok bool) {
	if serves := n.serves.Load(); serves == nil || !(*serves)(id) {
		return 0, false
	}
	return n.links.gone(id)
}

// Network reports how this node is seen from outside, as the last check found it.
func (n *Node) Network() nat.Report { return n.withGiven(n.network.Report()) }

// withGiven adds to a report what this node's relays have of it now.
func (n *Node) withGiven(r nat.Report) nat.Report {
	given := n.overlay.Given()
	r.Relays = slices.Clone(r.Relays)
	for i := range r.Relays {
		g := given[r.Relays[i].ID]
		r.Relays[i].Given, r.Relays[i].Known = g.At, g.Known
	}
	return r
}

// CheckNetwork finds it out again, which takes some seconds.
func (n *Node) CheckNetwork(ctx context.Context) (nat.Report, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return nat.Report{}, err
	}
	defer leave()
	r, err := n.network.Check(ctx)
	return n.withGiven(r), err
}
