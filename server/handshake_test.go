package server

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/server/api"
)

// TestHandshakeAPI: a stranger joins by two texts that somebody carries.
func TestHandshakeAPI(t *testing.T) {
	a, b := newServer(t, Options{Node: startNode(t)}), newServer(t, Options{Node: startNode(t)})
	var inv api.Invite
	call(t, a, post, "/api/invites", `{}`, 201, &inv)
	var offer api.HandshakeOffer
	call(t, b, post, "/api/handshakes", jsonOf(t, api.HandshakeNew{Link: &inv.Link}), 201, &offer)
	if !strings.HasPrefix(offer.Offer, "shoal://offer#") || offer.To.Id != a.options.Node.ID().String() || offer.To.Name != "tester" {
		t.Errorf("got %+v", offer)
	}
	var answer api.HandshakeAnswer
	toAnswer := jsonOf(t, api.HandshakeToAnswer{Offer: offer.Offer})
	call(t, a, post, "/api/handshakes/answer", toAnswer, 200, &answer)
	if !strings.HasPrefix(answer.Answer, "shoal://answer#") || answer.From.Id != b.options.Node.ID().String() {
		t.Errorf("got %+v", answer)
	}
	for s, want := range map[*Server]api.Handshake{
		a: {Id: answer.Id, Kind: api.HandshakeKindAnswer, Text: answer.Answer, Expires: answer.Expires, Peer: answer.From},
		b: {Id: offer.Id, Kind: api.HandshakeKindOffer, Text: offer.Offer, Expires: offer.Expires, Peer: offer.To},
	} {
		var list api.HandshakeList
		call(t, s, get, "/api/handshakes", "", 200, &list)
		if len(list.Items) != 1 || list.Items[0] != want {
			t.Errorf("got %+v, want %+v", list, want)
		}
	}
	var linked api.HandshakeLinked
	finish := jsonOf(t, api.HandshakeFinish{Answer: answer.Answer})
	call(t, b, post, "/api/handshakes/"+offer.Id, finish, 200, &linked)
	if linked.Peer != offer.To || linked.Network == nil || linked.Words == nil || len(*linked.Words) != 4 || linked.Path.Kind != "direct" {
		t.Errorf("got %+v", linked)
	}
	call(t, b, post, "/api/handshakes/"+offer.Id, finish, 200, nil) // the first answer may have been lost
	if w := call(t, a, post, "/api/handshakes/answer", toAnswer, 409, nil); codeOf(t, w) != "handshake_used" {
		t.Errorf("got %s", w.Body)
	}
	member := a.options.Node.ID().String()
	if w := call(t, b, post, "/api/handshakes", jsonOf(t, api.HandshakeNew{Member: &member}), 409, nil); codeOf(t, w) != "already_linked" {
		t.Errorf("got %s", w.Body)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	a, b := newServer(t, Options{Node: startNode(t)}), newServer(t, Options{Node: startNode(t)})
	var inv api.Invite
	call(t, a, post, "/api/invites", `{}`, 201, &inv)
	var offer, second api.HandshakeOffer
	call(t, b, post, "/api/handshakes", jsonOf(t, api.HandshakeNew{Link: &inv.Link}), 201, &offer)
	call(t, b, post, "/api/handshakes", jsonOf(t, api.HandshakeNew{Link: &inv.Link}), 201, &second)
	var answer api.HandshakeAnswer
	call(t, a, post, "/api/handshakes/answer", jsonOf(t, api.HandshakeToAnswer{Offer: second.Offer}), 200, &answer)
	toFinish := func(text string) string { return jsonOf(t, api.HandshakeFinish{Answer: text}) }
	for _, x := range []struct {
		at           *Server
		method, path string
		body         string
		status       int
		code         string
	}{
		{a, post, "/api/handshakes", `{}`, 400, "request_invalid"},
		{a, post, "/api/handshakes", `{"member":"x","link":"y"}`, 400, "request_invalid"},
		{a, post, "/api/handshakes", `{"member":"nobody"}`, 404, "not_found"},
		{a, post, "/api/handshakes", `{"link":"hello"}`, 400, "invite_malformed"},
		{a, post, "/api/handshakes", jsonOf(t, api.HandshakeNew{Link: &inv.Link}), 409, "handshake_recipient"},
		{a, post, "/api/handshakes/answer", `{"offer":"hello"}`, 400, "handshake_malformed"},
		{a, post, "/api/handshakes/answer", jsonOf(t, api.HandshakeToAnswer{Offer: answer.Answer}), 400, "handshake_kind"},
		{a, post, "/api/handshakes/answer", jsonOf(t, api.HandshakeToAnswer{Offer: offer.Offer}), 409, "handshake_used"},
		{b, post, "/api/handshakes/answer", jsonOf(t, api.HandshakeToAnswer{Offer: offer.Offer}), 409, "handshake_recipient"},
		{b, post, "/api/handshakes/" + second.Id, toFinish(offer.Offer), 400, "handshake_kind"},
		{b, post, "/api/handshakes/nosuch", toFinish(answer.Answer), 404, "handshake_not_found"},
		{b, post, "/api/handshakes/" + offer.Id, toFinish(answer.Answer), 409, "handshake_other"},
		{b, remove, "/api/handshakes/nosuch", "", 404, "handshake_not_found"},
		{b, remove, "/api/handshakes/" + second.Id, "", 204, ""},
		{b, post, "/api/handshakes/" + second.Id, toFinish(answer.Answer), 410, "handshake_cancelled"},
	} {
		w := call(t, x.at, x.method, x.path, x.body, x.status, nil)
		if x.code != "" && codeOf(t, w) != x.code {
			t.Errorf("%s %s: %s", x.method, x.path, w.Body)
		}
	}
}
