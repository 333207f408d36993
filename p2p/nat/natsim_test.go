package nat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// world is an Internet in one process: sockets, and boxes that translate and
// filter. It has no delay; packets get lost as loss says.
type world struct {
	mu    sync.Mutex // guards all that follows
	conns map[netip.AddrPort]*simConn
	boxes map[netip.Addr]*box // by their outside address
	loss  float64
	rng   *rand.Rand
	ports uint16 // the last that a socket got
	spy   func(from, to netip.AddrPort, p []byte)
}

func newWorld(seed uint64) *world {
	return &world{conns: map[netip.AddrPort]*simConn{}, boxes: map[netip.Addr]*box{}, rng: rand.New(rand.NewPCG(seed, 0)), ports: 10000}
}

// box is a NAT (RFC 4787), or with MappingNone a firewall.
type box struct {
	outside  netip.Addr
	mapping  Mapping
	filter   Filtering
	forwards map[uint16]netip.AddrPort // by outside port
	mapped   map[string]uint16         // outside port of an inner address, and of a destination as far as it matters
	inner    map[uint16]netip.AddrPort
	sent     map[uint16][]netip.AddrPort // destinations
}

func (w *world) newBox(outside string, m Mapping, f Filtering) *box {
	b := &box{
		outside: netip.MustParseAddr(outside), mapping: m, filter: f, forwards: map[uint16]netip.AddrPort{},
		mapped: map[string]uint16{}, inner: map[uint16]netip.AddrPort{}, sent: map[uint16][]netip.AddrPort{},
	}
	w.boxes[b.outside] = b
	return b
}

// out translates a packet that leaves. The caller holds world.mu.
func (b *box) out(w *world, from, to netip.AddrPort) netip.AddrPort {
	var key string
	switch b.mapping {
	case MappingNone:
		b.inner[from.Port()] = from
		b.sent[from.Port()] = append(b.sent[from.Port()], to)
		return from
	case MappingIndependent:
		key = from.String()
	case MappingAddress:
		key = fmt.Sprint(from, to.Addr())
	case MappingAddressPort:
		key = fmt.Sprint(from, to)
	}
	for outside, inner := range b.forwards {
		if inner == from && b.mapping == MappingIndependent {
			b.mapped[key], b.inner[outside] = outside, from
		}
	}
	port, ok := b.mapped[key]
	for !ok {
		port = uint16(20000 + w.rng.IntN(40000))
		if _, taken := b.inner[port]; !taken {
			b.mapped[key], b.inner[port], ok = port, from, true
		}
	}
	b.sent[port] = append(b.sent[port], to)
	return netip.AddrPortFrom(b.outside, port)
}

// in translates a packet that comes, if it may come in. The caller holds world.mu.
func (b *box) in(from, to netip.AddrPort) (netip.AddrPort, bool) {
	if inner, ok := b.forwards[to.Port()]; ok {
		return inner, true
	}
	inner, ok := b.inner[to.Port()]
	if b.mapping == MappingNone {
		inner, ok = to, true
	}
	if !ok {
		return inner, false
	}
	return inner, slices.ContainsFunc(b.sent[to.Port()], func(sent netip.AddrPort) bool {
		return sent == from || b.filter == FilteringAddress && sent.Addr() == from.Addr()
	}) || b.filter == FilteringIndependent || b.filter == FilteringOpen
}

func (w *world) send(c *simConn, to netip.AddrPort, p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := c.addr
	if w.rng.Float64() < w.loss {
		return
	}
	if other := w.conns[to]; other != nil && other.box == c.box && c.box != nil {
		other.take(from, p) // neighbours
		return
	}
	if c.box != nil {
		from = c.box.out(w, from, to)
	}
	if w.spy != nil {
		w.spy(from, to, p)
	}
	if b := w.boxes[to.Addr()]; b != nil {
		inner, ok := b.in(from, to)
		if !ok {
			return
		}
		to = inner
	} else if scopeOf(to.Addr()) == ScopePrivate {
		return
	}
	if other := w.conns[to]; other != nil {
		other.take(from, p)
	}
}

// simConn is a socket of a world.
type simConn struct {
	w    *world
	addr netip.AddrPort
	box  *box
	in   chan simPacket
	done chan struct{}
	once sync.Once

	mu      sync.Mutex
	expired chan struct{} // closed at the read deadline
	timer   *time.Timer
}

type simPacket struct {
	from netip.AddrPort
	b    []byte
}

func (w *world) open(ip netip.Addr, port uint16, b *box) *simConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if port == 0 {
		w.ports++
		port = w.ports
	}
	c := &simConn{w: w, addr: netip.AddrPortFrom(ip, port), box: b, in: make(chan simPacket, 100), done: make(chan struct{}), expired: make(chan struct{})}
	w.conns[c.addr] = c
	return c
}

func (c *simConn) take(from netip.AddrPort, p []byte) {
	select {
	case c.in <- simPacket{from, slices.Clone(p)}:
	default:
	}
}

func (c *simConn) ReadFrom(p []byte) (int, net.Addr, error) {
	c.mu.Lock()
	expired := c.expired
	c.mu.Unlock()
	select {
	case m := <-c.in:
		return copy(p, m.b), net.UDPAddrFromAddrPort(m.from), nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (c *simConn) WriteTo(p []byte, to net.Addr) (int, error) {
	c.w.send(c, unmap(to.(*net.UDPAddr).AddrPort()), p)
	return len(p), nil
}

func (c *simConn) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.w.mu.Lock()
		defer c.w.mu.Unlock()
		delete(c.w.conns, c.addr)
	})
	return nil
}

// SetReadDeadline holds for reads that begin later, or wait while none was set.
func (c *simConn) SetReadDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	select {
	case <-c.expired:
		c.expired = make(chan struct{})
	default:
	}
	if !at.IsZero() {
		expired := c.expired
		c.timer = time.AfterFunc(time.Until(at), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.expired == expired {
				close(expired)
			}
		})
	}
	return nil
}

func (c *simConn) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(c.addr) }
func (c *simConn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *simConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// simNode is a node of a world: a service with its p2p port, and links.
type simNode struct {
	*Service
	w     *world
	id    p2p.ID
	conn  *simConn
	moved netip.Addr // where its interface is now; guarded by world.mu

	mu     sync.Mutex // guards all that follows
	links  []p2p.Link
	events []p2p.Event
}

const simPort = 4747

// node starts a node at an address, behind a box if there is one.
func (w *world) node(t *testing.T, ip string, b *box, change func(*Options)) *simNode {
	t.Helper()
	n := &simNode{w: w, conn: w.open(netip.MustParseAddr(ip), simPort, b)}
	copy(n.id[:], ip)
	o := Options{Links: n.linked, Publish: func(e p2p.Event) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, e)
	}}
	if change != nil {
		change(&o)
	}
	n.Service = New(o)
	n.use(system{
		own: func() []netip.Addr {
			w.mu.Lock()
			defer w.mu.Unlock()
			if n.moved.IsValid() {
				return []netip.Addr{n.moved}
			}
			return []netip.Addr{n.conn.addr.Addr()}
		},
		listen: func(context.Context) (net.PacketConn, error) { return w.open(n.conn.addr.Addr(), 0, b), nil },
		dial:   func(context.Context, netip.AddrPort) error { return nil },
	})
	n.Attach(n)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(n.read)
	t.Cleanup(func() {
		cancel()
		_ = n.conn.Close()
		wg.Wait()
	})
	return n
}

// read does what the mux does.
func (n *simNode) read() {
	buf := make([]byte, 2048)
	for {
		k, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		addr := from.(*net.UDPAddr).AddrPort()
		if out := n.Take(buf[:k], addr); out != nil {
			_ = n.Send(out, addr)
		}
	}
}

func (n *simNode) Bound() netip.AddrPort { return n.conn.addr }

func (n *simNode) Send(b []byte, to netip.AddrPort) error {
	_, err := n.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

func (n *simNode) linked() []p2p.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.links)
}

// link links two nodes, the way they see each other: at the addresses that their
// boxes give their p2p ports.
func link(a, b *simNode) {
	w := a.w
	seen := func(x *simNode, to netip.AddrPort) netip.AddrPort {
		w.mu.Lock()
		defer w.mu.Unlock()
		if x.conn.box == nil || a.conn.box == b.conn.box {
			return x.conn.addr
		}
		return x.conn.box.out(w, x.conn.addr, to)
	}
	aAt := seen(a, b.conn.addr)
	bAt := seen(b, aAt)
	aAt = seen(a, bAt)
	connect := func(x, y *simNode, at netip.AddrPort) {
		kind := p2p.PathDirect
		if at != y.conn.addr {
			kind = p2p.PathPunched
		}
		l := &simLink{from: x, to: y, path: p2p.Path{Kind: kind, Proto: "udp", Local: x.conn.addr, Remote: at}}
		x.mu.Lock()
		x.links = append(x.links, l)
		x.mu.Unlock()
		x.Linked(l)
	}
	connect(a, b, bAt)
	connect(b, a, aAt)
}

// simLink is what one end has of a link.
type simLink struct {
	p2p.Link // what is not needed
	from, to *simNode
	path     p2p.Path
}

func (l *simLink) Peer() p2p.ID     { return l.to.id }
func (l *simLink) Path() p2p.Path   { return l.path }
func (l *simLink) Stats() p2p.Stats { return p2p.Stats{} }

func (l *simLink) Call(ctx context.Context, proto string, req []byte) ([]byte, error) {
	if proto != Protocol {
		return nil, p2p.ErrNoProtocol
	}
	for _, back := range l.to.linked() {
		if back.Peer() == l.from.id {
			return l.to.Handle(ctx, back, req)
		}
	}
	return nil, p2p.ErrClosed
}
