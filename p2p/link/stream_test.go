package link

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p/wire"
)

func TestIdleGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	var cleanup []func()
	const links = 5
	for range links {
		a, b := linked(t, nil)
		cleanup = append(cleanup, func() { _, _ = a.Close(), b.Close() })
		// A call makes sure that both ends have finished their hello.
		if _, err := a.Call(t.Context(), "x/1", nil); err == nil {
			t.Fatal("answered")
		}
	}
	for runtime.NumGoroutine()-before > 2*links*7 { // those that send end by themselves
		runtime.Gosched()
	}
	for _, f := range cleanup {
		f()
	}
}

// TestTurns: streams of one lane take turns message by message, so a small one
// does not wait for all of a big one.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := besiege(t, 1, nil)
		l := e.victim
		var same []net.Conn // four streams of one lane
		for len(same) < 4 {
			c, err := l.Open(t.Context(), "x/1")
			if err != nil {
				t.Fatal(err)
			}
			if c.(*Stream).lane == &l.queues[2] {
				same = append(same, c)
			}
		}
		for _, c := range same {
			e.send(control, wire.Frame{Type: wire.Credit, Stream: c.(*Stream).id, Code: 1 << 20})
		}
		synctest.Wait() // one message waits in the carrier, the next in Send
		for _, c := range same {
			_, err := c.Write(make([]byte, 100_000))
			if err != nil {
				t.Fatal(err)
			}
		}
		var order []uint64
		for len(order) < 20 {
			f := e.expect(2, func(f wire.Frame) bool { return f.Type == wire.Data })
			order = append(order, f.Stream)
		}
		for i := 4; i+4 <= len(order); i += 4 {
			seen := map[uint64]bool{}
			for _, s := range order[i : i+4] {
				seen[s] = true
			}
			if len(seen) != 4 {
				t.Errorf("streams did not take turns: %v", order)
				break
			}
		}
	})
}

// TestWindow: the first grant comes when the floor is used, then windows grow only
// while they are what limits, and never beyond the budget.
func TestWindow(t *testing.T) {
	b := &budget{free: poolSize}
	var w window
	now := time.Unix(0, 0)
	w.arrive(now)
	if w.received = floor / 2; w.worth() {
		t.Error("grant for a short request")
	}
	if w.received = floor; !w.worth() {
		t.Fatal("no grant for a stream that used the floor")
	}
	if n := w.grant(b, now, 0); n != initialWindow-floor {
		t.Errorf("first grant %d", n)
	}
	consume := func(n int, took, rtt time.Duration) {
		w.received += uint64(n)
		w.consumed += uint64(n)
		if !w.worth() {
			t.Fatalf("no grant after %d bytes", n)
		}
		now = now.Add(took)
		w.grant(b, now, rtt)
	}
	w.consumed = w.received
	consume(initialWindow/4, 100*time.Millisecond, 100*time.Millisecond)
	if w.size != initialWindow {
		t.Errorf("window grew to %d although the network limits", w.size)
	}
	for range 10 {
		consume(w.size/4, 10*time.Millisecond, 100*time.Millisecond)
	}
	if w.size != maxWindow {
		t.Errorf("window grew to %d only", w.size)
	}
	var others int
	for range 10 {
		var o window
		o.open(b, now)
		for range 10 {
			o.received += uint64(o.size / 4)
			o.consumed = o.received
			now = now.Add(time.Millisecond)
			o.grant(b, now, time.Second)
		}
		others += o.size - floor
	}
	if held := w.size - floor + others; b.free < 0 || held+b.free != poolSize {
		t.Errorf("windows hold %d, %d are free of %d", held, b.free, poolSize)
	}
	w.shrink(b, 10)
	if w.size != floor || others+b.free != poolSize {
		t.Errorf("after the end: window %d, free %d", w.size, b.free)
	}
}

// TestNothingLeaks does at random everything that can be done with streams; at the
// end the link has no stream left and its budget back.
func TestNothingLeaks(t *testing.T) {
	a, b := linked(t, nil)
	var all sync.WaitGroup
	for i, l := range []*Link{a, b} {
		all.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			for range 300 {
				c, err := l.Open(t.Context(), "x/1")
				if err != nil {
					t.Error(err)
					return
				}
				seed := r.Uint64()
				all.Go(func() { misuse(c.(*Stream), seed) })
			}
		})
		all.Go(func() {
			for n := range 300 {
				_, c, err := l.Accept(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				all.Go(func() { misuse(c.(*Stream), uint64(n)) })
			}
		})
	}
	all.Wait()
	for _, l := range []*Link{a, b} {
		for {
			l.mu.Lock()
			n := len(l.streams)
			l.mu.Unlock()
			if n == 0 || l.Err() != nil {
				break
			}
			runtime.Gosched()
		}
		if err := l.Err(); err != nil {
			t.Fatal(err)
		}
		if l.budget.free != poolSize {
			t.Errorf("budget %d, want %d", l.budget.free, poolSize)
		}
	}
}

func misuse(s *Stream, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	defer func() { _ = s.Close() }()
	buf := make([]byte, 50_000)
	for range r.IntN(12) {
		switch r.IntN(8) {
		case 0, 1, 2:
			_ = s.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = s.Write(buf[:r.IntN(len(buf))])
		case 3, 4, 5:
			_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, _ = s.Read(buf[:1+r.IntN(len(buf)-1)])
		case 6:
			_ = s.CloseWrite()
		case 7:
			if r.IntN(3) == 0 {
				_ = s.Reset(7)
			} else if r.IntN(3) == 0 {
				_ = s.CloseRead()
			}
		}
	}
}

// TestSmallFrames: a peer that cuts everything into single bytes does not make
// this node hold a buffer for each.
func TestSmallFrames(t *testing.T) {
	e := besiege(t, 64, nil)
	s := id(2, 0)
	e.send(2, wire.Frame{Type: wire.Open, Stream: s, Payload: []byte("x/1")})
	want := make([]byte, floor)
	for i := range want {
		want[i] = byte(i * 7)
		e.send(2, wire.Frame{Type: wire.Data, Stream: s, Payload: want[i : i+1]})
	}
	e.send(2, wire.Frame{Type: wire.Fin, Stream: s})
	_, c, err := e.victim.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for { // until all has arrived
		st := c.(*Stream)
		st.mu.Lock()
		done, held := st.inDone, st.in.len()
		st.mu.Unlock()
		if done {
			if held != 1 {
				t.Errorf("%d bytes in %d buffers", floor, held)
			}
			break
		}
		runtime.Gosched()
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// TestKeptChunk: frames behind a long payload that is not copied still count.
func TestKeptChunk(t *testing.T) {
	e := besiege(t, 64, nil)
	s, other := id(2, 0), id(2, 1)
	payload := bytes.Repeat([]byte("long"), 3000)
	e.send(2, wire.Frame{Type: wire.Open, Stream: s, Payload: []byte("x/1")})
	e.send(2, wire.Frame{Type: wire.Data, Stream: s, Payload: payload[:floor]})
	e.expect(control, func(f wire.Frame) bool { return f.Type == wire.Credit && f.Stream == s })
	e.send(2, wire.Frame{Type: wire.Data, Stream: s, Payload: payload},
		wire.Frame{Type: wire.Data, Stream: s, Payload: []byte("tail")},
		wire.Frame{Type: wire.Fin, Stream: s},
		wire.Frame{Type: wire.Open, Stream: other, Payload: []byte("y/1")})
	for _, want := range []string{"x/1", "y/1"} {
		proto, c, err := e.victim.Accept(t.Context())
		if err != nil || proto != want {
			t.Fatal(proto, err)
		}
		if proto != "x/1" {
			continue
		}
		got, err := io.ReadAll(c)
		if all := string(payload[:floor]) + string(payload) + "tail"; err != nil || string(got) != all {
			t.Errorf("read %d bytes of %d, %v", len(got), len(all), err)
		}
	}
}

// TestWritesStayWhole: concurrent writes do not mix.
func TestWritesStayWhole(t *testing.T) {
	a, b := linked(t, nil)
	out, err := a.Open(t.Context(), "x/1")
	if err != nil {
		t.Fatal(err)
	}
	_, in, err := b.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const size = 300_000
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			if _, err := out.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				t.Error(err)
			}
		})
	}
	go func() {
		writers.Wait()
		_ = out.Close()
	}()
	got, err := io.ReadAll(in)
	if err != nil || len(got) != 4*size {
		t.Fatal(len(got), err)
	}
	for i := 0; i < len(got); i += size {
		if bytes.Count(got[i:i+size], got[i:i+1]) != size {
			t.Fatal("writes are mixed")
		}
	}
}

// TestResetDropsArrived: nobody takes the part that had arrived for the whole.
func TestResetDropsArrived(t *testing.T) {
	e := besiege(t, 64, nil)
	s := id(2, 0)
	e.send(2, wire.Frame{Type: wire.Open, Stream: s, Payload: []byte("x/1")},
		wire.Frame{Type: wire.Data, Stream: s, Payload: []byte("half")},
		wire.Frame{Type: wire.Reset, Stream: s, Code: 300},
		wire.Frame{Type: wire.Open, Stream: id(2, 1), Payload: []byte("y/1")})
	_, c, err := e.victim.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.victim.Accept(t.Context()); err != nil { // the reset is handled
		t.Fatal(err)
	}
	var reset *ResetError
	if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.As(err, &reset) || reset.Code != 300 {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestDeadlineLifted: a deadline that is lifted at the moment it passes does not
// come back.
func TestDeadlineLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := besiege(t, 64, nil)
		c, err := e.victim.Open(t.Context(), "x/1")
		if err != nil {
			t.Fatal(err)
		}
		s := c.(*Stream)
		for range 20 {
			if err := s.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // nobody else needs the lock, or time would stand still
			s.mu.Lock()
			time.Sleep(time.Millisecond)
			for range 100 {
				runtime.Gosched() // lets the timer's function reach the lock
			}
			s.setDeadline(&s.readBy, &s.readable, time.Time{})
			s.mu.Unlock()
			synctest.Wait()
			s.mu.Lock()
			passed := s.readBy.passed
			s.mu.Unlock()
			if passed {
				t.Fatal("a lifted deadline passed")
			}
		}
	})
}

// TestIdleStreams: streams on which nothing happens leave room for a busy one.
func TestIdleStreams(t *testing.T) {
	b := &budget{free: poolSize}
	now := time.Unix(0, 0)
	for range 60 {
		var w window
		w.open(b, now)
	}
	var busy window
	busy.arrive(now)
	busy.received = floor
	busy.grant(b, now, time.Second)
	busy.consumed = floor
	busy.received += uint64(busy.size)
	busy.consumed += uint64(busy.size)
	busy.grant(b, now, time.Second)
	if busy.size < initialWindow {
		t.Errorf("60 idle streams leave a window of %d bytes", busy.size)
	}
}
