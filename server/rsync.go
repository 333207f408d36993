package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/shoal-p2p/shoal/p2p/delta/lesson"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListStories implements api.StrictServerInterface.
func (a *nodeAPI) ListStories(context.Context, api.ListStoriesRequestObject) (api.ListStoriesResponseObject, error) {
	return storiesReply{Items: lesson.Stories()}, nil
}

// storiesReply is a StoryList.
type storiesReply struct {
	Items []lesson.Story `json:"items"`
	Next  *string        `json:"next"`
}

// VisitListStoriesResponse implements api.ListStoriesResponseObject.
func (s storiesReply) VisitListStoriesResponse(w http.ResponseWriter) error { return writeJSON(w, s) }

// ExplainRsync implements api.StrictServerInterface.
func (a *nodeAPI) ExplainRsync(ctx context.Context, r api.ExplainRsyncRequestObject) (api.ExplainRsyncResponseObject, error) {
	old, err := a.side(ctx, "old", r.Body.Old, r.Body.OldPath)
	if err != nil {
		return nil, err
	}
	target, err := a.side(ctx, "new", r.Body.New, r.Body.NewPath)
	if err != nil {
		return nil, err
	}
	e, err := lesson.Explain(old, target, valueOf(r.Body.Block))
	if err != nil {
		return nil, err
	}
	return explainReply(e), nil
}

// explainReply is an Explanation: package lesson names its fields as the
// specification does.
type explainReply lesson.Explanation

// VisitExplainRsyncResponse implements api.ExplainRsyncResponseObject.
func (e explainReply) VisitExplainRsyncResponse(w http.ResponseWriter) error { return writeJSON(w, e) }

// side is one of the two texts: as given, or what a file of this node holds.
func (a *nodeAPI) side(ctx context.Context, name string, text *string, at *api.SharedPath) ([]byte, error) {
	switch {
	case (text == nil) == (at == nil):
		return nil, fmt.Errorf("%w: body: one of the fields %s and %s_path", errInvalid, name, name)
	case text != nil:
		return []byte(*text), nil
	}
	data, err := a.small(ctx, at.Folder, at.Path)
	switch {
	case errors.Is(err, folder.ErrNotFound):
		return nil, fmt.Errorf("%s_path: the folder has no file %q: %w", name, at.Path, folder.ErrNotFound)
	case errors.Is(err, node.ErrNotFound):
		return nil, fmt.Errorf("%s_path: no folder %q on this node: %w", name, at.Folder, folder.ErrNotFound)
	case errors.Is(err, folder.ErrBadPath):
		return nil, fmt.Errorf("%s_path: %q: %w", name, at.Path, folder.ErrBadPath)
	case err != nil:
		return nil, fmt.Errorf("%s_path: %w", name, err)
	}
	return data, nil
}

// small reads a whole file of a folder that this node has, if it is small enough
// to be explained. Members are not asked: it is for looking at one's own files.
func (a *nodeAPI) small(ctx context.Context, id, path string) (data []byte, err error) {
	c, err := a.node.Content(ctx, id, a.node.ID(), path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // nothing was written
	if c.Size > lesson.MaxFile {
		return nil, fmt.Errorf("%w: %s has %d bytes; each side has at most %d", lesson.ErrTooLarge, c.Name, c.Size, lesson.MaxFile)
	}
	body, err := c.ReadRange(ctx, 0, c.Size)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // reading has told all there is to tell
	data = make([]byte, c.Size)
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.Name, err)
	}
	return data, nil
}
