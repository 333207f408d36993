//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package portmap

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
)

// systemGateway reads the routing table (route(4)).
func systemGateway(v6 bool) (gateway, own netip.Addr, err error) {
	//lint:ignore SA1019 its successor is outside of the standard library
	table, err := syscall.RouteRIB(syscall.NET_RT_DUMP, 0)
	if err != nil {
		return gateway, own, fmt.Errorf("portmap: the routing table: %w", err)
	}
	//lint:ignore SA1019 as above
	messages, err := syscall.ParseRoutingMessage(table)
	if err != nil {
		return gateway, own, fmt.Errorf("portmap: the routing table: %w", err)
	}
	for _, m := range messages {
		//lint:ignore SA1019 as above
		route, ok := m.(*syscall.RouteMessage)
		if !ok || !isDefault(int(route.Header.Flags)) {
			continue
		}
		//lint:ignore SA1019 as above
		addrs, err := syscall.ParseRoutingSockaddr(m)
		if err != nil || len(addrs) <= syscall.RTAX_GATEWAY {
			continue
		}
		to, via := sockAddr(addrs[syscall.RTAX_DST]), sockAddr(addrs[syscall.RTAX_GATEWAY])
		if !to.IsUnspecified() || !via.IsValid() || via.Is6() != v6 {
			continue
		}
		target := via
		if v6 {
			target = netip.MustParseAddr("2000::") // towards the router it would be a link-local address
		}
		own, err = ownAddr(target)
		return via, own, err
	}
	return gateway, own, ErrNoGateway
}

// isDefault reports whether a route can be the default one for all programs.
func isDefault(flags int) bool {
	const scoped = 0x1000000 // RTF_IFSCOPE of Darwin: for programs that name the interface
	if runtime.GOOS == "darwin" && flags&scoped != 0 {
		return false
	}
	const want = syscall.RTF_UP | syscall.RTF_GATEWAY
	return flags&want == want && flags&syscall.RTF_HOST == 0
}

func sockAddr(s syscall.Sockaddr) netip.Addr {
	switch s := s.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrFrom4(s.Addr)
	case *syscall.SockaddrInet6:
		a := netip.AddrFrom16(s.Addr)
		if ifi, err := net.InterfaceByIndex(int(s.ZoneId)); err == nil && a.IsLinkLocalUnicast() {
			a = a.WithZone(ifi.Name)
		}
		return a
	}
	return netip.Addr{}
}
