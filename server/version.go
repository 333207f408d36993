package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListVersions implements api.StrictServerInterface.
func (a *nodeAPI) ListVersions(ctx context.Context, r api.ListVersionsRequestObject) (api.ListVersionsResponseObject, error) {
	at, err := dhtAddress(r.Params.Key, r.Params.Domain, r.Params.Content, nil)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	q := dht.Query{Location: at.Location, Domain: at.Domain, Contents: []p2p.Key{at.Content}, Versions: true}
	f, trace, err := a.node.DHT().Get(ctx, q, dht.ReadOptions{})
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtVersions{Key: hex.EncodeToString(at.Location[:]), Items: []api.DhtVersion{}, Trace: apiTrace(trace, names)}
	replaced := map[dht.Version]bool{}
	for _, c := range f.Records {
		for _, v := range c.Based {
			replaced[v] = true
		}
	}
	heads := 0
	for _, c := range f.Records {
		head := !replaced[c.Version]
		if head {
			heads++
		} else if valueOf(r.Params.Heads) {
			continue
		}
		out.Items = append(out.Items, api.DhtVersion{Record: apiRecord(c, names, true), Head: head})
	}
	out.Forked = heads > 1
	return api.ListVersions200JSONResponse(out), nil
}

// PutVersion implements api.StrictServerInterface.
func (a *nodeAPI) PutVersion(ctx context.Context, r api.PutVersionRequestObject) (api.PutVersionResponseObject, error) {
	b := *r.Body
	at, err := dhtAddress(b.Key, b.Domain, b.Content, nil)
	if err != nil {
		return nil, err
	}
	value, err := bytesOf(b.Value, b.ValueBase64)
	if err != nil {
		return nil, err
	}
	w := dht.VPut{Name: at.Name(), TTL: seconds(b.TtlS), Optimistic: valueOf(b.Optimistic)}
	for _, text := range valueOf(b.Parents) {
		var v dht.Version
		if err := v.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("%w: %w", errInvalid, err)
		}
		w.Parents = append(w.Parents, v)
	}
	var written []byte
	w.Update = func(parents []dht.Copy) ([]byte, error) {
		next, err := nextVersion(parents, value, valueOf(b.Append), w.Parents != nil)
		written = next
		return next, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	v, trace, err := a.node.DHT().VPut(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := refusal(v.PutResult); err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtVersionStored{
		Record: apiRecord(putCopy(v.PutResult, written), names, true), Parents: []string{}, Tries: v.Tries, Copies: v.Copies,
		Replicas: apiReplicas(v.Replicas), Trace: apiTrace(trace, names),
	}
	for _, p := range v.Parents {
		out.Parents = append(out.Parents, p.String())
	}
	return api.PutVersion200JSONResponse(out), nil
}

// nextVersion makes the value that follows parents, newest first.
func nextVersion(parents []dht.Copy, value []byte, add, chosen bool) ([]byte, error) {
	if len(parents) > 1 && !add && !chosen {
		var heads []string
		for _, p := range parents {
			heads = append(heads, p.Version.String())
		}
		return nil, fmt.Errorf("%w: the newest are %s: name those that the new one is to replace", errForked, strings.Join(heads, " and "))
	}
	if !add {
		return value, nil
	}
	var out []byte
	for _, p := range parents {
		out = append(out, p.Value...)
	}
	out = append(out, value...)
	if len(out) > dht.MaxValue {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errTooBig, len(out), dht.MaxValue)
	}
	return slices.Clip(out), nil
}

// ListRecords implements api.StrictServerInterface.
func (a *nodeAPI) ListRecords(ctx context.Context, r api.ListRecordsRequestObject) (api.ListRecordsResponseObject, error) {
	after, err := recordCursor(valueOf(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	records, more, err := a.node.DHT().Records(ctx, after, or(r.Params.Limit, 100))
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtRecordList{Items: []api.DhtKept{}}
	for _, k := range records {
		out.Items = append(out.Items, api.DhtKept{Record: apiRecord(k.Copy, names, true), Rank: k.Rank, Keeps: k.Keeps})
	}
	if more {
		at := records[len(records)-1].Address
		out.Next = new(hex.EncodeToString(slices.Concat(at.Location[:], at.Domain[:], at.Content[:], at.Version[:])))
	}
	return api.ListRecords200JSONResponse{Body: out}, nil
}

// recordCursor reads where a list of records goes on: the address of the last one.
func recordCursor(text string) (a dht.Address, err error) {
	if text == "" {
		return a, nil
	}
	const k = len(p2p.Key{})
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 3*k+len(dht.Version{}) {
		return a, fmt.Errorf("%w: cursor %.20q…", errCursor, text)
	}
	return dht.Address{Location: p2p.Key(b), Domain: p2p.Key(b[k:]), Content: p2p.Key(b[2*k:]), Version: dht.Version(b[3*k:])}, nil
}

// RepairDht implements api.StrictServerInterface.
func (a *nodeAPI) RepairDht(ctx context.Context, _ api.RepairDhtRequestObject) (api.RepairDhtResponseObject, error) {
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := a.node.DHT().Repair(ctx); err != nil {
		return nil, err
	}
	return api.RepairDht204Response{}, nil
}
