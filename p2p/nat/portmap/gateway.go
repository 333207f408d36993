package portmap

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ErrNoGateway means that no default route leads over a router.
var ErrNoGateway = errors.New("no default route leads over a router")

// Gateway4 returns the router of the IPv4 default route and the own address on its
// side.
func Gateway4() (gateway, own netip.Addr, err error) { return systemGateway(false) }

// Gateway6 does the same for IPv6. There are no ports to translate then, but a
// firewall that PCP can open.
func Gateway6() (gateway, own netip.Addr, err error) { return systemGateway(true) }

// maxRoutes bounds how many lines of a table are read.
const maxRoutes = 1 << 16

// Flags of a route (linux/route.h).
const (
	routeUp      = 0x1
	routeGateway = 0x2
	routeReject  = 0x200
)

// parseRoutes4 returns the router of the default route with the lowest metric in
// the text of Linux's /proc/net/route (proc_net(5)): words in hexadecimal, in the
// order of bytes of the machine, which order names.
func parseRoutes4(r io.Reader, order binary.ByteOrder) (netip.Addr, error) {
	var best netip.Addr
	least := uint64(1 << 63)
	err := eachRoute(r, func(f []string) {
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			return
		}
		raw, err := hex.DecodeString(f[2])
		flags, err2 := strconv.ParseUint(f[3], 16, 32)
		metric, err3 := strconv.ParseUint(f[6], 10, 32)
		if err != nil || err2 != nil || err3 != nil || len(raw) != 4 {
			return // the line of names, or a format of the future
		}
		var a [4]byte
		order.PutUint32(a[:], binary.BigEndian.Uint32(raw))
		if flags&(routeUp|routeGateway|routeReject) == routeUp|routeGateway && metric < least && a != [4]byte{} {
			best, least = netip.AddrFrom4(a), metric
		}
	})
	if err == nil && !best.IsValid() {
		err = ErrNoGateway
	}
	return best, err
}

// parseRoutes6 does the same for /proc/net/ipv6_route, whose addresses are as they
// are sent.
func parseRoutes6(r io.Reader) (netip.Addr, error) {
	var best netip.Addr
	least := uint64(1 << 63)
	err := eachRoute(r, func(f []string) {
		if len(f) < 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" {
			return
		}
		raw, err := hex.DecodeString(f[4])
		metric, err2 := strconv.ParseUint(f[5], 16, 64)
		flags, err3 := strconv.ParseUint(f[8], 16, 32)
		if err != nil || err2 != nil || err3 != nil || len(raw) != 16 {
			return
		}
		a := netip.AddrFrom16([16]byte(raw))
		if flags&(routeUp|routeGateway|routeReject) == routeUp|routeGateway && metric < least && !a.IsUnspecified() {
			if a.IsLinkLocalUnicast() {
				a = a.WithZone(f[9])
			}
			best, least = a, metric
		}
	})
	if err == nil && !best.IsValid() {
		err = ErrNoGateway
	}
	return best, err
}

func eachRoute(r io.Reader, each func(fields []string)) error {
	lines := bufio.NewScanner(r)
	for n := 0; n < maxRoutes && lines.Scan(); n++ {
		each(strings.Fields(lines.Text()))
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("portmap: the routing table: %w", err)
	}
	return nil
}

// ownAddr returns the address that the system uses towards to. Nothing is sent.
func ownAddr(to netip.Addr) (netip.Addr, error) {
	const discard = 9
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, discard)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("portmap: the own address towards %s: %w", to, err)
	}
	defer func() { _ = conn.Close() }()
	a, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}, fmt.Errorf("portmap: the own address towards %s is %s", to, conn.LocalAddr())
	}
	return a.AddrPort().Addr().Unmap(), nil
}

// subnet returns the network of own among the addresses of the interfaces, or just
// own.
func subnet(own netip.Addr, addrs []net.Addr) netip.Prefix {
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == own {
			return p
		}
	}
	return netip.PrefixFrom(own, own.BitLen())
}

// interfaceOf returns the interface that has the address.
func interfaceOf(own netip.Addr) (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("portmap: interfaces: %w", err)
	}
	for i := range all {
		addrs, err := all[i].Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == own {
				return &all[i], nil
			}
		}
	}
	return nil, fmt.Errorf("portmap: no interface has %s", own)
}
