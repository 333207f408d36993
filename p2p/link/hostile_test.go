package link

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func raw(frames ...wire.Frame) []byte {
	var b []byte
	for _, f := range frames {
		b = wire.AppendFrame(b, f)
	}
	return b
}

// TestViolations: each of these ends the link, says why at this end, and tells
// the peer.
func TestViolations(t *testing.T) {
	s, t2 := id(2, 0), id(2, 1) // two numbers of lane 2
	open := wire.Frame{Type: wire.Open, Stream: s, Code: 1000, Payload: []byte("x/1")}
	ask := wire.Frame{Type: wire.Ask, Stream: s, Payload: []byte("x/1")}
	fin := wire.Frame{Type: wire.Fin, Stream: s}
	reset := wire.Frame{Type: wire.Reset, Stream: s}
	data := func(n int) wire.Frame { return wire.Frame{Type: wire.Data, Stream: s, Payload: make([]byte, n)} }
	own := uint64(1) // the victim's first number
	for _, test := range []struct {
		name string
		ch   int
		msg  []byte
		text string
	}{
		{"garbage control", 0, []byte("garbage"), "malformed"},
		{"garbage calls", 1, []byte("\xffgarbage"), "unknown"},
		{"garbage lane", 3, []byte("\x00"), "unknown"},
		{"empty", 2, nil, "empty message"},
		{"truncated", 2, raw(open, data(100))[:50], "announced"},
		{"oversized", 2, make([]byte, MaxFrame+1), "short buffer"},
		{"oversized call", 1, make([]byte, MaxPacket+1), "short buffer"},
		{"hello again", 0, raw(wire.Frame{Type: wire.Hello, Payload: []byte("h")}), "hello frame on channel 0"},
		{"auth again", 0, raw(wire.Frame{Type: wire.Auth, Payload: []byte("a")}), "auth frame on channel 0"},
		{"data on control", 0, raw(data(1)), "data frame on channel 0"},
		{"data on calls", 1, raw(data(1)), "data frame on channel 1"},
		{"ping on a lane", 2, raw(wire.Frame{Type: wire.Ping}), "on channel 2"},
		{"credit on a lane", 2, raw(wire.Frame{Type: wire.Credit, Stream: s, Code: 1}), "on channel 2"},
		{"request on a lane", 2, raw(wire.Frame{Type: wire.Request, Stream: s, Payload: wire.AppendRequest(nil, "x/1", nil)}), "on channel 2"},
		{"wrong lane", 3, raw(open), "on channel 3"},
		{"open without name", 2, raw(wire.Frame{Type: wire.Open, Stream: s}), "without a name"},
		{"open with absurd credit", 2, raw(wire.Frame{Type: wire.Open, Stream: s, Code: 1 << 63, Payload: []byte("x/1")}), "credit"},
		{"open twice", 2, raw(open, open), "open frame with number"},
		{"open after end", 2, raw(open, fin, open), "open frame with number"},
		{"numbers fall", 2, raw(wire.Frame{Type: wire.Open, Stream: t2, Payload: []byte("x/1")}, open), "open frame with number"},
		{"open with our number", laneOf(own), raw(wire.Frame{Type: wire.Open, Stream: own, Payload: []byte("x/1")}), "open frame with number"},
		{"open zero", laneOf(0), raw(wire.Frame{Type: wire.Open, Payload: []byte("x/1")}), "open frame with number 0"},
		{"data unopened", 2, raw(data(1)), "nobody opened"},
		{"fin unopened", 2, raw(fin), "nobody opened"},
		{"reset unopened", 2, raw(reset), "nobody opened"},
		{"stop unopened", 2, raw(wire.Frame{Type: wire.Stop, Stream: s}), "nobody opened"},
		{"data on our unopened", laneOf(own), raw(wire.Frame{Type: wire.Data, Stream: own, Payload: []byte("x")}), "nobody opened"},
		{"data after fin", 2, raw(open, fin, data(1)), "after its end"},
		{"data after reset", 2, raw(open, reset, data(1)), "after its end"},
		{"fin twice", 2, raw(open, fin, fin), "after its end"},
		{"reset after fin", 2, raw(open, fin, reset), "after its end"},
		{"over credit", 2, raw(open, data(floor+1)), "were granted"},
		{"over credit in parts", 2, raw(open, data(1000), data(floor-999)), "were granted"},
		{"request of nothing", 1, raw(wire.Frame{Type: wire.Request, Stream: 2}), "protocol"},
		{"request with our number", 1, raw(wire.Frame{Type: wire.Request, Stream: 1, Payload: wire.AppendRequest(nil, "x/1", nil)}), "request frame with number 1"},
		{"request with number 0", 1, raw(wire.Frame{Type: wire.Request, Payload: wire.AppendRequest(nil, "x/1", nil)}), "number 0"},
		{"answer unasked", 1, raw(wire.Frame{Type: wire.Reply, Stream: 1}), "nobody made"},
		{"answer to itself", 1, raw(wire.Frame{Type: wire.Reply, Stream: 2}), "nobody made"},
		{"cancel of ours", 0, raw(wire.Frame{Type: wire.Cancel, Stream: 1}), "this node's"},
		{"ask twice", 2, raw(ask, ask), "ask frame with number"},
		{"body after its end", 2, raw(wire.Frame{Type: wire.Ask, Stream: s, Payload: []byte("a b")}), "malformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := besiege(t, 64, nil)
			if err := e.raw(test.ch, test.msg); err != nil {
				t.Fatal(err)
			}
			<-e.victim.Done()
			err := e.victim.Err()
			if !errors.Is(err, p2p.ErrClosed) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("link ended with %v, want %q", err, test.text)
			}
			if strings.HasPrefix(test.name, "oversized") {
				return // found by the carrier
			}
			f := e.expect(control, func(f wire.Frame) bool { return f.Type == wire.GoAway })
			if f.Code != CodeViolation || !strings.Contains(string(f.Payload), test.text) {
				t.Errorf("goaway with code %d: %s", f.Code, f.Payload)
			}
		})
	}
}

func TestLongBodyViolation(t *testing.T) {
	e := besiege(t, 64, nil)
	s := id(2, 0)
	e.send(2, wire.Frame{Type: wire.Ask, Stream: s, Payload: []byte("x/1")})
	for range wire.MaxMessage/8192 + 1 {
		e.send(2, wire.Frame{Type: wire.Data, Stream: s, Payload: make([]byte, 8192)})
	}
	<-e.victim.Done()
	if err := e.victim.Err(); !strings.Contains(err.Error(), "exceeds") {
		t.Error(err)
	}
}

// TestBodies: a peer that does not say how long the bodies are that it reads gets none that would
// have it end the link.
func TestBodies(t *testing.T) {
	for said, want := range map[uint64]int{0: leastBody, 1: leastBody, 70_000: 70_000, wire.MaxMessage: wire.MaxMessage, 1 << 63: wire.MaxMessage} {
		if got := (hello{MaxBody: said}).bodies(); got != want {
			t.Errorf("of a peer that reads %d: %d, want %d", said, got, want)
		}
	}
	e := besiege(t, 64, func(string) p2p.Handler {
		return func(context.Context, p2p.Link, []byte) ([]byte, error) { return make([]byte, leastBody+1), nil }
	})
	e.victim.session.bodies = leastBody
	if _, err := e.victim.Call(t.Context(), "x/1", make([]byte, leastBody+1)); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("a request: %v", err)
	}
	e.send(calls, wire.Frame{Type: wire.Request, Stream: 2, Payload: wire.AppendRequest(nil, "x/1", nil)})
	if f := e.expect(calls, func(f wire.Frame) bool { return f.Stream == 2 }); f.Type == wire.Reply || !strings.Contains(string(f.Payload), CallTooLarge) {
		t.Errorf("the answer is %v, %.100q", f.Type, f.Payload)
	}
}

// TestLate: frames that cross the end of their stream or call are no offence.
func TestLate(t *testing.T) {
	e := besiege(t, 64, func(string) p2p.Handler {
		return func(context.Context, p2p.Link, []byte) ([]byte, error) { return []byte("done"), nil }
	})
	s := id(2, 0)
	e.send(2, wire.Frame{Type: wire.Open, Stream: s, Payload: []byte("x/1")})
	_, c, err := e.victim.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	// Stopped and finished; this end does not know it yet.
	e.send(2, wire.Frame{Type: wire.Data, Stream: s, Payload: make([]byte, 100)})
	e.expect(2, func(f wire.Frame) bool { return f.Type == wire.Fin })
	e.send(2, wire.Frame{Type: wire.Reset, Stream: s})
	e.send(2, wire.Frame{Type: wire.Data, Stream: s, Payload: make([]byte, 100)})
	e.send(2, wire.Frame{Type: wire.Stop, Stream: s}, wire.Frame{Type: wire.Fin, Stream: s})
	e.send(control, wire.Frame{Type: wire.Credit, Stream: s, Code: 5}, wire.Frame{Type: wire.Credit, Stream: 999, Code: 5})
	e.send(control, wire.Frame{Type: wire.Pong, Code: 5}, wire.Frame{Type: wire.Cancel, Stream: 400})
	// A call that was cancelled before it came is not run.
	e.send(calls, wire.Frame{Type: wire.Request, Stream: 600, Payload: wire.AppendRequest(nil, "x/1", nil)})
	e.expect(calls, func(f wire.Frame) bool { return f.Type == wire.Reply && f.Stream == 600 })
	e.alive() // control was handled up to here
	e.send(calls, wire.Frame{Type: wire.Request, Stream: 400, Payload: wire.AppendRequest(nil, "x/1", nil)})
	e.expect(calls, func(f wire.Frame) bool { return f.Type == wire.Failure && f.Stream == 400 })
	e.alive()
	// The stream's own lane is handled by itself.
	left := func() int {
		e.victim.mu.Lock()
		defer e.victim.mu.Unlock()
		return len(e.victim.streams)
	}
	for end := time.Now().Add(5 * time.Second); left() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d streams left", left())
		}
	}
}

// TestOpenFlood: streams beyond the limit are reset, those within it and the link
// go on.
func TestOpenFlood(t *testing.T) {
	e := besiege(t, 8192, nil)
	const flood = 3000
	for i := range flood {
		s := uint64(2 + 2*i)
		e.send(laneOf(s), wire.Frame{Type: wire.Open, Stream: s, Payload: []byte("x/1")})
	}
	refused := 0
	for ch := firstLane; ch < Channels; ch++ {
		for s := uint64(2); s <= 2*flood; s += 2 {
			if laneOf(s) == ch {
				refused++
			}
		}
	}
	if refused != flood {
		t.Fatal("lanes do not add up")
	}
	// Which streams are over the limit depends on the lanes' order; how many does not.
	seen := 0
	buf := make([]byte, MaxFrame)
	for ch := firstLane; seen < flood-MaxStreams; ch = firstLane + (ch-firstLane+1)%lanes {
		select {
		case msg := <-e.in[ch]:
			for msg = buf[:copy(buf, msg)]; len(msg) > 0; {
				f, rest, err := wire.ParseFrame(msg)
				if err != nil {
					t.Fatal(err)
				}
				if f.Type == wire.Reset && f.Code == CodeBusy {
					seen++
				}
				msg = rest
			}
		case <-e.victim.Done():
			t.Fatal(e.victim.Err())
		default:
			runtime.Gosched()
		}
	}
	e.alive()
	for range MaxStreams {
		if _, _, err := e.victim.Accept(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.victim.Open(t.Context(), "x/1"); err == nil {
		t.Error("one stream more was opened")
	}
}

// TestCallFlood: calls beyond the limit are refused at once.
func TestCallFlood(t *testing.T) {
	release := make(chan bool)
	defer close(release)
	e := besiege(t, 8192, func(string) p2p.Handler {
		return func(context.Context, p2p.Link, []byte) ([]byte, error) { <-release; return nil, nil }
	})
	for i := range 2 * MaxCalls {
		e.send(calls, wire.Frame{Type: wire.Request, Stream: uint64(2 + 2*i), Payload: wire.AppendRequest(nil, "x/1", nil)})
	}
	for range MaxCalls {
		f := e.expect(calls, func(f wire.Frame) bool { return f.Type == wire.Failure })
		var why failure
		if err := wire.Unmarshal(f.Payload, &why); err != nil || why.Code != CallBusy {
			t.Fatal(why, err)
		}
	}
	// Long requests count too, and what comes for a refused one is dropped.
	s := id(2, 1000)
	e.send(2, wire.Frame{Type: wire.Ask, Stream: s, Payload: []byte("x/1")},
		wire.Frame{Type: wire.Data, Stream: s, Payload: make([]byte, 5000)}, wire.Frame{Type: wire.Fin, Stream: s})
	e.expect(calls, func(f wire.Frame) bool { return f.Type == wire.Failure && f.Stream == s })
	e.alive()
}

// TestNoAnswersTaken: a peer that makes this node answer and takes no answers
// cannot fill its memory.
func TestNoAnswersTaken(t *testing.T) {
	e := besiege(t, 1, nil)
	pings := wire.AppendFrame(nil, wire.Frame{Type: wire.Ping, Code: 1 << 60})
	for len(pings)+11 <= MaxPacket {
		pings = wire.AppendFrame(pings, wire.Frame{Type: wire.Ping, Code: 1 << 60})
	}
	for e.raw(control, pings) == nil {
	}
	<-e.victim.Done()
	if err := e.victim.Err(); !strings.Contains(err.Error(), "does not take its answers") {
		t.Error(err)
	}
}

// TestSilentPeer: whoever says nothing after auth is given up in 10 seconds, and
// not as long as there is any sign of life.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := besiege(t, 64, nil)
		for range 30 {
			time.Sleep(time.Second)
			e.send(control, wire.Frame{Type: wire.Credit, Stream: 1})
		}
		if err := e.victim.Err(); err != nil {
			t.Fatalf("a peer that speaks was given up: %v", err)
		}
		silent := time.Now()
		<-e.victim.Done()
		if d := time.Since(silent); d > 10*time.Second {
			t.Errorf("noticed after %v", d)
		}
		if err := e.victim.Err(); !strings.Contains(err.Error(), "no sign of life") || !errors.Is(err, p2p.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestRTT: the time of a round trip is measured, and only an answer to the last
// ping counts.
func TestRTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := besiege(t, 64, nil)
		ping := e.expect(control, func(f wire.Frame) bool { return f.Type == wire.Ping })
		time.Sleep(80 * time.Millisecond)
		e.send(control, wire.Frame{Type: wire.Pong, Code: ping.Code + 1}, wire.Frame{Type: wire.Pong, Code: ping.Code}, wire.Frame{Type: wire.Pong, Code: ping.Code})
		synctest.Wait()
		if rtt := e.victim.Stats().RTT; rtt != 80*time.Millisecond {
			t.Errorf("RTT %v", rtt)
		}
	})
}

// TestGoodbye: the peer's reason is this end's error.
func TestGoodbye(t *testing.T) {
	e := besiege(t, 64, nil)
	e.send(control, wire.Frame{Type: wire.GoAway, Code: CodeSilent, Payload: []byte("going\x1bhome")})
	<-e.victim.Done()
	if err := e.victim.Err(); !strings.Contains(err.Error(), `code 5): "going\x1bhome"`) {
		t.Error(err)
	}
	<-e.other // the victim closes its carrier
}
