package rtc

import (
	"net"
	"net/netip"
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
	ip := a.AddrPort().Addr().Unmap().WithZone("")
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

// Caps of TCP connections at one time. They live for one request.
const (
	maxConns          = 256
	maxHouseholdConns = 32
)

// cappedListener closes connections beyond the caps as soon as they come.
type cappedListener struct {
	net.Listener

	mu    sync.Mutex // guards all that follows
	count map[netip.Prefix]int
	total int
}

// Accept implements net.Listener.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := household(c.RemoteAddr())
		if l.enter(from) {
			return &cappedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		_ = c.Close()
	}
}

func (l *cappedListener) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxConns || l.count[from] >= maxHouseholdConns {
		return false
	}
	if l.count == nil {
		l.count = map[netip.Prefix]int{}
	}
	l.total++
	l.count[from]++
	return true
}

func (l *cappedListener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.count[from]--; l.count[from] == 0 {
		delete(l.count, from)
	}
}

type cappedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *cappedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
