package server

import (
	"context"

	"github.com/shoal-p2p/shoal/server/api"
)

// ListChanges implements api.StrictServerInterface.
func (a *nodeAPI) ListChanges(ctx context.Context, r api.ListChangesRequestObject) (api.ListChangesResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	changes, err := a.node.LocalChanges(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	out := api.ChangeList{Items: make([]api.Change, len(changes))}
	for i, c := range changes {
		out.Items[i] = api.Change{Path: c.Path, What: api.ChangeWhat(c.What), Size: c.Size}
	}
	return api.ListChanges200JSONResponse{Body: out}, nil
}

// RevertChanges implements api.StrictServerInterface.
func (a *nodeAPI) RevertChanges(ctx context.Context, r api.RevertChangesRequestObject) (api.RevertChangesResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	var paths []string
	if r.Body != nil && r.Body.Paths != nil {
		paths = *r.Body.Paths
	}
	if err := a.node.Revert(ctx, f.ID, paths); err != nil {
		return nil, err
	}
	return api.RevertChanges204Response{}, nil
}
