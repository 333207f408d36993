package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// Anybody can be admitted to an open network. So nothing of a folder goes to its members before the
// owner has said so there: a folder that is shared begins with the access none, and what a
// node shares when it joins is none of theirs until its owner changes that.

// isOpen reports whether anybody can be admitted.
func (n *Node) isOpen() bool { return n.members.Network().Mode == member.ModeOpen }

// withhold takes from everybody the access to all folders that are kept here, and returns what gives
// it back. What this node offers says so too, or it would be taken over from there.
func (n *Node) withhold(ctx context.Context) (restore func(context.Context) error, err error) {
	n.granting.Lock()
	defer n.granting.Unlock()
	var before []folder.Folder
	giveBack := func(ctx context.Context) error {
		var errs []error
		for _, f := range before {
			_, err := n.folders.Update(ctx, f.ID, folder.Changes{Access: &f.Access, Grants: &f.Grants})
			errs = append(errs, err)
		}
		return errors.Join(append(errs, n.signOffers())...)
	}
	none, nobody := p2p.AccessNone, p2p.Grants{}
	for _, f := range n.folders.List() {
		if f.Access == none && len(f.Grants) == 0 {
			continue
		}
		if _, err := n.folders.Update(ctx, f.ID, folder.Changes{Access: &none, Grants: &nobody}); err != nil {
			return nil, errors.Join(fmt.Errorf("node: withhold folder %s: %w", f.Label, err), giveBack(context.WithoutCancel(ctx)))
		}
		before = append(before, f)
	}
	if err := n.signOffers(); err != nil {
		return nil, errors.Join(err, giveBack(context.WithoutCancel(ctx)))
	}
	return func(ctx context.Context) error {
		n.granting.Lock()
		defer n.granting.Unlock()
		return giveBack(ctx)
	}, nil
}

// joinOpen joins an open network: nothing of any folder goes to its members, neither what is offered
// nor what is kept of others from an earlier network. While it joins, folders are closed to all.
func (n *Node) joinOpen(ctx context.Context, join func() (Joined, error)) (Joined, error) {
	n.veiled.Store(true)
	defer n.veiled.Store(false)
	restore, err := n.withhold(ctx)
	if err != nil {
		return Joined{}, err
	}
	seeds, err := n.swarm.Withhold(ctx)
	giveBack := func(err error) error {
		ctx := context.WithoutCancel(ctx)
		errs := []error{err, restore(ctx)}
		for _, id := range seeds {
			_, err := n.swarm.Resume(ctx, id)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	if err != nil {
		return Joined{}, giveBack(err)
	}
	joined, err := join()
	if err != nil {
		return Joined{}, giveBack(err)
	}
	// What is known of others' folders is up to their offers as long as these are there.
	if _, err := n.withhold(context.WithoutCancel(ctx)); err != nil {
		n.log.Error("joined, but", "error", err)
	}
	return joined, nil
}

// joinVeiled joins the network of an invitation. Those of admins do not say whether it is open: then
// folders are closed to all until this node knows.
func (n *Node) joinVeiled(ctx context.Context, inv member.Invitation, already bool, join func() (Joined, error)) (Joined, error) {
	switch {
	case already:
		return join()
	case inv.Public():
		return n.joinOpen(ctx, join)
	}
	n.veiled.Store(true)
	defer n.veiled.Store(false)
	joined, err := join()
	if err == nil && n.isOpen() {
		_, err := n.withhold(context.WithoutCancel(ctx))
		_, seedErr := n.swarm.Withhold(context.WithoutCancel(ctx))
		if err := errors.Join(err, seedErr); err != nil {
			n.log.Error("joined, but", "error", err)
		}
	}
	return joined, err
}

// Found leaves this node's own network, which must have no other members, for a new one that it
// makes. Errors: member.ErrNotEmpty, member.ErrMalformed.
func (n *Node) Found(ctx context.Context, mode member.Mode, name string) (member.Network, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return member.Network{}, err
	}
	defer leave()
	n.joining.Lock()
	defer n.joining.Unlock()
	found := func() (Joined, error) {
		network, err := n.members.Found(mode, name)
		if err != nil {
			return Joined{}, err
		}
		if err := n.forgetTable(ctx); err != nil {
			n.log.Error("a network was made, but", "error", err)
		}
		return Joined{Network: network, Members: 1}, nil
	}
	if mode == member.ModeOpen {
		joined, err := n.joinOpen(ctx, found)
		return joined.Network, err
	}
	joined, err := found()
	return joined.Network, err
}

// seat makes sure that the roster names this node, if it has folders to offer: what is offered
// is kept by all members, and so is who may offer it. The error says that nobody could be asked.
func (n *Node) seat(ctx context.Context) error {
	if !n.members.Self().Certified || !n.creates() {
		return nil
	}
	if err := n.members.Vouch(ctx, n.route, true); err != nil {
		return fmt.Errorf("node: the folders of this node are not offered yet: %w", err)
	}
	return n.offerAll(ctx)
}

// creates reports whether a folder is to be offered that this node has created.
func (n *Node) creates() bool {
	for _, f := range n.folders.List() {
		if f.Creator.IsZero() {
			return true
		}
	}
	return false
}
