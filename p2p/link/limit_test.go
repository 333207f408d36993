package link

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// couple makes two links, the ends of one carrier.
func couple(t *testing.T, a, b Options) (*Link, *Link) {
	t.Helper()
	a.Identity, b.Identity, a.Initiator = identity(t), identity(t), true
	ca, cb := pipes(4)
	la, lb, ea, eb := both(t.Context(), ca, cb, a, b)
	if ea != nil || eb != nil {
		t.Fatal(ea, eb)
	}
	t.Cleanup(func() {
		_ = la.Close()
		_ = lb.Close()
	})
	return la, lb
}

// carry sends bytes over a stream of each link at the same time and returns how
// long it took until all were there.
func carry(t *testing.T, bytes int, links ...[2]*Link) time.Duration {
	t.Helper()
	began := time.Now()
	ends := make(chan error)
	for _, l := range links {
		c, err := l[0].Open(t.Context(), "x/1")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := c.Write(make([]byte, bytes))
			if err == nil {
				err = c.Close()
			}
			if err != nil {
				t.Error(err)
			}
		}()
		go func() {
			_, c, err := l[1].Accept(t.Context())
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			if err == nil {
				err = c.Close()
			}
			ends <- err
		}()
	}
	for range links {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	return time.Since(began)
}

// TestLimits: what goes over the links of a node takes as long as its limits say,
// in either direction, for all links together and for each alone; and a limit that
// is lifted is gone.
func TestLimits(t *testing.T) {
	const second = 1 << 20
	about := func(t *testing.T, took, want time.Duration) {
		t.Helper()
		if took < want*9/10 || took > want*11/10 {
			t.Errorf("took %v, want about %v", took, want)
		}
	}
	for name, test := range map[string]struct {
		from, to Rates
		want     time.Duration // for two links with 4 MiB each
	}{
		"up":        {from: Rates{Up: second}, want: 8 * time.Second},
		"down":      {to: Rates{Down: second}, want: 8 * time.Second},
		"peer up":   {from: Rates{PeerUp: second}, want: 4 * time.Second},
		"peer down": {to: Rates{PeerDown: second}, want: 4 * time.Second},
		"both":      {from: Rates{Up: 4 * second, PeerUp: second}, to: Rates{Down: second}, want: 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var from, to Limits
				from.Set(test.from)
				to.Set(test.to)
				a1, b1 := couple(t, Options{Limits: &from}, Options{Limits: &to})
				a2, b2 := couple(t, Options{Limits: &from}, Options{Limits: &to})
				links := [][2]*Link{{a1, b1}, {a2, b2}}
				about(t, carry(t, 4<<20, links...), test.want)
				from.Set(Rates{})
				to.Set(Rates{})
				if took := carry(t, 4<<20, links...); took > time.Second {
					t.Errorf("without limits it took %v", took)
				}
			})
		})
	}
}

// TestCallsPassLimits: a call does not wait for streams that are limited.
func TestCallsPassLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow Limits
		slow.Set(Rates{Up: 64 << 10})
		echo := func(string) p2p.Handler {
			return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) { return req, nil }
		}
		a, b := couple(t, Options{Limits: &slow}, Options{Handler: echo})
		carried := make(chan struct{})
		go func() {
			defer close(carried)
			carry(t, 1<<20, [2]*Link{a, b})
		}()
		time.Sleep(5 * time.Second)
		began := time.Now()
		if _, err := a.Call(t.Context(), "y/1", []byte("now")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("a call took %v beside a limited stream", took)
		}
		<-carried
	})
}

// TestLateness: who is woken late at a high rate sends at once what it could have sent meanwhile.
func TestLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 20 << 20
		var l Limits
		l.Set(Rates{Up: each})
		m := meter{node: &l.up}
		began := time.Now()
		for range 100 { // what goes in 10 ms, every 20 ms
			time.Sleep(20 * time.Millisecond)
			m.wait(t.Context(), each/100)
		}
		if took, want := time.Since(began), 2*time.Second; took > want*11/10 {
			t.Errorf("took %v, want %v", took, want)
		}
		began = time.Now()
		m.wait(t.Context(), each)
		if took := time.Since(began); took < 950*time.Millisecond || took > time.Second {
			t.Errorf("a second's bytes took %v", took)
		}
	})
}

// TestLimitLifted: who waits at a slow limit goes on at once when it is another one, of all links or of
// each, and what has gone at that is not given again.
func TestLimitLifted(t *testing.T) {
	for name, test := range map[string]struct {
		from, to Rates
		least    time.Duration // for what is left of 1 MiB
	}{
		"all":          {from: Rates{Up: 1024}},
		"each":         {from: Rates{PeerUp: 1024}},
		"all to each":  {from: Rates{Up: 1024}, to: Rates{PeerUp: 256 << 10}, least: 3 * time.Second},
		"all, faster":  {from: Rates{Up: 1024}, to: Rates{Up: 256 << 10}, least: 3 * time.Second},
		"each, faster": {from: Rates{PeerUp: 1024}, to: Rates{PeerUp: 256 << 10}, least: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l Limits
				l.Set(test.from)
				went := make(chan time.Time)
				for range 3 { // links
					go func() {
						m := meter{node: &l.up}
						m.wait(t.Context(), 1<<20)
						went <- time.Now()
					}()
				}
				time.Sleep(10 * time.Second)
				lifted := time.Now()
				l.Set(test.to)
				took := (<-went).Sub(lifted)
				if most := test.least*4 + time.Second/10; took < test.least || took > most {
					t.Errorf("who waits goes on after %v, not %v to %v", took, test.least, most)
				}
				<-went
				<-went
			})
		})
	}
}
