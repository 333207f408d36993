package rtc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat/relay"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// relayProto is the protocol of calls that ask a member whether it relays, and for
// credentials.
const relayProto = "relay/1"

// maxDoors bounds the addresses at which a relay is tried.
const maxDoors = 3

// askTimeout bounds such a call.
const askTimeout = 5 * time.Second

type relayAsk struct {
	Use bool `cbor:"1,keyasint,omitempty"` // the caller wants an allocation, and has none that it knows of
	// Guest is a node for which the caller wants credentials, because it has an
	// invitation of the caller's.
	Guest p2p.ID `cbor:"2,keyasint,omitzero"`
}

// guestLife is how long a guest may use a relay. When he is a member he has
// credentials of his own.
const guestLife = 10 * time.Minute

type relayTold struct {
	Open     bool             `cbor:"1,keyasint,omitempty"`
	Used     int              `cbor:"2,keyasint,omitempty"` // allocations
	Total    int              `cbor:"3,keyasint,omitempty"`
	User     string           `cbor:"4,keyasint,omitempty"`
	Password string           `cbor:"5,keyasint,omitempty"`
	Addrs    []netip.AddrPort `cbor:"6,keyasint,omitempty"` // of the p2p port
}

// Reach is what is known of whether others reach the p2p port unasked.
type Reach int

// The kinds of reach.
const (
	ReachUnknown Reach = iota
	ReachOpen
	ReachClosed
)

// RelayMode says whether a node relays for members that cannot be reached.
type RelayMode string

// The relay modes. Auto relays exactly if others reach the node.
const (
	RelayAuto RelayMode = ""
	RelayOn   RelayMode = "on"
	RelayOff  RelayMode = "off"
)

// SetReach tells what was found out about this node's reach. As long as nothing
// is known, a node with an address of IPv4 on the Internet takes itself for reachable, and
// one without any, unless it lives on loopback, does not. An address of IPv6 says nothing:
// homes have those too, behind firewalls.
func (t *Transport) SetReach(r Reach) {
	t.mu.Lock()
	changed := t.reach != r
	t.reach = r
	t.mu.Unlock()
	if changed {
		signal(t.sheltering)
	}
}

// reached is the best guess at the reach.
func (t *Transport) reached() Reach {
	t.mu.Lock()
	r := t.reach
	t.mu.Unlock()
	if r != ReachUnknown {
		return r
	}
	return guessReach(t.own(), len(t.announced()) > 0)
}

// guessReach guesses the reach of a node with some addresses, or with one that somebody
// forwards.
func guessReach(own []netip.AddrPort, announced bool) Reach {
	onInternet := func(a netip.AddrPort) bool { return public(a.Addr()) }
	switch {
	case announced || slices.ContainsFunc(own, func(a netip.AddrPort) bool { return onInternet(a) && a.Addr().Is4() }):
		return ReachOpen
	case onLoopback(own), len(own) == 0, slices.ContainsFunc(own, onInternet):
		return ReachUnknown
	}
	return ReachClosed
}

// sheltered reports whether this node needs relays: because nobody reaches it unasked, as
// far as is known, or because there are peers that cannot send to it at all.
func (t *Transport) sheltered() bool {
	t.mu.Lock()
	met := !t.apart.IsZero() && time.Since(t.apart) < apartFor
	t.mu.Unlock()
	if t.o.Linked == nil || t.o.Caller == nil {
		return false
	}
	own := t.own()
	return met || t.reached() != ReachOpen && len(own) > 0 && !onLoopback(own)
}

// apartFor is for how long a node keeps relays for a peer that has no protocol in common
// with it. It is longer than the longest pause between two restarts of a relayed link.
const apartFor = 3 * longestUpgrade

// meets notes where a peer says that it is.
func (t *Transport) meets(addrs []netip.AddrPort) {
	if !apart(t.own(), addrs) {
		return
	}
	t.mu.Lock()
	t.apart = time.Now()
	t.mu.Unlock()
	signal(t.sheltering)
}

// openRelay begins to relay, or ends it, as the reach of this node says.
func (t *Transport) openRelay() {
	want := t.o.Relay == RelayOn || t.o.Relay == RelayAuto && t.reached() == ReachOpen
	t.mu.Lock()
	have := t.relayServer
	t.mu.Unlock()
	switch {
	case want && have == nil:
		if err := t.beginRelaying(); err != nil {
			t.log.Warn("this node cannot relay", "error", err)
		}
	case !want && have != nil:
		t.endRelaying()
	}
}

func (t *Transport) beginRelaying() error {
	packets, streams := newInlet(t.mux), newFunnel(t.port.tcp.Addr())
	s, err := relay.NewServer(relay.ServerOptions{
		Packets: packets, Streams: streams, Loggers: loggerFactory{t.log}, Rate: t.o.RelayRate,
		Member: func(id p2p.ID) bool { return t.linked(id) },
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.relayServer = s
	}
	t.mu.Unlock()
	if closed {
		return s.Close()
	}
	t.mux.mu.Lock()
	t.mux.server = packets
	t.mux.mu.Unlock()
	t.splitter.setTURN(streams)
	t.log.Debug("relaying for members that cannot be reached")
	return nil
}

func (t *Transport) endRelaying() {
	t.mu.Lock()
	s := t.relayServer
	t.relayServer = nil
	t.mu.Unlock()
	t.mux.mu.Lock()
	t.mux.server = nil
	t.mux.mu.Unlock()
	t.splitter.setTURN(nil)
	if s != nil {
		if err := s.Close(); err != nil {
			t.log.Debug("the relay was not closed in order", "error", err)
		}
	}
}

// RelaysFor reports whether this node relays for a member now.
func (t *Transport) RelaysFor(id p2p.ID) bool {
	t.mu.Lock()
	s := t.relayServer
	t.mu.Unlock()
	return s != nil && s.Serves(id)
}

// handleRelay serves a member that asks for the relay.
func (t *Transport) handleRelay(_ context.Context, from p2p.Link, req []byte) ([]byte, error) {
	var ask relayAsk
	if err := wire.Unmarshal(req, &ask); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: "not a request for a relay"}
	}
	t.mu.Lock()
	s := t.relayServer
	t.mu.Unlock()
	var told relayTold
	if s != nil {
		told.Open = true
		told.Used, told.Total = s.Load()
		switch {
		case !ask.Guest.IsZero():
			told.User, told.Password = s.GuestCredentials(ask.Guest, from.Peer(), time.Now().Add(guestLife))
			told.Addrs = t.Addrs()
		case ask.Use:
			s.Drop(from.Peer())
			told.User, told.Password = s.Credentials(from.Peer())
			told.Addrs = t.Addrs()
		}
	}
	return wire.Marshal(told)
}

// askRelay asks a member for its relay.
func (t *Transport) askRelay(ctx context.Context, id p2p.ID, ask relayAsk) (relayTold, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var told relayTold
	req, err := wire.Marshal(ask)
	if err != nil {
		return told, err
	}
	out, err := t.o.Caller.Call(ctx, id, relayProto, req)
	if err != nil {
		return told, err
	}
	return told, wire.Unmarshal(out, &told)
}

// memberGrant asks a member for an allocation: at the address at which the link to
// it goes, or at those that it names. UDP is tried before TCP.
func (t *Transport) memberGrant(ctx context.Context, id p2p.ID) (grant, error) {
	told, err := t.askRelay(ctx, id, relayAsk{Use: true})
	if err != nil {
		return grant{}, err
	}
	if !told.Open || told.User == "" {
		return grant{}, fmt.Errorf("it does not relay: %w", p2p.ErrRefused)
	}
	g := grant{user: told.User, password: told.Password}
	t.mu.Lock()
	s := t.current[id]
	t.mu.Unlock()
	var addrs []netip.AddrPort
	tcpFirst := false
	if s != nil {
		switch to, via := s.heading(); v := via.(type) {
		case nil:
			if to.IsValid() {
				addrs = append(addrs, to)
			}
		case *stream:
			addrs, tcpFirst = append(addrs, v.peer), true
		}
	}
	for _, a := range told.Addrs {
		if len(addrs) < maxDoors && reachable(a, t.loopback()) && !privileged(a.Port()) && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	for _, tcp := range []bool{tcpFirst, !tcpFirst} {
		for _, a := range addrs {
			g.at = append(g.at, door{a, tcp})
		}
	}
	return g, nil
}

// guestWait bounds how long an answer to a guest waits for what lets him use relays.
const guestWait = 2 * time.Second

// passesFor asks the relays of this node to let a guest in, if this node needs them.
func (t *Transport) passesFor(ctx context.Context, guest p2p.ID) []relayPass {
	if !t.sheltered() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, guestWait)
	defer cancel()
	standing := t.Relays()
	passes := make([]*relayPass, len(standing))
	var asking sync.WaitGroup
	for i, id := range standing {
		asking.Go(func() {
			told, err := t.askRelay(ctx, id, relayAsk{Guest: guest})
			if err == nil && told.Open && told.User != "" {
				passes[i] = &relayPass{ID: id, Addrs: told.Addrs[:min(len(told.Addrs), maxDoors)], User: told.User, Password: told.Password}
			}
		})
	}
	asking.Wait()
	var out []relayPass
	for _, p := range passes {
		if p != nil {
			out = append(out, *p)
		}
	}
	return out
}

// grant is what a pass is good for. Its holder is told the addresses by somebody whom
// he wants to meet, but does not know.
func (p relayPass) grant(loopback bool) grant {
	g := grant{user: p.User, password: p.Password}
	for _, tcp := range []bool{false, true} {
		for _, a := range p.Addrs[:min(len(p.Addrs), maxDoors)] {
			if reachable(a, loopback) && !privileged(a.Port()) {
				g.at = append(g.at, door{a, tcp})
			}
		}
	}
	return g
}
