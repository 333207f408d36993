package rtc

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p"
)

// meetingPoint is a node of another network.
func meetingPoint(t *testing.T) *testNode {
	return newNode(t, 9, func(o *Options) { o.Local.Network = func() p2p.ID { return p2p.ID{99} } })
}

func at(x *testNode) func(*Options) {
	return func(o *Options) { o.Rendezvous = []string{x.port.addr().String()} }
}

func registered(t *testing.T, x *testNode, nodes ...*testNode) {
	t.Helper()
	eventually(t, "registration", func() bool {
		for _, n := range nodes {
			if x.meetings.of(n.id) == nil {
				return false
			}
		}
		return true
	})
}

// Two nodes that know nothing of where the other is meet at a node of another network,
// which learns nothing and cannot get in.
func TestRendezvous(t *testing.T) {
	t.Parallel()
	x := meetingPoint(t)
	a, b := newNode(t, 1, at(x)), newNode(t, 2, at(x))
	registered(t, x, a, b)
	mustEcho(t, a.mustDial(t, b.hidden()))
	if _, err := x.Dial(t.Context(), b.contact(), nil); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("the rendezvous itself: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "farewell", func() bool { return x.meetings.of(b.id) == nil })
	if _, err := a.Dial(t.Context(), b.hidden(), nil); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("somebody who has gone: %v", err)
	}
}

// A node registers again when the rendezvous was away.
func TestRendezvousComesBack(t *testing.T) {
	t.Parallel()
	x := meetingPoint(t)
	address := x.port.addr()
	a := newNode(t, 1, at(x))
	registered(t, x, a)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	y := newNode(t, 8, func(o *Options) {
		o.Listen, o.Local.Network = address.String(), func() p2p.ID { return p2p.ID{99} }
	})
	registered(t, y, a)
}

// Nobody registers as somebody else, or in another's words.
func TestRegistrationIsProved(t *testing.T) {
	t.Parallel()
	x := meetingPoint(t)
	who := newIdentity(t, 5)
	var nonce [16]byte
	for name, e := range map[string]func([16]byte) envelope{
		"of another time": func([16]byte) envelope { return envelope{Kind: registration, Nonce: nonce} },
		"an offer":        func(n [16]byte) envelope { return envelope{Kind: offer, Nonce: n} },
		"as it should be": func(n [16]byte) envelope { return envelope{Kind: registration, Nonce: n} },
	} {
		c, err := dialSocket(t.Context(), x.port.addr().String(), rendezvousPath)
		if err != nil {
			t.Fatal(err)
		}
		_, b, err := c.ReadMessage()
		if err != nil || len(b) != len(nonce) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		msg, err := seal(who, e([16]byte(b)))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WriteMessage(websocket.BinaryMessage, msg); err != nil {
			t.Fatal(err)
		}
		if name == "as it should be" {
			eventually(t, "registration", func() bool { return x.meetings.of(who.ID()) != nil })
		} else {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, _, err := c.ReadMessage(); err == nil || x.meetings.of(who.ID()) != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		_ = c.Close()
	}
}

func TestMeetingsAreBounded(t *testing.T) {
	t.Parallel()
	var ms meetings
	home := netip.MustParsePrefix("192.0.2.1/32")
	for i := range maxHouseholdMeetings {
		if !ms.enter(&meeting{id: p2p.ID{byte(i)}, from: home}) {
			t.Fatalf("%d refused", i)
		}
	}
	if ms.enter(&meeting{id: p2p.ID{200}, from: home}) {
		t.Error("one household fills the place")
	}
	other := netip.MustParsePrefix("192.0.2.2/32")
	m := &meeting{id: p2p.ID{201}, from: other}
	if !ms.enter(m) {
		t.Error("another household is turned away")
	}
	ms.leave(m)
	if ms.of(m.id) != nil || len(ms.count) != 1 {
		t.Errorf("left: %v", ms.count)
	}
}
