package portmap

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
)

func systemGateway(v6 bool) (gateway, own netip.Addr, err error) {
	name := "/proc/net/route"
	if v6 {
		name = "/proc/net/ipv6_route"
	}
	f, err := os.Open(name)
	if err != nil {
		return gateway, own, fmt.Errorf("portmap: the routing table: %w", err)
	}
	defer f.Close()
	if !v6 {
		if gateway, err = parseRoutes4(f, binary.NativeEndian); err == nil {
			own, err = ownAddr(gateway)
		}
		return gateway, own, err
	}
	if gateway, err = parseRoutes6(f); err == nil {
		// Towards the router itself it would be a link-local address.
		own, err = ownAddr(netip.MustParseAddr("2000::"))
	}
	return gateway, own, err
}
