package server

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

// defaultEntries is how many entries a page has unless it says otherwise.
const defaultEntries = 200

// ListFolders implements api.StrictServerInterface.
func (a *nodeAPI) ListFolders(context.Context, api.ListFoldersRequestObject) (api.ListFoldersResponseObject, error) {
	folders := a.node.Folders()
	out := api.FolderList{Items: make([]api.Folder, len(folders))}
	for i, f := range folders {
		out.Items[i] = a.apiFolder(f)
	}
	return api.ListFolders200JSONResponse{Body: out}, nil
}

// AddFolder implements api.StrictServerInterface.
func (a *nodeAPI) AddFolder(ctx context.Context, r api.AddFolderRequestObject) (api.AddFolderResponseObject, error) {
	b := *r.Body
	if err := checkNew(b); err != nil {
		return nil, err
	}
	if valueOf(b.Preview) {
		p, err := a.preview(ctx, *b.Id, b.Node, b.Path)
		return api.AddFolder200JSONResponse(p), err
	}
	f, err := a.addOrJoin(ctx, b)
	if err != nil {
		return nil, err
	}
	return api.AddFolder201JSONResponse(a.apiFolder(f)), nil
}

// checkNew refuses what says neither to share a directory nor to join a folder, or
// half of both: nothing that somebody asked for is silently left out.
func checkNew(b api.FolderNew) error {
	// Defaults are filled in already: a preview that is not wanted is none.
	switch joins := b.Id != nil; {
	case !joins && b.Path == nil:
		return fmt.Errorf("%w: body: field path: required without id", errInvalid)
	case !joins && (b.Node != nil || valueOf(b.Preview)):
		return fmt.Errorf("%w: body: fields node and preview: only with id", errInvalid)
	case joins && (b.Label != nil || b.Access != nil || b.Grants != nil):
		return fmt.Errorf("%w: body: fields label, access and grants: only without id; a folder that is joined has those of the member that offers it", errInvalid)
	}
	return nil
}

func (a *nodeAPI) addOrJoin(ctx context.Context, b api.FolderNew) (node.Folder, error) {
	if b.Id != nil {
		from, err := nodeID(b.Node)
		if err != nil {
			return node.Folder{}, err
		}
		return a.node.JoinFolder(ctx, *b.Id, from, valueOf(b.Path))
	}
	grant, err := a.grants(a.node.ID(), b.Grants)
	if err != nil {
		return node.Folder{}, err
	}
	grants := folder.Changes{Grant: grant}.Granted(nil)
	return a.node.AddFolder(ctx, folder.AddOptions{Path: *b.Path, Label: valueOf(b.Label), Access: string(valueOf(b.Access)), Grants: grants})
}

// PreviewFolder implements api.StrictServerInterface.
func (a *nodeAPI) PreviewFolder(ctx context.Context, r api.PreviewFolderRequestObject) (api.PreviewFolderResponseObject, error) {
	p, err := a.preview(ctx, r.Body.Id, r.Body.Node, r.Body.Path)
	if err != nil {
		return nil, err
	}
	return api.PreviewFolder200JSONResponse(p), nil
}

func (a *nodeAPI) preview(ctx context.Context, id string, name, path *string) (api.Preview, error) {
	from, err := nodeID(name)
	if err != nil {
		return api.Preview{}, err
	}
	p, err := a.node.PreviewFolder(ctx, id, from, valueOf(path))
	if err != nil {
		return api.Preview{}, err
	}
	out := api.Preview{
		Path: p.Path, Exists: p.Exists, Known: p.Known, Same: p.Same, Here: p.Here, There: p.There, FetchBytes: p.Fetch,
		Differ: p.Differ, Partial: p.Partial, Items: make([]api.PreviewItem, len(p.Items)),
	}
	for i, item := range p.Items {
		out.Items[i] = api.PreviewItem{Path: item.Path, What: api.PreviewItemWhat(item.What), Size: item.Size}
	}
	return out, nil
}

// valueOf is what an optional field says, or the zero value.
func valueOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// GetFolder implements api.StrictServerInterface.
func (a *nodeAPI) GetFolder(_ context.Context, r api.GetFolderRequestObject) (api.GetFolderResponseObject, error) {
	f, err := a.folder(r.Id, r.Params.Node)
	if err != nil {
		return nil, err
	}
	return api.GetFolder200JSONResponse(a.apiFolder(f)), nil
}

// folder returns a folder of this node or of the one named.
func (a *nodeAPI) folder(id string, name *string) (node.Folder, error) {
	from, err := nodeID(name)
	if err != nil {
		return node.Folder{}, err
	}
	return a.node.Folder(id, from)
}

// nodeID reads the parameter node; zero when it is not given.
func nodeID(name *string) (id p2p.ID, err error) {
	if name == nil || *name == "" {
		return id, nil
	}
	if id, err = p2p.ParseID(*name); err != nil {
		err = fmt.Errorf("%w: parameter node: %w", errInvalid, err)
	}
	return id, err
}

// UpdateFolder implements api.StrictServerInterface.
func (a *nodeAPI) UpdateFolder(ctx context.Context, r api.UpdateFolderRequestObject) (api.UpdateFolderResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	change := folder.Changes{Label: r.Body.Label, Paused: r.Body.Paused}
	if r.Body.Access != nil {
		access := string(*r.Body.Access)
		change.Access = &access
	}
	if change.Grant, err = a.grants(f.By(), r.Body.Grants); err != nil {
		return nil, err
	}
	if change.Label != nil || change.Paused != nil || change.Access != nil || change.Grant != nil {
		if f, err = a.node.UpdateFolder(ctx, f.ID, change); err != nil {
			return nil, err
		}
	}
	if r.Body.Release != nil {
		if err := a.node.Decide(ctx, f.ID, p2p.ID{}, *r.Body.Release); err != nil {
			return nil, err
		}
		if f, err = a.kept(f.ID); err != nil {
			return nil, err
		}
	}
	return api.UpdateFolder200JSONResponse(a.apiFolder(f)), nil
}

// kept returns a folder of this node, and says who offers one that is not kept here.
func (a *nodeAPI) kept(id string) (node.Folder, error) {
	f, err := a.node.Folder(id, a.node.ID())
	if err == nil {
		return f, nil
	}
	if other, e := a.node.Folder(id, p2p.ID{}); e == nil {
		err = fmt.Errorf("folder %s: %w here: %s offers it", other.Label, node.ErrNotFound, other.NodeName)
	}
	return f, err
}

// DeleteFolder implements api.StrictServerInterface.
func (a *nodeAPI) DeleteFolder(ctx context.Context, r api.DeleteFolderRequestObject) (api.DeleteFolderResponseObject, error) {
	if err := a.node.RemoveFolder(ctx, r.Id); err != nil {
		return nil, err
	}
	return api.DeleteFolder204Response{}, nil
}

// ScanFolder implements api.StrictServerInterface.
func (a *nodeAPI) ScanFolder(ctx context.Context, r api.ScanFolderRequestObject) (api.ScanFolderResponseObject, error) {
	if err := a.node.ScanFolder(ctx, r.Id); err != nil {
		return nil, err
	}
	return api.ScanFolder202Response{}, nil
}

// ListEntries implements api.StrictServerInterface.
func (a *nodeAPI) ListEntries(ctx context.Context, r api.ListEntriesRequestObject) (api.ListEntriesResponseObject, error) {
	f, err := a.folder(r.Id, r.Params.Node)
	if err != nil {
		return nil, err
	}
	limit := defaultEntries
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	list := a.known
	if f.Offered {
		list = a.offered
	}
	items, next, err := list(ctx, f, valueOf(r.Params.Prefix), valueOf(r.Params.Cursor), limit)
	if err != nil {
		return nil, err
	}
	return api.ListEntries200JSONResponse{Items: items, Next: cursor(next)}, nil
}

// known lists a folder that is kept here.
func (a *nodeAPI) known(ctx context.Context, f node.Folder, prefix, from string, limit int) ([]api.Entry, string, error) {
	entries, next, err := a.node.Known(ctx, f.ID, prefix, from, limit)
	if err != nil {
		return nil, "", err
	}
	out := make([]api.Entry, len(entries))
	for i, e := range entries {
		out[i] = api.Entry{
			Path: e.Path, Kind: api.EntryKind(e.Kind), Size: e.Size, Modified: e.Modified.UTC(),
			Mode: octal(e.Mode), Hash: hashText(e.Hash), Local: e.Local, Members: make([]string, len(e.Members)),
		}
		for j, id := range e.Members {
			out[i].Members[j] = id.String()
		}
	}
	return out, next, nil
}

// offered asks the member that offers a folder what is in it.
func (a *nodeAPI) offered(ctx context.Context, f node.Folder, prefix, from string, limit int) ([]api.Entry, string, error) {
	entries, next, err := a.node.Entries(ctx, f.ID, f.Node, prefix, from, limit)
	if err != nil {
		return nil, "", err
	}
	out := make([]api.Entry, len(entries))
	for i, e := range entries {
		out[i] = api.Entry{
			Path: e.Path, Kind: api.EntryKind(e.Kind), Size: e.Size, Modified: e.Modified.UTC(),
			Mode: octal(uint32(e.Mode.Perm())), Hash: e.Hash.String(), Members: []string{f.Node.String()},
		}
	}
	return out, next, nil
}

// octal writes permission bits as chmod takes them.
func octal(mode uint32) string { return fmt.Sprintf("%04o", mode&0o777) }

// hashText is empty for what has no content.
func hashText(h reconcile.Hash) string {
	if h == (reconcile.Hash{}) {
		return ""
	}
	return h.String()
}

// ListSkipped implements api.StrictServerInterface.
func (a *nodeAPI) ListSkipped(_ context.Context, r api.ListSkippedRequestObject) (api.ListSkippedResponseObject, error) {
	skips, err := a.node.Skipped(r.Id)
	if err != nil {
		return nil, err
	}
	out := api.ListSkipped200JSONResponse{Items: make([]api.Skipped, len(skips.Items)), Total: skips.Total}
	for i, s := range skips.Items {
		out.Items[i] = api.Skipped{Path: s.Path, Reason: string(s.Reason)}
	}
	return out, nil
}

// ListUnread implements api.StrictServerInterface.
func (a *nodeAPI) ListUnread(ctx context.Context, r api.ListUnreadRequestObject) (api.ListUnreadResponseObject, error) {
	limit := defaultEntries
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	list, err := a.node.Unread(ctx, r.Id, extract.Reason(valueOf(r.Params.Reason)), valueOf(r.Params.Cursor), limit)
	if err != nil {
		return nil, err
	}
	out := api.ListUnread200JSONResponse{
		Items: make([]api.Unread, len(list.Items)), Next: cursor(list.Next), Total: list.Total, Counts: make([]api.UnreadCount, len(list.Counts)),
	}
	for i, u := range list.Items {
		out.Items[i] = api.Unread{Path: u.Path, Reason: api.UnreadReason(u.Reason), Detail: u.Detail}
	}
	for i, c := range list.Counts {
		out.Counts[i] = api.UnreadCount{Reason: api.UnreadReason(c.Reason), Count: c.Count}
	}
	return out, nil
}

func (a *nodeAPI) apiFolder(f node.Folder) api.Folder {
	out := api.Folder{
		Id: f.ID, Label: f.Label, Path: f.Path, State: api.FolderState(f.State), Access: api.Access(f.Access),
		Files: f.Files, Bytes: f.Bytes, Error: plain(f.Error), Warning: f.Warning, Node: f.Node.String(), NodeName: f.NodeName,
		Skipped: f.Skipped, Unread: f.Unread, Scanned: when(f.Scanned), NeedFiles: f.NeedFiles, NeedBytes: f.NeedBytes, Conflicts: f.Conflicts,
	}
	creator, self := f.By(), a.node.ID()
	out.Creator, out.Grants = creator.String(), a.apiGrants(a.grantsShown(f.Grants, creator))
	out.Decides = a.decides(creator)
	out.Writable = creator == self || f.Grants.Of(self, f.Access) == folder.AccessWrite
	if f.Offered {
		out.State = api.FolderStateOffered
		return out
	}
	out.Progress = new(progress(f, a.arrived(f)))
	return out
}

// arrived is how much is here of the files that are on their way to a folder: they
// are missing until they are whole.
func (a *nodeAPI) arrived(f node.Folder) (bytes int64) {
	if f.NeedBytes == 0 {
		return 0
	}
	for _, t := range a.node.Transfers() {
		if t.Folder == f.ID && (t.State == replica.TransferRunning || t.State == replica.TransferWaiting) {
			bytes += t.Done
		}
	}
	return bytes
}

// almost is the most that progress says while anything is missing.
const almost = 0.99

// progress is which part of a folder is here: by bytes or, when only empty files,
// directories and deletions are missing, by number.
func progress(f node.Folder, arrived int64) float64 {
	part, whole := float64(f.Bytes+min(arrived, f.NeedBytes)), float64(f.Bytes+f.NeedBytes)
	if f.NeedBytes <= 0 {
		part, whole = float64(f.Files), float64(f.Files+f.NeedFiles)
	}
	switch {
	case f.NeedFiles <= 0 && f.NeedBytes <= 0:
		return 1
	case whole <= 0 || part <= 0:
		return 0
	}
	return min(part/whole, almost)
}
