package rtc

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// maxAddrs bounds how many addresses of its own a node offers.
const maxAddrs = 16

// netInterface is what the choice of addresses needs to know of an interface.
type netInterface struct {
	Name     string
	Up       bool
	Loopback bool
	Addrs    []netip.Addr
}

// ownAddrs chooses the addresses at which others can try a socket that is bound
// to bound: that address alone, or, for a wildcard, those of all interfaces that
// lead out of this computer. Loopback is among them exactly when the socket is
// bound to it or no other interface is up.
func ownAddrs(bound netip.Addr, interfaces []netInterface) []netip.Addr {
	if !bound.IsUnspecified() {
		return []netip.Addr{bound}
	}
	var out, loop []netip.Addr
	for _, i := range interfaces {
		if !i.Up || virtual(i.Name) {
			continue
		}
		for _, a := range i.Addrs {
			switch a = a.Unmap(); {
			case bound.Is4() && !a.Is4() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
			case a.IsLoopback():
				loop = append(loop, a)
			case !i.Loopback:
				out = append(out, a)
			}
		}
	}
	if len(out) == 0 {
		out = loop
	}
	// IPv4 first: what one household shares without a router's help.
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	out = slices.Compact(out)
	return out[:min(len(out), maxAddrs)]
}

// virtual names the interfaces of bridges and containers: their addresses are the
// same on every computer, so that they lead to a wrong one, or nowhere.
func virtual(name string) bool {
	for _, prefix := range []string{"docker", "veth", "br-", "cni", "virbr"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// sameFamily tells addresses of a's protocol, IPv4 or IPv6.
func sameFamily(a netip.AddrPort) func(netip.AddrPort) bool {
	return func(b netip.AddrPort) bool { return a.Addr().Unmap().Is4() == b.Addr().Unmap().Is4() }
}

// apart reports whether theirs, if there are any, are all of a protocol that no address
// of own has: IPv6 only here, and IPv4 only there, or the other way round.
func apart(own, theirs []netip.AddrPort) bool {
	return len(theirs) > 0 && !slices.ContainsFunc(theirs, func(a netip.AddrPort) bool {
		return slices.ContainsFunc(own, sameFamily(a))
	})
}

// reachable reports whether a peer may send this node to addr: never to a whole
// network, to whatever hangs on the same wire, or to this computer itself unless
// that is where the node lives.
func reachable(addr netip.AddrPort, loopback bool) bool {
	a := addr.Addr().Unmap()
	switch {
	case !a.IsValid(), addr.Port() == 0, a.Zone() != "":
		return false
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), nowhere(a), virtualBlock.Contains(a):
		return false
	case a.IsLoopback():
		return loopback
	}
	return true
}

// nowhere reports whether a is one of the IPv4 addresses that no computer has:
// 0.0.0.0/8, and from 240.0.0.0 up to the broadcast address.
func nowhere(a netip.Addr) bool {
	return a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240)
}

// readInterfaces asks the system.
func readInterfaces() ([]netInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("rtc: interfaces: %w", err)
	}
	var out []netInterface
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		n := netInterface{Name: i.Name, Up: i.Flags&net.FlagUp != 0, Loopback: i.Flags&net.FlagLoopback != 0}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.Addrs = append(n.Addrs, p.Addr())
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// public reports whether a is an address of the Internet: one that is the same
// whoever writes it.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedBlock.Contains(a) && !virtualBlock.Contains(a)
}

// sharedBlock are the addresses behind the routers of providers (RFC 6598).
var sharedBlock = netip.MustParsePrefix("100.64.0.0/10")
