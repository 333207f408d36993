package dht

import (
	"math"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// TestGate: one member has so much under way and no more, whatever others do.
func TestGate(t *testing.T) {
	var g gate
	for i := range maxAtOnce {
		if !g.enter(p2p.ID{1}, 1000) {
			t.Fatalf("request %d is refused", i)
		}
	}
	if g.enter(p2p.ID{1}, 0) {
		t.Error("one more is let in")
	}
	if !g.enter(p2p.ID{2}, 100<<20) {
		t.Error("one large request is refused")
	}
	if g.enter(p2p.ID{2}, 1) {
		t.Error("more beside a large one")
	}
	g.leave(p2p.ID{1}, 1000)
	if !g.enter(p2p.ID{1}, 1000) {
		t.Error("none is let in when one has left")
	}
	for range maxAtOnce {
		g.leave(p2p.ID{1}, 1000)
	}
	g.leave(p2p.ID{2}, 100<<20)
	if len(g.under) != 0 {
		t.Errorf("%v is left", g.under)
	}
}

// TestTimely: numbers of clocks that are hours apart are in order, others are not, and what is
// there already can be followed.
func TestTimely(t *testing.T) {
	const day, now = int64(24 * time.Hour / time.Millisecond), int64(1_800_000_000_000)
	c := Cell{Domain: &Claim{}, Records: []Held{{Record: value(Address{}, "x", micros(now+day))}}}
	for _, s := range []struct {
		what string
		h    Header
		want Status
	}{
		{"now", Header{Seq: micros(now)}, StatusOK},
		{"hours ahead", Header{Seq: micros(now + day/2)}, StatusOK},
		{"after what is there", Header{Seq: micros(now+day) + 1}, StatusOK},
		{"long after what is there", Header{Seq: micros(now + day + 2000)}, StatusFuture},
		{"elsewhere", Header{Address: Address{Version: Version{7: 1}}, Seq: micros(now+day) + 1}, StatusFuture},
		{"for ever", Header{Seq: math.MaxUint64}, StatusFuture},
		{"version of a clock", Header{Address: Address{Version: NewVersion(micros(now), nil)}, Seq: 1}, StatusOK},
		{"last version", Header{Address: Address{Version: NewVersion(math.MaxUint64, nil)}, Seq: 1}, StatusFuture},
		{"old, without an end", Header{Seq: 1}, StatusOK},
		{"ended hours ago", Header{Seq: micros(now - day/2), TTL: 10}, StatusOK},
		{"ended long ago", Header{Seq: micros(now - 2*day), TTL: 10}, StatusExpired},
	} {
		if got, _ := c.timely(s.h, now); got != s.want {
			t.Errorf("%s: %v, want %v", s.what, got, s.want)
		}
	}
	for _, h := range []Header{{Seq: math.MaxUint64}, {Address: Address{Version: NewVersion(math.MaxUint64, nil)}}, {Seq: 1, TTL: 1}} {
		if h.credible(now) {
			t.Errorf("%+v is believed", h)
		}
	}
	if beyond(math.MaxUint64-1) != math.MaxUint64 {
		t.Error("numbers begin again")
	}
}
