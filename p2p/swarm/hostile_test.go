package swarm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// pretend has a node say that it has all of a seed, and answer as a function does.
func (h *seat) pretend(s seed.Seed, answer func(in *bufio.Reader, conn net.Conn)) {
	h.mu.Lock()
	h.serve = func(_ context.Context, _ p2p.Link, conn net.Conn) {
		defer reset(conn)
		in := bufio.NewReader(conn)
		var hi hello
		if wire.ReadMsg(in, &hi) != nil || wire.WriteMsg(conn, welcome{}) != nil {
			return
		}
		answer(in, conn)
	}
	h.mu.Unlock()
	said{h}.Announce(tracker.Own{Seed: s, Have: tracker.Have{All: true}})
}

// say writes and does not care whether anybody listens.
func say(conn net.Conn, b ...[]byte) {
	for _, p := range b {
		_, _ = conn.Write(p) // the test looks at what becomes of it
	}
}

// everything says that all pieces are there.
func everything(s seed.Seed) []byte { return appendMessage(nil, msgHave, 0, s.Count()) }

// wants calls a function with each piece that is asked for.
func wants(s seed.Seed, in *bufio.Reader, each func(i int)) {
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return
		}
		if kind == msgWant || kind == msgCancel {
			i, err := readNumber(in, int64(s.Count()))
			if err != nil {
				return
			}
			if kind == msgWant {
				each(i)
			}
		}
	}
}

// liars are sources that do not keep to what was agreed.
var liars = map[string]func(s seed.Seed, in *bufio.Reader, conn net.Conn){
	"wrong pieces": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(i int) {
			_, n := s.Extent(i)
			say(conn, appendMessage(nil, msgPiece, i), noise(99, n))
		})
	},
	"another piece": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(i int) {
			other := (i + 1) % s.Count()
			_, n := s.Extent(other)
			say(conn, appendMessage(nil, msgPiece, other), noise(98, n))
		})
	},
	"pieces that nobody has": func(s seed.Seed, _ *bufio.Reader, conn net.Conn) {
		say(conn, wire.AppendVarint([]byte{msgHave, 0}, 1<<40))
	},
	"numbers without an end": func(_ seed.Seed, _ *bufio.Reader, conn net.Conn) {
		say(conn, []byte{msgHave}, bytes.Repeat([]byte{0xff}, 1000))
	},
	"a list of 2^40 bytes": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s), wire.AppendVarint([]byte{msgBytes}, 1<<40))
		wants(s, in, func(int) {})
	},
	"another list": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s), appendMessage(nil, msgBytes, 32*s.Count()), noise(97, 32*s.Count()))
		wants(s, in, func(i int) { say(conn, appendMessage(nil, msgNot, i)) })
	},
	"lists that nobody asked for": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(int) {
			say(conn, appendMessage(nil, msgBytes, 64<<10), noise(95, 64<<10))
		})
	},
	"nothing at all": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(int) {})
	},
	"no to everything": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(i int) { say(conn, appendMessage(nil, msgNot, i)) })
	},
	"an unknown message": func(_ seed.Seed, _ *bufio.Reader, conn net.Conn) { say(conn, []byte{200}) },
	"half a piece": func(s seed.Seed, in *bufio.Reader, conn net.Conn) {
		say(conn, everything(s))
		wants(s, in, func(i int) {
			say(conn, appendMessage(nil, msgPiece, i), noise(96, 100))
			reset(conn)
		})
	},
}

// TestLiars: whatever a source does, the file comes, and is the right one.
func TestLiars(t *testing.T) {
	for name, answer := range liars {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, 3, sim.Options{Latency: time.Millisecond})
				data := noise(8, 20<<20+3)
				s := c.seats[0].share("file", data)
				c.seats[0].limits.Set(link.Rates{Up: 4 << 20}) // so that the liar is asked, too
				c.seats[1].pretend(s, func(in *bufio.Reader, conn net.Conn) { answer(s, in, conn) })
				c.seats[2].get(s)
				st := c.seats[2].until(s.ID(), StateSeeding)
				same(t, st.Path, data)
				if took := st.Ended.Sub(st.Added); took > 12*time.Second {
					t.Errorf("it took %v; without the liar 5 s are enough", took)
				}
				if name == "wrong pieces" {
					c.seats[2].named(c.seats[1])
				}
			})
		})
	}
}

// named fails unless a node has said who sent a wrong piece.
func (h *seat) named(liar *seat) {
	h.class.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if b, ok := e.(Bad); ok && b.Member == liar.identity.ID() {
			return
		}
	}
	h.class.t.Error("who sent wrong pieces is not named")
}

// TestWrongLength: a link that says a wrong length leads nowhere, and nobody is harmed.
func TestWrongLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, 2, sim.Options{})
		s := c.seats[0].share("file", noise(9, 3<<20))
		l := s.Link()
		l.Size += 7
		known, err := l.Seed()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.seats[1].Download(t.Context(), GetOptions{Seed: known}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		p, err := c.seats[1].Picture(s.ID())
		if err != nil || p.State != StateWaiting || len(p.Members) != 1 || p.Members[0].Why == "" {
			t.Errorf("%s %+v %v", p.State, p.Members, err)
		}
	})
}

// TestChurn: while a source dies, or begins to lie, every second, the file comes in little more than the time that
// it takes undisturbed.
func TestChurn(t *testing.T) {
	const n, rate = 12, 512 << 10
	took := map[string]time.Duration{}
	for _, name := range []string{"undisturbed", "dies", "lies"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, n+1, sim.Options{Latency: 5 * time.Millisecond})
				data := noise(10, 32<<20)
				var s seed.Seed
				for _, h := range c.seats[:n] {
					s = h.share("file", data)
					h.limits.Set(link.Rates{Up: rate})
				}
				last := c.seats[n]
				last.get(s)
				for i, h := range c.seats[1:n] {
					if name == "undisturbed" || last.done2(s.ID()) {
						break
					}
					time.Sleep(time.Second)
					if name == "dies" && i%2 == 0 {
						h.end()
						continue
					}
					if name == "lies" {
						h.pretend(s, func(in *bufio.Reader, conn net.Conn) { liars["wrong pieces"](s, in, conn) })
						h.drop()
					}
				}
				st := last.until(s.ID(), StateSeeding)
				same(t, st.Path, data)
				took[name] = st.Ended.Sub(st.Added)
			})
		})
	}
	t.Log(took)
	// Half of the sources die one after the other, or all but one begin to lie: what is left could not do it in
	// the undisturbed time.
	for name, most := range map[string]float64{"dies": 1.3, "lies": 3} {
		if took[name].Seconds() > most*took["undisturbed"].Seconds() {
			t.Errorf("%s: %v, undisturbed %v", name, took[name], took["undisturbed"])
		}
	}
}

func (h *seat) done2(id seed.ID) bool {
	st, err := h.Service.Get(id)
	return err == nil && st.State == StateSeeding
}

// drop closes all links of a node: who was served by it comes again.
func (h *seat) drop() {
	h.mu.Lock()
	var all []p2p.Link
	for _, l := range h.links {
		all = append(all, l)
	}
	clear(h.links)
	h.mu.Unlock()
	for _, l := range all {
		_ = l.Close() // the other side notices
	}
}

// TestHostileTakers: who does not keep to the protocol is sent off, and others are served.
func TestHostileTakers(t *testing.T) {
	c := newClass(t, 3, sim.Options{})
	data := noise(11, 2<<20)
	s := c.seats[0].share("file", data)
	good := func(conn net.Conn) error { return wire.WriteMsg(conn, hello{ID: s.ID(), Size: s.Size}) }
	for name, talk := range map[string]func(conn net.Conn){
		"no hello":         func(conn net.Conn) { say(conn, bytes.Repeat([]byte{0xff}, 100)) },
		"an unknown seed":  func(conn net.Conn) { _ = wire.WriteMsg(conn, hello{ID: seed.ID{1}, Size: 5}) },
		"a wrong length":   func(conn net.Conn) { _ = wire.WriteMsg(conn, hello{ID: s.ID(), Size: -5}) },
		"a piece too many": func(conn net.Conn) { _ = good(conn); say(conn, appendMessage(nil, msgWant, s.Count())) },
		"an unknown word":  func(conn net.Conn) { _ = good(conn); say(conn, []byte{77}) },
	} {
		l, err := c.seats[1].link(t.Context(), c.seats[0].identity.ID())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Open(t.Context(), Protocol)
		if err != nil {
			t.Fatal(err)
		}
		go talk(conn)
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := conn.Read(make([]byte, 1000)); err != nil {
				if e, ok := err.(net.Error); ok && e.Timeout() {
					t.Errorf("%s: still served after 10 s", name)
				}
				break
			}
		}
		reset(conn)
	}
	c.seats[2].get(s)
	same(t, c.seats[2].until(s.ID(), StateSeeding).Path, data)
}

// TestFloodOfWants: who asks for more than is allowed is refused the rest, and costs no more.
func TestFloodOfWants(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	s := c.seats[0].share("file", noise(12, 128<<20))
	c.seats[0].limits.Set(link.Rates{Up: 1 << 20})
	l, err := c.seats[1].link(t.Context(), c.seats[0].identity.ID())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Open(t.Context(), Protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer reset(conn)
	if err := wire.WriteMsg(conn, hello{ID: s.ID(), Size: s.Size}); err != nil {
		t.Fatal(err)
	}
	var b []byte
	for i := range s.Count() {
		b = appendMessage(b, msgWant, i)
	}
	go say(conn, b)
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
		c.seats[0].Service.mu.Lock()
		waiting := c.seats[0].queue.Waiting()
		c.seats[0].Service.mu.Unlock()
		if waiting > 2*maxWants {
			t.Fatalf("%d wait", waiting)
		}
		if waiting > maxWants {
			return
		}
	}
	t.Error("nothing waits")
}

// TestBounds: a source that floods a download with what makes work, or takes room, is sent off, and so is a taker
// with more streams than one member may have.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, 3, sim.Options{Latency: time.Millisecond})
		s := c.seats[0].share("file", noise(50, 1<<20))
		if err := c.seats[0].Forget(t.Context(), s.ID(), false); err != nil {
			t.Fatal(err)
		}
		for name, flood := range map[string][]byte{
			"told of twice":     slices.Concat(everything(s), everything(s)),
			"not asked for":     slices.Concat(everything(s), appendMessage(nil, msgBytes, 0), appendMessage(nil, msgBytes, 0)), // a manifest is, once
			"told of once more": slices.Concat(appendMessage(nil, msgHave, 0, 5), appendMessage(nil, msgHave, 4, 2)),
		} {
			ended := make(chan struct{}, 100)
			c.seats[1].pretend(s, func(in *bufio.Reader, conn net.Conn) {
				say(conn, flood)
				for {
					if _, err := in.ReadByte(); err != nil {
						ended <- struct{}{}
						return
					}
				}
			})
			if _, err := c.seats[2].Download(t.Context(), GetOptions{Seed: s}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Errorf("%s: not sent off", name)
			}
			if err := c.seats[2].Forget(t.Context(), s.ID(), true); err != nil {
				t.Fatal(err)
			}
		}
		c.seats[0].share("file", noise(50, 1<<20))
		l, err := c.seats[1].link(t.Context(), c.seats[0].identity.ID())
		if err != nil {
			t.Fatal(err)
		}
		for i := range maxTakersOf + 1 {
			conn, err := l.Open(t.Context(), Protocol)
			if err != nil {
				t.Fatal(err)
			}
			defer reset(conn)
			var w welcome
			if err := errors.Join(wire.WriteMsg(conn, hello{ID: s.ID(), Size: s.Size}), wire.ReadMsg(bufio.NewReader(conn), &w)); err != nil {
				t.Fatal(err)
			}
			if busy := w.Code == codeBusy; busy != (i == maxTakersOf) {
				t.Fatalf("stream %d: %q", i, w.Code)
			}
		}
	})
}
