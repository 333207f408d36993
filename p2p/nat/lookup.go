package nat

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const lookUpTimeout = 5 * time.Second

// LookUp returns the addresses of a server, "name:port", at most two of each family.
// The name may be an address.
func LookUp(ctx context.Context, server string) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	name, port, err := net.SplitHostPort(server)
	if err != nil {
		return nil, fmt.Errorf("nat: server %q: %w", server, err)
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, fmt.Errorf("nat: server %q: %w", server, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("nat: server %q: %w", server, err)
	}
	count := map[bool]int{}
	var out []netip.AddrPort
	for _, ip := range ips {
		ip = ip.Unmap()
		if count[ip.Is4()]++; count[ip.Is4()] <= 2 {
			out = append(out, netip.AddrPortFrom(ip, uint16(number)))
		}
	}
	return out, nil
}
