package server

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListSeedLinks implements api.StrictServerInterface.
func (a *nodeAPI) ListSeedLinks(_ context.Context, r api.ListSeedLinksRequestObject) (api.ListSeedLinksResponseObject, error) {
	id, err := seedID(r.Id)
	if err != nil {
		return nil, err
	}
	infos, err := a.node.PassesFor(id)
	if err != nil {
		return nil, err
	}
	out, now := api.SeedLinkList{Items: []api.SeedLink{}}, time.Now()
	for _, i := range infos {
		out.Items = append(out.Items, apiSeedLink(i, now))
	}
	return api.ListSeedLinks200JSONResponse{Body: out}, nil
}

// AddSeedLink implements api.StrictServerInterface.
func (a *nodeAPI) AddSeedLink(ctx context.Context, r api.AddSeedLinkRequestObject) (api.AddSeedLinkResponseObject, error) {
	id, err := seedID(r.Id)
	if err != nil {
		return nil, err
	}
	var o pass.MakeOptions
	if b := r.Body; b != nil {
		o = pass.MakeOptions{Expires: time.Duration(valueOf(b.ExpiresIn)) * time.Second, Uses: valueOf(b.MaxUses)}
	}
	l, i, err := a.node.PassFor(ctx, id, o)
	if err != nil {
		return nil, err
	}
	return api.AddSeedLink201JSONResponse{Id: i.ID.String(), Link: l.String(), Expires: i.Expires, MaxUses: i.MaxUses}, nil
}

// DeleteSeedLink implements api.StrictServerInterface.
func (a *nodeAPI) DeleteSeedLink(ctx context.Context, r api.DeleteSeedLinkRequestObject) (api.DeleteSeedLinkResponseObject, error) {
	id, err := seedID(r.Id)
	if err != nil {
		return nil, err
	}
	link, err := hex.DecodeString(r.Link)
	if err != nil || len(link) != len(pass.ID{}) {
		return nil, pass.ErrUnknown
	}
	if err := a.node.WithdrawPass(ctx, id, pass.ID(link)); err != nil {
		return nil, err
	}
	return api.DeleteSeedLink204Response{}, nil
}

func apiSeedLink(i pass.Info, now time.Time) api.SeedLink {
	out := api.SeedLink{
		Id: i.ID.String(), State: api.SeedLinkStateOpen, Created: i.Created, Expires: i.Expires, MaxUses: i.MaxUses, Guests: []api.SeedGuest{},
	}
	switch {
	case i.Ended:
		out.State = api.SeedLinkStateWithdrawn
	case !now.Before(i.Expires):
		out.State = api.SeedLinkStateExpired
	case len(i.Uses) >= i.MaxUses:
		out.State = api.SeedLinkStateUsed
	}
	for _, u := range i.Uses {
		out.Guests = append(out.Guests, api.SeedGuest{Id: u.Guest.String(), At: u.At})
	}
	return out
}
