package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/server/api"
)

// dhtQuery is a query before its keys are read.
type dhtQuery struct {
	key                               string
	domain, content, from, to         *string
	version, versionFrom, versionTo   *string
	allDomains, descending, noValues  bool
	allVersions, tombstones, prepared bool
	limit                             int
}

func (q dhtQuery) read() (dht.Query, error) {
	at, err := dhtAddress(q.key, q.domain, q.content, nil)
	if err != nil {
		return dht.Query{}, err
	}
	out := dht.Query{
		Location: at.Location, Domain: at.Domain, Domains: q.allDomains, Versions: q.allVersions, Limit: q.limit,
		Descending: q.descending, Bare: q.noValues, Tombstones: q.tombstones, Prepared: q.prepared,
	}
	if q.content != nil {
		out.Contents = []p2p.Key{at.Content}
	}
	if out.From, err = optionalKey(q.from); err != nil {
		return out, err
	}
	if q.to != nil {
		to, err := dhtKey(*q.to)
		if err != nil {
			return out, err
		}
		out.To = &to
	}
	return out, q.readVersions(&out)
}

// readVersions reads which versions are meant.
func (q dhtQuery) readVersions(out *dht.Query) error {
	if q.version != nil && (q.versionFrom != nil || q.versionTo != nil) {
		return fmt.Errorf("%w: either version, or version_from and version_to", errInvalid)
	}
	for _, one := range []struct {
		text *string
		into *dht.Version
	}{{cmp.Or(q.version, q.versionFrom), &out.VersionFrom}, {cmp.Or(q.version, q.versionTo), &out.VersionTo}} {
		if one.text == nil {
			continue
		}
		if err := one.into.UnmarshalText([]byte(*one.text)); err != nil {
			return fmt.Errorf("%w: %w", errInvalid, err)
		}
	}
	return nil
}

// or returns what v points at, or a default.
func or[T any](v *T, d T) T {
	if v == nil {
		return d
	}
	return *v
}

// GetValues implements api.StrictServerInterface.
func (a *nodeAPI) GetValues(ctx context.Context, r api.GetValuesRequestObject) (api.GetValuesResponseObject, error) {
	p := r.Params
	q, err := dhtQuery{
		key: p.Key, domain: p.Domain, content: p.Content, from: p.From, to: p.To,
		version: p.Version, versionFrom: p.VersionFrom, versionTo: p.VersionTo, allDomains: valueOf(p.AllDomains),
		descending: valueOf(p.Descending), noValues: !or(p.Values, true), allVersions: valueOf(p.Versions) == "all",
		tombstones: valueOf(p.Tombstones), prepared: valueOf(p.Prepared), limit: or(p.Limit, 100),
	}.read()
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	f, trace, err := a.node.DHT().Get(ctx, q, dht.ReadOptions{Majority: valueOf(p.Majority)})
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtFound{Key: hex.EncodeToString(q.Location[:]), Items: []api.DhtRecord{}, Replicas: []api.DhtReplica{}, More: f.More, Trace: apiTrace(trace, names)}
	for _, c := range f.Records {
		out.Items = append(out.Items, apiRecord(c, names, !q.Bare))
	}
	for _, an := range f.Replicas {
		out.Replicas = append(out.Replicas, api.DhtReplica{
			Id: an.ID.String(), Name: an.Name, Status: api.DhtStatus(an.Status.String()), Records: new(an.Records), Error: known(an.Error),
		})
	}
	return api.GetValues200JSONResponse(out), nil
}

// dhtPut reads what is to be put.
func (a *nodeAPI) dhtPut(b api.DhtPut) (p dht.Put, err error) {
	if p.Address, err = dhtAddress(b.Key, b.Domain, b.Content, b.Version); err != nil {
		return p, err
	}
	if p.Value, err = bytesOf(b.Value, b.ValueBase64); err != nil {
		return p, err
	}
	if len(p.Value) > dht.MaxValue {
		return p, fmt.Errorf("%w: %d bytes, at most %d", errTooBig, len(p.Value), dht.MaxValue)
	}
	switch {
	case valueOf(b.Add) && valueOf(b.List), (valueOf(b.Add) || valueOf(b.List)) && b.Content != nil:
		return p, fmt.Errorf("%w: only one of content, add and list names the content", errInvalid)
	case valueOf(b.Add):
		p.Content = dht.SumOf(p.Value)
	case valueOf(b.List):
		rand.Read(p.Content[:]) // never fails (crypto/rand)
	}
	for _, v := range valueOf(b.Based) {
		var version dht.Version
		if err := version.UnmarshalText([]byte(v)); err != nil {
			return p, fmt.Errorf("%w: %w", errInvalid, err)
		}
		p.Based = append(p.Based, version)
	}
	slices.SortFunc(p.Based, dht.Version.Compare)
	p.TTL, p.Absent, p.Fork = seconds(b.TtlS), valueOf(b.Absent), valueOf(b.Fork)
	p.Protect = protection(b.Protect)
	if b.Owner != nil {
		m, err := a.tableMember(*b.Owner)
		if err != nil {
			return p, err
		}
		if p.Protect == 0 {
			return p, fmt.Errorf("%w: an owner of nothing: say in protect what it is to own", errInvalid)
		}
		p.Owner = m.PublicKey
	}
	return p, nil
}

func protection(names *api.DhtProtect) (out dht.Protect) {
	for _, n := range valueOf(names) {
		switch n {
		case "domain":
			out |= dht.ProtectDomain
		case "entry":
			out |= dht.ProtectEntry
		}
	}
	return out
}

// memberOf finds a member by the text of its ID.
func (a *nodeAPI) tableMember(id string) (dht.Member, error) {
	all := a.node.DHT().Nearest(p2p.Key{}, len(a.node.Members()))
	for _, m := range all {
		if m.ID.String() == id {
			return m, nil
		}
	}
	return dht.Member{}, fmt.Errorf("%w: member %.60q: there is none with this ID", errInvalid, id)
}

// PutValue implements api.StrictServerInterface.
func (a *nodeAPI) PutValue(ctx context.Context, r api.PutValueRequestObject) (api.PutValueResponseObject, error) {
	p, err := a.dhtPut(*r.Body)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	result, trace, err := a.node.DHT().Put(ctx, p)
	if err != nil {
		return nil, err
	}
	stored, err := a.stored(result, trace, p.Value)
	if err != nil {
		return nil, err
	}
	if r.Body.RefreshS != nil {
		n, err := a.node.DHT().Refresh(p, seconds(r.Body.RefreshS))
		if err != nil {
			return nil, err
		}
		stored.Refresh = new(int64(n))
	}
	return api.PutValue200JSONResponse(stored), nil
}

// ListRefreshes implements api.StrictServerInterface.
func (a *nodeAPI) ListRefreshes(context.Context, api.ListRefreshesRequestObject) (api.ListRefreshesResponseObject, error) {
	out := api.DhtRefreshList{Items: []api.DhtRefresh{}}
	for _, f := range a.node.DHT().Refreshes() {
		one := api.DhtRefresh{Number: int64(f.Number), Location: hex.EncodeToString(f.Put.Location[:]), EveryS: f.Every.Seconds(), Times: f.Times, Next: f.Next}
		if f.Times > 0 {
			one.Status = new(api.DhtStatus(f.Last.Status.String()))
		}
		if f.Err != nil {
			one.Error = new(f.Err.Error())
		}
		out.Items = append(out.Items, one)
	}
	return api.ListRefreshes200JSONResponse{Body: out}, nil
}

// DeleteRefresh implements api.StrictServerInterface.
func (a *nodeAPI) DeleteRefresh(_ context.Context, r api.DeleteRefreshRequestObject) (api.DeleteRefreshResponseObject, error) {
	if !a.node.DHT().StopRefresh(uint64(r.N)) {
		return nil, fmt.Errorf("refresh %d: %w", r.N, errNoValue)
	}
	return api.DeleteRefresh204Response{}, nil
}

// stored is the reply to a put of one record, or the error that it became.
func (a *nodeAPI) stored(r dht.PutResult, trace dht.Trace, value []byte) (api.DhtStored, error) {
	if err := refusal(r); err != nil {
		return api.DhtStored{}, err
	}
	names := a.memberNames()
	return api.DhtStored{
		Record: apiRecord(putCopy(r, value), names, value != nil), Status: api.DhtStatus(r.Status.String()), Copies: r.Copies,
		Replicas: apiReplicas(r.Replicas), Trace: apiTrace(trace, names),
	}, nil
}

func bodyQuery(b api.DhtQuery) (dht.Query, error) {
	return dhtQuery{
		key: b.Key, domain: b.Domain, content: b.Content, from: b.From, to: b.To,
		version: b.Version, versionFrom: b.VersionFrom, versionTo: b.VersionTo, allDomains: valueOf(b.AllDomains),
		descending: valueOf(b.Descending), noValues: !or(b.Values, true), allVersions: valueOf(b.Versions) == "all", limit: or(b.Limit, 100),
	}.read()
}

func bodyQueries(all []api.DhtQuery) ([]dht.Query, error) {
	out := make([]dht.Query, len(all))
	for i, b := range all {
		q, err := bodyQuery(b)
		if err != nil {
			return nil, fmt.Errorf("query %d: %w", i, err)
		}
		out[i] = q
	}
	return out, nil
}

// BatchDht implements api.StrictServerInterface.
func (a *nodeAPI) BatchDht(ctx context.Context, r api.BatchDhtRequestObject) (api.BatchDhtResponseObject, error) {
	var puts []dht.Put
	for i, b := range valueOf(r.Body.Put) {
		p, err := a.dhtPut(b)
		if err != nil {
			return nil, fmt.Errorf("put %d: %w", i, err)
		}
		puts = append(puts, p)
	}
	gets, err := bodyQueries(valueOf(r.Body.Get))
	if err != nil {
		return nil, err
	}
	removes, err := bodyQueries(valueOf(r.Body.Remove))
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	names := a.memberNames()
	out := api.DhtBatchResult{Put: []api.DhtItemStored{}, Get: []api.DhtItemFound{}, Remove: []api.DhtItemStored{}}
	var whole dht.Trace
	if len(puts) > 0 {
		results, trace, err := a.node.DHT().MultiPut(ctx, puts)
		if err != nil {
			return nil, err
		}
		out.Put = apiItems(results)
		whole.Add(trace)
	}
	if len(gets) > 0 {
		found, trace, err := a.node.DHT().MultiGet(ctx, gets, dht.ReadOptions{})
		if err != nil {
			return nil, err
		}
		for i, f := range found {
			one := api.DhtItemFound{Key: hex.EncodeToString(gets[i].Location[:]), Items: []api.DhtRecord{}, More: f.More}
			for _, c := range f.Records {
				one.Items = append(one.Items, apiRecord(c, names, !gets[i].Bare))
			}
			out.Get = append(out.Get, one)
		}
		whole.Add(trace)
	}
	if len(removes) > 0 {
		_, results, trace, err := a.node.DHT().MultiRemove(ctx, removes)
		if err != nil {
			return nil, err
		}
		out.Remove = apiItems(results)
		whole.Add(trace)
	}
	out.Trace = apiTrace(whole, names)
	return api.BatchDht200JSONResponse(out), nil
}

// RemoveValues implements api.StrictServerInterface.
func (a *nodeAPI) RemoveValues(ctx context.Context, r api.RemoveValuesRequestObject) (api.RemoveValuesResponseObject, error) {
	q, err := bodyQuery(*r.Body)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	removed, results, trace, err := a.node.DHT().MultiRemove(ctx, []dht.Query{q})
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtRemoved{Items: []api.DhtRecord{}, Results: apiItems(results), Trace: apiTrace(trace, names)}
	for _, c := range removed {
		out.Items = append(out.Items, apiRecord(c, names, !q.Bare))
	}
	if len(results) == 1 {
		if err := refusal(results[0]); err != nil {
			return nil, err
		}
	}
	return api.RemoveValues200JSONResponse(out), nil
}

// RenewValue implements api.StrictServerInterface.
func (a *nodeAPI) RenewValue(ctx context.Context, r api.RenewValueRequestObject) (api.RenewValueResponseObject, error) {
	b := *r.Body
	at, err := dhtAddress(b.Key, b.Domain, b.Content, b.Version)
	if err != nil {
		return nil, err
	}
	var owner dht.Member
	switch {
	case b.Owner != nil && b.TtlS != nil, b.Owner == nil && b.TtlS == nil:
		return nil, fmt.Errorf("%w: either ttl_s or owner", errInvalid)
	case b.Owner != nil:
		if owner, err = a.tableMember(*b.Owner); err != nil {
			return nil, err
		}
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var results []dht.PutResult
	var trace dht.Trace
	if b.Owner != nil {
		results, trace, err = a.node.DHT().Transfer(ctx, []dht.Address{at}, owner.PublicKey)
	} else {
		results, trace, err = a.node.DHT().MultiRenew(ctx, []dht.Address{at}, seconds(b.TtlS))
	}
	if err != nil {
		return nil, err
	}
	stored, err := a.stored(results[0], trace, nil)
	if err != nil {
		return nil, err
	}
	return api.RenewValue200JSONResponse(stored), nil
}
