package server

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListHandshakes implements api.StrictServerInterface.
func (a *nodeAPI) ListHandshakes(context.Context, api.ListHandshakesRequestObject) (api.ListHandshakesResponseObject, error) {
	all := a.node.Handshakes()
	out := api.HandshakeList{Items: make([]api.Handshake, len(all))}
	for i, h := range all {
		kind := api.HandshakeKindOffer
		if h.Answer {
			kind = api.HandshakeKindAnswer
		}
		out.Items[i] = api.Handshake{Id: h.ID, Kind: kind, Text: h.Text, Expires: h.Expires.UTC(), Peer: handshakePeer(h)}
	}
	return api.ListHandshakes200JSONResponse{Body: out}, nil
}

// AddHandshake implements api.StrictServerInterface.
func (a *nodeAPI) AddHandshake(ctx context.Context, r api.AddHandshakeRequestObject) (api.AddHandshakeResponseObject, error) {
	var h node.Handshake
	var err error
	switch b := r.Body; {
	case (b.Member == nil) == (b.Link == nil):
		return nil, fmt.Errorf("%w: one of member and link is needed", errInvalid)
	case b.Link != nil:
		h, err = a.node.OfferByInvitation(ctx, *b.Link)
	default:
		var to p2p.ID
		if to, err = a.memberCalled(*b.Member); err == nil {
			h, err = a.node.OfferByHand(ctx, to)
		}
	}
	if err != nil {
		return nil, err
	}
	return api.AddHandshake201JSONResponse{Id: h.ID, Offer: h.Text, Expires: h.Expires.UTC(), To: handshakePeer(h)}, nil
}

// AnswerHandshake implements api.StrictServerInterface.
func (a *nodeAPI) AnswerHandshake(ctx context.Context, r api.AnswerHandshakeRequestObject) (api.AnswerHandshakeResponseObject, error) {
	h, err := a.node.AnswerByHand(ctx, r.Body.Offer)
	if err != nil {
		return nil, err
	}
	return api.AnswerHandshake200JSONResponse{Id: h.ID, Answer: h.Text, Expires: h.Expires.UTC(), From: handshakePeer(h)}, nil
}

// FinishHandshake implements api.StrictServerInterface.
func (a *nodeAPI) FinishHandshake(ctx context.Context, r api.FinishHandshakeRequestObject) (api.FinishHandshakeResponseObject, error) {
	done, err := a.node.FinishByHand(ctx, r.Id, r.Body.Answer)
	if err != nil {
		return nil, err
	}
	out := api.HandshakeLinked{Peer: api.HandshakePeer{Id: done.Peer.String(), Name: done.Name}, Path: a.apiPath(done.Path)}
	if j := done.Joined; j != nil {
		network, words := apiNetwork(j.Network), list(j.Words)
		out.Network, out.Words = &network, &words
	}
	return api.FinishHandshake200JSONResponse(out), nil
}

// DeleteHandshake implements api.StrictServerInterface.
func (a *nodeAPI) DeleteHandshake(_ context.Context, r api.DeleteHandshakeRequestObject) (api.DeleteHandshakeResponseObject, error) {
	if err := a.node.CancelHandshake(r.Id); err != nil {
		return nil, err
	}
	return api.DeleteHandshake204Response{}, nil
}

func handshakePeer(h node.Handshake) api.HandshakePeer {
	return api.HandshakePeer{Id: h.Peer.String(), Name: h.Name}
}

// memberCalled finds the member that has an ID, or as the only one a name.
func (a *nodeAPI) memberCalled(text string) (p2p.ID, error) {
	if id, err := p2p.ParseID(text); err == nil {
		return id, nil
	}
	var found []p2p.ID
	for _, m := range a.node.Members() {
		if m.Name == text {
			found = append(found, m.ID)
		}
	}
	switch len(found) {
	case 0:
		return p2p.ID{}, fmt.Errorf("nobody is called %.60q: %w", text, member.ErrUnknownMember)
	case 1:
		return found[0], nil
	}
	return p2p.ID{}, fmt.Errorf("%w: %d members are called %.60q: take the ID", errInvalid, len(found), text)
}
