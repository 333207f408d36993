package rtc

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// closedGate admits the members of the given seeds, and whoever proves to hold pass.
func closedGate(t *testing.T, pass p2p.Pass, seeds ...byte) p2p.Gate {
	members := map[p2p.ID]bool{}
	for _, s := range seeds {
		members[newIdentity(t, s).ID()] = true
	}
	var knocks atomic.Int32
	byPass := invitationGate(pass, &knocks)
	return func(k p2p.Knock) error {
		if members[p2p.IDOf(k.From)] {
			return nil
		}
		return byPass(k)
	}
}

// sealedOffer is an offer of the node of a seed, with what change makes of it.
func sealedOffer(t *testing.T, seed byte, to p2p.ID, pass *p2p.Pass, change func(*envelope)) []byte {
	t.Helper()
	who := newIdentity(t, seed)
	e := envelope{Kind: offer, To: to, Network: testNetwork, Issued: time.Now().UnixNano(), SDP: sample.sdp()}
	if change != nil {
		change(&e)
	}
	if pass != nil {
		var err error
		if e, err = addPass(e, who.PublicKey(), *pass); err != nil {
			t.Fatal(err)
		}
	}
	msg, err := seal(who, e)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// carrying is a relay of a closed network with a member linked to it, whose
// requests are counted.
func carrying(t *testing.T, pass p2p.Pass) (relay, member *testNode, sent *atomic.Int32) {
	closed := func(o *Options) { o.Local.Gate = closedGate(t, pass, 1, 2, 3) }
	member, relay = newNode(t, 2, closed), newNode(t, 3, func(o *Options) {
		o.Local.Gate = closedGate(t, p2p.Pass{Invite: [16]byte{0xff}}, 1, 2, 3) // only the inviter can verify
	})
	member.mustDial(t, relay.contact())
	mustAccept(t, relay)
	sent = new(atomic.Int32)
	relay.mu.Lock()
	defer relay.mu.Unlock()
	relay.alter = func(what string, m []byte) []byte {
		if what == "request" {
			sent.Add(1)
		}
		return m
	}
	return relay, member, sent
}

// A stranger makes a member send nothing but small offers with an invitation, and
// learns the same of everybody whom these do not lead to.
func TestForwardForStrangers(t *testing.T) {
	t.Parallel()
	pass := p2p.Pass{Network: testNetwork, Invite: [16]byte{7}, Key: [32]byte{8}}
	wrong := p2p.Pass{Network: testNetwork, Invite: [16]byte{6}, Key: [32]byte{8}}
	relay, member, sent := carrying(t, pass)
	nobody := newIdentity(t, 77).ID()
	big := func(e *envelope) { e.SDP += strings.Repeat("a=x\r\n", maxGuestEnvelope/5) }
	other := p2p.Pass{Network: p2p.ID{99}, Invite: pass.Invite, Key: pass.Key}
	for _, c := range []struct {
		name string
		msg  []byte
		want string // in the error; empty: an answer
		sent int32
	}{
		{"stranger", sealedOffer(t, 9, member.id, nil, nil), "not_forwarded", 0},
		{"stranger, to nobody", sealedOffer(t, 9, nobody, nil, nil), "not_forwarded", 0},
		{"member of another network", sealedOffer(t, 1, member.id, nil, func(e *envelope) { e.Network = p2p.ID{99} }), "not_forwarded", 0},
		{"guest of another network", sealedOffer(t, 9, member.id, &other, nil), "not_forwarded", 0},
		{"number of an invitation without a proof", sealedOffer(t, 9, member.id, nil, func(e *envelope) { e.Invite = pass.Invite }), "not_forwarded", 0},
		{"large", sealedOffer(t, 9, member.id, &pass, big), "not_forwarded", 0},
		{"wrong proof", sealedOffer(t, 9, member.id, &wrong, nil), "not_forwarded", 1},
		{"wrong proof, to nobody", sealedOffer(t, 9, nobody, &wrong, nil), "not_forwarded", 0},
		{"guest", sealedOffer(t, 9, member.id, &pass, nil), "", 1},
		{"member", sealedOffer(t, 1, member.id, nil, nil), "", 1},
		{"member, to nobody", sealedOffer(t, 1, nobody, nil, nil), "not_linked", 0},
	} {
		before := sent.Load()
		reply, err := askSocket(t.Context(), relay.port.addr().String(), c.msg)
		if n := sent.Load() - before; n != c.sent {
			t.Errorf("%s: %d requests over the link, want %d", c.name, n, c.sent)
		}
		switch {
		case c.want == "":
			if e, bad := open(reply); err != nil || bad != nil || e.Kind != answer {
				t.Errorf("%s: %v, %v", c.name, err, bad)
			}
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: error %v", c.name, err)
		case c.want == "not_forwarded" && err.Error() != "closed: "+notForwarded().Error():
			t.Errorf("%s: told apart: %v", c.name, err)
		}
	}
}

// set changes the numbers of buckets that are in use.
func (l *buckets[K]) set(rate, burst float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.burst = rate, burst
}

// stop makes buckets give no more than their burst.
func (f *forwarding) stop() {
	f.members.set(0, f.members.burst)
	f.sockets.set(0, f.sockets.burst)
	f.households.set(0, f.households.burst)
	f.invitations.set(0, f.invitations.burst)
	f.guests.set(0, f.guests.burst)
}

// One household gets a handful of offers forwarded, all guests together a few
// more, and members theirs as before.
func TestForwardFlood(t *testing.T) {
	t.Parallel()
	relay, member, sent := carrying(t, p2p.Pass{})
	relay.forwarding.stop()
	flood := func(household netip.Prefix, invite func(i int) [16]byte) int32 {
		before := sent.Load()
		for i := range 79 {
			pass := p2p.Pass{Network: testNetwork, Invite: invite(i)}
			_, err := relay.signal(t.Context(), sealedOffer(t, 9, member.id, &pass, nil), courier{household: household})
			if err == nil {
				t.Fatal("an answer to somebody without an invitation")
			}
		}
		return sent.Load() - before
	}
	home := func(i byte) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{20, 0, 0, i}), 32) }
	if n := flood(home(1), func(i int) [16]byte { return [16]byte{1, byte(i)} }); n != 8 {
		t.Errorf("%d offers of one household", n)
	}
	if n := flood(home(2), func(int) [16]byte { return [16]byte{2} }); n != 8 {
		t.Errorf("%d offers with one invitation", n)
	}
	if n := flood(home(3), func(int) [16]byte { return [16]byte{2} }); n != 0 {
		t.Errorf("%d offers more with it from elsewhere", n)
	}
	for i := range byte(10) {
		flood(home(4+i), func(j int) [16]byte { return [16]byte{3, i, byte(j)} })
	}
	if n := sent.Load(); n != 20 {
		t.Errorf("%d offers of all guests", n)
	}
	a := newNode(t, 1, func(o *Options) { o.Local.Gate = closedGate(t, p2p.Pass{}, 1, 2, 3) })
	if _, err := a.DialVia(t.Context(), member.hidden(), nil, []p2p.Contact{relay.contact()}); err != nil {
		t.Errorf("a member over a WebSocket: %v", err)
	}
	a.mustDial(t, relay.contact())
	mustAccept(t, relay)
	a.mustDial(t, member.hidden(relay.id))
}

// Replaying what a member once sent uses up what others send again for him, not
// what he sends over his link.
func TestForwardReplays(t *testing.T) {
	t.Parallel()
	relay, member, _ := carrying(t, p2p.Pass{})
	relay.forwarding.stop()
	msg := sealedOffer(t, 1, member.id, nil, nil)
	limited := 0
	for range 100 {
		if _, err := relay.signal(t.Context(), msg, courier{}); hasCode(err, "rate_limited") {
			limited++
		}
	}
	if limited != 70 {
		t.Errorf("%d of 100 were refused", limited)
	}
	for i := range 30 {
		if _, err := relay.signal(t.Context(), msg, courier{peer: newIdentity(t, 1).ID()}); err != nil {
			t.Fatalf("offer %d over the link: %v", i, err)
		}
	}
	// Nobody forwards what was forwarded to him.
	if _, err := relay.signal(t.Context(), msg, courier{peer: p2p.ID{5}}); !hasCode(err, "not_forwarded") {
		t.Errorf("error %v", err)
	}
}

func hasCode(err error, code string) bool {
	var c *p2p.CallError
	return errors.As(err, &c) && c.Code == code
}

// What a relay carries for others does not use up what it may send itself.
func TestCarriedOffersCountApart(t *testing.T) {
	t.Parallel()
	relay, member, _ := carrying(t, p2p.Pass{})
	member.perPeer.set(0, 3)
	for i := range 5 {
		_, err := relay.Call(t.Context(), member.id, signalProto, sealedOffer(t, 9, member.id, nil, nil))
		if limited := hasCode(err, "rate_limited"); limited != (i >= 3) {
			t.Errorf("offer %d of a stranger: %v", i, err)
		}
	}
	for i, msg := range [][]byte{sealedOffer(t, 3, relay.id, nil, nil), sealedOffer(t, 3, p2p.ID{5}, nil, nil)} {
		if _, err := relay.Call(t.Context(), member.id, signalProto, msg); hasCode(err, "rate_limited") {
			t.Errorf("own offer %d: %v", i, err)
		}
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	var s slots
	enter := func(want bool, what string, invite [16]byte) {
		t.Helper()
		if s.enter(invite) != want {
			t.Errorf("%s: %v", what, !want)
		}
	}
	for i := range byte(maxGuestHandshakes / maxInviteHandshakes) {
		for range maxInviteHandshakes {
			enter(true, "guest", [16]byte{1, i})
		}
		enter(false, "one more with the same invitation", [16]byte{1, i})
	}
	enter(false, "one more guest", [16]byte{9})
	for range maxHandshakes - maxGuestHandshakes {
		enter(true, "member", [16]byte{})
	}
	enter(false, "one more member", [16]byte{})
	s.leave([16]byte{1, 0})
	enter(true, "member for a guest that left", [16]byte{})
	enter(false, "guest while all are taken", [16]byte{9})
	s.leave([16]byte{})
	enter(true, "guest for a member that left", [16]byte{9})
}

// Guests who begin handshakes and never finish them leave room for members.
func TestGuestsLeaveRoomForMembers(t *testing.T) {
	t.Parallel()
	hole, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // where packets end
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hole.Close() }()
	silent := sample
	silent.Candidates = []candidate{{Addr: hole.LocalAddr().(*net.UDPAddr).AddrPort(), Kind: p2p.PathDirect}}
	member := closedGate(t, p2p.Pass{}, 1)
	b := newNode(t, 2, func(o *Options) {
		o.Local.Gate = func(k p2p.Knock) error {
			if k.Invite != [16]byte{} {
				return nil
			}
			return member(k)
		}
	})
	begin := func(seed byte, invite [16]byte) string {
		t.Helper()
		pass := p2p.Pass{Network: testNetwork, Invite: invite}
		msg := sealedOffer(t, seed, b.id, &pass, func(e *envelope) { e.SDP = silent.sdp() })
		reply, err := b.signal(t.Context(), msg, courier{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := open(reply)
		if err != nil {
			t.Fatal(err)
		}
		return e.Code
	}
	for i := range byte(30) {
		want := ""
		if i%3 == 2 || i > 11 {
			want = codeBusy
		}
		if code := begin(20+i, [16]byte{1, i / 3}); code != want {
			t.Errorf("guest %d: %q, want %q", i, code, want)
		}
	}
	if b.Live() != maxGuestHandshakes {
		t.Errorf("%d PeerConnections", b.Live())
	}
	a := newNode(t, 1, nil)
	a.mustDial(t, b.contact())
	// A guest with a moment's patience waits for his turn.
	pass := p2p.Pass{Network: testNetwork, Invite: [16]byte{2}}
	guest := newNode(t, 4, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	freed := time.AfterFunc(busyWait/2, func() {
		b.Transport.mu.Lock()
		defer b.Transport.mu.Unlock()
		for _, in := range b.inbound {
			in.cancel()
		}
	})
	defer freed.Stop()
	l, err := guest.Dial(ctx, b.contact(), &pass)
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, l)
}
