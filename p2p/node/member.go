package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// joinTimeout bounds a join: the time to reach the inviter and to hear its answer.
const joinTimeout = 20 * time.Second

// Members returns the roster, this node included.
func (n *Node) Members() []member.Member { return n.members.Members() }

// Member returns one member of the network.
func (n *Node) Member(id p2p.ID) (member.Member, bool) {
	m, ok := n.members.Member(id)
	return m, ok && !m.Revoked
}

// Connected reports whether there is a link to a member.
func (n *Node) Connected(id p2p.ID) bool {
	_, err := n.links.to(id)
	return err == nil
}

// SetRole promotes or demotes a member.
func (n *Node) SetRole(ctx context.Context, id p2p.ID, role member.Role) (member.Member, error) {
	if err := n.members.SetRole(id, role); err != nil {
		return member.Member{}, err
	}
	m, ok := n.Member(id)
	if !ok {
		return member.Member{}, fmt.Errorf("node: role of %s: %w", id.Short(), member.ErrUnknownMember)
	}
	return m, nil
}

// Revoke excludes a member. All that hear of it drop their links to it.
func (n *Node) Revoke(_ context.Context, id p2p.ID) error { return n.members.Revoke(id) }

// Invite makes an invitation, which names up to three linked members with known
// addresses, so that the joiner finds a way when this node has none.
func (n *Node) Invite(_ context.Context, o member.InviteOptions) (member.Invitation, error) {
	return n.members.Invite(o)
}

// Joined is the outcome of Join.
type Joined struct {
	Network member.Network
	Members int
	Words   []string // that the inviter sees too; none when it was the node's own network
}

// Join makes this node a member of the network of an invitation. A node whose own
// network has other members is refused (member.ErrNotEmpty).
func (n *Node) Join(ctx context.Context, link string) (Joined, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	inv, err := member.ParseInvitation(link)
	if err != nil {
		return Joined{}, err
	}
	if inv.Network == n.members.Network().ID {
		return Joined{Network: n.members.Network(), Members: len(n.members.Members())}, nil
	}
	if inv.Expired(time.Now()) {
		return Joined{}, fmt.Errorf("node: join: invitation of %s: %w", inv.Expires.Format(time.RFC3339), member.ErrExpired)
	}
	if len(n.members.Members()) > 1 {
		return Joined{}, fmt.Errorf("node: join: %w", member.ErrNotEmpty)
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	l, err := n.knock(ctx, inv)
	if errors.Is(err, p2p.ErrRefused) {
		return Joined{}, fmt.Errorf("node: join: %s does not take the invitation: %w", inv.Inviter.Name, errors.Join(member.ErrRefused, err))
	}
	if err != nil {
		return Joined{}, fmt.Errorf("node: join: reaching %s: %w", inv.Inviter.Name, err)
	}
	j, err := n.members.Join(ctx, l, inv)
	if err != nil {
		n.links.close(l)
		return Joined{}, err
	}
	n.links.add(n.ctx, l)
	n.links.kick()
	return Joined{Network: j.Network, Members: j.Members, Words: j.Words[:]}, nil
}

// knock dials the inviter, over its own addresses and through the members that
// the invitation names.
func (n *Node) knock(ctx context.Context, inv member.Invitation) (p2p.Link, error) {
	pass := inv.Pass()
	if t, ok := n.transport.(interface {
		DialVia(context.Context, p2p.Contact, *p2p.Pass, []p2p.Contact) (p2p.Link, error)
	}); ok {
		return t.DialVia(ctx, inv.Inviter, &pass, inv.Relays)
	}
	return n.transport.Dial(ctx, inv.Inviter, &pass)
}
