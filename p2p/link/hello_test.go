package link

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func TestHelloRefuses(t *testing.T) {
	me, other, third := identity(t), identity(t), identity(t)
	for _, test := range []struct {
		name   string
		spoil  func(a, b *Options)
		text   string
		onlyAt int // which end finds it out; 2: both
	}{
		{"network", func(_, b *Options) { b.Network = p2p.ID{7} }, "another network", 2},
		{"expect", func(a, _ *Options) { a.Expect = third.ID() }, "expected " + third.ID().Short(), 0},
		{"same roles", func(_, b *Options) { b.Initiator = true }, "same role", 2},
		{"oneself", func(a, b *Options) { b.Identity = a.Identity }, "claims to be this node", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := pipes(8)
			oa := Options{Identity: me, Network: network, Initiator: true}
			ob := Options{Identity: other, Network: network}
			test.spoil(&oa, &ob)
			la, lb, ea, eb := both(t.Context(), a, b, oa, ob)
			if lb != nil { // it may have proven itself before the other end left
				<-lb.Done()
				_ = lb.Close()
				eb = lb.Err()
			}
			if la != nil || ea == nil || eb == nil {
				t.Fatalf("linked: %v, %v", ea, eb)
			}
			if !errors.Is(ea, p2p.ErrRefused) || !strings.Contains(ea.Error(), test.text) {
				t.Errorf("first end: %v, want %q", ea, test.text)
			}
			if test.onlyAt == 2 && !errors.Is(eb, p2p.ErrRefused) && !errors.Is(eb, p2p.ErrClosed) && !strings.Contains(eb.Error(), "EOF") {
				t.Errorf("second end: %v", eb)
			}
			select {
			case <-a.closed:
			default:
				t.Error("the carrier is still open")
			}
		})
	}
}

func TestNoIdentity(t *testing.T) {
	a, _ := pipes(1)
	if _, err := New(t.Context(), a, Options{}); !errors.Is(err, errNoIdentity) {
		t.Error(err)
	}
	<-a.closed
}

// TestMiddleman: somebody ends the encryption of both and passes everything on
// unchanged. The fingerprints differ, so neither end accepts the other.
func TestMiddleman(t *testing.T) {
	a, x := pipes(8)
	y, b := pipes(8)
	x.local, a.remote = [32]byte{66}, [32]byte{66}
	var forward sync.WaitGroup
	for _, way := range [][2]*pipe{{x, y}, {y, x}} {
		forward.Go(func() {
			buf := make([]byte, MaxFrame)
			for {
				n, err := way[0].Receive(control, buf)
				if err != nil || way[1].Send(control, buf[:n]) != nil {
					return
				}
			}
		})
	}
	la, lb, ea, eb := both(t.Context(), a, b,
		Options{Identity: identity(t), Network: network, Initiator: true},
		Options{Identity: identity(t), Network: network})
	_, _ = x.Close(), y.Close()
	forward.Wait()
	if la != nil || lb != nil {
		t.Fatal("linked through a middleman")
	}
	if !errors.Is(ea, p2p.ErrRefused) && !errors.Is(eb, p2p.ErrRefused) {
		t.Errorf("neither end saw the reason: %v; %v", ea, eb)
	}
}

// speak plays a peer that answers hello with the messages of script, each made
// from what the victim has sent last.
func speak(t *testing.T, script ...func(last []byte) []byte) error {
	t.Helper()
	a, b := pipes(8)
	defer func() { _ = a.Close() }()
	failed := make(chan error, 1)
	go func() {
		l, err := New(t.Context(), b, Options{Identity: identity(t), Network: network})
		if l != nil {
			_ = l.Close()
		}
		failed <- err
	}()
	buf := make([]byte, MaxFrame)
	for _, step := range script {
		n, err := a.Receive(control, buf)
		if err != nil {
			break // refused already
		}
		if err := a.raw(control, step(buf[:n])); err != nil {
			break
		}
	}
	if len(script) == 0 {
		_ = a.Close()
	}
	return <-failed
}

func frameOf(t *testing.T, typ wire.Type, v any) []byte {
	t.Helper()
	payload, ok := v.([]byte)
	if !ok {
		var err error
		if payload, err = wire.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	return wire.AppendFrame(nil, wire.Frame{Type: typ, Payload: payload})
}

func TestHelloForged(t *testing.T) {
	enemy := identity(t)
	good := hello{Version: version, Key: enemy.PublicKey(), Network: network[:], Nonce: [32]byte{9}, Initiator: true}
	with := func(change func(*hello)) func([]byte) []byte {
		h := good
		change(&h)
		return func([]byte) []byte { return frameOf(t, wire.Hello, h) }
	}
	keep := with(func(*hello) {})
	same := func(last []byte) []byte { return append([]byte(nil), last...) }
	say := func(msg []byte) func([]byte) []byte { return func([]byte) []byte { return msg } }
	for _, test := range []struct {
		name   string
		script []func([]byte) []byte
		text   string
	}{
		{"reflection", []func([]byte) []byte{same, same}, "claims to be this node"},
		{"nonce reflected", []func([]byte) []byte{func(last []byte) []byte {
			f, _, _ := wire.ParseFrame(last)
			var theirs hello
			if err := wire.Unmarshal(f.Payload, &theirs); err != nil {
				t.Error(err)
			}
			h := good
			h.Nonce = theirs.Nonce
			return frameOf(t, wire.Hello, h)
		}}, "claims to be this node"},
		{"version", []func([]byte) []byte{with(func(h *hello) { h.Version = 2 })}, "version 2"},
		{"key", []func([]byte) []byte{with(func(h *hello) { h.Key = h.Key[:31] })}, "key of 31"},
		{"network cut", []func([]byte) []byte{with(func(h *hello) { h.Network = h.Network[:31] })}, "another network"},
		{"garbage", []func([]byte) []byte{say([]byte("GET / HTTP/1.1"))}, "waiting for hello"},
		{"empty", []func([]byte) []byte{say(nil)}, "waiting for hello"},
		{"hello of garbage", []func([]byte) []byte{say(frameOf(t, wire.Hello, []byte{0xff}))}, "malformed"},
		{"auth first", []func([]byte) []byte{say(frameOf(t, wire.Auth, make([]byte, 64)))}, "waiting for hello"},
		{"two frames", []func([]byte) []byte{func([]byte) []byte {
			return append(frameOf(t, wire.Hello, good), frameOf(t, wire.Auth, make([]byte, 64))...)
		}}, "behind"},
		{"too long", []func([]byte) []byte{say(make([]byte, MaxFrame))}, "waiting for hello"},
		{"no signature", []func([]byte) []byte{keep, say(frameOf(t, wire.Auth, []byte{}))}, "did not prove"},
		{"zero signature", []func([]byte) []byte{keep, say(frameOf(t, wire.Auth, make([]byte, 64)))}, "did not prove"},
		{"auth reflected", []func([]byte) []byte{keep, same}, "did not prove"},
		{"hello again", []func([]byte) []byte{keep, keep}, "waiting for auth"},
		{"other statement signed", []func([]byte) []byte{keep, say(frameOf(t, wire.Auth, enemy.Sign(initiatorContext, []byte("x"))))}, "did not prove"},
		{"leaves", nil, "hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := speak(t, test.script...); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %q", err, test.text)
			}
		})
	}
}

// TestReplay plays the messages of a successful initiator back to the same
// responder on a carrier with the same fingerprints: its nonce is new, so the
// signature is not for it.
func TestReplay(t *testing.T) {
	me := identity(t)
	a, b := pipes(8)
	var recorded [][]byte
	rec := &recorder{pipe: a, sent: &recorded}
	la, lb, ea, eb := both(t.Context(), rec, b,
		Options{Identity: identity(t), Network: network, Initiator: true},
		Options{Identity: me, Network: network})
	if ea != nil || eb != nil {
		t.Fatal(ea, eb)
	}
	_, _ = la.Close(), lb.Close()

	a, b = pipes(8)
	for _, msg := range recorded[:2] {
		if err := a.raw(control, msg); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := New(t.Context(), b, Options{Identity: me, Network: network}); err == nil || !strings.Contains(err.Error(), "did not prove") {
		t.Errorf("replayed hello and auth: %v, %v", l, err)
	}
}

type recorder struct {
	*pipe
	mu   sync.Mutex
	sent *[][]byte
}

func (r *recorder) Send(ch int, msg []byte) error {
	r.mu.Lock()
	if ch == control {
		*r.sent = append(*r.sent, append([]byte(nil), msg...))
	}
	r.mu.Unlock()
	return r.pipe.Send(ch, msg)
}

// TestHelloSilence: a peer that says nothing, or nothing more, costs 10 seconds.
func TestHelloSilence(t *testing.T) {
	for _, greets := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipes(8)
			if greets {
				h := hello{Version: version, Key: identity(t).PublicKey(), Network: network[:], Initiator: true}
				if err := a.raw(control, frameOf(t, wire.Hello, h)); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			_, err := New(t.Context(), b, Options{Identity: identity(t), Network: network})
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != helloTimeout {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			<-b.closed
		})
	}
}

func TestHelloCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a, b := pipes(8)
	failed := make(chan error, 1)
	go func() {
		_, err := New(ctx, b, Options{Identity: identity(t), Network: network})
		failed <- err
	}()
	if _, err := a.Receive(control, make([]byte, MaxFrame)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestNothingBeforeAuth: what an unproven peer sends on other channels is not
// even received.
func TestNothingBeforeAuth(t *testing.T) {
	a, b := pipes(8)
	for ch := 1; ch < Channels; ch++ {
		if err := a.raw(ch, []byte("garbage that would end a link")); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.raw(control, frameOf(t, wire.Hello, []byte("garbage"))); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), b, Options{Identity: identity(t), Network: network}); err == nil {
		t.Fatal("linked")
	}
	for ch := 1; ch < Channels; ch++ {
		if len(b.in[ch]) != 1 {
			t.Errorf("channel %d was read", ch)
		}
	}
}
