package rtc

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/ice/v4"

	"github.com/shoal-p2p/shoal/p2p"
)

// currentPath asks pion over which pair of addresses the session runs. Of a
// session that has ended it is what was last known.
func (s *session) currentPath() p2p.Path {
	select {
	case <-s.ended:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.path
	default:
	}
	local, remote := s.peer.pair()
	s.mu.Lock()
	targets := s.targets
	s.mu.Unlock()
	p := s.t.pathOf(targets, local, remote, s.peer.tried())
	if p.Local.Addr().IsValid() && s.t.wildcard {
		p.Local = sourceFor(p.Local, p.Remote)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Remote.IsValid() {
		s.path = p
	}
	return s.path
}

// rtt is the smoothed round trip of heartbeats.
func (s *session) rtt() time.Duration {
	rtt, _ := s.peer.pulse.roundTrip()
	return rtt
}

// pair is the selected pair of addresses. While ICE looks for another one, it is that by
// which datagrams go.
func (p *peer) pair() (local, remote netip.AddrPort) {
	pair, err := p.agent.GetSelectedCandidatePair()
	if err != nil || pair == nil {
		if r := p.path.Load(); r != nil && r.conn != nil {
			a := p.mux.sock.LocalAddr().(*net.UDPAddr).AddrPort()
			return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), r.to
		}
		return local, remote
	}
	return candidateAddr(pair.Local), candidateAddr(pair.Remote)
}

func candidateAddr(c ice.Candidate) netip.AddrPort { return addrPort(c.Address(), uint16(c.Port())) }

func addrPort(ip string, port uint16) netip.AddrPort {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Unmap(), port)
}

// tried is one pair of pion's check list.
type tried struct {
	local, remote netip.AddrPort
	state         ice.CandidatePairState
}

// tried is the check list of now.
func (p *peer) tried() []tried {
	addrs := map[string]netip.AddrPort{}
	for _, list := range []func() ([]ice.Candidate, error){p.agent.GetLocalCandidates, p.agent.GetRemoteCandidates} {
		all, err := list()
		if err != nil {
			return nil // the agent has ended
		}
		for _, c := range all {
			addrs[c.ID()] = candidateAddr(c)
		}
	}
	var out []tried
	for _, s := range p.agent.GetCandidatePairsStats() {
		out = append(out, tried{addrs[s.LocalCandidateID], addrs[s.RemoteCandidateID], s.State})
	}
	slices.SortFunc(out, func(a, b tried) int {
		if c := a.remote.Compare(b.remote); c != 0 {
			return c
		}
		return a.local.Compare(b.local)
	})
	return out
}

// heading is where datagrams go now, and through which tunnel, if through any. The
// address is zero while there is no path.
func (s *session) heading() (to netip.AddrPort, via tunnel) {
	r := s.peer.path.Load()
	if r == nil {
		return netip.AddrPort{}, nil
	}
	if e, ok := s.t.mux.exitOf(r.to); ok {
		return e.to, e.via
	}
	return r.to, nil
}

// roundabout reports whether datagrams go through a relay of either end, or over TCP.
func (s *session) roundabout() bool {
	r := s.peer.path.Load()
	if r == nil {
		return false
	}
	if _, ok := s.t.mux.exitOf(r.to); ok {
		return true
	}
	s.mu.Lock()
	targets := s.targets
	s.mu.Unlock()
	c, _ := s.t.reveal(targets, r.to)
	return c.Kind == p2p.PathRelayed
}

// pathOf explains the selected pair, given how the peer's candidates were tried.
func (t *Transport) pathOf(targets []target, local, remote netip.AddrPort, pairs []tried) p2p.Path {
	own := func(a netip.AddrPort) netip.AddrPort {
		if a.Addr() != virtualBase {
			return a
		}
		if all := t.own(); len(all) > 0 {
			return all[0] // what is sent into a tunnel leaves by one of these
		}
		return netip.AddrPort{}
	}
	p := p2p.Path{Proto: "udp", Local: own(local), Remote: remote}
	c, _ := t.reveal(targets, remote)
	p.Kind, p.Remote = c.Kind, c.Addr
	if c.TCP {
		p.Proto = "tcp"
	}
	if via := t.relayOf(remote); via != nil {
		p.Kind, p.Relay = p2p.PathRelayed, via.id
		p.Remote, p.Proto = via.where()
	}
	for _, pair := range pairs {
		if pair.local.Addr() == virtualBase && !virtualBlock.Contains(pair.remote.Addr()) {
			continue // this computer cannot send there
		}
		c, _ := t.reveal(targets, pair.remote)
		out := p2p.Candidate{Local: own(pair.local), Remote: c.Addr, Kind: c.Kind, Proto: "udp", Relay: c.Relay}
		if c.TCP {
			out.Proto = "tcp"
		}
		switch {
		case pair.local == local && pair.remote == remote:
			out.Result = "selected"
		case pair.state == ice.CandidatePairStateSucceeded:
			out.Result = "succeeded"
		case pair.state == ice.CandidatePairStateFailed:
			out.Result = "failed"
		default:
			out.Result = "waiting"
		}
		p.Tried = append(p.Tried, out)
	}
	p.Why = why(p)
	return p
}

// reveal tells what is behind an address that ICE sends to, and whether the peer
// offered it. One that it did not offer was seen as the source of its packets: a
// router between the two has made it for this pair.
func (t *Transport) reveal(targets []target, at netip.AddrPort) (c candidate, offered bool) {
	for _, g := range targets {
		if g.at == at {
			return g.candidate, true
		}
	}
	r, ok := t.mux.exitOf(at)
	if !ok {
		return candidate{Addr: at, Kind: p2p.PathPunched}, false
	}
	c = candidate{Addr: r.to, Kind: p2p.PathPunched}
	switch via := r.via.(type) {
	case *stream:
		c.TCP = true
	case *relayed:
		c.Kind, c.Relay = p2p.PathRelayed, via.id
	}
	return c, false
}

// relayOf returns the relay that is between this node and an address that ICE
// sends to, or nil. The peer may have a relay of its own besides.
func (t *Transport) relayOf(at netip.AddrPort) *relayed {
	if r, ok := t.mux.exitOf(at); ok {
		via, _ := r.via.(*relayed)
		return via
	}
	return nil
}

// kindOf says of which kind an address is among candidates.
func kindOf(offered []candidate, addr netip.AddrPort) p2p.PathKind {
	for _, c := range offered {
		if c.Addr == addr {
			return c.Kind
		}
	}
	return p2p.PathPunched
}

func why(p p2p.Path) string {
	over, others := "", ""
	if p.Proto == "tcp" {
		over = " They go over TCP, which is slower: something between the two lets no UDP pass."
	}
	if n := len(p.Tried) - 1; n > 0 {
		others = fmt.Sprintf(" Of %d pairs of addresses that were tried, it was the first of the best kind to answer.", n+1)
	}
	switch p.Kind {
	case p2p.PathDirect:
		return fmt.Sprintf("Packets go straight to %s, which is an address of the peer's own computer.%s%s", p.Remote, over, others)
	case p2p.PathMapped:
		return fmt.Sprintf("Packets go to %s, which the peer announces and its router forwards.%s%s", p.Remote, over, others)
	case p2p.PathRelayed:
		return fmt.Sprintf("Packets go through a relay at %s, encrypted from end to end: the routers of the two let none pass directly. A direct way is tried again and again.%s", p.Remote, over)
	}
	return fmt.Sprintf("Packets go to %s, which a router opened for this pair when the two sent to each other.%s%s", p.Remote, over, others)
}

// sourceFor tells from which of its addresses this computer sends to remote. No
// packet is sent to find out.
func sourceFor(local, remote netip.AddrPort) netip.AddrPort {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return local
	}
	defer func() { _ = c.Close() }()
	a := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return netip.AddrPortFrom(a, local.Port())
}
