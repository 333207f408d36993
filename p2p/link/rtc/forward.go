package rtc

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// courier is who brought an envelope to this node: the peer of a link, or a
// household over a WebSocket.
type courier struct {
	peer      p2p.ID // zero over a WebSocket
	household netip.Prefix
}

// carried is what a peer brings over its link: offers of its own, or of others.
type carried struct {
	peer p2p.ID
	own  bool
}

// invitation names one of the node that made it.
type invitation struct {
	to p2p.ID
	id [16]byte
}

// maxGuestEnvelope bounds what is forwarded for somebody who is no member. An
// offer with all the candidates that a description may have is below 4 KiB.
const maxGuestEnvelope = 6 << 10

// forwarding bounds what this node sends to peers because somebody asked it to
// over a WebSocket. What members ask over their links counts as theirs already
// (Transport.perPeer), so that no WebSocket can take it from them.
type forwarding struct {
	members buckets[p2p.ID]   // by author: an envelope can be sent again by whoever saw it
	sockets buckets[struct{}] // of all members
	// A guest proves nothing to this node: neither his key nor the number of his
	// invitation costs him anything, so that all guests together are bounded too.
	households  buckets[netip.Prefix]
	invitations buckets[invitation]
	guests      buckets[struct{}]
	registered  buckets[p2p.ID]   // by whom the offer is for
	meetings    buckets[struct{}] // of all that are registered
}

func newForwarding() forwarding {
	return forwarding{
		members:     buckets[p2p.ID]{rate: 5, burst: 30},
		sockets:     buckets[struct{}]{rate: 50, burst: 200},
		households:  buckets[netip.Prefix]{rate: 1, burst: 8},
		invitations: buckets[invitation]{rate: 1, burst: 8},
		guests:      buckets[struct{}]{rate: 5, burst: 20},
		registered:  buckets[p2p.ID]{rate: 2, burst: 16},
		meetings:    buckets[struct{}]{rate: 20, burst: 100},
	}
}

// notForwarded is what a stranger hears, whatever the reason: who has a link to
// this node is none of his business.
func notForwarded() *p2p.CallError {
	return &p2p.CallError{Code: "not_forwarded", Message: "no link to it, or it refuses"}
}

// forward passes a sealed offer on to the node that it is for.
func (t *Transport) forward(ctx context.Context, e envelope, msg []byte, by courier) ([]byte, error) {
	if m := t.meetings.of(e.To); m != nil && by.peer.IsZero() {
		return t.passOn(ctx, m, msg)
	}
	if e.Network != t.o.Local.Network() {
		return nil, notForwarded()
	}
	if t.byMember(e) {
		return t.forwardMember(ctx, e, msg, by)
	}
	return t.forwardGuest(ctx, e, msg, by)
}

// byMember reports whether the author of e needs no invitation here.
func (t *Transport) byMember(e envelope) bool {
	return e.Invite == [16]byte{} && t.admit(e) == nil
}

func (t *Transport) forwardMember(ctx context.Context, e envelope, msg []byte, by courier) ([]byte, error) {
	author, now := p2p.IDOf(e.From), time.Now()
	switch {
	case by.peer == author:
	case !by.peer.IsZero():
		return nil, notForwarded() // it was forwarded once
	case !t.forwarding.members.take(author, now) || !t.forwarding.sockets.take(struct{}{}, now):
		return nil, rateLimited()
	}
	if !t.linked(e.To) {
		return nil, &p2p.CallError{Code: "not_linked", Message: "no link to " + e.To.Short()}
	}
	return t.o.Caller.Call(ctx, e.To, signalProto, msg)
}

// forwardGuest forwards the offer of somebody who says that he has an invitation
// of e.To. Only that node can tell.
func (t *Transport) forwardGuest(ctx context.Context, e envelope, msg []byte, by courier) ([]byte, error) {
	if !by.peer.IsZero() || e.Invite == [16]byte{} || len(e.MAC) != sha256.Size || len(msg) > maxGuestEnvelope {
		return nil, notForwarded()
	}
	// What a refusal for the rate says does not depend on who is linked.
	f, now := &t.forwarding, time.Now()
	if !f.households.take(by.household, now) || !f.invitations.take(invitation{e.To, e.Invite}, now) || !f.guests.take(struct{}{}, now) {
		return nil, rateLimited()
	}
	if !t.linked(e.To) {
		return nil, notForwarded()
	}
	out, err := t.o.Caller.Call(ctx, e.To, signalProto, msg)
	if err != nil {
		return nil, notForwarded()
	}
	if reply, err := open(out); err != nil || reply.Kind == refusal && reply.Code == codeRefused {
		return nil, notForwarded()
	}
	return out, nil
}

func (t *Transport) linked(to p2p.ID) bool {
	return t.o.Caller != nil && t.o.Linked != nil && slices.Contains(t.o.Linked(), to)
}

func rateLimited() *p2p.CallError {
	return &p2p.CallError{Code: "rate_limited", Message: "too many offers"}
}
