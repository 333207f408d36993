package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/nat/lan"
)

const (
	// maxNearby is how many addresses that strangers of the local network have named
	// are tried in one dial. The transport tries few that never answered; the member's
	// own must be among them.
	maxNearby = 2
	// findWait is how long a join looks for the inviter in the local network at least. One
	// that is there answers at once, or a second after it said something else.
	findWait = 2500 * time.Millisecond
)

// findLocally makes the discovery in the local network, for nodes that can be reached
// from there.
func (n *Node) findLocally(o Options) {
	if o.NoLAN || o.Transport != nil || onLoopback(o.Listen) {
		return
	}
	n.lan = lan.New(lan.Options{
		Self: n.id, Network: func() p2p.ID { return n.members.Network().ID }, Addrs: n.transport.Addrs,
		Version: n.version, Found: n.found, Logger: n.log,
	})
	n.links.nearby, n.links.missed = n.lan.Addrs, n.lan.Missed
}

// onLoopback reports whether a node that listens there can be reached from its own
// computer only.
func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "localhost" {
		return true // empty is 127.0.0.1:0, and nobody listens on an error
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// found is told of a node that was found in the local network. It says itself in which
// network it is, so it is a member only as far as this node knows.
func (n *Node) found(f lan.Found) {
	if !n.isMember(f.ID) {
		return
	}
	n.events.publish(Found{ID: f.ID, Name: n.nameOf(f.ID), Addrs: f.Addrs, Via: "lan"})
	n.links.found(f.ID)
}

// near returns a contact with the addresses that the local network gives for it, before
// its own. A contact is signed by its node: this is another one, for one dial.
func near(c p2p.Contact, addrs []netip.AddrPort) p2p.Contact {
	addrs = addrs[:min(len(addrs), maxNearby)]
	own := slices.DeleteFunc(slices.Clone(c.Addrs), func(a netip.AddrPort) bool { return slices.Contains(addrs, a) })
	c.Addrs = append(slices.Clone(addrs), own...)
	return c
}

// knock dials the inviter, over its own addresses and through the members that the
// invitation names. An invitation can be older than the inviter's present address, so the
// local network is asked where it is meanwhile; the dial is given up for a better one then.
func (n *Node) knock(ctx context.Context, inv member.Invitation) (p2p.Link, error) {
	if n.lan == nil {
		return n.dialInviter(ctx, inv, inv.Inviter)
	}
	began := time.Now()
	first, giveUp := context.WithCancel(ctx)
	defer giveUp()
	looking, stop := context.WithCancel(ctx)
	defer stop()
	found := make(chan []netip.AddrPort, 1)
	go func() {
		addrs := n.lan.Find(looking, inv.Inviter.ID(), inv.Network)
		if slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return !slices.Contains(inv.Inviter.Addrs, a) }) {
			giveUp()
		} else {
			addrs = nil // they are being tried
		}
		found <- addrs
	}()
	l, err := n.dialInviter(first, inv, inv.Inviter)
	switch {
	case err == nil || errors.Is(err, p2p.ErrRefused):
		stop()
	default:
		time.AfterFunc(findWait-time.Since(began), stop)
	}
	addrs := <-found
	if err == nil || len(addrs) == 0 || ctx.Err() != nil {
		return l, err
	}
	return n.dialInviter(ctx, inv, near(inv.Inviter, addrs))
}

// dialInviter dials the inviter as at says.
func (n *Node) dialInviter(ctx context.Context, inv member.Invitation, at p2p.Contact) (p2p.Link, error) {
	pass := inv.Pass()
	if t, ok := n.transport.(interface {
		DialVia(context.Context, p2p.Contact, *p2p.Pass, []p2p.Contact) (p2p.Link, error)
	}); ok {
		return t.DialVia(ctx, at, &pass, inv.Relays)
	}
	return n.transport.Dial(ctx, at, &pass)
}
