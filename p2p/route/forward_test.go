package route

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// A request goes over a link where there is one, and otherwise by those who are nearer,
// with the origin's name on it.
func TestCall(t *testing.T) {
	w := newTown(t, 5)
	w.road(4, 2, 1, 0)
	a, target := w.homes[4], w.homes[0]
	a.ask(target, "by others")
	if got, want := target.heard(), a.self.Short()+": by others"; len(got) != 1 || got[0] != want {
		t.Errorf("the target heard %q, want %q", got, want)
	}
	// The first call learns the epoch; from then on there is one trip.
	before := len(w.homes[1].passed())
	a.ask(target, "again")
	hops := w.homes[1].passed()
	if want := (Hop{From: a.self, To: target.self, Via: target.self, Proto: "echo/1", Hops: 3}); len(hops) != before+1 || hops[before] != want {
		t.Errorf("the last hop was told as %+v, want %+v", hops[before:], want)
	}
	a.ask(w.homes[2], "to the neighbour")
	if n := len(w.homes[4].passed()); n != 3 {
		t.Errorf("%d hops were told, want 3: over a link nothing is forwarded", n)
	}
	a.ask(a, "to itself")
	if _, err := a.Call(t.Context(), w.homes[3].self, "echo/1", nil); !errors.Is(err, p2p.ErrUnreachable) || !strings.Contains(err.Error(), "linked members is nearer to it") {
		t.Errorf("a member without links: %v", err)
	}
	if _, err := a.Call(t.Context(), p2p.ID{9}, "echo/1", nil); !errors.Is(err, p2p.ErrUnreachable) || !strings.Contains(err.Error(), "no member") {
		t.Errorf("nobody: %v", err)
	}
}

// Errors of the handler arrive as over a link.
func TestCallErrors(t *testing.T) {
	w := newTown(t, 3)
	w.road(2, 1, 0)
	a, target := w.homes[2], w.homes[0]
	target.Handle("fail/1", func(context.Context, p2p.ID, []byte) ([]byte, error) {
		return nil, &p2p.CallError{Code: "query_empty", Message: "nothing is asked for"}
	})
	target.Handle("break/1", func(context.Context, p2p.ID, []byte) ([]byte, error) { panic("broken on purpose") })
	target.Handle("long/1", func(context.Context, p2p.ID, []byte) ([]byte, error) { return make([]byte, MaxForwarded+1), nil })
	for proto, code := range map[string]string{"fail/1": "query_empty", "break/1": codeInternal, "long/1": codeTooLarge, "none/1": codeNoProtocol} {
		_, err := a.Call(t.Context(), target.self, proto, nil)
		var refused *p2p.CallError
		if !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%s: %v, want code %s", proto, err, code)
		}
		if (code == codeNoProtocol) != errors.Is(err, p2p.ErrNoProtocol) {
			t.Errorf("%s: %v", proto, err)
		}
	}
	if _, err := a.Call(t.Context(), target.self, "echo/1", make([]byte, MaxForwarded+1)); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("a long request without a link: %v", err)
	}
	if _, err := a.Call(t.Context(), target.self, "echo/1", make([]byte, MaxForwarded-5)); err != nil {
		t.Errorf("the longest request with the longest answer: %v", err)
	}
}

// What is too long for a message goes as a stream.
func TestExchange(t *testing.T) {
	w := newTown(t, 3)
	w.road(2, 1, 0)
	a, b, c := w.homes[2], w.homes[1], w.homes[0]
	b.Handle("long/1", func(context.Context, p2p.ID, []byte) ([]byte, error) { return make([]byte, MaxAnswer), nil })
	b.Handle("longer/1", func(context.Context, p2p.ID, []byte) ([]byte, error) { return make([]byte, MaxAnswer+1), nil })
	ctx, cancel := context.WithCancel(t.Context())
	b.Handle("wait/1", func(context.Context, p2p.ID, []byte) ([]byte, error) {
		cancel()
		<-t.Context().Done()
		return nil, nil
	})
	if a.Limit(b.self) != MaxExchange || a.Limit(c.self) != MaxForwarded || a.Limit(a.self) != MaxExchange {
		t.Errorf("limits %d, %d, %d", a.Limit(b.self), a.Limit(c.self), a.Limit(a.self))
	}
	long := bytes.Repeat([]byte{7}, MaxExchange)
	if got, err := a.Call(t.Context(), b.self, "echo/1", long); err != nil || len(got) != len(long)+5 {
		t.Errorf("4 MiB: %d bytes, %v", len(got), err)
	}
	if got, err := a.Exchange(t.Context(), b.self, "long/1", nil); err != nil || len(got) != MaxAnswer {
		t.Errorf("an answer of 8 MiB: %d bytes, %v", len(got), err)
	}
	var refused *p2p.CallError
	if _, err := a.Exchange(t.Context(), b.self, "longer/1", nil); !errors.As(err, &refused) || refused.Code != codeTooLarge {
		t.Errorf("an answer of more: %v", err)
	}
	if _, err := a.Exchange(t.Context(), b.self, "none/1", long); !errors.Is(err, p2p.ErrNoProtocol) {
		t.Errorf("no protocol: %v", err)
	}
	if _, err := a.Exchange(t.Context(), b.self, "echo/1", append(long, 1)); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("more than 4 MiB: %v", err)
	}
	if got, err := a.Exchange(t.Context(), c.self, "echo/1", []byte("x")); err != nil || string(got) != "echo x" {
		t.Errorf("without a link: %q, %v", got, err)
	}
	if _, err := a.Exchange(ctx, b.self, "wait/1", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// byOne returns a town in which 7 reaches 0 only by 1, which does what a test wants, and
// the honest handler of 1.
func byOne(t *testing.T) (w *town, a, hop, target *home, honest p2p.Handler) {
	w = newTown(t, 8)
	hop = w.homes[1]
	honest = hop.handleForward
	w.road(7, 1, 0)
	return w, w.homes[7], hop, w.homes[0], honest
}

// reopen changes an envelope on its way.
func reopen(t *testing.T, b []byte, change func(*Envelope)) []byte {
	t.Helper()
	e, err := decodeEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	change(e)
	b, err = e.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A hop that changes anything achieves that the call fails.
func TestHopChangesRequest(t *testing.T) {
	for name, change := range map[string]func(*Envelope){
		"request":     func(e *Envelope) { e.Request = []byte("forged") },
		"protocol":    func(e *Envelope) { e.Proto = "fail/1" },
		"number":      func(e *Envelope) { e.Seq++ },
		"epoch":       func(e *Envelope) { e.Epoch[0]++ },
		"incarnation": func(e *Envelope) { e.Incarnation[0]++ },
		"position":    func(e *Envelope) { e.Position[5]++ },
		"key":         func(e *Envelope) { e.Public[0]++ },
		"signature":   func(e *Envelope) { e.Sig[0]++ },
		"origin":      nil, // set below
		"target":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			w, a, hop, target, honest := byOne(t)
			w.road(1, 2)
			switch name {
			case "origin":
				change = func(e *Envelope) { e.Origin = w.homes[3].identity.PublicKey() }
			case "target":
				change = func(e *Envelope) { e.To, e.Position = w.homes[2].self, p2p.Key{0} }
			}
			a.ask(target, "honest") // the epoch is known
			hop.turn(func(ctx context.Context, from p2p.Link, b []byte) ([]byte, error) {
				return honest(ctx, from, reopen(t, b, change))
			})
			if b, err := a.Call(t.Context(), target.self, "echo/1", []byte("true")); !errors.Is(err, p2p.ErrUnreachable) {
				t.Errorf("changed request: %q, %v", b, err)
			}
			if n := len(target.heard()); n != 1 {
				t.Errorf("%d requests were served, want 1", n)
			}
			if n := len(w.homes[2].heard()); n != 0 {
				t.Errorf("another target served %d", n)
			}
		})
	}
}

// A hop that changes an answer, or gives that to another request, achieves nothing; if
// there is another way, the call even succeeds.
func TestHopChangesAnswer(t *testing.T) {
	w, a, hop, target, honest := byOne(t)
	a.ask(target, "honest")
	var old []byte
	for name, change := range map[string]func([]byte) []byte{
		"other":   func(b []byte) []byte { old = b; return append(bytes.Clone(b[:len(b)-1]), b[len(b)-1]+1) },
		"earlier": func([]byte) []byte { return old },
		"junk":    func([]byte) []byte { return []byte("junk") },
		"none":    func([]byte) []byte { return nil },
		"own": func(b []byte) []byte {
			forged, err := answer{Sealed: []byte("forged")}.seal(hop.identity, testNetwork, digest{})
			if err != nil {
				t.Error(err)
			}
			return forged
		},
	} {
		hop.turn(func(ctx context.Context, from p2p.Link, b []byte) ([]byte, error) {
			resp, err := honest(ctx, from, b)
			if err != nil {
				return nil, err
			}
			return change(resp), nil
		})
		if b, err := a.Call(t.Context(), target.self, "echo/1", []byte(name)); !errors.Is(err, p2p.ErrUnreachable) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	// By 2, which is farther than 1 and honest: it finds that the request was served
	// already, or serves it.
	w.road(7, 2, 0)
	hop.turn(func(context.Context, p2p.Link, []byte) ([]byte, error) { return []byte("junk"), nil })
	a.ask(target, "by another way")
}

// Those in between see that there is a request, and not what it says, nor the answer.
func TestHopReads(t *testing.T) {
	_, a, hop, target, honest := byOne(t)
	var mu sync.Mutex
	var seen []byte
	hop.turn(func(ctx context.Context, from p2p.Link, b []byte) ([]byte, error) {
		resp, err := honest(ctx, from, b)
		mu.Lock()
		defer mu.Unlock()
		seen = append(append(seen, b...), resp...)
		return resp, err
	})
	for range 2 { // with an epoch, and without
		a.ask(target, "salaries of all")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) == 0 || bytes.Contains(seen, []byte("salaries")) {
		t.Errorf("the hop reads %d bytes, among them what it is not to know", len(seen))
	}
}

// A request is served once, whoever sends it again, and whichever of the two has been
// started again since.
func TestReplay(t *testing.T) {
	w, a, hop, target, honest := byOne(t)
	var mu sync.Mutex
	var recorded [][]byte
	hop.turn(func(ctx context.Context, from p2p.Link, b []byte) ([]byte, error) {
		mu.Lock()
		recorded = append(recorded, bytes.Clone(b))
		mu.Unlock()
		return honest(ctx, from, b)
	})
	replay := func(when string, target *home, want int) {
		t.Helper()
		for _, b := range recorded {
			l, err := hop.to(target.self)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := l.Call(t.Context(), ForwardProtocol, b)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			var an answer
			if err := wire.Unmarshal(raw, &an); err != nil || an.Outcome != outcomeSeen && an.Outcome != outcomeEpoch {
				t.Errorf("%s: outcome %d, %v", when, an.Outcome, err)
			}
		}
		if n := len(target.heard()); n != want {
			t.Errorf("%s: %d requests were served, want %d", when, n, want)
		}
	}
	a.ask(target, "one")
	a.ask(target, "two")
	if len(recorded) != 3 {
		t.Fatalf("%d envelopes for two calls, want 3: the first one brings the epoch", len(recorded))
	}
	replay("same runs", target, 2)

	again := w.build(a.identity) // the origin starts again
	w.link(again, hop)
	again.ask(target, "three")
	replay("after a restart of the origin", target, 3)

	reborn := w.build(target.identity)
	w.link(hop, reborn)
	replay("after a restart of the target", reborn, 0)
	again.ask(reborn, "four") // learns the new epoch by itself
	replay("in the new run", reborn, 1)
}

// Who is no member gets nothing passed on, by nobody.
func TestStrangers(t *testing.T) {
	w, a, hop, target, _ := byOne(t)
	a.ask(target, "as a member")
	w.revoke(a)
	if _, err := a.Call(t.Context(), target.self, "echo/1", []byte("revoked")); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("revoked: %v", err)
	}
	if n := len(hop.passed()); n != 2 {
		t.Errorf("%d hops after the revocation, want the 2 before it", n)
	}
	// The hop lets it through: the target does not.
	e := &Envelope{To: target.self, Incarnation: a.incarnation, Seq: 9, Proto: "echo/1", Hops: 1, Patience: 1000, Public: make([]byte, publicSize)}
	e.sign(a.identity, testNetwork)
	b, err := e.encode()
	if err != nil {
		t.Fatal(err)
	}
	l, err := hop.to(target.self)
	if err != nil {
		t.Fatal(err)
	}
	var refused *p2p.CallError
	if _, err := l.Call(t.Context(), ForwardProtocol, b); !errors.As(err, &refused) || refused.Code != codeForbidden {
		t.Errorf("the target says %v", err)
	}
	// A member of another network, whose signature is for that one.
	e.sign(w.homes[5].identity, p2p.ID{0xbb})
	if b, err = e.encode(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Call(t.Context(), ForwardProtocol, b); !errors.As(err, &refused) || refused.Code != codeForbidden {
		t.Errorf("of another network: %v", err)
	}
	if n := len(target.heard()); n != 1 {
		t.Errorf("%d requests were served, want 1", n)
	}
}

// An envelope for more hops, or with more time, than there can be is refused, and one with
// none goes no further. A node that passes in circles is refused by the first honest one
// that sees the request twice.
func TestHopGames(t *testing.T) {
	w, a, hop, target, honest := byOne(t)
	seal := func(hops uint8, patience uint32) []byte {
		e, _, err := a.envelope(w.all[target.self], "echo/1", nil, testNetwork)
		if err != nil {
			t.Fatal(err)
		}
		e.Hops, e.Patience = hops, patience
		e.sign(a.identity, testNetwork)
		b, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	l, err := a.to(hop.self)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		b    []byte
		code string
	}{
		"many hops":     {seal(MaxHops+1, 1000), codeMalformed},
		"much patience": {seal(1, maxPatience+1), codeMalformed},
		"no hops":       {seal(0, 1000), codeUnreachable},
	} {
		var refused *p2p.CallError
		if _, err := l.Call(t.Context(), ForwardProtocol, test.b); !errors.As(err, &refused) || refused.Code != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(target.heard()); n != 0 {
		t.Errorf("%d were served", n)
	}
	// 5 lies about where the target is, so that 1, which is nearer to it than 5, sends
	// back: the hop count is new each time, the request is not.
	w.road(1, 5)
	evil := w.homes[5]
	var rounds atomic.Int32
	evil.turn(func(ctx context.Context, _ p2p.Link, b []byte) ([]byte, error) {
		rounds.Add(1)
		back, err := evil.to(hop.self)
		if err != nil {
			return nil, err
		}
		return back.Call(ctx, ForwardProtocol, reopen(t, b, func(e *Envelope) { e.Hops = MaxHops }))
	})
	w.mu.Lock()
	m := w.all[evil.self]
	m.Position = p2p.Key{0, 1} // nearest of all to 0
	w.all[evil.self] = m
	w.mu.Unlock()
	hop.turn(func(ctx context.Context, from p2p.Link, b []byte) ([]byte, error) { return honest(ctx, from, b) })
	target.turn(func(context.Context, p2p.Link, []byte) ([]byte, error) { return nil, errors.New("not now") })
	if _, err := a.Call(t.Context(), target.self, "echo/1", nil); !errors.Is(err, p2p.ErrUnreachable) || !strings.Contains(err.Error(), "on its way") {
		t.Errorf("in circles: %v", err)
	}
	if n := rounds.Load(); n != 1 {
		t.Errorf("%d rounds, want 1", n)
	}
}

// A hop that hangs costs a part of the patience, and the next best is asked in time,
// without anybody's answer being cut off because it takes a while.
func TestSilentHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 8)
		w.road(7, 1, 0)
		w.road(7, 2, 0)
		a, target := w.homes[7], w.homes[0]
		var asked atomic.Int32
		target.Handle("slow/1", func(ctx context.Context, _ p2p.ID, _ []byte) ([]byte, error) {
			asked.Add(1)
			select {
			case <-time.After(1500 * time.Millisecond):
				return []byte("done"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		w.homes[1].turn(func(ctx context.Context, _ p2p.Link, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			start := time.Now()
			b, err := a.Call(ctx, target.self, "echo/1", []byte("x"))
			cancel()
			if err != nil || string(b) != "echo x" {
				t.Errorf("with a hop that hangs: %q, %v", b, err)
			}
			t.Logf("it took %v", time.Since(start))
		}
		// A slow handler is asked once, although its callers try another way meanwhile.
		w.homes[1].turn(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if b, err := a.Call(ctx, target.self, "slow/1", nil); err != nil || string(b) != "done" || asked.Load() != 1 {
			t.Errorf("a slow handler: %q, %v, asked %d times", b, err, asked.Load())
		}
		for _, h := range w.homes {
			_ = h.transport.Close()
		}
	})
}

// All hang: the call ends when its patience does, and nobody waits longer.
func TestAllSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, hop, target, _ := byOne(t)
		var over atomic.Int64
		start := time.Now()
		hop.turn(func(ctx context.Context, _ p2p.Link, b []byte) ([]byte, error) {
			e, err := decodeEnvelope(b)
			if err != nil {
				return nil, err
			}
			over.Store(int64(e.Patience))
			<-ctx.Done()
			return nil, ctx.Err()
		})
		_, err := a.Call(t.Context(), target.self, "echo/1", nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != defaultPatience {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if given := time.Duration(over.Load()) * time.Millisecond; given != defaultPatience*7/8 {
			t.Errorf("the hop was given %v of %v", given, defaultPatience)
		}
		for _, h := range w.homes {
			_ = h.transport.Close()
		}
	})
}

// A flood through one node is cut to what one link may bring; others go on.
func TestFlood(t *testing.T) {
	w, a, hop, target, _ := byOne(t)
	w.road(6, 1)
	a.ask(target, "before")
	l, err := a.to(hop.self)
	if err != nil {
		t.Fatal(err)
	}
	busy := 0
	// On a busy machine they would come hardly faster than they are allowed to: the account is not filled.
	hop.limits.mu.Lock()
	hop.limits.meters[a.self].at = time.Now().Add(time.Hour)
	hop.limits.mu.Unlock()
	for i := range callsBurst + 500 {
		e := &Envelope{To: target.self, Incarnation: a.incarnation, Seq: uint64(i + 1), Proto: "echo/1", Hops: 1, Patience: 1000, Public: make([]byte, publicSize)}
		e.Origin, e.Sig = a.identity.PublicKey(), make([]byte, 64)
		b, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		var refused *p2p.CallError
		if _, err := l.Call(t.Context(), ForwardProtocol, b); errors.As(err, &refused) && refused.Code == codeBusy {
			busy++
		}
	}
	if busy < 500 {
		t.Errorf("%d of the flood were refused", busy)
	}
	if n := len(hop.limits.meters); n > 2 {
		t.Errorf("%d meters for two links", n)
	}
	// What came of it at the target counts for the hop, which was too generous; so the
	// neighbour asks the hop's other side.
	w.road(1, 2)
	w.homes[6].ask(w.homes[2], "at the same time")
	if n := len(target.guard.windows); n != 1 {
		t.Errorf("%d windows, want the one of who asked before", n)
	}
}
