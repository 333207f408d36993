package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Sizes of the switch.
const (
	queued      = 256  // datagrams that wait for one allocation's client; more are dropped
	maxDatagram = 1400 // bytes, so that TURN's own around them fit a packet of Ethernet
	firstPort   = 1024
)

var errFull = errors.New("relay: all allocations are taken")

// exchange is the switch: a network in a process, of one address with many ports.
type exchange struct {
	mu    sync.Mutex // guards all that follows
	ports map[uint16]*port
	users map[string]*user
	next  uint16
}

// user is what all allocations of one member share.
type user struct {
	ports int
	rate  *rate.Limiter // of bytes that the member sends
}

// port is one relayed address. It implements net.PacketConn.
type port struct {
	x      *exchange
	number uint16
	owner  string
	user   *user
	in     chan datagram
	done   chan struct{}
	once   sync.Once

	mu      sync.Mutex    // guards the following
	expired chan struct{} // closed when the read deadline has passed
	timer   *time.Timer
}

type datagram struct {
	from uint16
	b    []byte
}

func newExchange() *exchange {
	return &exchange{ports: map[uint16]*port{}, users: map[string]*user{}, next: firstPort}
}

// open returns a new port for owner, who may send perSecond bytes per second over
// all of his ports.
func (x *exchange) open(owner string, perSecond int64, maxPorts int) (*port, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.ports) >= maxPorts {
		return nil, errFull
	}
	for x.ports[x.next] != nil || x.next < firstPort {
		x.next++
	}
	u := x.users[owner]
	if u == nil {
		u = &user{rate: rate.NewLimiter(rate.Limit(perSecond), int(max(perSecond/4, 64<<10)))}
		x.users[owner] = u
	}
	u.ports++
	p := &port{
		x: x, number: x.next, owner: owner, user: u,
		in: make(chan datagram, queued), done: make(chan struct{}), expired: make(chan struct{}),
	}
	x.ports[p.number] = p
	x.next++
	return p, nil
}

// count returns how many ports owner has.
func (x *exchange) count(owner string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if u := x.users[owner]; u != nil {
		return u.ports
	}
	return 0
}

// total returns how many ports there are.
func (x *exchange) total() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.ports)
}

// drop closes the ports of owner.
func (x *exchange) drop(owner string) {
	x.mu.Lock()
	var gone []*port
	for _, p := range x.ports {
		if p.owner == owner {
			gone = append(gone, p)
		}
	}
	x.mu.Unlock()
	for _, p := range gone {
		_ = p.Close()
	}
}

// WriteTo implements net.PacketConn: b goes to another port of the switch, or
// nowhere. That a datagram is lost is for those at the ends to notice.
func (p *port) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok || a.AddrPort().Addr().Unmap() != Switch {
		return 0, &net.AddrError{Err: "not an address of this relay", Addr: to.String()}
	}
	p.x.mu.Lock()
	other := p.x.ports[a.AddrPort().Port()]
	p.x.mu.Unlock()
	if other == nil || len(b) > maxDatagram || !p.user.rate.AllowN(time.Now(), len(b)) {
		return len(b), nil
	}
	select {
	case other.in <- datagram{p.number, append([]byte(nil), b...)}:
	default:
	}
	return len(b), nil
}

// ReadFrom implements net.PacketConn.
func (p *port) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	expired := p.expired
	p.mu.Unlock()
	select {
	case d := <-p.in:
		return copy(b, d.b), net.UDPAddrFromAddrPort(netip.AddrPortFrom(Switch, d.from)), nil
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.done:
		return 0, nil, net.ErrClosed
	}
}

// Close implements net.PacketConn.
func (p *port) Close() error {
	p.once.Do(func() {
		close(p.done)
		p.x.mu.Lock()
		defer p.x.mu.Unlock()
		delete(p.x.ports, p.number)
		if p.user.ports--; p.user.ports == 0 {
			delete(p.x.users, p.owner)
		}
	})
	return nil
}

// LocalAddr implements net.PacketConn.
func (p *port) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(Switch, p.number))
}

// SetDeadline implements net.PacketConn.
func (p *port) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (p *port) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.expired = make(chan struct{})
	if expired := p.expired; !t.IsZero() {
		p.timer = time.AfterFunc(time.Until(t), func() { close(expired) })
	}
	return nil
}

// SetWriteDeadline implements net.PacketConn: writing never waits.
func (p *port) SetWriteDeadline(time.Time) error { return nil }
