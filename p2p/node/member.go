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

// joinAgain is how often a join is repeated whose link broke.
const joinAgain = 3

// askTimeout bounds the question whether a node is still a member.
const askTimeout = 5 * time.Second

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
	_, leave, err := n.enter(ctx)
	if err != nil {
		return member.Member{}, err
	}
	defer leave()
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
func (n *Node) Revoke(ctx context.Context, id p2p.ID) error {
	_, leave, err := n.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return n.members.Revoke(id)
}

// Invite makes an invitation, which names up to three linked members with known
// addresses, so that the joiner finds a way when this node has none.
func (n *Node) Invite(ctx context.Context, o member.InviteOptions) (member.Invitation, error) {
	_, leave, err := n.enter(ctx)
	if err != nil {
		return member.Invitation{}, err
	}
	defer leave()
	return n.members.Invite(o)
}

// Joined is the outcome of Join.
type Joined struct {
	Network member.Network
	Members int
	Words   []string // that the inviter sees too; none when it was the node's own network
}

// Join makes this node a member of the network of an invitation. A node whose own
// network has other members is refused (member.ErrNotEmpty), unless it was removed
// from that network: such a node may join any, the same one too. For the network
// that it is in, as far as it knows, it asks the inviter whether that is still so.
func (n *Node) Join(ctx context.Context, link string) (Joined, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Joined{}, err
	}
	defer leave()
	n.joining.Lock()
	defer n.joining.Unlock()
	inv, err := member.ParseInvitation(link)
	if err != nil {
		return Joined{}, err
	}
	here := Joined{Network: n.members.Network(), Members: len(n.members.Members())}
	err = n.members.MayJoin(inv)
	already := errors.Is(err, member.ErrAlready)
	if err != nil && !already {
		return Joined{}, fmt.Errorf("node: join: %w", err)
	}
	if already && n.Connected(inv.Inviter.ID()) {
		return here, nil
	}
	return n.joinVeiled(ctx, inv, already, func() (Joined, error) { return n.enterNetwork(ctx, inv, here, already) })
}

// enterNetwork redeems an invitation, and makes the link to the inviter a member's.
func (n *Node) enterNetwork(ctx context.Context, inv member.Invitation, here Joined, already bool) (Joined, error) {
	j, err := n.arrive(ctx, inv, already)
	switch {
	case err != nil && already:
		return here, nil // nobody says otherwise
	case err != nil:
		return Joined{}, err
	}
	if already && j.Already {
		return here, nil
	}
	if err := n.forgetTable(ctx); err != nil {
		n.log.Error("joined, but", "error", err)
	}
	// The news of the admission can come before the answer that brings it.
	return Joined{Network: j.Network, Members: j.Members, Words: j.Words[:]}, nil
}

// arrive redeems an invitation and adds the link over which it did.
func (n *Node) arrive(ctx context.Context, inv member.Invitation, already bool) (member.Joined, error) {
	defer n.links.arrives(inv.Inviter.ID())()
	l, j, err := n.redeem(ctx, inv, already)
	if err == nil {
		n.links.add(n.ctx, l)
	}
	return j, err
}

// redeem uses an invitation over a new link to the inviter, which it returns. A link
// that broke is replaced, because joining can be repeated and the inviter ends that
// of a guest for whom it has no room; and so is one whose packets were lost, once.
func (n *Node) redeem(ctx context.Context, inv member.Invitation, already bool) (p2p.Link, member.Joined, error) {
	patience := joinTimeout
	if already {
		patience = askTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for failures := 0; ; failures++ {
		l, err := n.knock(ctx, inv)
		if errors.Is(err, p2p.ErrNoPath) {
			if again, second := n.knock(ctx, inv); second == nil {
				l, err = again, nil
			}
		}
		if errors.Is(err, p2p.ErrRefused) {
			return nil, member.Joined{}, fmt.Errorf("node: join: %s does not take the invitation: %w", inv.Inviter.Name, errors.Join(member.ErrRefused, err))
		}
		if err != nil {
			return nil, member.Joined{}, fmt.Errorf("node: join: reaching %s: %w", inv.Inviter.Name, err)
		}
		j, err := n.members.Join(ctx, l, inv)
		if err == nil {
			return l, j, nil
		}
		broke := ended(l)
		n.links.close(l)
		if !broke || !errors.Is(err, p2p.ErrClosed) || failures == joinAgain {
			return nil, member.Joined{}, err
		}
		select {
		case <-time.After(backoff(failures)):
		case <-ctx.Done():
			return nil, member.Joined{}, err
		}
	}
}
