package rtc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	// maxFresh bounds the addresses that never answered of one peer in one dial.
	maxFresh = 4
	// maxNear bounds the addresses of one peer in one dial that are near each other:
	// of a /24, or an IPv6 /56.
	maxNear = 4
	// maxPlaces bounds what a book remembers.
	maxPlaces = 4096

	firstPause   = time.Second
	longestPause = 10 * time.Minute
)

// book remembers which addresses of which peers have answered. A peer names its
// addresses itself, and every member dials it again and again as long as it has
// no link: without a memory, all of them would connect to whatever it names, for
// ever. What never answered is left alone for longer and longer; what did is
// tried at once, for its peer may just have started again.
type book struct {
	fresh buckets[p2p.ID] // of tries of addresses that never answered: a peer can name new ones

	mu  sync.Mutex // guards all that follows
	all map[place]*record
	own []netip.AddrPort // of this computer when the book was last asked
}

// place is an address as that of a peer: that somebody else answers there says
// nothing about it.
type place struct {
	peer p2p.ID
	addr netip.AddrPort
}

type record struct {
	answered bool
	tries    int
	next     time.Time // before that, it is left alone
	last     string    // what the last try came to, for people
}

func newBook() *book {
	return &book{fresh: buckets[p2p.ID]{rate: 1.0 / 30, burst: 32}, all: map[place]*record{}}
}

// choose picks from addrs those to try in one dial of peer, in their order, and
// says of the others that could be tried another time why they are not. own are
// this computer's addresses. With once, somebody asks for this one dial: then
// nothing is left for another time.
func (b *book) choose(peer p2p.ID, addrs, own []netip.AddrPort, once bool, now time.Time) (chosen []netip.AddrPort, left []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moved(own)
	loopback := onLoopback(own)
	near, fresh := map[netip.Prefix]int{}, 0
	for _, a := range addrs {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		r := b.all[place{peer, a}]
		switch {
		case !reachable(a, loopback) || slices.Contains(chosen, a):
			continue
		case r != nil && r.answered:
		case privileged(a.Port()) || near[neighbourhood(a.Addr())] >= maxNear:
			continue
		case once:
		case r != nil && now.Before(r.next):
			left = append(left, fmt.Sprintf("ws %s: %s, again in %s", a, r.last, r.next.Sub(now).Round(time.Second)))
			continue
		case fresh >= maxFresh:
			left = append(left, fmt.Sprintf("ws %s: next time", a))
			continue
		default:
			fresh++
		}
		near[neighbourhood(a.Addr())]++
		chosen = append(chosen, a)
	}
	return chosen, left
}

// moved forgets what did not answer when this computer's own addresses change: in
// another network other addresses answer. The caller holds b.mu.
func (b *book) moved(own []netip.AddrPort) {
	if slices.Equal(own, b.own) {
		return
	}
	b.own = own
	for p, r := range b.all {
		if !r.answered {
			delete(b.all, p)
		}
	}
}

// begin notes that an address is tried and reports whether it may be. It counts
// as one that does not answer from here on: whether a try is seen to its end
// depends on the peer, which may reply sooner by another way.
func (b *book) begin(peer p2p.ID, addr netip.AddrPort, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.record(place{peer, addr}, now)
	if r.answered {
		return true
	}
	if !b.fresh.take(peer, now) {
		return false
	}
	if r.tries > 0 { // the first may have been cut short
		r.next = now.Add(min(firstPause<<min(r.tries-1, 16), longestPause))
	}
	r.tries++
	r.last = "no reply"
	return true
}

// end notes what a try came to.
func (b *book) end(peer p2p.ID, addr netip.AddrPort, err error, now time.Time) {
	if err == nil {
		b.worked(peer, addr, now)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.all[place{peer, addr}]; r != nil && !errors.Is(err, context.Canceled) {
		r.last = brief(err)
	}
}

// worked notes that peer is at addr: it has proven who it is there.
func (b *book) worked(peer p2p.ID, addr netip.AddrPort, now time.Time) {
	if !addr.IsValid() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	*b.record(place{peer, addr}, now) = record{answered: true}
}

// record finds the record of p or makes one. The caller holds b.mu.
func (b *book) record(p place, now time.Time) *record {
	r := b.all[p]
	if r == nil {
		b.prune(now)
		r = &record{}
		b.all[p] = r
	}
	return r
}

// prune makes room, a quarter at once so that it is seldom needed: what has not
// been tried for long goes first, what has answered last.
func (b *book) prune(now time.Time) {
	if len(b.all) < maxPlaces {
		return
	}
	for _, goes := range []func(*record) bool{
		func(r *record) bool { return !r.answered && now.Sub(r.next) > longestPause },
		func(r *record) bool { return !r.answered },
		func(*record) bool { return true },
	} {
		for p, r := range b.all {
			if len(b.all) <= maxPlaces*3/4 {
				return
			}
			if goes(r) {
				delete(b.all, p)
			}
		}
	}
}

// privileged reports whether a port belongs to a service that is certainly
// something else.
func privileged(port uint16) bool { return port < 1024 && port != 80 && port != 443 }

// neighbourhood is what one victim may have in common: an IPv4 /24, an IPv6 /56.
func neighbourhood(a netip.Addr) netip.Prefix {
	bits := 56
	if a.Is4() {
		bits = 24
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
