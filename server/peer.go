package server

import (
	"context"
	"net/netip"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

// ListPeers implements api.StrictServerInterface.
func (a *nodeAPI) ListPeers(context.Context, api.ListPeersRequestObject) (api.ListPeersResponseObject, error) {
	peers := a.node.Peers()
	out := api.PeerList{Items: make([]api.Peer, len(peers))}
	for i, p := range peers {
		out.Items[i] = a.apiPeer(p)
	}
	return api.ListPeers200JSONResponse{Body: out}, nil
}

func (a *nodeAPI) apiPeer(p node.Peer) api.Peer {
	out := api.Peer{
		Id: p.ID.String(), Name: p.Name, Connected: p.Connected, Through: p.Through, RttMs: milliseconds(p.Stats.RTT),
		BytesIn: int64(p.Stats.BytesIn), BytesOut: int64(p.Stats.BytesOut), Since: when(p.Since), Error: plain(p.Error),
	}
	if p.Connected {
		path := a.apiPath(p.Path)
		out.Path = &path
	}
	if s := p.Snapshot; s != nil {
		out.Snapshot = &api.PeerSnapshot{At: s.At.UTC(), Members: s.Known, Answers: int64(s.Asked)}
	}
	return out
}

func (a *nodeAPI) apiPath(p p2p.Path) api.Path {
	out := api.Path{
		Kind: api.PathKind(p.Kind), Proto: p.Proto, Local: address(p.Local), Remote: address(p.Remote), Why: p.Why,
		Relay: a.memberRef(p.Relay),
		Tried: make([]api.Candidate, len(p.Tried)),
	}
	for i, c := range p.Tried {
		out.Tried[i] = api.Candidate{
			Kind: api.PathKind(c.Kind), Proto: c.Proto, Relay: a.memberRef(c.Relay),
			Local: address(c.Local), Remote: address(c.Remote), Result: api.CandidateResult(c.Result),
		}
	}
	return out
}

// address is empty for none.
func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// when is null for never.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// nameOf is the name of a member, or the short form of an ID that is none.
func (a *nodeAPI) nameOf(id p2p.ID) string {
	if m, ok := a.node.Member(id); ok {
		return m.Name
	}
	return id.Short()
}
