package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// socketBuffer is asked of the system for both directions of the UDP socket, in
// bytes: 40 ms of a gigabit. Linux gives at most net.core.rmem_max.
const socketBuffer = 4 << 20

// port is one number, bound for UDP and TCP.
type port struct {
	udp *net.UDPConn
	tcp net.Listener
}

func (p port) addr() netip.AddrPort {
	a := p.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// listenPort binds UDP and TCP of address, "host:port". Port 0 is any number that
// is free for both; with anyPort, so is a number that is taken.
func listenPort(ctx context.Context, address string, anyPort bool) (port, error) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return port{}, fmt.Errorf("rtc: listen %q: %w", address, err)
	}
	if number != "0" {
		p, err := listenBoth(ctx, address)
		if err == nil || !anyPort || !errors.Is(err, syscall.EADDRINUSE) {
			return p, err
		}
	}
	// The system picks a number that is free for UDP; one in a few thousand is
	// taken for TCP.
	for range 20 {
		var p port
		if p, err = listenBoth(ctx, net.JoinHostPort(host, "0")); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return p, err
		}
	}
	return port{}, err
}

func listenBoth(ctx context.Context, address string) (port, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return port{}, fmt.Errorf("rtc: listen %s: %w", address, err)
	}
	u := c.(*net.UDPConn)
	// What the system gives is enough to work; less only costs speed.
	_ = u.SetReadBuffer(socketBuffer)
	_ = u.SetWriteBuffer(socketBuffer)
	host, _, err := net.SplitHostPort(address)
	if err == nil {
		address = net.JoinHostPort(host, fmt.Sprint(u.LocalAddr().(*net.UDPAddr).Port))
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		_ = u.Close()
		return port{}, fmt.Errorf("rtc: listen %s: %w", address, err)
	}
	return port{udp: u, tcp: l}, nil
}
