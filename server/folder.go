package server

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
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
		out.Items[i] = apiFolder(f)
	}
	return api.ListFolders200JSONResponse{Body: out}, nil
}

// AddFolder implements api.StrictServerInterface.
func (a *nodeAPI) AddFolder(ctx context.Context, r api.AddFolderRequestObject) (api.AddFolderResponseObject, error) {
	o := folder.AddOptions{Path: r.Body.Path}
	if r.Body.Label != nil {
		o.Label = *r.Body.Label
	}
	if r.Body.Access != nil {
		o.Access = string(*r.Body.Access)
	}
	f, err := a.node.AddFolder(ctx, o)
	if err != nil {
		return nil, err
	}
	return api.AddFolder201JSONResponse(apiFolder(f)), nil
}

// GetFolder implements api.StrictServerInterface.
func (a *nodeAPI) GetFolder(_ context.Context, r api.GetFolderRequestObject) (api.GetFolderResponseObject, error) {
	f, err := a.folder(r.Id, r.Params.Node)
	if err != nil {
		return nil, err
	}
	return api.GetFolder200JSONResponse(apiFolder(f)), nil
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
	change := folder.Changes{Label: r.Body.Label, Paused: r.Body.Paused}
	if r.Body.Access != nil {
		access := string(*r.Body.Access)
		change.Access = &access
	}
	f, err := a.node.UpdateFolder(ctx, r.Id, change)
	if err != nil {
		return nil, err
	}
	return api.UpdateFolder200JSONResponse(apiFolder(f)), nil
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
	var prefix, from string
	if r.Params.Prefix != nil {
		prefix = *r.Params.Prefix
	}
	if r.Params.Cursor != nil {
		from = *r.Params.Cursor
	}
	limit := defaultEntries
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	entries, next, err := a.node.Entries(ctx, f.ID, f.Node, prefix, from, limit)
	if err != nil {
		return nil, err
	}
	out := api.ListEntries200JSONResponse{Items: make([]api.Entry, len(entries)), Next: cursor(next)}
	for i, e := range entries {
		out.Items[i] = api.Entry{
			Path: e.Path, Kind: api.EntryKind(e.Kind), Size: e.Size, Modified: e.Modified.UTC(),
			Mode: fmt.Sprintf("%04o", e.Mode.Perm()), Hash: e.Hash.String(), Local: !f.Offered, Members: []string{f.Node.String()},
		}
	}
	return out, nil
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

func apiFolder(f node.Folder) api.Folder {
	out := api.Folder{
		Id: f.ID, Label: f.Label, Path: f.Path, State: api.FolderState(f.State), Access: api.Access(f.Access),
		Files: f.Files, Bytes: f.Bytes, Error: plain(f.Error), Warning: f.Warning, Node: f.Node.String(), NodeName: f.NodeName,
		Skipped: f.Skipped, Scanned: when(f.Scanned),
	}
	if f.Offered {
		out.State = api.Offered
	}
	return out
}
