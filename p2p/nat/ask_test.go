package nat

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// udp is a socket on loopback.
func udp(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// serveUDP answers what comes to a socket of its own.
func serveUDP(t *testing.T, answer func(conn *net.UDPConn, b []byte, from netip.AddrPort)) netip.AddrPort {
	t.Helper()
	c, addr := udp(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			answer(c, buf[:n], from)
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		wg.Wait()
	})
	return addr
}

func send(t *testing.T, c *net.UDPConn, b []byte, to netip.AddrPort) {
	if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
		t.Error(err)
	}
}

func TestAsk(t *testing.T) {
	var r Responder
	server := serveUDP(t, func(c *net.UDPConn, b []byte, from netip.AddrPort) {
		send(t, c, r.Respond(b, from, time.Now()), from)
	})
	conn, own := udp(t)
	for range 2 { // the socket can be used again
		mapped, rtt, err := Ask(t.Context(), conn, server)
		if err != nil || mapped != own || rtt <= 0 {
			t.Fatalf("got %v, %v, %v; want %v", mapped, rtt, err, own)
		}
	}
}

// TestAskStandardServer: one that does not know PADDING says so and is asked again.
func TestAskStandardServer(t *testing.T) {
	server := serveUDP(t, func(c *net.UDPConn, b []byte, from netip.AddrPort) {
		m, err := parse(b)
		if err != nil {
			t.Error(err)
		}
		answer := bindingSuccess(m.tx, from)
		if len(b) > headerSize {
			answer = bindingFailure(m.tx, []uint16{attrPadding})
		}
		send(t, c, answer, from)
	})
	conn, own := udp(t)
	if mapped, _, err := Ask(t.Context(), conn, server); err != nil || mapped != own {
		t.Errorf("got %v, %v; want %v", mapped, err, own)
	}
}

// TestAskBelieves: an answer counts only from the server that was asked, and to
// this request.
func TestAskBelieves(t *testing.T) {
	liar, _ := udp(t)
	lie, other := netip.MustParseAddrPort("192.0.2.66:6"), netip.MustParseAddrPort("192.0.2.67:7")
	server := serveUDP(t, func(c *net.UDPConn, b []byte, from netip.AddrPort) {
		m, err := parse(b)
		if err != nil {
			t.Error(err)
		}
		send(t, liar, bindingSuccess(m.tx, lie), from) // another source
		send(t, c, bindingSuccess(txID{9}, other), from)
		send(t, c, []byte("nonsense"), from)
		send(t, c, bindingSuccess(m.tx, from), from)
	})
	conn, own := udp(t)
	if mapped, _, err := Ask(t.Context(), conn, server); err != nil || mapped != own {
		t.Errorf("got %v, %v; want %v", mapped, err, own)
	}
}

// TestAskAgain: a request that is lost is sent again.
func TestAskAgain(t *testing.T) {
	seen := 0
	server := serveUDP(t, func(c *net.UDPConn, b []byte, from netip.AddrPort) {
		if seen++; seen == 2 {
			m, _ := parse(b)
			send(t, c, bindingSuccess(m.tx, from), from)
		}
	})
	conn, own := udp(t)
	if mapped, rtt, err := Ask(t.Context(), conn, server); err != nil || mapped != own || rtt < firstWait {
		t.Errorf("got %v, %v, %v; want %v", mapped, rtt, err, own)
	}
}

func TestAskFails(t *testing.T) {
	silent := serveUDP(t, func(*net.UDPConn, []byte, netip.AddrPort) {})
	conn, _ := udp(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := Ask(ctx, conn, silent); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	refusing := serveUDP(t, func(c *net.UDPConn, b []byte, from netip.AddrPort) {
		m, _ := parse(b)
		refusal := bindingFailure(m.tx, nil)
		refusal[26], refusal[27] = 5, 0
		send(t, c, refusal, from)
	})
	if _, _, err := Ask(t.Context(), conn, refusing); err == nil || errors.Is(err, ErrSilent) {
		t.Errorf("a refusal: got %v", err)
	}
}
