package server

import (
	"context"
	"encoding/hex"
	"math"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	routing "github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/server/api"
)

// LookupKey implements api.StrictServerInterface.
func (a *nodeAPI) LookupKey(ctx context.Context, r api.LookupKeyRequestObject) (api.LookupKeyResponseObject, error) {
	key, err := dhtKey(r.Params.Key)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	t := a.node.DHT()
	l, err := t.Lookup(ctx, key)
	if err != nil {
		return nil, err
	}
	names := a.memberNames()
	out := api.DhtLookup{
		Key: hex.EncodeToString(key[:]), Lookups: t.Large(), Roster: t.Roster(), Size: int(math.Round(l.Size)), Known: len(t.Contacts().Members()), Replicas: t.Replicas(),
		Rounds: l.Rounds, TookMs: milliseconds(l.Took), RegionBits: l.Region, Chance: l.Chance, Crowded: l.Crowded(),
		Asked: []api.DhtAsked{}, Items: []api.Responsible{},
	}
	if l.Bits <= 8*len(key) {
		out.WholeBits = &l.Bits
	}
	for _, q := range l.Asked {
		out.Asked = append(out.Asked, apiAsked(q, key, names))
	}
	for i, m := range l.Members {
		out.Items = append(out.Items, a.apiResponsible(t, m, key, i < l.Keep))
	}
	return api.LookupKey200JSONResponse(out), nil
}

func (a *nodeAPI) apiResponsible(t *dht.Table, m dht.Member, key p2p.Key, keeps bool) api.Responsible {
	distance := m.Position.Distance(key)
	return api.Responsible{
		Id: m.ID.String(), Name: m.Name, Position: hex.EncodeToString(m.Position[:]), Distance: hex.EncodeToString(distance[:]),
		Alive: t.Alive(m.ID), Self: m.ID == a.node.ID(), Keeps: keeps,
	}
}

func apiAsked(q routing.Asked, key p2p.Key, names map[p2p.ID]string) api.DhtAsked {
	distance := q.Position.Distance(key)
	out := api.DhtAsked{
		Id: q.ID.String(), Name: nameIn(names, q.ID), Distance: hex.EncodeToString(distance[:]), Round: q.Round, Hops: q.Hops,
		AtMs: milliseconds(q.At), TookMs: milliseconds(q.Took), BytesOut: q.Out, BytesIn: q.In, Named: []string{}, Strangers: q.Strangers,
	}
	if !q.Named.IsZero() {
		out.NamedBy, out.NamedByName = new(q.Named.String()), new(nameIn(names, q.Named))
	}
	if !q.Via.IsZero() {
		out.Via, out.ViaName = new(q.Via.String()), new(nameIn(names, q.Via))
	}
	if by := q.By; !by.Relay.IsZero() {
		out.StandIn = &api.DhtStandIn{Id: by.Relay.String(), Name: nameIn(names, by.Relay), AgeMs: milliseconds(by.Age), GoneMs: milliseconds(by.Gone)}
	}
	for _, m := range q.Heard {
		out.Named = append(out.Named, m.ID.String())
	}
	if q.Err != nil {
		out.Error = new(q.Err.Error())
	}
	return out
}

// ListBuckets implements api.StrictServerInterface.
func (a *nodeAPI) ListBuckets(context.Context, api.ListBucketsRequestObject) (api.ListBucketsResponseObject, error) {
	t := a.node.DHT()
	contacts := t.Contacts()
	size, _ := contacts.Size()
	self, _ := a.node.Member(a.node.ID())
	out := api.DhtBuckets{
		Position: hex.EncodeToString(self.Key[:]), Lookups: t.Large(), Roster: t.Roster(), Size: int(math.Round(size)), K: routing.K, Items: []api.DhtBucket{},
	}
	names := a.memberNames()
	siblings := contacts.Siblings()
	is := func(id p2p.ID) bool {
		return slices.ContainsFunc(siblings, func(m routing.Member) bool { return m.ID == id })
	}
	for bits, members := range contacts.Buckets() {
		if len(members) == 0 {
			continue
		}
		b := api.DhtBucket{Bits: bits, Members: []api.DhtContact{}}
		for _, m := range members {
			b.Members = append(b.Members, api.DhtContact{
				Id: m.ID.String(), Name: nameIn(names, m.ID), Position: hex.EncodeToString(m.Position[:]),
				Linked: a.node.Connected(m.ID), Sibling: is(m.ID),
			})
			out.Known++
		}
		out.Items = append(out.Items, b)
	}
	return api.ListBuckets200JSONResponse{Body: out}, nil
}
