package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
)

// defaultTrash is how much of the trash a page has unless it says otherwise.
const defaultTrash = 200

// ListTrash implements api.StrictServerInterface.
func (a *nodeAPI) ListTrash(ctx context.Context, r api.ListTrashRequestObject) (api.ListTrashResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	before, err := trashCursor(valueOf(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	limit := defaultTrash
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	// One more than the page has tells whether another page follows.
	discarded, err := a.node.Trash(ctx, f.ID, before, limit+1)
	if err != nil {
		return nil, err
	}
	var out api.TrashList
	if len(discarded) > limit {
		discarded = discarded[:limit]
		out.Next = new(strconv.FormatInt(discarded[limit-1].N, 10))
	}
	out.Items = make([]api.Discarded, len(discarded))
	for i, d := range discarded {
		out.Items[i] = a.apiDiscarded(d)
	}
	return api.ListTrash200JSONResponse{Body: out}, nil
}

// trashCursor is the number before which a page begins; 0: with the newest.
func trashCursor(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("parameter cursor: %w", search.ErrCursor)
	}
	return n, nil
}

func (a *nodeAPI) apiDiscarded(d replica.Discarded) api.Discarded {
	id, name := a.memberOf(d.Member)
	return api.Discarded{
		N: d.N, Path: d.Path, Kind: api.DiscardedKind(d.Kind), Size: d.Size, Modified: time.Unix(0, d.Modified).UTC(), Mode: octal(d.Mode),
		Hash: hashText(d.Hash), Deleted: d.Deleted, Member: id, MemberName: name, Time: d.Time.UTC(), Local: d.Name != "",
	}
}

// RestoreTrash implements api.StrictServerInterface.
func (a *nodeAPI) RestoreTrash(ctx context.Context, r api.RestoreTrashRequestObject) (api.RestoreTrashResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	paths, err := a.node.Restore(ctx, f.ID, r.Body.Numbers)
	if errors.Is(err, replica.ErrNotFound) { // the folder was found
		err = fmt.Errorf("%w: %s", errTrash, plain(err.Error()))
	}
	if err != nil {
		return nil, err
	}
	out := api.RestoreTrash200JSONResponse{Items: make([]api.Restored, len(paths))}
	for i, path := range paths {
		out.Items[i] = api.Restored{N: r.Body.Numbers[i], Path: path}
	}
	return out, nil
}
