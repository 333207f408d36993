package swarm

import (
	"bufio"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// useless are sources that keep to what was agreed and are good for nothing.
var useless = map[string]func(s seed.Seed, in *bufio.Reader, conn net.Conn){
	"silent": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(int) {})
	},
	"unwilling": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(i int) { say(conn, appendMessage(nil, msgNot, i)) })
	},
	"empty": func(s seed.Seed, in *bufio.Reader, _ net.Conn) { wants(s, in, func(int) {}) },
}

// TestPlaces: when all places are taken by sources that are good for nothing, one that is good gets its turn, and none of
// the others is called again and again.
func TestPlaces(t *testing.T) {
	for name, answer := range useless {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, maxSources+6, sim.Options{Latency: time.Millisecond})
				data := noise(40, 3<<20)
				ben, ada := c.seats[0], c.seats[1]
				s := ada.share("file", data)
				if err := ada.Forget(t.Context(), s.ID(), false); err != nil {
					t.Fatal(err)
				}
				var calls atomic.Int32
				for _, h := range c.seats[2:] {
					h.pretend(s, func(in *bufio.Reader, conn net.Conn) {
						calls.Add(1)
						answer(s, in, conn)
					})
				}
				if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				if st, err := ben.Service.Get(s.ID()); err != nil || st.Here != 0 {
					t.Fatalf("%d pieces, %v", st.Here, err)
				}
				// Each rests for a minute, after at least a quarter of one.
				if most := len(c.seats) * 10; int(calls.Load()) > most {
					t.Errorf("%d calls in ten minutes, more than %d", calls.Load(), most)
				}
				began := time.Now()
				ada.share("file", data)
				st := ben.until(s.ID(), StateSeeding)
				same(t, st.Path, data)
				t.Logf("%d calls in ten minutes; then it took %v", calls.Load(), time.Since(began))
				if took := time.Since(began); took > time.Minute {
					t.Errorf("who has the file got its place after %v", took)
				}
			})
		})
	}
}

// TestPlacesKept: nobody who sends, or could, loses its place.
func TestPlacesKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, maxSources+4, sim.Options{Latency: time.Millisecond})
		ben, ada := c.seats[0], c.seats[1]
		data := noise(41, 8<<20)
		s := ada.share("file", data)
		var calls atomic.Int32
		for _, h := range c.seats[1:] {
			h.pretend(s, func(in *bufio.Reader, conn net.Conn) {
				calls.Add(1)
				say(conn, everything(s))
				// Each sends a piece in a while: together they need five minutes.
				wants(s, in, func(i int) {
					time.Sleep(10 * time.Second)
					at, n := s.Extent(i)
					say(conn, appendMessage(nil, msgPiece, i), data[at:at+int64(n)])
				})
			})
		}
		if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
			t.Fatal(err)
		}
		ben.until(s.ID(), StateSeeding)
		if n := calls.Load(); n != maxSources {
			t.Errorf("%d sources were called for %d places", n, maxSources)
		}
	})
}

// TestPlacesSlowLine: where the own line is what is slow, or what a person lets it take, nobody loses its place for that.
func TestPlacesSlowLine(t *testing.T) {
	for name, o := range map[string]struct {
		network sim.Options
		down    int64
	}{
		"line":  {network: sim.Options{Latency: 20 * time.Millisecond, Bandwidth: 2 << 10}},
		"limit": {network: sim.Options{Latency: 20 * time.Millisecond}, down: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, 2*maxSources, o.network)
				ben, ada := c.seats[0], c.seats[1]
				defer ben.end()
				data := noise(42, 8<<20)
				s := ada.share("file", data)
				ben.limits.Set(link.Rates{Down: o.down})
				ben.o.Rates = func() (up, down int64) { return 0, o.down }
				var calls atomic.Int32
				for _, h := range c.seats[1:] {
					h.pretend(s, func(in *bufio.Reader, conn net.Conn) {
						calls.Add(1)
						say(conn, everything(s))
						wants(s, in, func(i int) {
							at, n := s.Extent(i)
							say(conn, appendMessage(nil, msgPiece, i), data[at:at+int64(n)])
						})
					})
				}
				if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
					t.Fatal(err)
				}
				// Two minutes or less, if nothing came twice.
				time.Sleep(8 * time.Minute)
				if st, err := ben.Service.Get(s.ID()); err != nil || st.State != StateSeeding {
					t.Errorf("after eight minutes it is %s: %d of %d pieces, %v", st.State, st.Here, st.Pieces, err)
				}
				if n := calls.Load(); n != maxSources {
					t.Errorf("%d sources were called for %d places", n, maxSources)
				}
			})
		})
	}
}
