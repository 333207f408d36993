package rtc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link/rtc/repair"
)

// pipeSocket is a socket without a network: the test says what arrives.
type pipeSocket struct{ sent [][]byte }

func (*pipeSocket) Read(func([]byte, netip.AddrPort)) error { return net.ErrClosed }
func (s *pipeSocket) WriteTo(b []byte, _ netip.AddrPort) error {
	s.sent = append(s.sent, slices.Clone(b))
	return nil
}
func (*pipeSocket) LocalAddr() net.Addr { return &net.UDPAddr{} }
func (*pipeSocket) Close() error        { return nil }

// stunMessage is a STUN message with a user name, if it has one.
func stunMessage(class uint16, id byte, user string) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 0x001|class)
	copy(b[4:], []byte{0x21, 0x12, 0xa4, 0x42, id})
	if user != "" {
		b = append(b, 0x80, 0x22, 0, 1, 'x', 0, 0, 0) // SOFTWARE, padded
		b = binary.BigEndian.AppendUint16(b, 0x0006)
		b = binary.BigEndian.AppendUint16(b, uint16(len(user)))
		b = append(b, user...)
	}
	return b
}

func newTestMux(t *testing.T) (*mux, func(ufrag string) *muxConn) {
	m := newMux(&pipeSocket{}, func() []netip.AddrPort { return nil })
	return m, func(ufrag string) *muxConn {
		c, err := m.GetConn(ufrag, &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return c.(*muxConn)
	}
}

func arrived(c *muxConn) int {
	n := 0
	for ; len(c.in) > 0; n++ {
		<-c.in
	}
	return n
}

var (
	peerAddr = netip.MustParseAddrPort("10.0.0.2:4747")
	dtlsData = []byte{23, 254, 253, 0}
)

// TestMuxSTUN: STUN that is for no agent is answered; what is for one is not.
func TestMuxSTUN(t *testing.T) {
	sock := &pipeSocket{}
	m := newMux(sock, func() []netip.AddrPort { return nil })
	var got int
	m.stun = func(b []byte, from netip.AddrPort) []byte {
		got++
		if from != peerAddr {
			t.Errorf("asked by %v", from)
		}
		if class, _ := stunClass(b); class == stunRequest {
			return []byte("answer")
		}
		return nil
	}
	c, err := m.GetConn("mine", &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	mine := c.(*muxConn)
	m.dispatch(stunMessage(stunRequest, 1, "mine:theirs"), peerAddr) // peerAddr is the agent's now
	for _, class := range []uint16{stunRequest, stunIndication, stunResponse} {
		m.dispatch(stunMessage(class, 2, ""), netip.AddrPortFrom(netip.AddrFrom16(peerAddr.Addr().As16()), peerAddr.Port()))
	}
	m.dispatch(dtlsData, peerAddr)
	if n := arrived(mine); n != 2 || got != 3 {
		t.Errorf("the agent got %d datagrams, want 2; the answerer %d, want 3", n, got)
	}
	if len(sock.sent) != 1 || string(sock.sent[0]) != "answer" {
		t.Errorf("sent %q", sock.sent)
	}
}

func TestMuxRoutes(t *testing.T) {
	m, agent := newTestMux(t)
	c, other := agent("mine"), agent("other")
	m.dispatch(dtlsData, peerAddr)
	m.dispatch(stunMessage(stunRequest, 1, "nobody:x"), peerAddr)
	m.dispatch(stunMessage(stunRequest, 1, ""), peerAddr)
	m.dispatch(stunMessage(stunResponse, 1, ""), peerAddr)
	if n := arrived(c) + arrived(other); n != 0 {
		t.Errorf("%d datagrams for nobody arrived", n)
	}
	m.dispatch(stunMessage(stunRequest, 1, "mine:theirs"), peerAddr)
	m.dispatch(dtlsData, peerAddr)
	m.dispatch(dtlsData, netip.AddrPortFrom(netip.MustParseAddr("::ffff:10.0.0.2"), 4747))
	if n := arrived(c); n != 3 {
		t.Errorf("%d datagrams arrived, want 3", n)
	}
	if _, err := c.WriteToAddrPort(stunMessage(stunRequest, 7, "theirs:mine"), netip.MustParseAddrPort("10.0.0.3:1")); err != nil {
		t.Fatal(err)
	}
	m.dispatch(stunMessage(stunResponse, 7, ""), netip.MustParseAddrPort("10.0.0.3:1"))
	m.dispatch(dtlsData, netip.MustParseAddrPort("10.0.0.3:1"))
	m.dispatch(make([]byte, maxDatagram+1), netip.MustParseAddrPort("10.0.0.3:1"))
	if n := arrived(c); n != 2 {
		t.Errorf("%d datagrams arrived, want 2", n)
	}
	if in, out := c.bytesIn.Load(), c.bytesOut.Load(); in == 0 || out == 0 {
		t.Errorf("bytes in %d, out %d", in, out)
	}
}

// The address of a peer goes over to a new connection when the peer shows that it
// knows it, not when this node writes, and never back to an older one.
func TestMuxNewestConfirmedOwns(t *testing.T) {
	m, agent := newTestMux(t)
	old, fresh := agent("old"), agent("fresh")
	m.dispatch(stunMessage(stunRequest, 1, "old:x"), peerAddr)
	if _, err := fresh.WriteToAddrPort(stunMessage(stunRequest, 9, "x:fresh"), peerAddr); err != nil {
		t.Fatal(err)
	}
	m.dispatch(dtlsData, peerAddr)
	if arrived(old) != 2 || arrived(fresh) != 0 {
		t.Error("writing alone took the address")
	}
	m.dispatch(stunMessage(stunResponse, 9, ""), peerAddr)
	m.dispatch(stunMessage(stunRequest, 1, "old:x"), peerAddr)
	m.dispatch(dtlsData, peerAddr)
	if arrived(fresh) != 2 || arrived(old) != 1 {
		t.Error("the newer connection does not own the address")
	}
	_ = fresh.Close()
	m.dispatch(stunMessage(stunRequest, 1, "old:x"), peerAddr)
	m.dispatch(dtlsData, peerAddr)
	if arrived(old) != 2 {
		t.Error("the older connection did not get the address back")
	}
	m.RemoveConnByUfrag("old")
	if n := len(m.conns) + len(m.owner) + len(m.pending); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
}

func TestMuxIsBounded(t *testing.T) {
	m, agent := newTestMux(t)
	c := agent("mine")
	for i := range 2 * queuedInput {
		m.dispatch(stunMessage(stunRequest, 1, "mine:x"), netip.AddrPortFrom(peerAddr.Addr(), uint16(i+1)))
		if _, err := c.WriteToAddrPort(binary.BigEndian.AppendUint16(stunMessage(stunRequest, byte(i), "")[:18], uint16(i)), peerAddr); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.owner) > maxConnAddrs || len(m.pending) > maxPending || arrived(c) > queuedInput {
		t.Errorf("%d addresses, %d requests", len(m.owner), len(m.pending))
	}
	_ = c.Close()
	if _, _, err := c.ReadFromAddrPort(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if _, err := c.WriteToAddrPort(dtlsData, peerAddr); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if n := len(m.conns) + len(m.owner) + len(m.pending); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
}

// TestMend: a record that the peer misses goes out again to where the agent sends,
// and to nobody else; who does not know the passwords gets nothing, and what goes
// over TCP is left alone.
func TestMend(t *testing.T) {
	sock := &pipeSocket{}
	m := newMux(sock, func() []netip.AddrPort { return nil })
	conn, err := m.GetConn("mine", &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	c := conn.(*muxConn)
	ours, theirs := repair.NewKeys("mine", "a", "theirs", "b"), repair.NewKeys("theirs", "b", "mine", "a")
	m.mend([]*muxConn{c}, ours)
	m.dispatch(stunMessage(stunRequest, 1, "mine:theirs"), peerAddr)
	_ = arrived(c)
	record := func(n byte) []byte { return []byte{23, 254, 253, 0, 1, 0, 0, 0, 0, 0, n, 0, 1, n} }
	for n := byte(1); n <= 3; n++ {
		if _, err := c.WriteToAddrPort(record(n), peerAddr); err != nil {
			t.Fatal(err)
		}
	}
	report := repair.Message{Kind: repair.Report, Ask: true, Stamp: 1, Base: 1, End: 3, Missing: []byte{1}}
	forger := repair.NewKeys("theirs", "wrong", "mine", "a")
	sock.sent = nil
	m.dispatch(forger.Seal(nil, report), peerAddr)
	if len(sock.sent) != 0 {
		t.Errorf("a forged report was answered with %x", sock.sent)
	}
	m.dispatch(theirs.Seal(nil, report), peerAddr)
	if len(sock.sent) != 2 || !bytes.Equal(sock.sent[0], record(1)) {
		t.Errorf("sent %x, want record 1 and a Head", sock.sent)
	}
	// What overtakes is held back until what it overtook has come.
	for _, n := range []byte{1, 3, 4} {
		m.dispatch(record(n), peerAddr)
	}
	if n := arrived(c); n != 1 {
		t.Errorf("%d records were handed on, want 1", n)
	}
	m.dispatch(record(2), peerAddr)
	if n := arrived(c); n != 3 {
		t.Errorf("%d records were handed on, want 3", n)
	}
	over := newStream(m, peerAddr, time.Now())
	v, err := m.virtual(over, peerAddr)
	if err != nil {
		t.Fatal(err)
	}
	m.dispatch(stunMessage(stunRequest, 1, "mine:theirs"), v)
	m.dispatch(record(9), v)
	if n := arrived(c); n != 2 {
		t.Errorf("%d datagrams came over TCP, want 2", n)
	}
	_ = c.Close()
}

func FuzzDispatch(f *testing.F) {
	f.Add(stunMessage(stunRequest, 1, "mine:x"))
	f.Add(stunMessage(stunResponse, 1, ""))
	f.Add(dtlsData)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMux(&pipeSocket{}, nil)
		if _, err := m.GetConn("mine", &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		m.dispatch(b, peerAddr)
		if len(m.owner) > 1 {
			t.Error("one datagram claimed two addresses")
		}
	})
}
