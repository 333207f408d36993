package portmap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// maxStray bounds how many datagrams of the router may be something else before
// it is given up.
const maxStray = 32

// ask sends a request to the router until accept takes an answer, which it does
// by returning true, or ctx ends. The pauses double from a quarter of a second
// (RFC 6886 §3.1). The socket is connected, so that the system drops what comes
// from any other address.
func ask(ctx context.Context, own netip.Addr, router netip.AddrPort, request []byte, accept func([]byte) bool) error {
	conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own, 0)), net.UDPAddrFromAddrPort(router))
	if err != nil {
		return fmt.Errorf("a socket to %s cannot be had: %w", router, err)
	}
	end := func() { _ = conn.Close() } // nothing is lost with it
	defer end()
	// It closes, because the loop would set its own deadline over another.
	defer context.AfterFunc(ctx, end)()

	buf := make([]byte, pcpMaxSize+1)
	stray := 0
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		if _, err := conn.Write(request); err != nil {
			return unanswered(ctx, router, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(pause)); err != nil {
			return unanswered(ctx, router, err)
		}
		for {
			n, err := conn.Read(buf)
			if isTimeout(err) {
				break
			}
			if err != nil {
				return unanswered(ctx, router, err)
			}
			if accept(buf[:n]) {
				return nil
			}
			if stray++; stray >= maxStray {
				return fmt.Errorf("%s answers something else", router)
			}
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// unanswered says why there is no answer.
func unanswered(ctx context.Context, router netip.AddrPort, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s does not answer", router)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens at %s", router)
	}
	return fmt.Errorf("%s cannot be asked: %w", router, err)
}
