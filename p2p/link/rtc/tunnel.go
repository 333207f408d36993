package rtc

import (
	"errors"
	"net/netip"
	"time"
)

// Virtual addresses are those of what the socket cannot send to: the other end of
// a TCP connection, or of a relay. ICE takes them for addresses as any other; the
// mux knows what is behind them. They mean something in this process only. The
// block is the one for benchmarks of network devices (RFC 2544), which no network
// routes; its first half is the relays' own.
var (
	virtualBlock = netip.MustParsePrefix("198.18.0.0/15")
	firstVirtual = netip.MustParseAddr("198.19.0.0")
	// virtualBase is the own end of all of them for a node that has no IPv4.
	virtualBase = netip.MustParseAddr("198.18.0.2")
)

// Bounds of virtual addresses at one time.
const (
	maxExits       = 8192
	maxTunnelExits = 256 // of one tunnel
)

// tunnel carries datagrams to where the socket cannot send them. Tunnels are
// compared.
type tunnel interface {
	// send never waits. What cannot be sent is lost.
	send(b []byte, to netip.AddrPort) error
	// release says that nobody uses the address any more.
	release(to netip.AddrPort)
}

// exit is what a virtual address stands for: an address at the end of a tunnel.
type exit struct {
	via tunnel
	to  netip.AddrPort
}

// exits are the virtual addresses in use. The zero value is ready; mux.mu guards
// it.
type exits struct {
	byAddr map[netip.AddrPort]*exitUse
	addrs  map[exit]netip.AddrPort
	per    map[tunnel]int
	last   uint16
}

type exitUse struct {
	exit
	users int       // it is forgotten with the last one
	later time.Time // ICE does not try it before
}

var (
	errExits  = errors.New("rtc: too many ways through tunnels at once")
	errNoExit = errors.New("rtc: the way through a tunnel is closed")
)

// hold returns the virtual address of r, which stands until drop.
func (rs *exits) hold(r exit) (netip.AddrPort, error) {
	if v, ok := rs.addrs[r]; ok {
		rs.byAddr[v].users++
		return v, nil
	}
	if len(rs.byAddr) >= maxExits || rs.per[r.via] >= maxTunnelExits {
		return netip.AddrPort{}, errExits
	}
	if rs.byAddr == nil {
		rs.byAddr, rs.addrs, rs.per = map[netip.AddrPort]*exitUse{}, map[exit]netip.AddrPort{}, map[tunnel]int{}
	}
	b := firstVirtual.As4()
	for {
		rs.last++
		b[2], b[3] = byte(rs.last>>8), byte(rs.last)
		v := netip.AddrPortFrom(netip.AddrFrom4(b), 9)
		if rs.byAddr[v] != nil {
			continue
		}
		rs.byAddr[v], rs.addrs[r] = &exitUse{exit: r, users: 1}, v
		rs.per[r.via]++
		return v, nil
	}
}

// drop takes back one hold. Of the last one it returns the exit that is free now.
func (rs *exits) drop(v netip.AddrPort) (free exit, last bool) {
	r := rs.byAddr[v]
	if r == nil {
		return exit{}, false
	}
	if r.users--; r.users > 0 {
		return exit{}, false
	}
	delete(rs.byAddr, v)
	delete(rs.addrs, r.exit)
	if rs.per[r.via]--; rs.per[r.via] == 0 {
		delete(rs.per, r.via)
	}
	return r.exit, true
}

// keep adds a hold to an address that may be a virtual one.
func (rs *exits) keep(v netip.AddrPort) {
	if r := rs.byAddr[v]; r != nil {
		r.users++
	}
}

// virtual returns the virtual address of to at the end of via, until unroute. ICE's
// checks do not go there before later: it takes the first path that is found, and the
// ways through tunnels are to be found last.
func (m *mux) virtual(via tunnel, to netip.AddrPort, later time.Time) (netip.AddrPort, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := m.exits.hold(exit{via, to})
	if err == nil {
		m.exits.byAddr[v].later = later
	}
	return v, err
}

// early reports whether b is a check of ICE that comes too early for the address.
func (m *mux) early(v netip.AddrPort, b []byte) bool {
	if class, ok := stunClass(b); !ok || class != stunRequest {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	e := m.exits.byAddr[v]
	return e != nil && time.Now().Before(e.later)
}

// unroute says that a user of a virtual address is done with it.
func (m *mux) unroute(v netip.AddrPort) {
	m.mu.Lock()
	free, last := m.exits.drop(v)
	m.mu.Unlock()
	if last {
		free.via.release(free.to)
	}
}

// exitOf returns what is behind an address, if it is a virtual one.
func (m *mux) exitOf(v netip.AddrPort) (exit, bool) {
	if !virtualBlock.Contains(v.Addr()) {
		return exit{}, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.exits.byAddr[v]
	if r == nil {
		return exit{}, false
	}
	return r.exit, true
}

// arrive takes a datagram that came through a tunnel. If it is for nobody, the
// tunnel hears that its address has no user.
func (m *mux) arrive(via tunnel, b []byte, from netip.AddrPort) {
	m.mu.RLock()
	v, known := m.exits.addrs[exit{via, from}]
	m.mu.RUnlock()
	if known {
		m.dispatch(b, v)
		return
	}
	v, err := m.virtual(via, from, time.Time{})
	if err != nil {
		return
	}
	m.dispatch(b, v)
	m.unroute(v)
}
