package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/server/api"
)

// GetPeerPath implements api.StrictServerInterface.
func (a *nodeAPI) GetPeerPath(ctx context.Context, r api.GetPeerPathRequestObject) (api.GetPeerPathResponseObject, error) {
	id, err := memberID(r.Id)
	if err != nil {
		return nil, err
	}
	p, err := a.node.PathTo(ctx, id)
	if err != nil {
		return nil, err
	}
	out := api.PeerPath{
		Id: p.ID.String(), Name: p.Name, Connected: p.Connected, Here: a.apiView(p.Here, id), ThereError: p.Error, Why: plain(p.Peer.Error),
	}
	if p.Connected {
		out.Kind, out.Why = known(api.PathKind(p.Path.Kind)), p.Path.Why
	}
	if p.Through {
		out.Why = "No link is kept to each member of a network of this size. This one is reached through others."
	}
	if p.There != nil {
		there := a.apiView(*p.There, a.node.ID())
		out.There = &there
	}
	return api.GetPeerPath200JSONResponse(out), nil
}

// apiView is how one end of a link sees it; to is the other end.
func (a *nodeAPI) apiView(v node.View, to p2p.ID) api.PathView {
	out := api.PathView{}
	if v.Path.Kind != "" {
		p := a.apiPath(v.Path)
		out.Path = &p
	}
	if len(v.Trace.Steps) > 0 {
		t := api.Trace{Began: v.Trace.Began.UTC(), Dropped: v.Trace.Dropped, Steps: make([]api.Step, len(v.Trace.Steps))}
		for i, s := range v.Trace.Steps {
			t.Steps[i] = api.Step{
				AtMs: float64(s.At.Round(time.Microsecond)) / float64(time.Millisecond), Kind: api.StepKind(s.Kind),
				Remote: address(s.Remote), Way: string(s.Way), Proto: s.Proto, Via: a.memberRef(s.Via), New: s.New, Note: s.Note, Text: a.sayStep(s, to),
			}
		}
		out.Trace = &t
	}
	return out
}

// memberRef is null for nobody.
func (a *nodeAPI) memberRef(id p2p.ID) *api.MemberRef {
	if id.IsZero() {
		return nil
	}
	return &api.MemberRef{Id: id.String(), Name: a.nameOf(id)}
}

// sayStep tells a step in a sentence without a subject, which is the end that tells
// it; to is the other one.
func (a *nodeAPI) sayStep(s p2p.Step, to p2p.ID) string {
	peer, at := a.nameOf(to), a.sayAddress(s)
	text := ""
	switch s.Kind {
	case p2p.StepOffer:
		return fmt.Sprintf("Wrote an offer to %s with its addresses: %s.", peer, s.Note)
	case p2p.StepRestart:
		return fmt.Sprintf("Looked for another path to %s, with an offer of its addresses: %s.", peer, s.Note)
	case p2p.StepOffered:
		return fmt.Sprintf("An offer of %s came %s: %s.", peer, a.sayCourier(s.Via, to), s.Note)
	case p2p.StepAnswered:
		return fmt.Sprintf("Answered it with its own addresses: %s.", s.Note)
	case p2p.StepAsk:
		text = "Sent the offer " + a.sayWay(s, to)
	case p2p.StepUnasked:
		text = "It did not get through " + a.sayWay(s, to)
	case p2p.StepAnswer:
		text = fmt.Sprintf("The answer of %s came %s", peer, a.sayWay(s, to))
	case p2p.StepSent:
		text = "Sent a first packet to " + at
	case p2p.StepHeard:
		text = "A first packet came from " + at
	case p2p.StepReply:
		text = "An answer came from " + at + ", so that packets go both ways"
	case p2p.StepRelay:
		text = a.sayRelay(s.Via) + " relays for this end"
	case p2p.StepNoRelay:
		text = a.sayRelay(s.Via) + " does not relay for this end"
	case p2p.StepPath:
		text = "Chose the way to " + at
	case p2p.StepEncrypted:
		text = "Both ends have agreed on keys (DTLS)"
	case p2p.StepLinked:
		text = fmt.Sprintf("%s has proven who it is: the link is up", peer)
	case p2p.StepFailed:
		text = "It came to nothing"
	}
	if s.Note != "" {
		text += ": " + s.Note
	}
	return strings.TrimRight(text, ".") + "."
}

// sayWay tells over which way an offer or answer goes.
func (a *nodeAPI) sayWay(s p2p.Step, to p2p.ID) string {
	switch {
	case s.Via.IsZero() && s.Kind == p2p.StepAsk:
		return "over the " + s.Note
	case s.Via.IsZero():
		return "over a rendezvous"
	case s.Remote.IsValid() && s.Via == to:
		return fmt.Sprintf("over its WebSocket at %s", s.Remote)
	case s.Remote.IsValid():
		return fmt.Sprintf("over the WebSocket of %s at %s", a.nameOf(s.Via), s.Remote)
	case s.Via == to:
		return "over the link that there is"
	}
	return "through " + a.nameOf(s.Via)
}

// sayCourier tells who has brought an offer.
func (a *nodeAPI) sayCourier(by, from p2p.ID) string {
	switch {
	case by.IsZero():
		return "over a WebSocket"
	case by == from:
		return "over the link that there is"
	}
	return "through " + a.nameOf(by)
}

func (a *nodeAPI) sayRelay(id p2p.ID) string {
	if id.IsZero() {
		return "A TURN server"
	}
	return a.nameOf(id)
}

// sayAddress tells what kind of address it is.
func (a *nodeAPI) sayAddress(s p2p.Step) string {
	switch {
	case s.Way == p2p.PathRelayed && !s.Via.IsZero():
		return "its place at the relay " + a.nameOf(s.Via) // the address means something there only
	case !s.Remote.IsValid():
		return "an address that is not told"
	}
	var about []string
	switch {
	case s.Way == p2p.PathRelayed:
		about = append(about, "of a relay")
	case s.New:
		about = append(about, "which nobody had offered: a router has made it")
	case s.Way == p2p.PathDirect:
		about = append(about, "of its own")
	case s.Way == p2p.PathMapped:
		about = append(about, "forwarded by a router")
	case s.Way == p2p.PathPunched:
		about = append(about, "as seen from outside")
	}
	if s.Proto == "tcp" {
		about = append(about, "over TCP")
	}
	if !s.Via.IsZero() {
		about = append(about, "through "+a.nameOf(s.Via))
	}
	if about == nil {
		return s.Remote.String()
	}
	return fmt.Sprintf("%s (%s)", s.Remote, strings.Join(about, ", "))
}
