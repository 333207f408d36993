package linktest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
)

// patience is how long the suite waits for what has to happen. It is no
// requirement on speed: a test that reaches it has hung.
const patience = 60 * time.Second

// Run checks everything that p2p.Link promises against links that open makes.
// Each test gets a pair of its own, and no goroutine may be left at its end.
func Run(t *testing.T, open Open) {
	RunIn(t, func(t *testing.T, test func(t *testing.T)) { t.Run("link", test) }, open)
}

// RunIn is Run with every test wrapped by in: synctest.Test for a transport that
// needs no real time.
func RunIn(t *testing.T, in func(t *testing.T, test func(t *testing.T)), open Open) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"identity", testIdentity},
		{"call/sizes", testCallSizes},
		{"call/concurrent", testConcurrentCalls},
		{"call/errors", testCallErrors},
		{"call/cancel", testCallCancel},
		{"call/nested", testNestedCalls},
		{"stream/sizes", testStreamSizes},
		{"stream/both ways", testBothWays},
		{"stream/100 MiB", testLarge},
		{"stream/half-close", testHalfClose},
		{"stream/reset", testReset},
		{"stream/stop sending", testStopSending},
		{"stream/close", testStreamClose},
		{"stream/deadlines", testDeadlines},
		{"stream/contexts", testStreamContexts},
		{"stream/unread", testUnread},
		{"stream/many unread", testManyUnread},
		{"stream/unserved", testUnserved},
		{"stream/many", testManyStreams},
		{"close/own end unblocks", func(t *testing.T, open Open) { testCloseUnblocks(t, open, 0) }},
		{"close/peer's end unblocks", func(t *testing.T, open Open) { testCloseUnblocks(t, open, 1) }},
		{"close/afterwards", testAfterClose},
		{"close/in handler", testCloseInHandler},
		{"crash", testCrash},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			in(t, func(t *testing.T) { test.run(t, open) })
			if err := goleak.Find(before); err != nil && !t.Failed() {
				t.Errorf("goroutines left: %v", err)
			}
		})
	}
}

// within returns a context that ends when the test has hung.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// wait receives from ch.
func wait[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing happened in %v", what, patience)
		panic("not reached")
	}
}

// no is the handler of nodes that serve nothing.
func no(string) p2p.Handler { return nil }

// echo is a handler for every protocol.
func echo(string) p2p.Handler {
	return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) { return req, nil }
}

// wantClosed checks that err says that the link or stream is closed.
func wantClosed(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("%s on a closed link: %v, want p2p.ErrClosed", what, err)
	}
}

// wantTimeout checks that err is what net.Conn promises after a deadline.
func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	var timeout interface{ Timeout() bool }
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%s after its deadline: %v, want os.ErrDeadlineExceeded", what, err)
	}
}

func testIdentity(t *testing.T, open Open) {
	p := open(t, no)
	for _, l := range []p2p.Link{p.A, p.B} {
		if p2p.IDOf(l.PublicKey()) != l.Peer() {
			t.Errorf("key and peer %s do not match", l.Peer())
		}
		if l.Binding() == [32]byte{} {
			t.Error("no binding")
		}
		if l.Path().Kind == "" || l.Path().Why == "" {
			t.Errorf("path %+v explains nothing", l.Path())
		}
		if l.Stats().Since.IsZero() {
			t.Error("stats do not say since when")
		}
		if l.Err() != nil {
			t.Errorf("a living link has the error %v", l.Err())
		}
	}
	if p.A.Peer() == p.B.Peer() {
		t.Error("both ends are the same node")
	}
	if p.A.Binding() != p.B.Binding() {
		t.Error("the ends have different bindings")
	}
	if q := open(t, no); q.A.Binding() == p.A.Binding() {
		t.Error("two links have the same binding")
	}
}
