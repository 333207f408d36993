package node

import (
	"context"
	"net/netip"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat"
)

// newNetwork makes the part that finds out how this node is seen from outside.
func (n *Node) newNetwork(o Options) *nat.Service {
	return nat.New(nat.Options{
		Links: n.links.all, Addrs: n.addrsOf, Announced: o.Announce,
		Publish: n.events.publish, Logger: n.log,
	})
}

// addrsOf returns where a member says that its p2p port is.
func (n *Node) addrsOf(id p2p.ID) []netip.AddrPort {
	m, ok := n.members.Member(id)
	if !ok {
		return nil
	}
	return m.Contact.Addrs
}

// Network reports how this node is seen from outside, as the last check found it.
func (n *Node) Network() nat.Report { return n.network.Report() }

// CheckNetwork finds it out again, which takes some seconds.
func (n *Node) CheckNetwork(ctx context.Context) (nat.Report, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return nat.Report{}, err
	}
	defer leave()
	return n.network.Check(ctx)
}
