package rtc

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	// observeEvery is how often a node asks how others see it. It is also what
	// keeps its router from forgetting, after half a minute of silence, where
	// packets for the p2p port go.
	observeEvery = 25 * time.Second
	// observeSoon is how often it does as long as it has heard nothing.
	observeSoon = 2 * time.Second
	// seenFor is how long an answer holds.
	seenFor = 3 * observeEvery
	// observeWait is how long a dial waits to hear how others see this node, when
	// it has no idea.
	observeWait = 600 * time.Millisecond
	// maxServers bounds whom a node asks at one time.
	maxServers = 4
)

// seen remembers how others see the p2p port: the addresses that routers gave it.
// The zero value is ready.
type seen struct {
	mu  sync.Mutex
	all map[netip.AddrPort]sight // by who says so
}

type sight struct {
	addr netip.AddrPort
	at   time.Time
}

// note takes what a server says.
func (s *seen) note(server, addr netip.AddrPort, now time.Time) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[netip.AddrPort]sight{}
	}
	for k, v := range s.all {
		if now.Sub(v.at) > seenFor {
			delete(s.all, k)
		}
	}
	old, known := s.all[server]
	if !known && len(s.all) >= 4*maxServers {
		return false
	}
	s.all[server] = sight{addr, now}
	return old.addr != addr
}

// addrs returns the addresses that are fresh, what most say first, at most n.
func (s *seen) addrs(now time.Time, n int) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	votes := map[netip.AddrPort]int{}
	var out []netip.AddrPort
	for _, v := range s.all {
		if now.Sub(v.at) > seenFor {
			continue
		}
		if votes[v.addr]++; votes[v.addr] == 1 {
			out = append(out, v.addr)
		}
	}
	slices.SortFunc(out, func(a, b netip.AddrPort) int {
		if d := votes[b] - votes[a]; d != 0 {
			return d
		}
		return a.Compare(b)
	})
	return out[:min(n, len(out))]
}

// by returns what a server has said last.
func (s *seen) by(server netip.AddrPort) netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[server].addr
}

// forget drops all: the network has changed.
func (s *seen) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
}

// Observe asks the STUN server at an address, which every node is at its p2p port,
// how it sees this one's p2p port. What it says is offered to peers from then on.
func (t *Transport) Observe(ctx context.Context, server netip.AddrPort) (mapped netip.AddrPort, rtt time.Duration, err error) {
	mapped, rtt, err = t.questions.Ask(ctx, t.mux.sock.WriteTo, server)
	if err != nil {
		return netip.AddrPort{}, 0, err
	}
	if slices.Contains(t.own(), mapped) || !public(mapped.Addr()) && public(server.Addr()) {
		return mapped, rtt, nil // nothing that others do not know, or a lie
	}
	if t.seen.note(server, mapped, time.Now()) {
		t.log.Debug("seen from outside", "by", server, "as", mapped)
		t.changed()
	}
	return mapped, rtt, nil
}

// Reflexive returns the addresses at which others see the p2p port, besides its
// own.
func (t *Transport) Reflexive() []netip.AddrPort { return t.seen.addrs(time.Now(), maxReflexive) }

// observe asks again and again, as long as the transport lives.
func (t *Transport) observe() {
	answers := 0
	for {
		pause := observeEvery
		if answers == 0 && len(t.o.Rendezvous)+len(t.stunServers()) > 0 {
			pause = observeSoon // who dials this node wants to know where it is
		}
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(pause):
		case <-t.adopted:
		}
		answers = t.observeNow(t.ctx, t.servers())
	}
}

// observeNow asks all of servers side by side and returns how many have answered, with
// the last answer.
func (t *Transport) observeNow(ctx context.Context, servers []netip.AddrPort) (answers int) {
	ctx, cancel := context.WithTimeout(ctx, observeEvery/2)
	defer cancel()
	var asking sync.WaitGroup
	var answered atomic.Int32
	for _, a := range servers[:min(len(servers), maxServers)] {
		asking.Go(func() {
			if _, _, err := t.Observe(ctx, a); err != nil {
				t.log.Debug("not seen from outside", "error", err)
				return
			}
			answered.Add(1)
		})
	}
	asking.Wait()
	return int(answered.Load())
}

// servers are those whom this node asks how they see it: the ones that its owner
// names, and peers on the Internet, or at least not on loopback. Links over IPv6 say
// nothing about a router that translates IPv4; then peers are asked where they say that
// they are.
func (t *Transport) servers() []netip.AddrPort {
	var peers []netip.AddrPort
	var ids []p2p.ID
	t.mu.Lock()
	for id, s := range t.current {
		ids = append(ids, id)
		if to, via := s.heading(); via == nil && to.IsValid() && !to.Addr().IsLoopback() {
			peers = append(peers, to)
		}
	}
	t.mu.Unlock()
	if t.o.Contact != nil {
		translated, blind := unseen(t.own(), peers)
		for _, id := range ids[:min(len(ids), maxServers)] {
			c, _ := t.o.Contact(id)
			if i := slices.IndexFunc(c.Addrs, func(a netip.AddrPort) bool { return asks(a) && translated(a) }); blind && i >= 0 {
				peers = append(peers, c.Addrs[i])
			}
		}
	}
	slices.SortFunc(peers, func(a, b netip.AddrPort) int {
		if pa, pb := public(a.Addr()), public(b.Addr()); pa != pb {
			if pa {
				return -1
			}
			return 1
		}
		return a.Compare(b)
	})
	return append(slices.Clone(t.stunServers()), peers...)
}

// unseen tells addresses of the protocol that routers translate, if any does, which is IPv4
// for those who have it; and whether nobody knows how: this computer has no address of it
// on the Internet, and there is none in seen.
func unseen(own, seen []netip.AddrPort) (translated func(netip.AddrPort) bool, blind bool) {
	four := slices.ContainsFunc(own, func(a netip.AddrPort) bool { return a.Addr().Is4() })
	translated = func(a netip.AddrPort) bool { return a.Addr().Unmap().Is4() == four }
	return translated, len(own) > 0 && !slices.ContainsFunc(seen, translated) &&
		!slices.ContainsFunc(own, func(a netip.AddrPort) bool { return translated(a) && public(a.Addr()) })
}

// asks reports whether a may be asked how it sees this node because somebody names it.
func asks(a netip.AddrPort) bool {
	return reachable(a, false) && public(a.Addr()) && !privileged(a.Port())
}

// lookAround asks those at addrs how they see this node, if it has no idea how
// anybody does, and waits for the first answer, but no longer than wait. A node that dials for the
// first time, from behind a router, has no other way to say where it is.
func (t *Transport) lookAround(ctx context.Context, addrs []netip.AddrPort, wait time.Duration) {
	own := t.own()
	translated, blind := unseen(own, t.seen.addrs(time.Now(), 4*maxServers))
	if onLoopback(own) || !blind {
		return
	}
	var servers []netip.AddrPort
	for _, a := range append(slices.Clone(t.stunServers()), addrs...) {
		if reachable(a, false) && public(a.Addr()) && translated(a) && !slices.Contains(servers, a) {
			servers = append(servers, a)
		}
	}
	if len(servers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	first := make(chan struct{}, maxServers)
	for _, a := range servers[:min(len(servers), maxServers)] {
		if !t.enter() {
			return
		}
		go func() {
			defer t.running.Done()
			if _, _, err := t.Observe(ctx, a); err == nil {
				first <- struct{}{}
			}
		}()
	}
	select {
	case <-first:
	case <-ctx.Done():
	}
}
