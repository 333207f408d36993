package lan

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// maxSubnets bounds how many local networks a node takes part in.
const maxSubnets = 16

// device is what the choice of local networks needs to know of an interface.
type device struct {
	Index    int
	Flags    net.Flags
	Prefixes []netip.Prefix // its addresses, with the length of their subnets
}

// subnet is a local network that the p2p port can be reached from.
type subnet struct {
	Index    int // of the interface
	Prefixes []netip.Prefix
	Addrs    []netip.Addr // of the p2p port there
	Port     uint16
}

// subnets chooses the local networks: of interfaces that reach many others at once and
// have an address at which the p2p port answers, as own lists them.
func subnets(devices []device, own []netip.AddrPort) []subnet {
	const useful = net.FlagUp | net.FlagMulticast
	var out []subnet
	for _, d := range devices {
		if d.Flags&useful != useful || d.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0 {
			continue
		}
		n := subnet{Index: d.Index, Prefixes: d.Prefixes}
		for _, a := range own {
			if !slices.ContainsFunc(d.Prefixes, func(p netip.Prefix) bool { return p.Addr() == a.Addr() }) {
				continue
			}
			if n.Port == 0 {
				n.Port = a.Port()
			}
			if a.Port() == n.Port && !slices.Contains(n.Addrs, a.Addr()) && len(n.Addrs) < maxAddrs {
				n.Addrs = append(n.Addrs, a.Addr())
			}
		}
		if n.Port != 0 && len(out) < maxSubnets {
			out = append(out, n)
		}
	}
	return out
}

// equal reports whether nothing has changed.
func (n subnet) equal(o subnet) bool {
	return n.Index == o.Index && n.Port == o.Port && slices.Equal(n.Addrs, o.Addrs) && slices.Equal(n.Prefixes, o.Prefixes)
}

// has reports whether the interface has an address of the family, and so can send.
func (n subnet) has(v4 bool) bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() == v4 })
}

// hears reports whether somebody at a can be in this network: who sends from elsewhere
// comes through a router, or lies (RFC 6762 §11).
func (n subnet) hears(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// allows reports whether a node that was heard in this network can have the address a.
func (n subnet) allows(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.Is4In6() || a.Zone() != "" {
		return false // unspecified, loopback, link-local, a group, or the IPv4 broadcast
	}
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) && !edge(p, a) })
}

// edge reports whether a is the network's or the broadcast address of an IPv4 subnet.
func edge(p netip.Prefix, a netip.Addr) bool {
	if !a.Is4() || p.Bits() >= 31 {
		return false
	}
	last, mask := p.Masked().Addr().As4(), ^uint32(0)>>p.Bits()
	for i := range last {
		last[i] |= byte(mask >> (24 - 8*i))
	}
	return a == p.Masked().Addr() || a == netip.AddrFrom4(last)
}

// devices asks the system.
func devices() ([]device, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("lan: interfaces: %w", err)
	}
	var out []device
	for _, i := range all {
		d := device{Index: i.Index, Flags: i.Flags}
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				d.Prefixes = append(d.Prefixes, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
			}
		}
		out = append(out, d)
	}
	return out, nil
}
