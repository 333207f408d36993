package mirror

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrForbidden: nobody else may send this node there.
var ErrForbidden = errors.New("not a public address")

// A guard judges whom others may send this node to.
type guard struct {
	// outside returns further addresses at which this node, or its router, answers.
	outside func() []netip.Addr
	// nets returns the networks that this computer is in.
	nets func() ([]netip.Prefix, error)
}

// control implements net.Dialer.Control: the last word before a connection is made.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w", address, ErrForbidden)
	}
	if why := g.judge(to); why != "" {
		return fmt.Errorf("%s: %w: %s", to, ErrForbidden, why)
	}
	return nil
}

func (g guard) judge(to netip.AddrPort) string {
	if !fitPort(int(to.Port())) {
		return "not a port of web servers"
	}
	nets, err := g.nets()
	if err != nil {
		return "this computer's own networks are not known: " + err.Error()
	}
	a, inner := to.Addr().Unmap(), embedded(to.Addr())
	for _, i := range inner {
		if why := judge(i); why != "" {
			return why
		}
	}
	for _, i := range append(inner, a) {
		for _, n := range nets {
			if n.Contains(i) {
				return "in a network of this computer"
			}
		}
		if g.outside != nil && slices.ContainsFunc(g.outside(), func(o netip.Addr) bool { return o.Unmap() == i }) {
			return "this node, or its router"
		}
	}
	return ""
}

// fitPort tells the ports that web servers have: what else listens below 1024 could
// take a request for something else.
func fitPort(port int) bool { return port == 80 || port == 443 || port >= 1024 }

// checkURL says before a name is looked up what is wrong with a URL, or returns "".
func checkURL(u *url.URL) string {
	if port := u.Port(); port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || !fitPort(n) {
			return "not a port of web servers"
		}
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	if !strings.Contains(host, ".") {
		return "a name of the local network"
	}
	for _, local := range []string{".localhost", ".local", ".internal", ".home.arpa", ".lan"} {
		if strings.HasSuffix(host, local) {
			return "a name of the local network"
		}
	}
	return ""
}

// Ways to carry IPv4 addresses in IPv6.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
	teredo = netip.MustParsePrefix("2001::/32")    // RFC 4380
)

// embedded returns the addresses that one stands for: those of IPv4 that it carries,
// or it itself.
func embedded(a netip.Addr) []netip.Addr {
	a = a.Unmap()
	if a.Is4() || a.Zone() != "" {
		return []netip.Addr{a}
	}
	b := a.As16()
	four := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i:])) }
	switch {
	case nat64.Contains(a):
		return []netip.Addr{four(12)}
	case sixTo4.Contains(a):
		return []netip.Addr{four(2)}
	case teredo.Contains(a): // the server, and the client with all bits turned
		return []netip.Addr{four(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return []netip.Addr{a}
}

// unicast6 is all of IPv6 that is public (RFC 4291 §2.4, IANA's registry).
var unicast6 = netip.MustParsePrefix("2000::/3")

type block struct {
	prefix netip.Prefix
	what   string
}

// special are the blocks that are not of the Internet though they could be: those of
// the IANA IPv4 and IPv6 Special-Purpose Address Registries that are not globally
// reachable, and one that a cloud has taken.
var special = []block{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network (RFC 791)"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private (RFC 1918)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "behind a provider's router (RFC 6598)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "this computer"},
	{netip.MustParsePrefix("169.254.0.0/16"), "of one wire (RFC 3927)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private (RFC 1918)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "for protocols (RFC 6890)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation (RFC 5737)"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a relay for 6to4 (RFC 7526)"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private (RFC 1918)"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for measurements (RFC 2544)"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation (RFC 5737)"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation (RFC 5737)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "of many computers"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved (RFC 1112)"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's own service (Azure)"},
	{netip.MustParsePrefix("2001::/23"), "for protocols (RFC 2928)"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation (RFC 3849)"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation (RFC 9637)"},
}

// judge says what is wrong with an address that carries no other, or returns "".
func judge(a netip.Addr) string {
	switch {
	case !a.IsValid() || a.Zone() != "":
		return "of one wire"
	case a.IsLoopback():
		return "this computer"
	case a.Is6() && !unicast6.Contains(a):
		return "not an address of the Internet"
	}
	for _, b := range special {
		if b.prefix.Contains(a) {
			return b.what
		}
	}
	return ""
}

// ownNets asks the system for the networks that this computer is in.
func ownNets() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var nets []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(n.IP)
		ones, size := n.Mask.Size()
		if addr = addr.Unmap(); !ok || size != addr.BitLen() {
			continue
		}
		if ones < size/4 { // of a mask that says nothing, the address itself remains
			ones = size
		}
		nets = append(nets, netip.PrefixFrom(addr, ones).Masked())
	}
	return nets, nil
}
