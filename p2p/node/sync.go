package node

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/exchange"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// folderAccess says what a member may do with a folder: everything, if it is its
// creator, otherwise what the creator's offer says. An offer that is not there any
// more, because its creator has left, holds as it was last known here.
func (n *Node) folderAccess(id string, creator, who p2p.ID) exchange.Access {
	if !n.isMember(who) || n.veiled.Load() {
		return exchange.Access{}
	}
	access := p2p.AccessWrite
	if who != creator {
		others, grants := n.accessTo(id, creator)
		access = grants.Of(who, others)
	}
	return exchange.Access{
		Read:  access == p2p.AccessRead || access == p2p.AccessWrite,
		Write: access == p2p.AccessWrite,
	}
}

// accessTo returns what members may do with a folder of a creator.
func (n *Node) accessTo(id string, creator p2p.ID) (others string, grants p2p.Grants) {
	if o, found := n.offerOf(id, creator); found {
		return o.Access, o.Grants
	}
	if f, err := n.folders.Get(id); err == nil {
		return f.Access, f.Grants
	}
	return "", nil
}

// readable reports whether a member may read the files of a folder that is kept here.
func (n *Node) readable(from p2p.ID, id string) bool {
	f, err := n.folders.Get(id)
	if err != nil {
		return false // to whom it is hidden the answer is the same
	}
	return n.folderAccess(id, n.shared(f).By(), from).Read
}

// readableTo returns the folders kept here that a member may read.
func (n *Node) readableTo(who p2p.ID) map[string]bool {
	readable := map[string]bool{}
	if !n.isMember(who) || n.veiled.Load() {
		return readable
	}
	offers := n.members.Offers()
	for _, f := range n.folders.List() {
		creator := n.shared(f).By()
		access := f.Grants.Of(who, f.Access)
		for i := range offers {
			if offers[i].Folder == f.ID && offers[i].By == creator {
				access = offers[i].AccessOf(who)
			}
		}
		readable[f.ID] = who == creator || access != p2p.AccessNone
	}
	return readable
}

// memberKey returns the public key of somebody who is or was a member.
func (n *Node) memberKey(id p2p.ID) (ed25519.PublicKey, bool) {
	m, ok := n.members.Member(id)
	return m.Contact.PublicKey, ok && len(m.Contact.PublicKey) > 0
}

// JoinFolder begins to keep a folder that another member offers, in the directory
// path; empty: shoal/LABEL below the home of the program's user. The directory is
// made if it does not exist. A folder that is kept there already is returned as it is.
// Errors: ErrNotFound, ErrAmbiguous, folder.ErrUnusable, folder.ErrOverlap.
func (n *Node) JoinFolder(ctx context.Context, id string, from p2p.ID, path string) (Folder, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Folder{}, err
	}
	defer leave()
	f, path, err := n.toJoin(id, from, path)
	if err != nil || !f.Offered {
		return f, err
	}
	joined, err := n.folders.Add(ctx, folder.AddOptions{
		Path: path, Label: f.Label, Access: f.Access, Grants: f.Grants, ID: f.ID, Creator: f.Node, Create: true,
	})
	if err != nil {
		return Folder{}, err
	}
	n.sync.Kick()
	return n.shared(joined), nil
}

// toJoin finds an offered folder, and where it is to be kept.
func (n *Node) toJoin(id string, from p2p.ID, path string) (Folder, string, error) {
	f, err := n.Folder(id, from)
	if err != nil {
		return Folder{}, "", err
	}
	if own, err := n.folders.Get(f.ID); err == nil {
		if path != "" {
			if _, err := n.folders.Fits(own.ID, path); err != nil {
				return Folder{}, "", err // it is elsewhere already
			}
		}
		if own.Creator == f.Node || !f.Offered {
			return n.shared(own), own.Path, nil
		}
		return Folder{}, "", fmt.Errorf("node: folder %s of %s: %w: a folder of the same ID is kept here, which is that of %s",
			f.Label, f.NodeName, folder.ErrOverlap, n.nameOf(cmp.Or(own.Creator, n.id)))
	}
	if path != "" {
		return f, path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return Folder{}, "", fmt.Errorf("node: folder %s: %w: the home directory is not known: name the place", f.Label, folder.ErrUnusable)
	}
	return f, filepath.Join(home, "shoal", placeName(f.Label, f.ID)), nil
}

// placeName is a label as the name of a directory.
func placeName(label, id string) string {
	name := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, label))
	if name == "" || strings.Trim(name, ".") == "" || strings.EqualFold(name, ".shoal") {
		name = "folder-" + id[:min(len(id), 6)]
	}
	for len(name) > folder.MaxName {
		name = name[:len(name)-1]
	}
	return strings.ToValidUTF8(name, "")
}

// PreviewFolder says what JoinFolder would do. Errors: ErrNotFound, ErrAmbiguous.
func (n *Node) PreviewFolder(ctx context.Context, id string, from p2p.ID, path string) (replica.Preview, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return replica.Preview{}, err
	}
	defer leave()
	f, path, err := n.toJoin(id, from, path)
	if err != nil {
		return replica.Preview{}, err
	}
	var l p2p.Link
	if f.Offered {
		if l, err = n.links.need(ctx, f.Node); err != nil {
			l = nil
		}
	}
	return n.sync.Preview(ctx, l, f.ID, path)
}

// kept returns the ID of a folder that is kept here. Errors: ErrNotFound.
func (n *Node) kept(ctx context.Context, id string) (context.Context, func(), string, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	f, err := n.ownFolder(id)
	if err != nil {
		leave()
		return nil, nil, "", err
	}
	return ctx, leave, f.ID, nil
}

// Conflicts returns the conflicts of a folder, by path.
func (n *Node) Conflicts(ctx context.Context, id string) ([]replica.Conflict, error) {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return nil, err
	}
	defer leave()
	return n.sync.Conflicts(ctx, id)
}

// Resolve resolves conflicts: keep is replica.KeepOurs, KeepTheirs or KeepBoth. It
// returns how many it has resolved. Errors: replica.ErrNotFound if one of them is not
// there any more, after the others were resolved; replica.ErrReadOnly.
func (n *Node) Resolve(ctx context.Context, id string, numbers []uint64, keep string) (int, error) {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return 0, err
	}
	defer leave()
	return n.sync.Resolve(ctx, id, numbers, keep)
}

// Trash returns up to limit of what was replaced or deleted, newest first, with
// numbers below before (0: from the newest).
func (n *Node) Trash(ctx context.Context, id string, before int64, limit int) ([]replica.Discarded, error) {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return nil, err
	}
	defer leave()
	return n.sync.Trash(ctx, id, before, limit)
}

// Restore brings back what was discarded, by numbers of Trash, to where it was, or
// beside what is there now; the paths are in the order of the numbers.
func (n *Node) Restore(ctx context.Context, id string, numbers []int64) ([]string, error) {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return nil, err
	}
	defer leave()
	return n.sync.Restore(ctx, id, numbers)
}

// Held returns what waits for a person's word.
func (n *Node) Held(ctx context.Context, id string) ([]replica.Held, error) {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return nil, err
	}
	defer leave()
	return n.sync.Held(ctx, id)
}

// Decide lets through what is held of a member (zero: of all), or refuses it: then
// what is here is made the newest version.
func (n *Node) Decide(ctx context.Context, id string, of p2p.ID, release bool) error {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	return n.sync.Decide(ctx, id, of, release)
}

// Transfers returns what is on its way to this node, and what came of late.
func (n *Node) Transfers() []replica.Transfer { return n.sync.Transfers() }

// LocalChanges returns what was changed here in a folder that is read-only here.
func (n *Node) LocalChanges(ctx context.Context, id string) ([]replica.Changed, error) {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return nil, err
	}
	defer leave()
	return n.sync.Locals(ctx, id)
}

// Revert gives such files the content that the folder has; what they were is in the
// trash. No paths: all.
func (n *Node) Revert(ctx context.Context, id string, paths []string) error {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	return n.sync.Revert(ctx, id, paths)
}

// Known returns up to limit of what the network knows to be in a folder that is kept
// here, by path, and the cursor of what follows, empty at the end.
func (n *Node) Known(ctx context.Context, id, prefix, cursor string, limit int) ([]replica.Known, string, error) {
	ctx, leave, id, err := n.kept(ctx, id)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	return n.sync.Known(ctx, id, prefix, cursor, limit)
}

// watchAccess keeps what is known of the access to folders in line with the offers of them,
// so that it holds also when those who offer them have left, and a creator follows what an
// admin has decided.
func (n *Node) watchAccess(ctx context.Context) error {
	messages := n.events.Subscribe(ctx, "")
	n.noteAll(ctx, func(folder.Folder) bool { return true })
	for m := range messages {
		switch e := m.Data.(type) {
		case nil:
			n.noteAll(ctx, func(folder.Folder) bool { return true })
		case member.OfferChanged:
			n.noteAll(ctx, func(f folder.Folder) bool { return f.ID == e.Folder })
			n.sync.Kick()
		}
	}
	return nil
}

// noteAll is noteAccess of some folders; what is noted of those of this node is signed here.
func (n *Node) noteAll(ctx context.Context, which func(folder.Folder) bool) {
	n.granting.Lock()
	defer n.granting.Unlock()
	var errs []error
	for _, f := range n.folders.List() {
		if which(f) {
			_, err := n.noteAccess(ctx, n.shared(f))
			errs = append(errs, err)
		}
	}
	errs = append(errs, n.signOffers())
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		n.log.Error("the access to folders not noted", "error", err)
	}
}

// noteAccess takes the access to a folder from its offer. The caller holds n.granting.
func (n *Node) noteAccess(ctx context.Context, f Folder) (Folder, error) {
	o, found := n.offerOf(f.ID, f.By())
	if !found || o.Access == f.Access && slices.Equal(o.Grants, f.Grants) {
		return f, nil
	}
	noted, err := n.folders.Update(ctx, f.ID, folder.Changes{Access: &o.Access, Grants: &o.Grants})
	if errors.Is(err, folder.ErrNotFound) {
		return f, nil // it was removed just now
	}
	return n.shared(noted), err
}

// watchLinks tells the folders whom this node is linked to.
func (n *Node) watchLinks(ctx context.Context) error {
	for m := range n.events.Subscribe(ctx, "") {
		switch m.Data.(type) {
		case Linked, Lost, folder.Added, folder.Removed, member.OfferChanged, member.MemberRevoked, member.NetworkJoined, member.NetworkFounded, nil:
			n.sync.Kick()
		}
	}
	return nil
}

// hideKept leaves out what is offered of folders that are kept here: by their
// creators, that is. Others can offer what they like by the same ID.
func hideKept(all []Folder) []Folder {
	creators := map[string]p2p.ID{}
	for _, f := range all {
		if !f.Offered && !f.Creator.IsZero() {
			creators[f.ID] = f.Creator
		}
	}
	return slices.DeleteFunc(all, func(f Folder) bool { return f.Offered && creators[f.ID] == f.Node })
}
