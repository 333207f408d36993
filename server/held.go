package server

import (
	"context"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListHeld implements api.StrictServerInterface.
func (a *nodeAPI) ListHeld(ctx context.Context, r api.ListHeldRequestObject) (api.ListHeldResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	held, err := a.node.Held(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	out := api.HeldList{Items: make([]api.Held, len(held))}
	for i, h := range held {
		out.Items[i] = a.apiHeld(h)
	}
	return api.ListHeld200JSONResponse{Body: out}, nil
}

func (a *nodeAPI) apiHeld(h replica.Held) api.Held {
	id, name := a.memberOf(h.Member)
	out := api.Held{
		Member: id, MemberName: name, Since: h.Since.UTC(), Limit: h.Limit, Done: h.Done, Deleted: h.Deleted, Changed: h.Changed,
		Items: make([]api.HeldItem, len(h.Items)),
	}
	for i, item := range h.Items {
		out.Items[i] = api.HeldItem{Path: item.Path, Deleted: item.Deleted, Size: item.Size, NewSize: item.NewSize}
	}
	return out
}

// DecideHeld implements api.StrictServerInterface.
func (a *nodeAPI) DecideHeld(ctx context.Context, r api.DecideHeldRequestObject) (api.DecideHeldResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	var of p2p.ID
	if text := valueOf(r.Body.Member); text != "" {
		if of, err = memberID(text); err != nil {
			return nil, err
		}
	}
	if err := a.node.Decide(ctx, f.ID, of, r.Body.Decision == api.Release); err != nil {
		return nil, err
	}
	return api.DecideHeld204Response{}, nil
}
