package server

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/server/api"
)

// Seconds of the protocol between trackers.
const (
	trackerEvery = int(tracker.Every / 1e9)
	trackerTTL   = int(tracker.TTL / 1e9)
)

// ListTracked implements api.StrictServerInterface.
func (a *nodeAPI) ListTracked(ctx context.Context, r api.ListTrackedRequestObject) (api.ListTrackedResponseObject, error) {
	p := r.Params
	if _, err := hex.DecodeString(valueOf(p.Cursor)); err != nil {
		return nil, fmt.Errorf("%w: %w", errCursor, err)
	}
	t := a.node.Tracker()
	o := tracker.ListOptions{Query: valueOf(p.Q), After: valueOf(p.Cursor), Limit: or(p.Limit, 100)}
	page, next := t.List(o)
	truncated := next != ""
	if valueOf(p.All) {
		if o.After != "" {
			return nil, fmt.Errorf("%w: a list of what all know has no cursor", errInvalid)
		}
		ctx, leave, err := a.node.Enter(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()
		page, truncated = t.Survey(ctx, o)
		next = ""
	}
	s := t.Status()
	out := api.TrackedList{
		Items: make([]api.Tracked, len(page)), Next: cursor(next), Truncated: truncated, EveryS: trackerEvery, TtlS: trackerTTL,
		Seeds: s.Seeds, Sources: s.Sources, Members: s.Members, Own: s.Own, Told: s.Told, Placed: s.Placed,
	}
	for i, l := range page {
		out.Items[i] = api.Tracked{
			Id: l.ID.String(), Name: l.Name, Size: l.Size, Whole: l.Whole, Partial: l.Partial, Own: l.Own, Legacy: l.Legacy, Hearsay: l.Hearsay, Since: l.Since.UTC(),
		}
	}
	return api.ListTracked200JSONResponse{Body: out}, nil
}

// GetSeed implements api.StrictServerInterface.
func (a *nodeAPI) GetSeed(ctx context.Context, r api.GetSeedRequestObject) (api.GetSeedResponseObject, error) {
	id, err := seedID(r.Params.Id)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	s, err := a.node.Tracker().Text(ctx, id)
	if err != nil {
		return nil, err
	}
	return api.GetSeed200TextResponse(s.Text()), nil
}

// UpdateTracker implements api.StrictServerInterface.
func (a *nodeAPI) UpdateTracker(context.Context, api.UpdateTrackerRequestObject) (api.UpdateTrackerResponseObject, error) {
	seeds, members := a.node.Tracker().Refresh()
	return api.UpdateTracker202JSONResponse{Seeds: seeds, Members: members, EveryS: trackerEvery, TtlS: trackerTTL}, nil
}

// QueryTracker implements api.StrictServerInterface.
func (a *nodeAPI) QueryTracker(ctx context.Context, r api.QueryTrackerRequestObject) (api.QueryTrackerResponseObject, error) {
	id, err := seedID(r.Params.Id)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	t := a.node.Tracker()
	peers, err := t.Sources(ctx, id, or(r.Params.Want, 50))
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.TrackerSources{Id: id.String(), Items: []api.TrackerSource{}}
	out.Slice, out.Slices = t.Slice(id)
	if own, is := t.Own(id); is {
		me := tracker.Peer{ID: a.node.ID(), Have: own.Have, TTL: tracker.TTL, Rate: own.Up, Wants: own.Wants, Linked: true, Told: tracker.TellsItself}
		out.Items = append(out.Items, apiSource(me, true, names))
	}
	for _, p := range peers {
		out.Items = append(out.Items, apiSource(p, false, names))
	}
	return api.QueryTracker200JSONResponse(out), nil
}

func apiSource(p tracker.Peer, self bool, names map[p2p.ID]string) api.TrackerSource {
	out := api.TrackerSource{
		Id: p.ID.String(), Name: nameIn(names, p.ID), Self: self, Whole: p.Have.All, Pieces: p.Have.Count, Runs: [][]int{}, Rate: p.Rate, Wants: p.Wants,
		Linked: p.Linked, Told: api.TrackerSourceTold(p.Told), TtlS: p.TTL.Seconds(),
	}
	for _, r := range p.Have.Runs {
		out.Runs = append(out.Runs, []int{r.First, r.Count})
	}
	return out
}

// seedID reads the ID of a seed in a request.
func seedID(text string) (seed.ID, error) {
	id, err := seed.ParseID(text)
	if err != nil {
		return id, fmt.Errorf("%w: %w", errInvalid, err)
	}
	return id, nil
}
