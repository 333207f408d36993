package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// passTo makes one node the host of another one's pass, which let decides about.
func (h *seat) passTo(host *seat, let func() error) *pass.Pass {
	h.o.Through = func(ctx context.Context, p pass.Pass) (p2p.Link, func(), error) {
		if err := let(); err != nil {
			return nil, nil, err
		}
		l, err := h.link(ctx, p.Host.ID())
		return l, func() {}, err
	}
	return &pass.Pass{ID: pass.ID{1}, Host: p2p.Contact{PublicKey: host.identity.PublicKey()}, Expires: time.Now().Add(time.Hour).Truncate(time.Second).UTC()}
}

// elsewhere puts a node into another network.
func (c *class) elsewhere(h *seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outside = h.identity.ID()
}

// outsideOnly has a node serve only who is no member, and only one seed.
func (h *seat) outsideOnly(only seed.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve = func(ctx context.Context, l p2p.Link, conn net.Conn) {
		h.ServeOutside(ctx, l, conn, func(id seed.ID) bool { return id == only })
	}
}

// TestOutsideBesideMembers: the host of a pass is one source among those of the own network.
func TestOutsideBesideMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, 3, sim.Options{Latency: time.Millisecond})
		data := noise(21, 8<<20)
		s := c.seats[0].share("file", data)
		host := c.seats[1]
		c.elsewhere(host)
		host.share("file", data)
		host.outsideOnly(s.ID())
		for _, h := range c.seats[:2] {
			h.limits.Set(link.Rates{Up: 2 << 20})
		}
		p := c.seats[2].passTo(host, func() error { return nil })
		if _, err := c.seats[2].Download(t.Context(), GetOptions{Seed: s, Pass: p}); err != nil {
			t.Fatal(err)
		}
		st := c.seats[2].until(s.ID(), StateSeeding)
		same(t, st.Path, data)
		if took := st.Ended.Sub(st.Added); took > 3*time.Second {
			t.Errorf("it took %v; from both, two seconds are enough", took)
		}
	})
}

// TestTurnedAway: a download whose pass is of no use ends with the reason where nobody else has the file, goes on
// with another pass, and where somebody else has it goes on without.
func TestTurnedAway(t *testing.T) {
	for _, why := range []error{pass.ErrRefused, pass.ErrExpired} {
		synctest.Test(t, func(t *testing.T) {
			c := newClass(t, 3, sim.Options{Latency: time.Millisecond})
			data := noise(22, 1<<20)
			c.elsewhere(c.seats[0])
			s := c.seats[0].share("file", data)
			guest := c.seats[1]
			refuse := true
			p := guest.passTo(c.seats[0], func() error {
				if refuse {
					return fmt.Errorf("told: %w", why)
				}
				return nil
			})
			if _, err := guest.Download(t.Context(), GetOptions{Seed: s, Pass: p}); err != nil {
				t.Fatal(err)
			}
			if st := guest.until(s.ID(), StateError); st.Error != why.Error() {
				t.Errorf("it says %q", st.Error)
			}
			refuse = false
			again := *p
			again.ID = pass.ID{2}
			if _, err := guest.Download(t.Context(), GetOptions{Seed: s, Pass: &again}); err != nil {
				t.Fatal(err)
			}
			same(t, guest.until(s.ID(), StateSeeding).Path, data)

			// Somebody of the own network has it now.
			last := c.seats[2]
			p = last.passTo(c.seats[0], func() error { return why })
			if _, err := last.Download(t.Context(), GetOptions{Seed: s, Pass: p}); err != nil {
				t.Fatal(err)
			}
			same(t, last.until(s.ID(), StateSeeding).Path, data)
			p.Expires = time.Now().Add(-time.Second)
			other := c.seats[0].share("other", noise(23, 1<<20))
			if _, err := last.Download(t.Context(), GetOptions{Seed: other, Pass: p}); !errors.Is(err, pass.ErrExpired) {
				t.Errorf("with a pass that has expired: %v", err)
			}
		})
	}
}

// TestOutsidersAreBounded: who is no member gets one seed, over few streams, and takes no place of a member's.
func TestOutsidersAreBounded(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	host, guest := c.seats[0], c.seats[1]
	s, other := host.share("file", noise(24, 1<<20)), host.share("other", noise(25, 1<<20))
	host.outsideOnly(s.ID())
	l, err := guest.link(t.Context(), host.identity.ID())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(of seed.Seed) string {
		t.Helper()
		conn, err := l.Open(t.Context(), Protocol)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reset(conn) })
		var w welcome
		if err := wire.WriteMsg(conn, hello{ID: of.ID(), Size: of.Size}); err != nil {
			t.Fatal(err)
		}
		if err := wire.ReadMsg(conn, &w); err != nil {
			t.Fatal(err)
		}
		return w.Code
	}
	for i, want := range []string{"", "", codeBusy} {
		if got := ask(s); got != want {
			t.Errorf("stream %d: %q, want %q", i+1, got, want)
		}
	}
	if got := ask(other); got != codeNotHere {
		t.Errorf("another seed: %q", got)
	}
	p, err := host.Picture(s.ID())
	if err != nil || len(p.Members) != 1 || !p.Members[0].Outside {
		t.Errorf("%+v: %v", p.Members, err)
	}
	host.Service.mu.Lock()
	defer host.Service.mu.Unlock()
	if host.outsiders != 2 {
		t.Errorf("%d outsiders", host.outsiders)
	}
}
