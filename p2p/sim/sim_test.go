package sim

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func echo(string) p2p.Handler {
	return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) { return req, nil }
}

// TestGate: what the gate learns, and that it decides.
func TestGate(t *testing.T) {
	n := New(Options{})
	var knocks []p2p.Knock
	verdict := errors.New("secret reason")
	host := identity(t)
	tr := n.Transport(Local{
		Identity: host, Network: func() p2p.ID { return p2p.ID{9} },
		Gate: func(k p2p.Knock) error { knocks = append(knocks, k); return verdict },
	})
	defer func() { _ = tr.Close() }()
	to := p2p.Contact{PublicKey: host.PublicKey()}
	guest, _ := node(t, n, nil)

	_, err := guest.Dial(t.Context(), to, nil)
	if !errors.Is(err, p2p.ErrRefused) || errors.Is(err, verdict) {
		t.Errorf("refused dial: %v", err)
	}
	pass := &p2p.Pass{Network: p2p.ID{9}, Invite: [16]byte{3}, Key: [32]byte{4}}
	verdict = nil
	l, err := guest.Dial(t.Context(), to, pass)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if l.Peer() != host.ID() {
		t.Errorf("linked to %s", l.Peer())
	}
	plain, with := knocks[0], knocks[1]
	if plain.Network != (p2p.ID{1}) || plain.MAC != nil || plain.Invite != [16]byte{} {
		t.Errorf("knock without a pass: %+v", plain)
	}
	mac := hmac.New(sha256.New, pass.Key[:])
	mac.Write(with.Message)
	if with.Network != pass.Network || with.Invite != pass.Invite || !hmac.Equal(mac.Sum(nil), with.MAC) {
		t.Errorf("knock with a pass: %+v", with)
	}
	if slices.Equal(plain.Message, with.Message) {
		t.Error("two knocks with the same message")
	}
}

func TestDialErrors(t *testing.T) {
	n := New(Options{})
	a, self := node(t, n, nil)
	_, b := node(t, n, nil)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	other := identity(t)
	foreign := n.Transport(Local{Identity: other, Network: func() p2p.ID { return p2p.ID{2} }})
	defer func() { _ = foreign.Close() }()
	for _, test := range []struct {
		name string
		ctx  context.Context
		to   p2p.Contact
		want error
	}{
		{"unknown", t.Context(), p2p.Contact{PublicKey: identity(t).PublicKey()}, p2p.ErrUnreachable},
		{"oneself", t.Context(), self, p2p.ErrRefused},
		{"other network", t.Context(), p2p.Contact{PublicKey: other.PublicKey()}, p2p.ErrRefused},
		{"cancelled", cancelled, b, context.Canceled},
	} {
		if _, err := a.Dial(test.ctx, test.to, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	n.Partition(self.ID(), b.ID())
	if _, err := a.Dial(t.Context(), b, nil); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("partitioned: %v", err)
	}
	n.Heal(b.ID(), self.ID())
	if _, err := a.Dial(t.Context(), b, nil); err != nil {
		t.Errorf("healed: %v", err)
	}
	n.Crash(b.ID())
	if _, err := a.Dial(t.Context(), b, nil); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("crashed: %v", err)
	}
	_ = a.Close()
	if _, err := a.Dial(t.Context(), b, nil); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := a.Accept(t.Context()); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

// TestPartition: a short cut delays, a long one ends the link at both ends.
func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Latency: 10 * time.Millisecond})
		p := open(t, n, echo)
		cut := func(d time.Duration) {
			n.Partition(p.A.Peer(), p.B.Peer())
			time.Sleep(d)
			n.Heal(p.A.Peer(), p.B.Peer())
		}
		done := make(chan error, 1)
		go cut(3 * time.Second)
		synctest.Wait()
		began := time.Now()
		go func() {
			_, err := p.A.Call(t.Context(), "echo/1", []byte("through"))
			done <- err
		}()
		if err := <-done; err != nil || time.Since(began) < 3*time.Second {
			t.Errorf("call in a short cut: %v after %v", err, time.Since(began))
		}
		cut(11 * time.Second)
		if !errors.Is(p.A.Err(), p2p.ErrClosed) || !errors.Is(p.B.Err(), p2p.ErrClosed) {
			t.Errorf("after a long cut: %v, %v", p.A.Err(), p.B.Err())
		}
	})
}

// TestRestart: a crashed node comes back under its identity.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Latency: time.Millisecond})
		a, _ := node(t, n, echo)
		i := identity(t)
		local := Local{Identity: i, Network: func() p2p.ID { return p2p.ID{1} }, Handler: echo}
		to := p2p.Contact{PublicKey: i.PublicKey()}
		first := n.Transport(local)
		old, err := a.Dial(t.Context(), to, nil)
		if err != nil {
			t.Fatal(err)
		}
		oldB, err := first.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second := n.Transport(local)
		synctest.Wait()
		if oldB.Err() == nil || old.Err() != nil {
			t.Errorf("right after the crash: its own end %v, the other %v", oldB.Err(), old.Err())
		}
		if _, err := first.Accept(t.Context()); !errors.Is(err, p2p.ErrClosed) {
			t.Errorf("Accept of the crashed: %v", err)
		}
		l, err := a.Dial(t.Context(), to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.Call(t.Context(), "echo/1", []byte("back")); err != nil || string(got) != "back" {
			t.Errorf("%q, %v", got, err)
		}
		<-old.Done()
		_, _, _ = first.Close(), second.Close(), l.Close()
	})
}

// TestLatency: a call takes a round trip, a lost message more, and bandwidth is
// what was asked for.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, New(Options{Latency: 50 * time.Millisecond}), echo)
		began := time.Now()
		if _, err := p.A.Call(t.Context(), "echo/1", nil); err != nil || time.Since(began) != 100*time.Millisecond {
			t.Errorf("call took %v: %v", time.Since(began), err)
		}
		synctest.Wait() // the pong came at the same moment
		if rtt := p.A.Stats().RTT; rtt != 100*time.Millisecond {
			t.Errorf("RTT %v", rtt)
		}
		_, _ = p.A.Close(), p.B.Close()

		p = open(t, New(Options{Latency: time.Millisecond, Bandwidth: 1 << 20}), echo)
		took := copyBytes(t, p.A, p.B, 10<<20)
		if took < 9*time.Second || took > 12*time.Second {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
	})
}

// TestAutoTune: over a long road the window grows until it does not limit.
func TestAutoTune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, New(Options{Latency: 25 * time.Millisecond}), echo)
		// 256 KiB a round trip would take 20 s.
		if took := copyBytes(t, p.A, p.B, 100<<20); took > 6*time.Second {
			t.Errorf("100 MiB took %v", took)
		}
	})
}

func copyBytes(t *testing.T, a, b p2p.Link, n int64) time.Duration {
	t.Helper()
	began := time.Now()
	c, err := a.Open(t.Context(), "copy/1")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 1<<20)
		for left := n; left > 0; left -= int64(len(buf)) {
			if _, err := c.Write(buf); err != nil {
				return // the reader sees it
			}
		}
		_ = c.Close()
	}()
	_, d, err := b.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if got, err := io.Copy(io.Discard, d); err != nil || got != n {
		t.Errorf("%d of %d bytes: %v", got, n, err)
	}
	return time.Since(began)
}

// TestPipeOrder: ordered channels keep their order whatever happens on the way,
// channel 1 does not, and nothing is lost. The same seed gives the same times.
func TestPipeOrder(t *testing.T) {
	run := func(ch int, seed uint64) (order []byte, times []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			r := &road{options: Options{Latency: time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.2, Bandwidth: 1 << 20}}
			var p pipe
			p.init(r, ch, rand.New(rand.NewPCG(seed, 0)))
			began := time.Now()
			for i := range 100 {
				if err := p.send([]byte{byte(i)}); err != nil {
					t.Fatal(err)
				}
			}
			p.closeWriter()
			buf := make([]byte, 10)
			for {
				_, err := p.receive(buf)
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				order = append(order, buf[0])
				times = append(times, time.Since(began))
			}
		})
		return order, times
	}
	for ch, ordered := range map[int]bool{0: true, 1: false, 2: true} {
		order, times := run(ch, 5)
		if slices.IsSorted(order) != ordered {
			t.Errorf("channel %d: %v", ch, order)
		}
		slices.Sort(order)
		if len(slices.Compact(order)) != 100 {
			t.Errorf("channel %d: messages were lost or doubled", ch)
		}
		_, again := run(ch, 5)
		_, other := run(ch, 6)
		if !slices.Equal(times, again) {
			t.Errorf("channel %d: the same seed gave other times", ch)
		}
		if slices.Equal(times, other) {
			t.Errorf("channel %d: another seed gave the same times", ch)
		}
	}
}

// TestCarrier: the properties of link.Carrier that link relies on.
func TestCarrier(t *testing.T) {
	n := New(Options{})
	a, ca := node(t, n, nil)
	b, cb := node(t, n, nil)
	w := n.connect(a.(*Transport), b.(*Transport))
	x, y := w.ends[0], w.ends[1]
	lx, rx := x.Fingerprints()
	ly, ry := y.Fingerprints()
	if lx != ry || rx != ly || lx == rx {
		t.Error("the ends do not agree on their fingerprints")
	}
	if p := x.Path(); p.Kind != p2p.PathMemory || p.Local != a.Addrs()[0] || p.Remote != b.Addrs()[0] {
		t.Errorf("path %+v", p)
	}
	msg := []byte("message")
	if err := x.Send(2, msg); err != nil {
		t.Fatal(err)
	}
	copy(msg, "changed")
	buf := make([]byte, link.MaxFrame)
	if k, err := y.Receive(2, buf); err != nil || string(buf[:k]) != "message" {
		t.Errorf("%q, %v", buf[:k], err)
	}
	if s := y.Stats(); s.BytesIn != 7 || x.Stats().BytesOut != 7 {
		t.Errorf("stats %+v", s)
	}
	if err := x.Send(2, msg); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Receive(2, buf[:3]); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("message longer than the buffer: %v", err)
	}
	// Send waits while nobody receives, until either end closes.
	var full sync.WaitGroup
	for _, ends := range [][2]*end{{x, y}, {y, x}} {
		full.Go(func() {
			for ends[0].Send(3, buf) == nil {
				if ends[1].in[3].isClosed() {
					return
				}
			}
		})
	}
	_ = x.Close()
	full.Wait()
	_ = y.Close()
	_, _ = ca, cb
}

func (p *pipe) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// TestManyNodes links everybody with everybody in virtual time and lets some go.
func TestManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 12
		n := New(Options{Seed: 3, Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.02})
		var transports []p2p.Transport
		var contacts []p2p.Contact
		for range nodes {
			tr, c := node(t, n, echo)
			transports, contacts = append(transports, tr), append(contacts, c)
		}
		var all sync.WaitGroup
		for i := range nodes {
			for j := range i {
				all.Go(func() {
					l, err := transports[i].Dial(t.Context(), contacts[j], nil)
					if err != nil {
						t.Error(err)
						return
					}
					want := fmt.Sprint(i, j)
					if got, err := l.Call(t.Context(), "echo/1", []byte(want)); err != nil || string(got) != want {
						t.Errorf("%d to %d: %q, %v", i, j, got, err)
					}
				})
			}
		}
		all.Wait()
		n.Crash(contacts[0].ID())
		n.Partition(contacts[1].ID(), contacts[2].ID())
		time.Sleep(11 * time.Second)
		for i, tr := range transports[1:] {
			for _, l := range tr.(*Transport).links {
				gone := l.Peer() == contacts[0].ID() || i == 0 && l.Peer() == contacts[2].ID() || i == 1 && l.Peer() == contacts[1].ID()
				if (l.Err() != nil) != gone {
					t.Errorf("node %d to %s: %v", i+1, l.Peer().Short(), l.Err())
				}
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	p := open(b, New(Options{}), echo)
	c, err := p.A.Open(b.Context(), "bench/1")
	if err != nil {
		b.Fatal(err)
	}
	_, d, err := p.B.Accept(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan int64)
	go func() {
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{d}, make([]byte, 64<<10))
		done <- n
	}()
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
	<-done
}

func BenchmarkCall(b *testing.B) {
	for _, size := range []int{100, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := open(b, New(Options{}), echo)
			req := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.A.Call(b.Context(), "echo/1", req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
