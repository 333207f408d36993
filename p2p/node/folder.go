package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// Folder is one that is shared here, or that another member offers.
type Folder struct {
	folder.Folder
	Unread   int  // files of which search has no text, or not all of it
	Offered  bool // by another member; only ID, Label and Access are known
	Node     p2p.ID
	NodeName string
}

// By returns who offers the folder.
func (f Folder) By() p2p.ID {
	if f.Creator.IsZero() {
		return f.Node
	}
	return f.Creator
}

// Folders returns the folders kept here, then those that other members offer and
// that are not.
func (n *Node) Folders() []Folder { return hideKept(n.allFolders()) }

func (n *Node) allFolders() []Folder {
	var out []Folder
	for _, f := range n.folders.List() {
		out = append(out, n.shared(f))
	}
	if n.members.Self().Revoked {
		return out
	}
	return append(out, n.offers()...)
}

// offers returns the folders that other members offer to this one.
func (n *Node) offers() []Folder {
	var out []Folder
	for _, o := range n.members.Offers() {
		if o.By != n.id && !o.Gone && o.AccessOf(n.id) != p2p.AccessNone {
			out = append(out, n.offered(o))
		}
	}
	return out
}

func (n *Node) shared(f folder.Folder) Folder {
	unread := 0
	for _, count := range n.lacking.of(f.ID) {
		unread += count
	}
	return Folder{Folder: f, Unread: unread, Node: n.id, NodeName: n.name}
}

func (n *Node) offered(o member.Offer) Folder {
	return Folder{
		Folder:  folder.Folder{ID: o.Folder, Label: o.Label, Access: o.Access, Grants: o.Grants},
		Offered: true, Node: o.By, NodeName: n.nameOf(o.By),
	}
}

// Folder returns the folder with an id, or else a label, that the member from
// shares. Anybody can offer a folder by the id or the label of somebody else's, so
// with a zero from only one of this node goes before the others; when several others
// share such a folder the error is ErrAmbiguous, and says which there are.
func (n *Node) Folder(idOrLabel string, from p2p.ID) (Folder, error) {
	all := n.allFolders()
	if !from.IsZero() {
		all = slices.DeleteFunc(all, func(f Folder) bool { return f.Node != from })
	}
	var found []Folder
	if folder.IsID(idOrLabel) {
		found = preferOwn(all, func(f Folder) bool { return f.ID == idOrLabel })
	}
	if len(found) == 0 {
		found = preferOwn(all, func(f Folder) bool { return f.Label == idOrLabel })
	}
	switch len(found) {
	case 0:
		return Folder{}, fmt.Errorf("node: folder %.80q: %w", idOrLabel, ErrNotFound)
	case 1:
		return found[0], nil
	default:
		return Folder{}, fmt.Errorf("node: folder %.80q: %w: %s", idOrLabel, ErrAmbiguous, listing(found))
	}
}

// labelOf returns what a folder that is kept here is called here; empty if there is none.
func (n *Node) labelOf(id string) string {
	f, err := n.folders.Get(id)
	if err != nil {
		return ""
	}
	return f.Label
}

// preferOwn returns the folders that fit: those of this node, if there are any.
func preferOwn(all []Folder, fits func(Folder) bool) []Folder {
	var here, there []Folder
	for _, f := range all {
		switch {
		case !fits(f):
		case f.Offered:
			there = append(there, f)
		default:
			here = append(here, f)
		}
	}
	if len(here) > 0 {
		return here
	}
	return there
}

// maxListing is how many folders an error names.
const maxListing = 8

// listing names folders so that one of them can be asked for.
func listing(folders []Folder) string {
	var names []string
	for _, f := range folders[:min(len(folders), maxListing)] {
		names = append(names, fmt.Sprintf("%s of %s (node %s)", f.ID, f.NodeName, f.Node))
	}
	text := strings.Join(names, ", ")
	if more := len(folders) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// ownFolder is Folder for what can be done only with a folder shared here.
func (n *Node) ownFolder(idOrLabel string) (Folder, error) {
	f, err := n.Folder(idOrLabel, n.id)
	if err == nil {
		return f, nil
	}
	if other, e := n.Folder(idOrLabel, p2p.ID{}); e == nil && other.Offered {
		err = fmt.Errorf("node: folder %s: %w here: %s shares it", other.Label, ErrNotFound, other.NodeName)
	}
	return f, err
}

// AddFolder shares a folder. Sharing a path again returns the folder that it is.
func (n *Node) AddFolder(ctx context.Context, o folder.AddOptions) (Folder, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Folder{}, err
	}
	defer leave()
	if o.Access == "" && n.isOpen() {
		o.Access = p2p.AccessNone
	}
	f, err := n.folders.Add(ctx, o)
	if err != nil {
		return Folder{}, err
	}
	if err := n.seat(ctx); err != nil {
		n.log.Warn("a folder is shared, but", "folder", f.Label, "error", err)
	}
	return n.shared(f), n.offerAll(ctx)
}

// UpdateFolder renames, pauses or changes the access of a folder shared here. Who may do
// what is decided by the folder's creator and by admins; the last word counts.
func (n *Node) UpdateFolder(ctx context.Context, id string, c folder.Changes) (Folder, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Folder{}, err
	}
	defer leave()
	n.granting.Lock()
	defer n.granting.Unlock()
	f, err := n.ownFolder(id)
	if err != nil {
		return Folder{}, err
	}
	if f, err = n.noteAccess(ctx, f); err != nil {
		return Folder{}, err
	}
	if c.Grant != nil {
		c.Grant = n.withoutFormer(f.Grants, c.Grant)
	}
	if err := n.grantFor(f, c); err != nil {
		return Folder{}, err
	}
	changed, err := n.folders.Update(ctx, f.ID, c)
	if err != nil {
		return Folder{}, err
	}
	n.sync.Kick()
	return n.shared(changed), n.signOffers()
}

// withoutFormer returns the changes of single grants with the end of those of who is no
// member any more: they take no room.
func (n *Node) withoutFormer(had p2p.Grants, change map[p2p.ID]string) map[p2p.ID]string {
	change = maps.Clone(change)
	for _, g := range had {
		if !n.isMember(g.Member) {
			change[g.Member] = ""
		}
	}
	return change
}

// grantFor says for another creator who may do what with its folder, if c changes that.
// Only an admin may, and it is the offer that counts.
func (n *Node) grantFor(f Folder, c folder.Changes) error {
	o := member.Offer{Folder: f.ID, Label: f.Label, By: f.Creator, Access: f.Access, Grants: c.Granted(f.Grants)}
	if c.Access != nil {
		o.Access = *c.Access
	}
	if f.Creator.IsZero() || o.Access == f.Access && slices.Equal(o.Grants, f.Grants) {
		return nil
	}
	if current, found := n.offerOf(f.ID, f.Creator); found {
		o.Label = current.Label // what it is called here is a matter of this node
	}
	return n.members.SetOffer(o)
}

// offerOf returns the offer of a creator's folder that is in effect.
func (n *Node) offerOf(id string, creator p2p.ID) (member.Offer, bool) {
	for _, o := range n.members.Offers() {
		if o.Folder == id && o.By == creator {
			return o, true
		}
	}
	return member.Offer{}, false
}

// RemoveFolder stops sharing a folder. Its files are not touched.
func (n *Node) RemoveFolder(ctx context.Context, id string) error {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	f, err := n.ownFolder(id)
	if err != nil {
		return err
	}
	if err := n.folders.Remove(ctx, f.ID); err != nil {
		return err
	}
	return errors.Join(n.sync.Forget(ctx, f.ID), n.index.RemoveFolder(ctx, f.ID), n.lacking.forget(ctx, f.ID), n.offerAll(ctx))
}

// forgetOrphans removes from the index what is left of folders that are shared no
// more: RemoveFolder was interrupted after the folder was forgotten.
func (n *Node) forgetOrphans(ctx context.Context) error {
	for _, id := range append(n.index.Folders(), n.lacking.folders()...) {
		if _, err := n.folders.Get(id); !errors.Is(err, folder.ErrNotFound) {
			continue
		}
		if err := errors.Join(n.index.RemoveFolder(ctx, id), n.lacking.forget(ctx, id)); err != nil {
			return err
		}
	}
	return nil
}

// ScanFolder looks at all files of a folder now, and returns when that has begun.
func (n *Node) ScanFolder(_ context.Context, id string) error {
	f, err := n.ownFolder(id)
	if err != nil {
		return err
	}
	return n.folders.Scan(f.ID)
}

// Entries returns up to limit files and directories of a folder (see Folder) whose
// path starts with prefix, by path, and the cursor of what follows, empty at the end.
func (n *Node) Entries(ctx context.Context, id string, from p2p.ID, prefix, cursor string, limit int) ([]folder.Entry, string, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	f, err := n.Folder(id, from)
	if err != nil {
		return nil, "", err
	}
	if !f.Offered {
		return n.folders.Entries(ctx, f.ID, prefix, cursor, limit)
	}
	return folder.FetchEntries(ctx, n.route, f.Node, f.ID, prefix, cursor, limit)
}

// Skipped returns what the last scan of a folder shared here left out, and why.
func (n *Node) Skipped(id string) (folder.Skips, error) {
	f, err := n.ownFolder(id)
	if err != nil {
		return folder.Skips{}, err
	}
	return n.folders.Skipped(f.ID)
}

// watchOffers keeps what the network is told of this node's folders in line with
// what is shared: also after this node has joined another network.
func (n *Node) watchOffers(ctx context.Context) error {
	for m := range n.events.Subscribe(ctx, "") {
		switch m.Data.(type) {
		case member.NetworkJoined, member.NetworkFounded, nil:
			if err := n.offerAll(ctx); err != nil {
				n.log.Error("folders not offered", "error", err)
			}
		}
	}
	return nil
}

// offerAll offers the folders that are shared here. What an admin has decided in the meantime
// is taken over first, and signed by this node, so that it holds also when the admin is none
// any more.
func (n *Node) offerAll(ctx context.Context) error {
	n.granting.Lock()
	defer n.granting.Unlock()
	var errs []error
	for _, f := range n.folders.List() {
		if f.Creator.IsZero() {
			_, err := n.noteAccess(ctx, n.shared(f))
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, n.signOffers())...)
}

// signOffers signs an offer for each folder whose present one says something
// else, or is of an admin, and withdraws those of folders that are not shared any more. A
// node that was revoked has nobody to offer them to; they are offered where it joins. Nor does one offer
// them that the roster does not name. The caller holds n.granting.
func (n *Node) signOffers() error {
	if self := n.members.Self(); self.Revoked || self.Certified {
		return nil // see seat
	}
	offered := map[string]member.Offer{}
	for _, o := range n.members.Offers() {
		if o.By == n.id {
			offered[o.Folder] = o
		}
	}
	var errs []error
	for _, f := range n.folders.List() {
		if !f.Creator.IsZero() {
			continue // its creator offers it
		}
		errs = append(errs, n.members.SetOffer(member.Offer{Folder: f.ID, Label: f.Label, Access: f.Access, Grants: f.Grants}))
		delete(offered, f.ID)
	}
	for _, o := range offered {
		o.Gone = true
		errs = append(errs, n.members.SetOffer(o))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("node: offer folders: %w", err)
	}
	return nil
}
