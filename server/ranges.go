package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/ranges/registry"
	"github.com/shoal-p2p/shoal/server/api"
)

var (
	errNotVia  = errors.New("the index is not kept in that way")
	errNoEntry = errors.New("no such entry")
)

// ListRanges implements api.StrictServerInterface.
func (a *nodeAPI) ListRanges(ctx context.Context, _ api.ListRangesRequestObject) (api.ListRangesResponseObject, error) {
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	all, err := a.node.Ranges().List(ctx)
	if err != nil {
		return nil, err
	}
	out := api.RangeIndexList{Items: []api.RangeIndex{}}
	for _, d := range all {
		out.Items = append(out.Items, apiIndex(d))
	}
	return api.ListRanges200JSONResponse(out), nil
}

// CreateRange implements api.StrictServerInterface.
func (a *nodeAPI) CreateRange(ctx context.Context, r api.CreateRangeRequestObject) (api.CreateRangeResponseObject, error) {
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	d := registry.Definition{Name: r.Body.Name, Bits: valueOf(r.Body.Bits), LeafBits: valueOf(r.Body.LeafBits), Capacity: valueOf(r.Body.Capacity)}
	for _, v := range valueOf(r.Body.Via) {
		d.Via = append(d.Via, registry.Via(v))
	}
	o, err := a.node.Ranges().Define(ctx, d)
	if err != nil {
		return nil, err
	}
	return api.CreateRange200JSONResponse(apiIndex(o.Definition)), nil
}

// QueryRange implements api.StrictServerInterface.
func (a *nodeAPI) QueryRange(ctx context.Context, r api.QueryRangeRequestObject) (api.QueryRangeResponseObject, error) {
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o, err := a.node.Ranges().Open(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	p := r.Params
	x, via, ok := o.By(registry.Via(valueOf(p.Via)))
	if !ok {
		return nil, fmt.Errorf("index %.100q via %s: %w", r.Name, via, errNotVia)
	}
	q := ranges.Range{
		From: uint64(valueOf(p.From)), To: ranges.Last(o.Bits), Descending: valueOf(p.Descending), Limit: or(p.Limit, 100),
	}
	if p.To != nil {
		q.To = min(q.To, uint64(*p.To))
	}
	if p.After != nil {
		place, err := rangePlace(*p.After)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errCursor, err)
		}
		q.After = &place
	}
	found, err := x.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.RangeAnswer{
		Name: o.Name, Via: api.RangeVia(via), Bits: o.Bits, From: int64(q.From), To: int64(q.To),
		Partial: found.Partial, Trace: apiTrace(found.Trace, names),
	}
	out.Items = make([]api.RangeFound, len(found.Entries))
	for i, e := range found.Entries {
		item := &out.Items[i]
		item.Key, item.Entry = int64(e.Key), hex.EncodeToString(e.Place[:])
		item.Author, item.AuthorName = e.Author.String(), nameIn(names, e.Author)
		item.Value, item.ValueBase64 = asText(e.Value)
		if e.Left > 0 {
			item.LeftS = new(e.Left.Seconds())
		}
	}
	out.Segments = segmentsAsked(o.Bits, found.Segments)
	if found.Next != nil {
		out.Next = new(hex.EncodeToString(found.Next[:]))
	}
	return api.QueryRange200JSONResponse(out), nil
}

// InsertRange implements api.StrictServerInterface.
func (a *nodeAPI) InsertRange(ctx context.Context, r api.InsertRangeRequestObject) (api.InsertRangeResponseObject, error) {
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o, err := a.node.Ranges().Open(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	out := api.RangeInserted{Items: make([]api.RangeKept, len(r.Body.Entries))}
	entries := make([]ranges.Entry, len(r.Body.Entries))
	for i, e := range r.Body.Entries {
		if uint64(e.Key) > ranges.Last(o.Bits) {
			return nil, fmt.Errorf("%w: entry %d: key %d: keys of %q have %d bits", errInvalid, i, e.Key, o.Name, o.Bits)
		}
		value, err := bytesOf(e.Value, e.ValueBase64)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if len(value) > ranges.MaxValue {
			return nil, fmt.Errorf("entry %d: a value of %d bytes, at most %d: %w", i, len(value), ranges.MaxValue, errTooBig)
		}
		entries[i] = ranges.Entry{Key: uint64(e.Key), ID: or(e.Id, string(value)), Value: value, TTL: seconds(e.TtlS)}
		place := entries[i].Place()
		out.Items[i] = api.RangeKept{Entry: hex.EncodeToString(place[:]), Key: e.Key, Status: api.DhtStatus(dht.StatusOK.String())}
	}
	var trace dht.Trace
	for _, via := range o.Via {
		x, _, _ := o.By(via)
		results, more, err := x.Insert(ctx, entries)
		trace.Add(more)
		if err != nil {
			return nil, err
		}
		for i, result := range results {
			if !result.Status.Stored() {
				out.Items[i].Status = api.DhtStatus(result.Status.String())
			}
			out.Items[i].Via = append(out.Items[i].Via, api.RangePlaces{Via: api.RangeVia(via), At: segmentsOf(o.Bits, result.At), Full: segmentsOf(o.Bits, result.Full)})
		}
	}
	for _, item := range out.Items {
		if item.Status == api.DhtStatus(dht.StatusOK.String()) {
			out.Stored++
		}
	}
	if out.Stored == 0 {
		return nil, fmt.Errorf("index %q: %w: %s", o.Name, errNotStored, out.Items[0].Status)
	}
	out.Trace = apiTrace(trace, a.memberNames())
	return api.InsertRange200JSONResponse(out), nil
}

// RemoveRange implements api.StrictServerInterface.
func (a *nodeAPI) RemoveRange(ctx context.Context, r api.RemoveRangeRequestObject) (api.RemoveRangeResponseObject, error) {
	place, err := rangePlace(r.Entry)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o, err := a.node.Ranges().Open(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	any := false
	for _, via := range o.Via {
		x, _, _ := o.By(via)
		removed, _, err := x.Remove(ctx, place)
		if err != nil {
			return nil, err
		}
		any = any || removed
	}
	if !any {
		return nil, fmt.Errorf("index %q, entry %s: %w", o.Name, r.Entry, errNoEntry)
	}
	return api.RemoveRange204Response{}, nil
}

// rangePlace reads a place in the order of an index.
func rangePlace(text string) (p2p.Key, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(p2p.Key{}) {
		return p2p.Key{}, fmt.Errorf("%.80q is not an entry: want 64 hexadecimal digits", text)
	}
	return p2p.Key(b), nil
}

func apiIndex(d registry.Definition) api.RangeIndex {
	out := api.RangeIndex{Name: d.Name, Bits: d.Bits, LeafBits: d.LeafBits, Capacity: d.Capacity}
	for _, v := range d.Via {
		out.Via = append(out.Via, api.RangeVia(v))
	}
	return out
}

func segmentsAsked(bits int, all []ranges.Asked) []api.RangeAsked {
	out := make([]api.RangeAsked, len(all))
	for i, s := range all {
		out[i] = api.RangeAsked{
			Depth: s.Depth, From: int64(s.From(bits)), To: int64(s.Segment.To(bits)),
			Round: s.Round, Entries: s.Entries, Full: s.Full, Mended: s.Mended, Failed: s.Failed,
		}
	}
	return out
}

func segmentsOf(bits int, all []ranges.Segment) []api.RangeSegment {
	out := make([]api.RangeSegment, len(all))
	for i, s := range all {
		out[i] = api.RangeSegment{Depth: s.Depth, From: int64(s.From(bits)), To: int64(s.To(bits))}
	}
	return out
}
