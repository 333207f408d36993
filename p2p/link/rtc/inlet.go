package rtc

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// inlet takes the datagrams of a protocol that shares the socket with ICE. It
// implements net.PacketConn.
type inlet struct {
	m    *mux
	in   chan arrival
	done chan struct{}
	once sync.Once
}

// queuedInlet bounds the datagrams that wait to be read; more are lost.
const queuedInlet = 1024

func newInlet(m *mux) *inlet {
	return &inlet{m: m, in: make(chan arrival, queuedInlet), done: make(chan struct{})}
}

func (i *inlet) take(b []byte, from netip.AddrPort) {
	a := arrival{newPacket(b), from}
	select {
	case i.in <- a:
	default:
		a.free()
	}
}

// arrival is a datagram and where it came from.
type arrival struct {
	*packet
	from netip.AddrPort
}

// ReadFrom implements net.PacketConn.
func (i *inlet) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case a := <-i.in:
		n := copy(b, a.b)
		a.free()
		return n, net.UDPAddrFromAddrPort(a.from), nil
	case <-i.done:
	case <-i.m.done:
	}
	return 0, nil, net.ErrClosed
}

// WriteTo implements net.PacketConn.
func (i *inlet) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "not a UDP address", Addr: to.String()}
	}
	if err := i.m.sock.WriteTo(b, a.AddrPort()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (i *inlet) Close() error {
	i.once.Do(func() { close(i.done) })
	return nil
}

// LocalAddr implements net.PacketConn. It is an IPv4 address, as all relayed ones.
func (i *inlet) LocalAddr() net.Addr {
	port := 0
	if a, ok := i.m.sock.LocalAddr().(*net.UDPAddr); ok {
		port = a.Port
	}
	return &net.UDPAddr{IP: net.IPv4zero, Port: port}
}

// SetDeadline, SetReadDeadline and SetWriteDeadline do nothing: nobody who reads
// here wants them, and writing does not wait.
func (i *inlet) SetDeadline(time.Time) error      { return nil }
func (i *inlet) SetReadDeadline(time.Time) error  { return nil }
func (i *inlet) SetWriteDeadline(time.Time) error { return nil }
