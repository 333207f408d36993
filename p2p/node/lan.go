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

// door is where somebody who is no member is let in.
type door struct {
	host   p2p.Contact   // whose it is
	relays []p2p.Contact // members that can carry a message there
	pass   p2p.Pass
}

// knock dials the inviter, over its own addresses and through the members that the
// invitation names.
func (n *Node) knock(ctx context.Context, inv member.Invitation) (p2p.Link, error) {
	return n.knockAt(ctx, door{inv.Inviter, inv.Relays, inv.Pass()})
}

// knockAt dials the host of a door. What says where that is can be older than its present
// address, so the local network is asked meanwhile; the dial is given up for a better one
// then.
func (n *Node) knockAt(ctx context.Context, d door) (p2p.Link, error) {
	if n.lan == nil {
		return n.dialAt(ctx, d, d.host)
	}
	began := time.Now()
	first, giveUp := context.WithCancel(ctx)
	defer giveUp()
	looking, stop := context.WithCancel(ctx)
	defer stop()
	found := make(chan []netip.AddrPort, 1)
	go func() {
		addrs := n.lan.Find(looking, d.host.ID(), d.pass.Network)
		if slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return !slices.Contains(d.host.Addrs, a) }) {
			giveUp()
		} else {
			addrs = nil // they are being tried
		}
		found <- addrs
	}()
	l, err := n.dialAt(first, d, d.host)
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
	return n.dialAt(ctx, d, near(d.host, addrs))
}

// dialAt dials the host of a door as at says.
func (n *Node) dialAt(ctx context.Context, d door, at p2p.Contact) (p2p.Link, error) {
	if t, ok := n.transport.(interface {
		DialVia(context.Context, p2p.Contact, *p2p.Pass, []p2p.Contact) (p2p.Link, error)
	}); ok {
		return t.DialVia(ctx, at, &d.pass, d.relays)
	}
	return n.transport.Dial(ctx, at, &d.pass)
}
