package rtc

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p/nat/relay"
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
	// dial makes the TCP connections of tunnels; set before run.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// stun, if there is one, answers STUN that is for no agent; set before run.
	stun func(b []byte, from netip.AddrPort) (answer []byte)
	// stranger, if there is one, gets the checks that are for no agent; set before run.
	stranger func(b []byte, from netip.AddrPort)
	done     chan struct{}
	once     sync.Once

	mu      sync.RWMutex // guards all that follows
	seq     uint64
	conns   map[muxKey]*muxConn
	owner   map[netip.AddrPort]*muxConn
	pending map[txID]*muxConn
	exits   exits
	clients map[netip.AddrPort]*relay.Client // this node's, by the relay's address
	server  *inlet                           // of this node's relay for others; nil without
	streams map[*stream]bool                 // that are open or being opened
	closed  bool

	working sync.WaitGroup // the goroutines of streams; entered with mu held while closed is false
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
		streams: map[*stream]bool{}, clients: map[netip.AddrPort]*relay.Client{},
	}
}

// run reads until the mux is closed.
func (m *mux) run() error { return m.sock.Read(m.dispatch) }

// Close implements io.Closer.
func (m *mux) Close() error {
	var err error
	m.once.Do(func() {
		m.mu.Lock()
		m.closed = true
		var open []*stream
		for s := range m.streams {
			open = append(open, s)
		}
		m.mu.Unlock()
		for _, s := range open {
			s.close()
		}
		close(m.done)
		err = m.sock.Close()
		m.working.Wait()
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
	if isSTUN && stunMethod(b) != stunBinding || isChannelData(b) {
		m.dispatchTURN(b, class, from)
		return
	}
	var c *muxConn
	switch {
	case isSTUN && class == stunRequest:
		c = m.claim(from, func() *muxConn { return m.conns[muxKey{stunTarget(b), from.Addr().Is6()}] })
	case isSTUN && class == stunResponse:
		id := txID(b[8:20])
		c = m.claim(from, func() *muxConn { return m.pending[id] })
	case isSTUN && class == stunIndication: // for no agent: pion sends none
	default:
		m.mu.RLock()
		c = m.owner[from]
		m.mu.RUnlock()
	}
	switch {
	case c != nil:
		if isSTUN {
			c.trace.Load().came(class, from)
		}
		c.take(b, from)
	case isSTUN && class == stunRequest && m.stranger != nil && stunTarget(b) != "":
		m.stranger(b, from)
	case isSTUN:
		m.answer(b, from)
	}
}

// answer sends what stun answers. As with any datagram, it may be lost.
func (m *mux) answer(b []byte, from netip.AddrPort) {
	if m.stun == nil {
		return
	}
	if out := m.stun(b, from); len(out) > 0 {
		_ = m.send(out, from)
	}
}

// dispatchTURN finds the end that a message or channel data of TURN is for: this
// node as the client of a relay, or as a relay.
func (m *mux) dispatchTURN(b []byte, class uint16, from netip.AddrPort) {
	m.mu.RLock()
	client, server := m.clients[from], m.server
	m.mu.RUnlock()
	toClient := isChannelData(b) || class == stunResponse || class == stunError || class == stunIndication && stunMethod(b) == turnData
	switch {
	case client != nil && toClient:
		client.Handle(b)
	case server != nil:
		server.take(b, from)
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
		free, last := m.disown(c, c.addrs[0])
		if last {
			defer func() { go free.via.release(free.to) }()
		}
		c.addrs = slices.Delete(c.addrs, 0, 1)
	}
	m.owner[from] = c
	m.exits.keep(from)
	c.addrs = append(c.addrs, from)
	return c
}

// disown takes addr from c, and returns the exit behind it if that is free now.
func (m *mux) disown(c *muxConn, addr netip.AddrPort) (free exit, last bool) {
	if m.owner[addr] == c {
		delete(m.owner, addr)
	}
	return m.exits.drop(addr)
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

// retire makes nobody find c by its name any more.
func (m *mux) retire(c *muxConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns[c.key] == c {
		delete(m.conns, c.key)
	}
	for _, id := range c.asked {
		delete(m.pending, id)
	}
	c.asked = nil
}

// forget drops everything about c.
func (m *mux) forget(c *muxConn) {
	var unused []exit
	m.mu.Lock()
	if m.conns[c.key] == c {
		delete(m.conns, c.key)
	}
	for _, a := range c.addrs {
		if free, last := m.disown(c, a); last {
			unused = append(unused, free)
		}
	}
	for _, id := range c.asked {
		delete(m.pending, id)
	}
	c.addrs, c.asked = nil, nil
	m.mu.Unlock()
	for _, r := range unused {
		r.via.release(r.to)
	}
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
	trace  atomic.Pointer[trace]             // hears of STUN; nil: nobody does

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
		c.trace.Load().sent(b, to)
	}
	return c.send(b, to)
}

// send is WriteToAddrPort for what is no STUN, also after Close.
func (c *muxConn) send(b []byte, to netip.AddrPort) (int, error) {
	if err := c.mux.send(b, to); err != nil {
		return 0, err
	}
	c.bytesOut.Add(uint64(len(b)))
	return len(b), nil
}

// send sends b to an address of the network, or to a virtual one.
func (m *mux) send(b []byte, to netip.AddrPort) error {
	if !virtualBlock.Contains(to.Addr().Unmap()) {
		return m.sock.WriteTo(b, to)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	r, ok := m.exitOf(to)
	switch {
	case !ok:
		return errNoExit
	case m.early(to, b):
		return nil // lost; there will be more
	}
	return r.via.send(b, r.to)
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

// Close implements net.PacketConn. A share that is tapped has another owner besides
// the agent: to him comes what comes until drop.
func (c *muxConn) Close() error {
	c.once.Do(func() {
		close(c.done)
		if c.tapped.Load() == nil {
			c.mux.forget(c)
		} else {
			c.mux.retire(c)
		}
	})
	return nil
}

// drop gives up the share for good.
func (c *muxConn) drop() {
	_ = c.Close()
	c.mux.forget(c)
}

// LocalAddr implements net.PacketConn.
func (c *muxConn) LocalAddr() net.Addr { return c.mux.sock.LocalAddr() }

// SetDeadline, SetReadDeadline and SetWriteDeadline do nothing: the agent sets
// them only before it closes the connection, which ends every wait.
func (c *muxConn) SetDeadline(time.Time) error      { return nil }
func (c *muxConn) SetReadDeadline(time.Time) error  { return nil }
func (c *muxConn) SetWriteDeadline(time.Time) error { return nil }
