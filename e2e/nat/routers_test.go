//go:build linux

package nat

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestRouters: the lab's routers do what their names say, so that the other tests test
// shoal. No node runs.
func TestRouters(t *testing.T) {
	l := build(t, "matrix")
	r1, r2 := l.Host("R1"), l.Host("R2")
	// Two ports of one computer, and one of another.
	servers := []*net.UDPConn{listen(t, r1, 7000), listen(t, r1, 7001), listen(t, r2, 7000)}
	to := []netip.AddrPort{netip.AddrPortFrom(r1.Addr, 7000), netip.AddrPortFrom(r1.Addr, 7001), netip.AddrPortFrom(r2.Addr, 7000)}
	for _, h := range l.Hosts()[2:] {
		c := listen(t, h, 5000)
		var seen []netip.AddrPort
		for i := range servers {
			send(t, c, to[i])
			_, from := receive(t, servers[i], time.Second)
			seen = append(seen, from)
		}
		mapping := mappingOf(seen, c.LocalAddr().(*net.UDPAddr).Port, h)
		filtering := "address_port_dependent"
		// Those ports have not been sent to from here.
		other, stranger := listen(t, r1, 0), listen(t, l.Host("none-a"), 0)
		if h.Name == "none-a" {
			stranger = listen(t, l.Host("none-b"), 0)
		}
		if passes(t, other, c, seen[0]) {
			filtering = "address_dependent"
		}
		if passes(t, stranger, c, seen[0]) {
			filtering = "endpoint_independent"
		}
		if h.NAT == lab.None && filtering == "endpoint_independent" {
			filtering = "open"
		}
		if m, f := h.NAT.Behaviour(); mapping != m || filtering != f {
			t.Errorf("%s: mapping %s, filtering %s, want %s, %s; seen as %v", h.Name, mapping, filtering, m, f, seen)
		}
	}
}

func mappingOf(seen []netip.AddrPort, port int, h *lab.Host) string {
	switch {
	case seen[0] == netip.AddrPortFrom(h.Addr, uint16(port)):
		return "none"
	case seen[0] == seen[1] && seen[1] == seen[2]:
		return "endpoint_independent"
	case seen[0] == seen[1]:
		return "address_dependent"
	}
	return "address_port_dependent"
}

// TestLossIsOfDatagrams: a rule that loses packets loses single datagrams, also of those
// that a program gives the kernel as one batch.
func TestLossIsOfDatagrams(t *testing.T) {
	l := build(t, "loss")
	r1, r2 := l.Host("from-0"), l.Host("to-0")
	from, at := listen(t, r1, 0), listen(t, r2, 7000)
	raw, err := from.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const size, batch, batches = 1000, 40, 25
	var set error
	if err := errors.Join(raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) }), set); err != nil {
		t.Fatal(err)
	}
	counts := map[int]int{}
	total := 0
	for range batches {
		if _, err := from.WriteToUDPAddrPort(make([]byte, size*batch), netip.AddrPortFrom(r2.Addr, 7000)); err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			got, _ := receive(t, at, 50*time.Millisecond)
			if got == 0 {
				break
			}
			n += got / size
		}
		counts[n]++
		total += n
	}
	share := float64(total) / (batch * batches)
	t.Logf("%.1f %% arrived; batches by what arrived of %d: %v", 100*share, batch, counts)
	if share < 0.62 || share > 0.78 || counts[0] > 0 || counts[batch] > 0 {
		t.Errorf("%.1f %% arrived, want 70; whole batches are lost or none of them", 100*share)
	}
}

func listen(t *testing.T, h *lab.Host, port int) *net.UDPConn {
	t.Helper()
	c, err := h.ListenUDP(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing is written late
	return c
}

func send(t *testing.T, c *net.UDPConn, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte("?"), to); err != nil {
		t.Fatal(err)
	}
}

// receive returns the length of the next datagram and its sender, or 0 if none comes.
func receive(t *testing.T, c *net.UDPConn, limit time.Duration) (int, netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	b := bytes.Repeat([]byte{0}, 1<<16)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, netip.AddrPort{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func passes(t *testing.T, from, to *net.UDPConn, at netip.AddrPort) bool {
	t.Helper()
	send(t, from, at)
	n, _ := receive(t, to, 200*time.Millisecond)
	return n > 0
}
