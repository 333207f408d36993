package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/server/api"
)

// joinPage is where the one who is invited most likely has the own dashboard;
// shoal join takes the link with any host.
const joinPage = "http://localhost:8080"

// AddInvite implements api.StrictServerInterface.
func (a *nodeAPI) AddInvite(ctx context.Context, r api.AddInviteRequestObject) (api.AddInviteResponseObject, error) {
	o := member.InviteOptions{MaxUses: 1, Role: member.RoleMember}
	if b := r.Body; b != nil {
		if b.ExpiresIn != nil {
			o.Expires = time.Duration(*b.ExpiresIn) * time.Second
		}
		if b.MaxUses != nil {
			o.MaxUses = *b.MaxUses
		}
		if b.Role != nil {
			o.Role = member.Role(*b.Role)
		}
	}
	inv, err := a.node.Invite(ctx, o)
	if err != nil {
		return nil, err
	}
	return api.AddInvite201JSONResponse{
		Link: inv.Link(joinPage), Expires: inv.Expires.UTC(), MaxUses: o.MaxUses, Role: api.Role(o.Role),
	}, nil
}

// Join implements api.StrictServerInterface.
func (a *nodeAPI) Join(ctx context.Context, r api.JoinRequestObject) (api.JoinResponseObject, error) {
	joined, err := a.node.Join(ctx, r.Body.Link)
	switch {
	case errors.Is(err, p2p.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: %w", errInviter, err)
	case err != nil:
		return nil, err
	}
	return api.Join200JSONResponse{Network: apiNetwork(joined.Network), Members: joined.Members, Words: list(joined.Words)}, nil
}

// ListMembers implements api.StrictServerInterface.
func (a *nodeAPI) ListMembers(context.Context, api.ListMembersRequestObject) (api.ListMembersResponseObject, error) {
	members := a.node.Members()
	out := api.MemberList{Items: make([]api.Member, len(members))}
	for i, m := range members {
		out.Items[i] = a.apiMember(m)
	}
	return api.ListMembers200JSONResponse{Body: out}, nil
}

// UpdateMember implements api.StrictServerInterface.
func (a *nodeAPI) UpdateMember(ctx context.Context, r api.UpdateMemberRequestObject) (api.UpdateMemberResponseObject, error) {
	id, err := memberID(r.Id)
	if err != nil {
		return nil, err
	}
	m, err := a.node.SetRole(ctx, id, member.Role(r.Body.Role))
	if err != nil {
		return nil, err
	}
	return api.UpdateMember200JSONResponse(a.apiMember(m)), nil
}

// DeleteMember implements api.StrictServerInterface.
func (a *nodeAPI) DeleteMember(ctx context.Context, r api.DeleteMemberRequestObject) (api.DeleteMemberResponseObject, error) {
	id, err := memberID(r.Id)
	if err != nil {
		return nil, err
	}
	if err := a.node.Revoke(ctx, id); err != nil {
		return nil, err
	}
	return api.DeleteMember204Response{}, nil
}

// memberID reads an ID. What is none names nobody.
func memberID(text string) (p2p.ID, error) {
	id, err := p2p.ParseID(text)
	if err != nil {
		return id, fmt.Errorf("%w: %w", member.ErrUnknownMember, err)
	}
	return id, nil
}

func (a *nodeAPI) apiMember(m member.Member) api.Member {
	out := api.Member{
		Id: m.ID.String(), Name: m.Name, Role: api.Role(m.Role), Self: m.Self, Connected: m.Self || a.node.Connected(m.ID),
		Certified: m.Certified, Admitted: m.Admitted.UTC(), Key: hex.EncodeToString(m.Key[:]),
	}
	if m.By != a.node.Status().Network.ID && !m.By.IsZero() {
		out.By = m.By.String()
	}
	return out
}

func apiNetwork(n member.Network) api.Network {
	return api.Network{Id: n.ID.String(), Name: n.Name, Mode: api.NetworkMode(n.Mode), Roster: n.Roster}
}

// list is never null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
