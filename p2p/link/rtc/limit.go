package rtc

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// buckets are token buckets, one for each key. The zero value refuses everything.
type buckets[K comparable] struct {
	rate  float64 // tokens per second
	burst float64

	mu  sync.Mutex // guards all that follows
	all map[K]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// maxBuckets bounds how many keys are remembered. Full buckets are forgotten
// first, for they say nothing; then any, which lets their keys through sooner.
const maxBuckets = 4096

// take spends a token of key and reports whether there was one.
func (l *buckets[K]) take(key K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.all[key]
	if !ok {
		b = bucket{tokens: l.burst, at: now}
		l.prune(now)
	}
	b = l.refill(b, now)
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	if l.all == nil {
		l.all = map[K]bucket{}
	}
	l.all[key] = b
	return allowed
}

func (l *buckets[K]) refill(b bucket, now time.Time) bucket {
	passed := max(0, now.Sub(b.at).Seconds())
	return bucket{tokens: min(l.burst, b.tokens+passed*l.rate), at: now}
}

// prune makes room, a quarter at once: to look at every key for each new one would
// be dear when many come.
func (l *buckets[K]) prune(now time.Time) {
	if len(l.all) < maxBuckets {
		return
	}
	for k, b := range l.all {
		if l.refill(b, now).tokens == l.burst {
			delete(l.all, k)
		}
	}
	for k := range l.all {
		if len(l.all) <= maxBuckets*3/4 {
			return
		}
		delete(l.all, k)
	}
}

// household is what one customer of an Internet provider gets: an IPv4 address or
// an IPv6 /56.
func household(addr net.Addr) netip.Prefix {
	a, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return householdOf(a.AddrPort().Addr())
}

func householdOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 56
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// Caps of TCP connections at one time.
const (
	maxConns          = 256
	maxHouseholdConns = 32
)

// cappedListener keeps connections below the caps. Beyond them the oldest one that
// has not shown what it is for makes room: thousands that are opened and say nothing
// keep nobody out.
type cappedListener struct {
	net.Listener

	mu    sync.Mutex    // guards all that follows
	conns []*cappedConn // oldest first
}

// cappedConn is a connection that counts until it is closed.
type cappedConn struct {
	net.Conn
	l       *cappedListener
	from    netip.Prefix
	settled bool // guarded by l.mu
}

// Accept implements net.Listener.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		k := &cappedConn{Conn: c, l: l, from: household(c.RemoteAddr())}
		goes, ok := l.enter(k)
		if goes != nil {
			_ = goes.Close()
		}
		if ok {
			return k, nil
		}
		_ = c.Close()
	}
}

// enter counts c, if there is room. goes is who has to make it.
func (l *cappedListener) enter(c *cappedConn) (goes *cappedConn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	neighbours := 0
	var oldest, neighbour *cappedConn
	for _, o := range l.conns {
		if o.from == c.from {
			neighbours++
		}
		if o.settled {
			continue
		}
		if oldest == nil {
			oldest = o
		}
		if neighbour == nil && o.from == c.from {
			neighbour = o
		}
	}
	switch {
	case neighbours >= maxHouseholdConns:
		goes = neighbour
	case len(l.conns) >= maxConns:
		goes = oldest
	default:
		l.conns = append(l.conns, c)
		return nil, true
	}
	if goes == nil {
		return nil, false
	}
	l.remove(goes)
	l.conns = append(l.conns, c)
	return goes, true
}

// remove is called with l.mu held.
func (l *cappedListener) remove(c *cappedConn) {
	if i := slices.Index(l.conns, c); i >= 0 {
		l.conns = slices.Delete(l.conns, i, i+1)
	}
}

// Close implements net.Conn.
func (c *cappedConn) Close() error {
	c.l.mu.Lock()
	c.l.remove(c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// settle says that a connection has shown what it is for, and makes no room any more.
func settle(c net.Conn) {
	for {
		switch k := c.(type) {
		case *readAhead:
			c = k.Conn
		case *cappedConn:
			k.l.mu.Lock()
			defer k.l.mu.Unlock()
			k.settled = true
			return
		default:
			return
		}
	}
}
