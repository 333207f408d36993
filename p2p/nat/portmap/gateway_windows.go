package portmap

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// systemGateway returns the gateway of the adapter that has the address with which
// the system would go out.
func systemGateway(v6 bool) (gateway, own netip.Addr, err error) {
	family, out := uint32(windows.AF_INET), "192.0.2.1"
	if v6 {
		family, out = windows.AF_INET6, "2000::"
	}
	if own, err = ownAddr(netip.MustParseAddr(out)); err != nil {
		return gateway, own, fmt.Errorf("%w: %w", ErrNoGateway, err)
	}
	const most = 1 << 20
	size := uint32(16 << 10)
	for {
		buf := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0]))
		err := windows.GetAdaptersAddresses(family, windows.GAA_FLAG_INCLUDE_GATEWAYS, 0, first, &size)
		if err == windows.ERROR_BUFFER_OVERFLOW && size > uint32(len(buf)) && size <= most {
			continue
		}
		if err != nil {
			return gateway, own, fmt.Errorf("portmap: the adapters: %w", err)
		}
		for a := first; a != nil; a = a.Next {
			if gateway = adapterGateway(a, own); gateway.IsValid() {
				return gateway, own, nil
			}
		}
		return gateway, own, ErrNoGateway
	}
}

// adapterGateway returns the adapter's gateway, if own is its address.
func adapterGateway(a *windows.IpAdapterAddresses, own netip.Addr) netip.Addr {
	for u := a.FirstUnicastAddress; u != nil; u = u.Next {
		if has, ok := netip.AddrFromSlice(u.Address.IP()); !ok || has.Unmap() != own {
			continue
		}
		for g := a.FirstGatewayAddress; g != nil; g = g.Next {
			addr, ok := netip.AddrFromSlice(g.Address.IP())
			if addr = addr.Unmap(); !ok || addr.Is4() != own.Is4() {
				continue
			}
			if addr.IsLinkLocalUnicast() && addr.Is6() {
				addr = addr.WithZone(fmt.Sprint(a.Ipv6IfIndex))
			}
			return addr
		}
	}
	return netip.Addr{}
}
