package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListConflicts implements api.StrictServerInterface.
func (a *nodeAPI) ListConflicts(ctx context.Context, r api.ListConflictsRequestObject) (api.ListConflictsResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	conflicts, err := a.node.Conflicts(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	out := api.ConflictList{Items: make([]api.Conflict, len(conflicts))}
	for i, c := range conflicts {
		out.Items[i] = api.Conflict{N: int64(c.N), Kind: api.ConflictKind(c.Kind), Path: c.Path, Ours: a.apiSide(c.Ours), Theirs: a.apiSide(c.Theirs)}
	}
	return api.ListConflicts200JSONResponse{Body: out}, nil
}

func (a *nodeAPI) apiSide(s replica.Side) api.ConflictSide {
	id, name := a.memberOf(s.Member)
	return api.ConflictSide{
		Path: s.Path, Hash: hashText(s.Hash), Size: s.Size, Modified: when(s.Modified), Member: id, MemberName: name, Deleted: s.Deleted,
	}
}

// memberOf is a member's ID and name, both empty when there is none.
func (a *nodeAPI) memberOf(id p2p.ID) (text, name string) {
	if id.IsZero() {
		return "", ""
	}
	return id.String(), a.nameOf(id)
}

// ResolveConflict implements api.StrictServerInterface.
func (a *nodeAPI) ResolveConflict(ctx context.Context, r api.ResolveConflictRequestObject) (api.ResolveConflictResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	if _, err := a.resolve(ctx, f, []uint64{uint64(r.N)}, r.Body.Keep); err != nil {
		return nil, err
	}
	return api.ResolveConflict204Response{}, nil
}

// ResolveConflicts implements api.StrictServerInterface.
func (a *nodeAPI) ResolveConflicts(ctx context.Context, r api.ResolveConflictsRequestObject) (api.ResolveConflictsResponseObject, error) {
	f, err := a.kept(r.Id)
	if err != nil {
		return nil, err
	}
	var resolved int
	if r.Body.Numbers == nil {
		resolved, err = a.resolveAll(ctx, f, r.Body.Keep)
	} else {
		numbers := make([]uint64, len(*r.Body.Numbers))
		for i, n := range *r.Body.Numbers {
			numbers[i] = uint64(n)
		}
		resolved, err = a.resolve(ctx, f, numbers, r.Body.Keep)
	}
	if err != nil {
		return nil, err
	}
	return api.ResolveConflicts200JSONResponse{Resolved: resolved}, nil
}

// resolveAll resolves what there is. A conflict that somebody else resolves
// meanwhile is none any more, as was asked for.
func (a *nodeAPI) resolveAll(ctx context.Context, f node.Folder, keep api.Keep) (int, error) {
	conflicts, err := a.node.Conflicts(ctx, f.ID)
	if err != nil || len(conflicts) == 0 {
		return 0, err
	}
	numbers := make([]uint64, len(conflicts))
	for i, c := range conflicts {
		numbers[i] = c.N
	}
	resolved, err := a.node.Resolve(ctx, f.ID, numbers, string(keep))
	if onlyGone(err) {
		err = nil
	}
	return resolved, err
}

// onlyGone reports whether all that err says is that there are no such conflicts.
func onlyGone(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(several.Unwrap(), func(err error) bool { return !onlyGone(err) })
	}
	if inner := errors.Unwrap(err); inner != nil {
		return onlyGone(inner)
	}
	return err == replica.ErrNotFound
}

// resolve resolves conflicts of a folder that is kept here: what is not found is
// then one of the conflicts.
func (a *nodeAPI) resolve(ctx context.Context, f node.Folder, numbers []uint64, keep api.Keep) (int, error) {
	resolved, err := a.node.Resolve(ctx, f.ID, numbers, string(keep))
	if errors.Is(err, replica.ErrNotFound) {
		err = fmt.Errorf("%w: %s", errConflict, plain(err.Error()))
	}
	return resolved, err
}
