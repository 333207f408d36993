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
	p := pathOf(s.remote.Candidates, local, remote, s.peer.tried())
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

// pair is the selected pair of addresses.
func (p *peer) pair() (local, remote netip.AddrPort) {
	pair, err := p.agent.GetSelectedCandidatePair()
	if err != nil || pair == nil {
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

// pathOf explains the selected pair, given what the peer had offered.
func pathOf(offered []candidate, local, remote netip.AddrPort, pairs []tried) p2p.Path {
	p := p2p.Path{Kind: kindOf(offered, remote), Proto: "udp", Local: local, Remote: remote}
	for _, t := range pairs {
		c := p2p.Candidate{Local: t.local, Remote: t.remote, Kind: kindOf(offered, t.remote)}
		switch {
		case t.local == local && t.remote == remote:
			c.Result = "selected"
		case t.state == ice.CandidatePairStateSucceeded:
			c.Result = "succeeded"
		case t.state == ice.CandidatePairStateFailed:
			c.Result = "failed"
		default:
			c.Result = "waiting"
		}
		p.Tried = append(p.Tried, c)
	}
	p.Why = why(p)
	return p
}

// kindOf says how an address of the peer came to be known. One that the peer did
// not offer was seen as the source of its packets: a router between the two has
// made it for this pair.
func kindOf(offered []candidate, remote netip.AddrPort) p2p.PathKind {
	for _, c := range offered {
		if c.Addr == remote {
			return c.Kind
		}
	}
	return p2p.PathPunched
}

func why(p p2p.Path) string {
	others := ""
	if n := len(p.Tried) - 1; n > 0 {
		others = fmt.Sprintf(" Of %d pairs of addresses that were tried, it was the first of the best kind to answer.", n+1)
	}
	switch p.Kind {
	case p2p.PathDirect:
		return fmt.Sprintf("Packets go straight to %s, which is an address of the peer's own computer.%s", p.Remote, others)
	case p2p.PathMapped:
		return fmt.Sprintf("Packets go to %s, which the peer announces and its router forwards.%s", p.Remote, others)
	}
	return fmt.Sprintf("Packets go to %s, which a router opened for this pair when the two sent to each other.%s", p.Remote, others)
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
