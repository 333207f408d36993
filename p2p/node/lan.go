package node

import (
	"context"
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
	// findWait is how long a join waits for the local network to say where the inviter
	// is. One that is there answers at once.
	findWait = 500 * time.Millisecond
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

// nearInviter asks the local network where the inviter is: an invitation can be older
// than the inviter's present address.
func (n *Node) nearInviter(ctx context.Context, inv member.Invitation) p2p.Contact {
	if n.lan == nil {
		return inv.Inviter
	}
	ctx, cancel := context.WithTimeout(ctx, findWait)
	defer cancel()
	return near(inv.Inviter, n.lan.Find(ctx, inv.Inviter.ID(), inv.Network))
}
