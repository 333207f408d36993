package rtc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

// island is a node that nobody can signal to and that signals to nobody.
func island(t testing.TB, i byte, change func(*Options)) *testNode {
	t.Helper()
	return newNode(t, i, func(o *Options) {
		o.Linked, o.Caller, o.Name = nil, nil, "node "+string('A'+rune(i)-1)
		if change != nil {
			change(o)
		}
	})
}

func (n *testNode) mustOffer(t testing.TB, to *testNode, pass *p2p.Pass) *Handshake {
	t.Helper()
	h, err := n.OfferByHand(t.Context(), to.hidden(), pass, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (n *testNode) mustAnswer(t testing.TB, text string) *Handshake {
	t.Helper()
	h, err := n.AnswerByHand(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustResult(t testing.TB, h *Handshake) p2p.Link {
	t.Helper()
	select {
	case <-h.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("no result; tried %+v", h.Tried())
	}
	l, err := h.Result()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Two nodes whose only signalling is what a person carries between them.
func TestByHand(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	off := a.mustOffer(t, b, nil)
	ans := b.mustAnswer(t, off.Text)
	t.Logf("offer of %d characters, answer of %d", len(off.Text), len(ans.Text))
	if off.ID == "" || off.ID != ans.ID || ans.Name != "node A" || ans.Peer != a.id || !ans.Answering || off.Answering {
		t.Errorf("offer %+v, answer %+v", off, ans)
	}
	if again := b.mustAnswer(t, "Here: "+off.Text[:30]+"\r\n"+off.Text[30:]+"\n"); again != ans {
		t.Error("the same offer got another answer")
	}
	if err := off.Finish(ans.Text); err != nil {
		t.Fatal(err)
	}
	la, lb := mustResult(t, off), mustAccept(t, b)
	mustEcho(t, la)
	mustEcho(t, lb)
	if la.Binding() != lb.Binding() || la.Peer() != b.id || lb.Peer() != a.id {
		t.Error("the ends do not belong together")
	}
	if err := off.Finish(ans.Text); err != nil {
		t.Errorf("the same answer again: %v", err)
	}
	<-ans.Done()
	if _, err := b.AnswerByHand(t.Context(), off.Text); !errors.Is(err, ErrHandUsed) {
		t.Errorf("an offer that gave a link: %v", err)
	}
	mustEcho(t, la)
}

// A person who takes minutes: the answering end goes on sending, so that its router
// stays open. One that travels by itself would have given up after 50 checks.
func TestByHandSlowPerson(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	const ordinary = 50
	b.patient = b.engine.patient(handLife)
	b.patient.ice = append(b.patient.ice, ice.WithCheckInterval(time.Millisecond))
	var checks atomic.Int64
	at := a.port.addr()
	count := func(to netip.AddrPort) {
		if to == at {
			checks.Add(1)
		}
	}
	b.sock.sent.Store(&count)
	off := a.mustOffer(t, b, nil)
	ans := b.mustAnswer(t, off.Text)
	eventually(t, "checks that go on", func() bool { return checks.Load() > 10*ordinary })
	for _, share := range off.s.peer.shares() {
		if n := len(share.in); n > 0 {
			t.Errorf("%d old checks are in the way of the new ones", n)
		}
	}
	if err := off.Finish(ans.Text); err != nil {
		t.Fatal(err)
	}
	mustEcho(t, mustResult(t, off))
	if n := handLife / patientCheck; n < 600 {
		t.Errorf("%d checks in all", n)
	}
}

func TestByHandExpires(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	a.handLife, b.handLife = 300*time.Millisecond, 200*time.Millisecond
	off := a.mustOffer(t, b, nil)
	ans := b.mustAnswer(t, off.Text)
	for _, h := range []*Handshake{off, ans} {
		<-h.Done()
		if _, err := h.Result(); !errors.Is(err, ErrHandExpired) {
			t.Errorf("error %v", err)
		}
	}
	if err := off.Finish(ans.Text); !errors.Is(err, ErrHandExpired) {
		t.Errorf("a late answer: %v", err)
	}
	if _, err := b.AnswerByHand(t.Context(), off.Text); !errors.Is(err, ErrHandUsed) {
		t.Errorf("an offer of which nothing came: %v", err)
	}
	waitLive(t, a, 0)
	waitLive(t, b, 0)
	a.handLife, b.handLife = handLife, handLife
	off = a.mustOffer(t, b, nil) // and the next one works
	if err := off.Finish(b.mustAnswer(t, off.Text).Text); err != nil {
		t.Fatal(err)
	}
	mustEcho(t, mustResult(t, off))
}

func TestByHandRefuses(t *testing.T) {
	t.Parallel()
	a, b, c := island(t, 1, nil), island(t, 2, nil), island(t, 3, nil)
	closed := island(t, 4, func(o *Options) {
		o.Local.Gate = func(p2p.Knock) error { return p2p.ErrRefused }
	})
	far := island(t, 5, func(o *Options) {
		o.Local.Network = func() p2p.ID { return p2p.ID{9} }
	})
	off := a.mustOffer(t, b, nil)
	second := a.mustOffer(t, c, nil)
	ans := b.mustAnswer(t, off.Text)
	for _, x := range []struct {
		name string
		at   *testNode
		text string
		want error
	}{
		{"empty", b, "", ErrHandText},
		{"words", b, "hello", ErrHandText},
		{"a part", b, off.Text[:len(off.Text)-5], ErrHandText},
		{"only the beginning", b, offerPrefix, ErrHandText},
		{"too long", b, off.Text + strings.Repeat("A", maxHandText), ErrHandText},
		{"its own answer", b, ans.Text, ErrHandKind},
		{"for somebody else", c, off.Text, ErrHandRecipient},
		{"its own offer", a, off.Text, ErrHandRecipient},
		{"refused", closed, a.mustOffer(t, closed, nil).Text, p2p.ErrRefused},
		{"of another network", far, a.mustOffer(t, far, nil).Text, ErrHandNetwork},
	} {
		if h, err := x.at.AnswerByHand(t.Context(), x.text); !errors.Is(err, x.want) {
			t.Errorf("answer to %s: %+v, %v", x.name, h, err)
		}
	}
	for _, x := range []struct {
		name, text string
		want       error
	}{
		{"words", "hello", ErrHandText},
		{"its own offer", off.Text, ErrHandKind},
		{"an answer to another offer", b.mustAnswer(t, c.mustOffer(t, b, nil).Text).Text, ErrHandRecipient},
		{"an answer of somebody else", c.mustAnswer(t, second.Text).Text, ErrHandOther},
	} {
		if err := off.Finish(x.text); !errors.Is(err, x.want) {
			t.Errorf("finish with %s: %v", x.name, err)
		}
	}
	if _, err := a.OfferByHand(t.Context(), a.contact(), nil, nil); !errors.Is(err, ErrHandRecipient) {
		t.Errorf("offer to itself: %v", err)
	}
	if closed.Live() != 0 || far.Live() != 0 {
		t.Error("somebody who is refused gets a connection")
	}
	replaced := a.mustOffer(t, b, nil)
	if _, err := off.Result(); !errors.Is(err, ErrHandCancelled) {
		t.Errorf("an offer that another one replaced: %v", err)
	}
	if err := replaced.Finish(ans.Text); !errors.Is(err, ErrHandOther) {
		t.Errorf("an answer to the offer before: %v", err)
	}
}

// What is carried by hand cannot be sent, and what is sent not carried.
func TestByHandIsAnotherKind(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	_, msg, err := openHandText(a.mustOffer(t, b, nil).Text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := askSocket(t.Context(), b.port.addr().String(), msg); err == nil {
		t.Error("an offer by hand was answered over the socket")
	}
	s, err := a.newSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close(p2p.ErrClosed)
	msg, _, err = a.sealOffer(envelope{SDP: s.local.sdp(), Issued: a.number(0)}, b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := handText(offer, msg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.AnswerByHand(t.Context(), text); !errors.Is(err, ErrHandText) {
		t.Errorf("an ordinary offer by hand: %v", err)
	}
}

// A holder of an invitation is let in by the proof in the offer.
func TestByHandWithInvitation(t *testing.T) {
	t.Parallel()
	pass := p2p.Pass{Network: testNetwork, Invite: [16]byte{7}, Key: [32]byte{8}}
	b := island(t, 2, func(o *Options) {
		o.Local.Gate = invitationGate(pass, new(atomic.Int32))
	})
	a := island(t, 1, func(o *Options) { o.Local.Network = func() p2p.ID { return p2p.ID{5} } })
	wrong := pass
	wrong.Key[0]++
	if _, err := b.AnswerByHand(t.Context(), a.mustOffer(t, b, &wrong).Text); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("a wrong proof: %v", err)
	}
	off := a.mustOffer(t, b, &pass)
	if err := off.Finish(b.mustAnswer(t, off.Text).Text); err != nil {
		t.Fatal(err)
	}
	mustEcho(t, mustResult(t, off))
}

// Those that people carry have bounds of their own.
func TestByHandSlots(t *testing.T) {
	t.Parallel()
	b := island(t, 1, nil)
	var others []*testNode
	for i := range maxHand + 1 {
		others = append(others, island(t, byte(2+i), nil))
	}
	var first, extra *Handshake
	for i, n := range others {
		h, err := b.OfferByHand(t.Context(), n.hidden(), nil, nil)
		if i < maxHand && err != nil || i == maxHand && !errors.Is(err, ErrHandFull) {
			t.Fatalf("offer %d: %v", i, err)
		}
		if i == 0 {
			first = h
		}
	}
	for _, h := range b.pending() {
		h.Cancel()
		<-h.Done()
	}
	if _, err := first.Result(); !errors.Is(err, ErrHandCancelled) {
		t.Errorf("cancelled: %v", err)
	}
	for i, n := range others {
		extra = n.mustOffer(t, b, nil)
		_, err := b.AnswerByHand(t.Context(), extra.Text)
		if i < maxHand && err != nil || i == maxHand && !errors.Is(err, ErrHandFull) {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	b.Transport.mu.Lock()
	taken := b.slots.members + b.slots.guests
	b.Transport.mu.Unlock()
	if taken != 0 {
		t.Errorf("%d slots of ordinary handshakes are taken", taken)
	}
	others[0].mustDial(t, b.contact()) // an ordinary one goes on as ever, and ends that by hand
	eventually(t, "room", func() bool { return len(b.pending()) == maxHand-1 })
	if _, err := b.AnswerByHand(t.Context(), extra.Text); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func (n *testNode) pending() []*Handshake {
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	var out []*Handshake
	for _, all := range []map[p2p.ID]*Handshake{n.hand.offers, n.hand.answers} {
		for _, h := range all {
			out = append(out, h)
		}
	}
	return out
}

// Both have made an offer: the smaller ID's counts.
func TestByHandGlare(t *testing.T) {
	t.Parallel()
	small, large := island(t, 1, nil), island(t, 2, nil)
	if small.id.Compare(large.id) > 0 {
		small, large = large, small
	}
	mine, yours := small.mustOffer(t, large, nil), large.mustOffer(t, small, nil)
	if _, err := small.AnswerByHand(t.Context(), yours.Text); !errors.Is(err, ErrHandGlare) {
		t.Errorf("the larger ID's offer: %v", err)
	}
	ans := large.mustAnswer(t, mine.Text)
	if _, err := yours.Result(); !errors.Is(err, ErrHandCancelled) {
		t.Errorf("the offer that does not count: %v", err)
	}
	if err := mine.Finish(ans.Text); err != nil {
		t.Fatal(err)
	}
	mustEcho(t, mustResult(t, mine))
}

// An offer in somebody's pocket is good whatever its node has tried meanwhile.
func TestByHandHasNumbersOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	off := a.mustOffer(t, b, nil)
	b.Transport.mu.Lock()
	b.floors.set(a.id, a.number(0)+1)
	b.Transport.mu.Unlock()
	b.mustAnswer(t, off.Text)
}

// A dial that is waiting gets the link that comes by hand.
func TestByHandWhileDialling(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, d, err := b.beginDial(ctx, a.id)
	if err != nil {
		t.Fatal(err)
	}
	off := a.mustOffer(t, b, nil)
	if err := off.Finish(b.mustAnswer(t, off.Text).Text); err != nil {
		t.Fatal(err)
	}
	mustResult(t, off)
	select {
	case l := <-d.incoming:
		mustEcho(t, l)
	case <-ctx.Done():
		t.Error("the dial heard nothing")
	}
	b.endDial(d)
}

// Whatever bit of a text is changed, nothing comes of it.
func TestHandTextBits(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	off := a.mustOffer(t, b, nil)
	raw, err := handEncoding.DecodeString(strings.TrimPrefix(off.Text, offerPrefix))
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, i int, raw []byte) {
		if _, err := b.AnswerByHand(t.Context(), offerPrefix+handEncoding.EncodeToString(raw)); !errors.Is(err, ErrHandText) {
			t.Fatalf("bit %d of %s: %v", i, what, err)
		}
	}
	for i := range 8 * len(raw) {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		try("the text", i, bad)
	}
	// Somebody who can compute a checksum gets no further.
	msg, err := unpackHand(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 8*len(msg); i += 61 { // to compress all of them would take seconds
		bad := bytes.Clone(msg)
		bad[i/8] ^= 1 << (i % 8)
		text, err := handText(offer, bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.AnswerByHand(t.Context(), text); !errors.Is(err, ErrHandText) {
			t.Fatalf("bit %d of the envelope: %v", i, err)
		}
	}
	if b.Live() != 0 || len(b.pending()) != 0 {
		t.Error("something was begun")
	}
	b.mustAnswer(t, off.Text)
}

func TestHandTextRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		msg := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "msg")
		want := rapid.SampledFrom([]kind{offer, answer}).Draw(t, "kind")
		text, err := handText(want, msg)
		if err != nil {
			t.Fatal(err)
		}
		width := rapid.IntRange(1, 80).Draw(t, "width")
		var wrapped strings.Builder
		for i, c := range text {
			if i > 0 && i%width == 0 {
				wrapped.WriteString("\r\n ")
			}
			wrapped.WriteRune(c)
		}
		k, got, err := readHandText("Please: \"" + wrapped.String() + "\".\n")
		if err != nil || k != want || !bytes.Equal(got, msg) {
			t.Fatalf("%d, %x, %v", k, got, err)
		}
	})
}

// The texts of version 1 are read for ever.
func TestHandTextStands(t *testing.T) {
	t.Parallel()
	const want = "064d8360479962b5afa10ec160b56bc58b407c009ee8765dfd35d29c62c5429e"
	if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(handDictionary))); sum != want {
		t.Errorf("the dictionary of version 1 has changed: %s", sum)
	}
}

// A small text that unpacks to a great deal is cut off.
func TestHandTextBomb(t *testing.T) {
	t.Parallel()
	text, err := handText(offer, make([]byte, 16<<20))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := handEncoding.DecodeString(strings.TrimPrefix(text, offerPrefix))
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > maxHandText {
		t.Fatalf("%d bytes: it would not be looked at", len(raw))
	}
	if _, err := unpackHand(raw); !errors.Is(err, ErrHandText) {
		t.Errorf("error %v", err)
	}
}

func FuzzHandText(f *testing.F) {
	text, err := handText(offer, []byte("something"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(answerPrefix + "AAAA")
	f.Fuzz(func(t *testing.T, pasted string) {
		_, msg, err := readHandText(pasted)
		if err != nil && !errors.Is(err, ErrHandText) {
			t.Errorf("error %v", err)
		}
		if len(msg) > maxEnvelope {
			t.Errorf("%d bytes", len(msg))
		}
	})
}

// Many answers are pasted at once, and the node closes meanwhile.
func TestByHandClose(t *testing.T) {
	t.Parallel()
	a, b := island(t, 1, nil), island(t, 2, nil)
	off := a.mustOffer(t, b, nil)
	var pasting sync.WaitGroup
	for range 8 {
		pasting.Go(func() {
			h, err := b.AnswerByHand(t.Context(), off.Text)
			if err == nil {
				_, err = h.Result()
			}
			if !errors.Is(err, p2p.ErrClosed) {
				t.Errorf("error %v", err)
			}
		})
	}
	eventually(t, "an answer", func() bool { return len(b.pending()) == 1 })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	pasting.Wait()
	if _, err := b.OfferByHand(t.Context(), a.hidden(), nil, nil); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
