package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// A stranger with an invitation, and two people who carry the texts.
func TestJoinByHand(t *testing.T) {
	alice, bob := startNode(t, Options{Name: "alice"}), startNode(t, Options{Name: "bob"})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inv.Inviter.Addrs = nil // nobody could dial it
	off, err := bob.OfferByInvitation(t.Context(), inv.Link(""))
	if err != nil || off.Name != "alice" || off.Peer != alice.ID() || off.Answer {
		t.Fatalf("%+v, %v", off, err)
	}
	ans, err := alice.AnswerByHand(t.Context(), off.Text)
	if err != nil || ans.Name != "bob" || ans.Peer != bob.ID() || !ans.Answer {
		t.Fatalf("%+v, %v", ans, err)
	}
	if h := alice.Handshakes(); len(h) != 1 || h[0] != ans {
		t.Errorf("alice's handshakes %+v", h)
	}
	if h := bob.Handshakes(); len(h) != 1 || h[0] != off {
		t.Errorf("bob's handshakes %+v", h)
	}
	out, err := bob.FinishByHand(t.Context(), off.ID, ans.Text)
	if err != nil || out.Peer != alice.ID() || out.Joined == nil || len(out.Joined.Words) != 4 || out.Path.Kind != p2p.PathDirect {
		t.Fatalf("%+v, %v", out, err)
	}
	await(t, alice, "link", linkedTo(alice, 1))
	await(t, bob, "link", linkedTo(bob, 1))
	again, err := bob.FinishByHand(t.Context(), off.ID, ans.Text)
	if err != nil || !slices.Equal(again.Joined.Words, out.Joined.Words) {
		t.Errorf("the same answer again: %+v, %v", again, err)
	}
	eventually(t, "nothing waits", func() bool { return len(alice.Handshakes())+len(bob.Handshakes()) == 0 })
	if _, err := bob.OfferByInvitation(t.Context(), inv.Link("")); !errors.Is(err, ErrLinked) {
		t.Errorf("an offer to somebody who is linked: %v", err)
	}
	if _, err := alice.AnswerByHand(t.Context(), off.Text); !errors.Is(err, ErrHandshakeUsed) || !strings.Contains(err.Error(), "of bob, or a newer one") {
		t.Errorf("the offer again: %v", err)
	}
}

// apart are two members that have lost each other, and do not look for each other.
func apart(t *testing.T) (ada, ben *Node) {
	t.Helper()
	nodes := class(t, "ada", "ben")
	for _, n := range nodes {
		n.links.hold(true)
	}
	l, err := nodes[0].links.to(nodes[1].ID())
	if err != nil {
		t.Fatal(err)
	}
	nodes[0].links.close(l)
	for _, n := range nodes {
		await(t, n, "no link", linkedTo(n, 0))
	}
	return nodes[0], nodes[1]
}

func TestMembersByHand(t *testing.T) {
	ada, ben := apart(t)
	off, err := ada.OfferByHand(t.Context(), ben.ID())
	if err != nil || off.Name != "ben" {
		t.Fatalf("%+v, %v", off, err)
	}
	ans, err := ben.AnswerByHand(t.Context(), off.Text)
	if err != nil || ans.Name != "ada" {
		t.Fatalf("%+v, %v", ans, err)
	}
	out, err := ada.FinishByHand(t.Context(), off.ID, ans.Text)
	if err != nil || out.Joined != nil || out.Name != "ben" {
		t.Fatalf("%+v, %v", out, err)
	}
	await(t, ben, "link", linkedTo(ben, 1))
	await(t, ada, "link", linkedTo(ada, 1))
	if _, err := ada.OfferByHand(t.Context(), ben.ID()); !errors.Is(err, ErrLinked) {
		t.Errorf("an offer to somebody who is linked: %v", err)
	}
}

// The link that comes some other way is what the person wanted.
func TestByHandWhenLinkedElsewhere(t *testing.T) {
	ada, ben := apart(t)
	off, err := ada.OfferByHand(t.Context(), ben.ID())
	if err != nil {
		t.Fatal(err)
	}
	ans, err := ben.AnswerByHand(t.Context(), off.Text)
	if err != nil {
		t.Fatal(err)
	}
	r := ada.byHand.find(off.ID)
	ada.links.hold(false)
	ben.links.hold(false)
	await(t, ada, "link", linkedTo(ada, 1))
	<-r.done
	if r.err != nil || r.out.Path.Kind != p2p.PathDirect {
		t.Errorf("%+v, %v", r.out, r.err)
	}
	eventually(t, "nothing waits", func() bool { return len(ada.Handshakes())+len(ben.Handshakes()) == 0 })
	if _, err := ada.FinishByHand(t.Context(), off.ID, ans.Text); err == nil {
		t.Error("an answer that nobody needs is taken")
	}
}

func TestByHandSaysWhy(t *testing.T) {
	ada, ben := apart(t)
	cleo := startNode(t, Options{Name: "cleo"})
	off, err := ada.OfferByHand(t.Context(), ben.ID())
	if err != nil {
		t.Fatal(err)
	}
	inv, err := cleo.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stranger := startNode(t, Options{Name: "dan"})
	if _, err := ada.OfferByInvitation(t.Context(), inv.Link("")); !errors.Is(err, member.ErrNotEmpty) {
		t.Errorf("somebody who has a network: %v", err)
	}
	if _, err := cleo.OfferByInvitation(t.Context(), inv.Link("")); !errors.Is(err, ErrHandshakeRecipient) {
		t.Errorf("her own invitation: %v", err)
	}
	if _, err := ada.OfferByInvitation(t.Context(), "hello"); !errors.Is(err, member.ErrMalformed) {
		t.Errorf("no invitation: %v", err)
	}
	for _, id := range []p2p.ID{cleo.ID(), ada.ID()} {
		if _, err := ada.OfferByHand(t.Context(), id); !errors.Is(err, member.ErrUnknownMember) {
			t.Errorf("an offer to %s: %v", id.Short(), err)
		}
	}
	forged := inv
	forged.Secret[0]++
	wrong, err := stranger.OfferByInvitation(t.Context(), forged.Link(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		at    *Node
		text  string
		want  error
		words string
	}{
		{cleo, off.Text, ErrHandshakeRecipient, "from ada to " + ben.ID().Short() + ", and this computer is cleo"},
		{ada, off.Text, ErrHandshakeRecipient, "from ada to ben, and this computer is ada"},
		{cleo, wrong.Text, ErrHandshakeRefused, "from dan, neither a member"},
		{ben, inv.Link(""), ErrHandshakeText, ""},
	} {
		if h, err := x.at.AnswerByHand(t.Context(), x.text); !errors.Is(err, x.want) || !strings.Contains(err.Error(), x.words) {
			t.Errorf("%s: %+v, %v", x.at.Name(), h, err)
		}
	}
	if _, err := ada.FinishByHand(t.Context(), "nosuch", off.Text); !errors.Is(err, ErrHandshakeUnknown) {
		t.Errorf("an unknown handshake: %v", err)
	}
	if err := ada.CancelHandshake("nosuch"); !errors.Is(err, ErrHandshakeUnknown) {
		t.Errorf("cancel an unknown handshake: %v", err)
	}
	ans, err := ben.AnswerByHand(t.Context(), off.Text)
	if err != nil {
		t.Fatal(err)
	}
	if err := ada.CancelHandshake(off.ID); err != nil || len(ada.Handshakes()) != 0 {
		t.Errorf("cancel: %v, %+v", err, ada.Handshakes())
	}
	if _, err := ada.FinishByHand(t.Context(), off.ID, ans.Text); !errors.Is(err, ErrHandshakeCancelled) {
		t.Errorf("the answer to what was given up: %v", err)
	}
}

// Who asks while no packets come through hears what was tried, and may ask again.
func TestByHandWaits(t *testing.T) {
	ada, ben := apart(t)
	off, err := ada.OfferByHand(t.Context(), ben.ID())
	if err != nil {
		t.Fatal(err)
	}
	ans, err := ben.AnswerByHand(t.Context(), off.Text)
	if err != nil {
		t.Fatal(err)
	}
	if err := ben.CancelHandshake(ans.ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := ada.FinishByHand(ctx, off.ID, ans.Text); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if text := triedText(ada.byHand.find(off.ID).h.Tried()); !strings.Contains(text, "direct 127.0.0.1:") {
		t.Errorf("tried %q", text)
	}
	if len(ada.Handshakes()) != 1 {
		t.Error("it does not wait any more")
	}
	if err := ada.Close(); err != nil { // which waits for nobody's answer
		t.Error(err)
	}
	if _, err := ada.OfferByHand(t.Context(), ben.ID()); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestHandshakesAreForgotten(t *testing.T) {
	var hs handshakes
	now := time.Now()
	over := func(at time.Time) *handshake {
		r := &handshake{done: make(chan struct{}), over: at}
		close(r.done)
		return r
	}
	waiting := &handshake{done: make(chan struct{})}
	hs.all = []*handshake{over(now.Add(-2 * keepEnded)), waiting, over(now)}
	for range 2 * maxEnded {
		hs.all = append(hs.all, over(now))
	}
	hs.keep(&handshake{h: new(rtc.Handshake), done: make(chan struct{})}, now)
	if len(hs.all) != maxEnded+2 || !slices.Contains(hs.all, waiting) {
		t.Errorf("%d are left", len(hs.all))
	}
}
