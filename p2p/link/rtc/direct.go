package rtc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/ice/v4"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// This file is the way in without signalling: "webrtc-direct" in its second form, in
// which nothing of the own description has to be altered. Who wants a link sends a
// check of ICE to the p2p port of a node that everybody can reach; the user name in
// it begins with directPrefix and goes on with the sender's ICE password, and is the
// node's password as well. Neither has seen a fingerprint of the other that somebody
// signed: who they are is found out by the link's own authentication, which binds
// both certificates.
//
// A check proves nothing, so what it may cost is bounded: few handshakes at a time,
// of one household and of all; and the node is an ICE-lite agent, which sends no
// checks, so that a forged source address gets no more than it was made to send.
const directPrefix = "shoal+v2/"

const (
	maxDirect          = 16 // unfinished handshakes
	maxHouseholdDirect = 4
	maxDirectPassword  = 64
)

var (
	errNoDirect    = errors.New("no address of the Internet is known")
	errClosedReach = errors.New("rtc: nobody can reach this node unasked")
)

// directDoor counts the handshakes without signalling that others have begun, and
// knows whom not to try. The zero value is ready; it is guarded by Transport.mu.
type directDoor struct {
	all   int
	per   map[netip.Prefix]int
	names map[string]bool      // by which they are known: a check is repeated until it is answered
	later map[p2p.ID]time.Time // not before
}

func (d *directDoor) enter(from netip.Prefix, name string) bool {
	if d.all >= maxDirect || d.per[from] >= maxHouseholdDirect || d.names[name] {
		return false
	}
	if d.per == nil {
		d.per, d.names = map[netip.Prefix]int{}, map[string]bool{}
	}
	d.all++
	d.per[from]++
	d.names[name] = true
	return true
}

func (d *directDoor) leave(from netip.Prefix, name string) {
	d.all--
	delete(d.names, name)
	if d.per[from]--; d.per[from] == 0 {
		delete(d.per, from)
	}
}

// directTarget takes a check that is for no agent apart.
func directTarget(b []byte) (server, client string, ok bool) {
	user, _ := stunAttribute(b, attrUsername)
	server, client, ok = strings.Cut(string(user), ":")
	if !ok || !strings.HasPrefix(server, directPrefix) || len(server) > len(directPrefix)+maxDirectPassword {
		return "", "", false
	}
	_, errServer := iceChars(server, len(directPrefix)+22)
	_, errClient := iceChars(client, 4)
	return server, client, errServer == nil && errClient == nil
}

// knocked answers the first check of somebody who comes without signalling.
func (t *Transport) knocked(b []byte, from netip.AddrPort) {
	server, client, ok := directTarget(b)
	if !ok || virtualBlock.Contains(from.Addr()) {
		return
	}
	house := householdOf(from.Addr())
	t.mu.Lock()
	free := !t.closed && t.direct.enter(house, server)
	if free {
		t.running.Add(1)
	}
	t.mu.Unlock()
	if !free {
		return
	}
	go func() {
		defer t.running.Done()
		// Reach is asked for here: it lists the interfaces, too slow for who reads the
		// socket.
		var l p2p.Link
		err := errClosedReach
		if t.reached() != ReachClosed {
			l, err = t.receive(server, client, from)
		}
		t.mu.Lock()
		t.direct.leave(house, server)
		t.mu.Unlock()
		if err != nil {
			t.log.Debug("a handshake without signalling failed", "from", from, "error", err)
			return
		}
		t.deliver(l)
	}()
}

// receive makes a link with who has sent a check from an address.
func (t *Transport) receive(server, client string, from netip.AddrPort) (p2p.Link, error) {
	ctx, cancel := context.WithTimeout(t.ctx, handshakeTimeout)
	defer cancel()
	s, err := t.newSessionBy(ctx, t.engine, nil, ice.WithLocalCredentials(server, server), ice.WithICELite(true))
	if err != nil {
		return nil, err
	}
	s.unsigned = true
	remote := description{
		Ufrag: client, Pwd: strings.TrimPrefix(server, directPrefix), Setup: "active",
		Candidates: []candidate{{Addr: from, Kind: p2p.PathPunched}},
	}
	s.trace.offered(remote.Candidates, nil)
	if err := s.peer.start(s.tell(remote), false, false, s.onOpen); err != nil {
		s.close(err)
		return nil, err
	}
	l, err := t.authenticate(ctx, s, link.Options{Network: t.o.Local.Network()})
	if err != nil {
		return nil, err
	}
	if t.o.Local.Gate != nil {
		if err := t.o.Local.Gate(p2p.Knock{From: l.PublicKey(), Network: t.o.Local.Network(), Proof: proofOf(l)}); err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("rtc: %s: %w", l.Peer().Short(), err)
		}
	}
	return l, nil
}

// proofOf is what the peer of a link has shown of itself.
func proofOf(l p2p.Link) []byte {
	if shows, ok := l.(interface{ Proof() []byte }); ok {
		return shows.Proof()
	}
	return nil
}

// dialDirect makes a link to a member at one of its addresses on the Internet, without
// signalling. One that did not answer is left alone for a while: most who cannot be
// asked are not there at all.
func (t *Transport) dialDirect(ctx context.Context, to p2p.Contact) (p2p.Link, error) {
	peer := to.ID()
	at, ok := directAddr(to.Addrs, t.own())
	if !ok {
		return nil, errNoDirect
	}
	t.mu.Lock()
	wait := time.Until(t.direct.later[peer])
	t.mu.Unlock()
	if wait > 0 {
		return nil, fmt.Errorf("at %s without signalling: again in %s", at, wait.Round(time.Second))
	}
	l, err := t.knock(ctx, peer, at)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.direct.leaveAlone(peer, time.Now().Add(directPause))
		return nil, fmt.Errorf("at %s without signalling: %w", at, err)
	}
	delete(t.direct.later, peer)
	return l, nil
}

// directAddr picks the address at which a node may be reached unasked from those of own.
func directAddr(addrs, own []netip.AddrPort) (netip.AddrPort, bool) {
	loopback := onLoopback(own)
	for _, a := range addrs {
		if reachable(a, loopback) && !privileged(a.Port()) && (loopback || public(a.Addr())) && slices.ContainsFunc(own, sameFamily(a)) {
			return a, true
		}
	}
	return netip.AddrPort{}, false
}

// leaveAlone notes when a node is to be tried again. What is forgotten is tried sooner.
func (d *directDoor) leaveAlone(peer p2p.ID, until time.Time) {
	if d.later == nil || len(d.later) >= maxFloors {
		d.later = map[p2p.ID]time.Time{}
	}
	d.later[peer] = until
}

// knock makes a link to the node at an address, which has to be peer.
func (t *Transport) knock(ctx context.Context, peer p2p.ID, at netip.AddrPort) (p2p.Link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, directPatience, errNoPath)
	defer cancel()
	s, err := t.newSession(ctx, nil)
	if err != nil {
		return nil, err
	}
	s.unsigned = true
	ufrag := directPrefix + s.local.Pwd
	remote := description{
		Ufrag: ufrag, Pwd: ufrag, Setup: "passive", Candidates: []candidate{{Addr: at, Kind: p2p.PathDirect}},
	}
	s.trace.describe(p2p.StepOffer, s.local.Candidates)
	if err := s.peer.start(s.tell(remote), true, true, s.onOpen); err != nil {
		s.close(err)
		return nil, err
	}
	return t.authenticate(ctx, s, link.Options{Network: t.o.Local.Network(), Initiator: true, Expect: peer})
}

const (
	directPatience = 2500 * time.Millisecond // bounds one attempt
	directPause    = 10 * time.Minute        // after one that failed
)
