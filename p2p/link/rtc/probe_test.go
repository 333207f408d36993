package rtc

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// only returns n's one session.
func only(t *testing.T, n *testNode) *session {
	t.Helper()
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	for s := range n.sessions {
		return s
	}
	t.Fatal("no session")
	return nil
}

// carries sends a megabyte over l.
func carries(t *testing.T, from, to p2p.Link) {
	t.Helper()
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	out, err := from.Open(t.Context(), "bulk/1")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = out.Write(want) // the other end sees what is missing
		_ = out.(interface{ CloseWrite() error }).CloseWrite()
	}()
	_, in, err := to.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived of %d, %v", len(got), len(want), err)
	}
}

// Packets are as long as the path of each direction carries them.
func TestPacketSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, size int }{
		{0, longDatagram}, {1472, 1472}, {1471, 1464}, {1400, 1392}, {1300, baseDatagram},
	} {
		for try := range 5 { // on a busy computer the handshake may be faster than an answer
			there, back := packetSizes(t, c.path)
			if there == c.size && back == longDatagram {
				break
			}
			if try == 4 {
				t.Errorf("a path of %d bytes: datagrams of %d, want %d; on the way back %d", c.path, there, c.size, back)
			}
		}
	}
}

// packetSizes links two nodes, the first of which has a path of so many bytes.
func packetSizes(t *testing.T, path int) (there, back int) {
	t.Helper()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	if !a.mux.sock.Whole() {
		t.Skip("this system cuts datagrams into fragments")
	}
	a.sock.most.Store(int64(path))
	la := a.mustDial(t, b.contact())
	lb := mustAccept(t, b)
	carries(t, la, lb)
	carries(t, lb, la)
	return only(t, a).peer.mtu() + recordOverhead, only(t, b).peer.mtu() + recordOverhead
}

// A path that has become too narrow ends its link, so that the next one fits; one that
// has not, does not.
func TestNarrowerPath(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	if !a.mux.sock.Whole() {
		t.Skip("this system cuts datagrams into fragments")
	}
	l := a.mustDial(t, b.contact())
	mustAccept(t, b)
	only(t, a).peer.verify()
	if err := l.Err(); err != nil {
		t.Fatal("a path that is as it was:", err)
	}
	a.sock.most.Store(1400)
	only(t, a).peer.verify()
	select {
	case <-l.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the link stays")
	}
	carries(t, a.mustDial(t, b.contact()), mustAccept(t, b))
}

// A peer that does not say how long datagrams it reads gets none but short ones.
func TestShortPackets(t *testing.T) {
	t.Parallel()
	n, o := newNode(t, 1, nil), newOlder(t)
	c := meet(t, n, o, true)
	if got := only(t, n).peer.mtu(); got != baseMTU {
		t.Errorf("packets of %d bytes", got)
	}
	if c.Packet() != 1156 {
		t.Errorf("of which %d are of a message", c.Packet())
	}
}

func TestProbed(t *testing.T) {
	t.Parallel()
	four, six := addrPort("10.0.0.1", 1).Addr(), addrPort("2001:db8::1", 1).Addr()
	for _, size := range slices.Concat(probed(four, maxPacket), probed(six, maxPacket)) {
		if size%4 != 0 || size <= baseDatagram || size > maxPacket {
			t.Errorf("%d bytes", size)
		}
	}
	if got := probed(four, 1500); got[0] != 1472 {
		t.Errorf("for 1500 bytes: %v", got)
	}
}
