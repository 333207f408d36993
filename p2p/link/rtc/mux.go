package rtc

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of the mux.
const (
	queuedInput  = 64  // datagrams for one agent that wait to be read; more are dropped
	maxConnAddrs = 32  // addresses that one connection may claim
	maxPending   = 256 // STUN requests of one connection that wait for a response
)

// mux carries the ICE agents of all peers on one UDP socket. It implements
// ice.UDPMux.
//
// An agent is known by its user name fragment. STUN requests name it; a STUN
// response goes to the agent that sent the request, by transaction ID. Everything
// else, which is DTLS, names nobody and goes by its source address, and here two
// connections to one peer can claim the same: the one that the peer had before it
// crashed, and the new one. An address therefore belongs to the newest
// connection that has heard STUN from there, which only who knows the new
// connection's fragment or answers its requests can send. Writing alone takes
// nothing: an old offer that is replayed makes this node send to the peer, and
// must not break the link that the two have.
type mux struct {
	sock  socket
	bases func() []netip.AddrPort
	done  chan struct{}
	once  sync.Once

	mu      sync.RWMutex // guards all that follows
	seq     uint64
	conns   map[muxKey]*muxConn
	owner   map[netip.AddrPort]*muxConn
	pending map[txID]*muxConn
}

// socket is a UDP socket as the mux needs it. Both methods are safe for use by
// several goroutines.
type socket interface {
	// Read hands datagrams to each until the socket is closed, and then returns
	// the reason. The bytes are valid during the call.
	Read(each func(b []byte, from netip.AddrPort)) error
	WriteTo(b []byte, to netip.AddrPort) error
	// Whole reports whether datagrams travel whole or not at all, instead of in
	// fragments where a path is too narrow for them.
	Whole() bool
	LocalAddr() net.Addr
	Close() error
}

type muxKey struct {
	ufrag string
	v6    bool
}

type txID [12]byte

// newMux serves sock. bases are the addresses that agents take for their own, at
// most one per address family: the socket is the same for all of them, and the
// others are told the peer by name only.
func newMux(sock socket, bases func() []netip.AddrPort) *mux {
	return &mux{
		sock: sock, bases: bases, done: make(chan struct{}),
		conns: map[muxKey]*muxConn{}, owner: map[netip.AddrPort]*muxConn{}, pending: map[txID]*muxConn{},
	}
}

// run reads until the mux is closed.
func (m *mux) run() error { return m.sock.Read(m.dispatch) }

// Close implements io.Closer.
func (m *mux) Close() error {
	var err error
	m.once.Do(func() {
		close(m.done)
		err = m.sock.Close()
	})
	return err
}

// GetListenAddresses implements ice.UDPMux.
func (m *mux) GetListenAddresses() []net.Addr {
	var out []net.Addr
	for _, a := range m.bases() {
		out = append(out, net.UDPAddrFromAddrPort(a))
	}
	return out
}

// GetConn implements ice.UDPMux.
func (m *mux) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	key := muxKey{ufrag: ufrag}
	if a, ok := addr.(*net.UDPAddr); ok {
		key.v6 = a.IP.To4() == nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.conns[key]; old != nil {
		return old, nil
	}
	m.seq++
	c := &muxConn{mux: m, key: key, seq: m.seq, in: make(chan *packet, queuedInput), done: make(chan struct{})}
	m.conns[key] = c
	return c, nil
}

// RemoveConnByUfrag implements ice.UDPMux.
func (m *mux) RemoveConnByUfrag(ufrag string) {
	for _, c := range m.agent(ufrag) {
		_ = c.Close()
	}
}

// agent returns the connections of the agent ufrag.
func (m *mux) agent(ufrag string) []*muxConn {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []*muxConn
	for _, v6 := range []bool{false, true} {
		if c := m.conns[muxKey{ufrag, v6}]; c != nil {
			out = append(out, c)
		}
	}
	return out
}

// dispatch finds the connection that b is for.
func (m *mux) dispatch(b []byte, from netip.AddrPort) {
	if len(b) > maxPacket {
		return
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	class, isSTUN := stunClass(b)
	var c *muxConn
	switch {
	case isSTUN && class == stunRequest:
		c = m.claim(from, func() *muxConn { return m.conns[muxKey{stunTarget(b), from.Addr().Is6()}] })
	case isSTUN && class == stunResponse:
		id := txID(b[8:20])
		c = m.claim(from, func() *muxConn { return m.pending[id] })
	default:
		m.mu.RLock()
		c = m.owner[from]
		m.mu.RUnlock()
	}
	if c != nil {
		c.take(b, from)
	}
}

// claim finds a connection and makes it the owner of from unless a newer one is.
func (m *mux) claim(from netip.AddrPort, find func() *muxConn) *muxConn {
	m.mu.RLock()
	c := find()
	settled := c == nil || m.owner[from] == c
	m.mu.RUnlock()
	if settled {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.owner[from]; c.closed() || old != nil && old.seq >= c.seq {
		return c
	}
	if len(c.addrs) == maxConnAddrs {
		m.disown(c, c.addrs[0])
		c.addrs = slices.Delete(c.addrs, 0, 1)
	}
	m.owner[from] = c
	c.addrs = append(c.addrs, from)
	return c
}

func (m *mux) disown(c *muxConn, addr netip.AddrPort) {
	if m.owner[addr] == c {
		delete(m.owner, addr)
	}
}

// asked remembers that c sent the STUN request id.
func (m *mux) asked(c *muxConn, id txID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.closed() {
		return
	}
	if len(c.asked) == maxPending {
		delete(m.pending, c.asked[0])
		c.asked = slices.Delete(c.asked, 0, 1)
	}
	m.pending[id] = c
	c.asked = append(c.asked, id)
}

// forget drops everything about c.
func (m *mux) forget(c *muxConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns[c.key] == c {
		delete(m.conns, c.key)
	}
	for _, a := range c.addrs {
		m.disown(c, a)
	}
	for _, id := range c.asked {
		delete(m.pending, id)
	}
	c.addrs, c.asked = nil, nil
}

// muxConn is one agent's share of the socket. It implements net.PacketConn and
// ice.AddrPortReaderWriter.
type muxConn struct {
	mux  *mux
	key  muxKey
	seq  uint64
	in   chan *packet
	done chan struct{}
	once sync.Once

	bytesIn, bytesOut atomic.Uint64

	tapped atomic.Pointer[func([]byte) bool] // takes what is not for the agent

	addrs []netip.AddrPort // that it claimed; guarded by mux.mu
	asked []txID           // oldest first; guarded by mux.mu
}

func (c *muxConn) closed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// take queues b, or drops it when the reader is too far behind: as a router would.
func (c *muxConn) take(b []byte, from netip.AddrPort) {
	if tap := c.tapped.Load(); tap != nil && (*tap)(b) {
		c.bytesIn.Add(uint64(len(b)))
		return
	}
	p := newPacket(b)
	p.from = from
	select {
	case c.in <- p: // from here on the reader owns p
		c.bytesIn.Add(uint64(len(b)))
	default:
		p.free()
	}
}

// tap lets to take what comes before the agent sees it. The bytes are valid during the
// call.
func (c *muxConn) tap(to func(b []byte) (taken bool)) { c.tapped.Store(&to) }

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (c *muxConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case p := <-c.in:
		n, from := copy(b, p.b), p.from
		p.free()
		return n, from, nil
	case <-c.done:
	case <-c.mux.done:
	}
	return 0, netip.AddrPort{}, net.ErrClosed
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c *muxConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.closed() {
		return 0, net.ErrClosed
	}
	if class, ok := stunClass(b); ok && class == stunRequest {
		c.mux.asked(c, txID(b[8:20]))
	}
	if err := c.mux.sock.WriteTo(b, to); err != nil {
		return 0, err
	}
	c.bytesOut.Add(uint64(len(b)))
	return len(b), nil
}

// ReadFrom implements net.PacketConn.
func (c *muxConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// WriteTo implements net.PacketConn.
func (c *muxConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "not a UDP address", Addr: to.String()}
	}
	return c.WriteToAddrPort(b, a.AddrPort())
}

// Close implements net.PacketConn.
func (c *muxConn) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.mux.forget(c)
	})
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *muxConn) LocalAddr() net.Addr { return c.mux.sock.LocalAddr() }

// SetDeadline, SetReadDeadline and SetWriteDeadline do nothing: the agent sets
// them only before it closes the connection, which ends every wait.
func (c *muxConn) SetDeadline(time.Time) error      { return nil }
func (c *muxConn) SetReadDeadline(time.Time) error  { return nil }
func (c *muxConn) SetWriteDeadline(time.Time) error { return nil }

// Those classes of STUN messages (RFC 8489, section 5) that name an agent.
const (
	stunRequest  = 0x000
	stunResponse = 0x100 // success
)

// stunClass reports whether b looks like a STUN message, and of which class.
func stunClass(b []byte) (class uint16, ok bool) {
	if len(b) < 20 || b[0]&0xc0 != 0 || !bytes.Equal(b[4:8], []byte{0x21, 0x12, 0xa4, 0x42}) {
		return 0, false
	}
	return binary.BigEndian.Uint16(b) & 0x110, true
}

// stunTarget returns the fragment of the agent that a binding request is for: the
// part of USERNAME in front of the colon, or nothing.
func stunTarget(b []byte) string {
	const username = 0x0006
	for b = b[20:]; len(b) >= 4; {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if n > len(b) {
			return ""
		}
		if kind == username {
			target, _, _ := bytes.Cut(b[:n], []byte(":"))
			return string(target)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return ""
}
