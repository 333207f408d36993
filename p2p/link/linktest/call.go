package linktest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// callSizes are around the limits at which a body changes its way.
var callSizes = []int{0, 1, 1099, 1100, 1101, 1200, 16 << 10, wire.MaxMessage - 1, wire.MaxMessage}

func testCallSizes(t *testing.T, open Open) {
	p := open(t, func(string) p2p.Handler {
		return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) {
			n := binary.BigEndian.Uint32(req)
			return pattern(int(n), uint64(len(req))), nil
		}
	})
	for _, in := range callSizes {
		for _, out := range callSizes {
			req := make([]byte, max(4, in))
			binary.BigEndian.PutUint32(req, uint32(out))
			for _, l := range []p2p.Link{p.A, p.B} {
				reply, err := l.Call(within(t), "size/1", req)
				if err != nil {
					t.Fatalf("call of %d bytes for %d: %v", len(req), out, err)
				}
				if !bytes.Equal(reply, pattern(out, uint64(len(req)))) {
					t.Fatalf("call of %d bytes for %d: got %d other bytes", len(req), out, len(reply))
				}
			}
		}
	}
	_, err := p.A.Call(within(t), "size/1", make([]byte, wire.MaxMessage+1))
	if !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("request of MaxMessage+1 bytes: %v, want p2p.ErrTooLarge", err)
	}
	var refused *p2p.CallError
	_, err = p.A.Call(within(t), "size/1", binary.BigEndian.AppendUint32(nil, wire.MaxMessage+1))
	if !errors.As(err, &refused) || refused.Code != "too_large" {
		t.Errorf("answer of MaxMessage+1 bytes: %v, want the code too_large", err)
	}
}

func testConcurrentCalls(t *testing.T, open Open) {
	p := open(t, echo)
	ctx := within(t)
	var all sync.WaitGroup
	for i := range 1000 {
		l := p.A
		if i%2 == 1 {
			l = p.B
		}
		all.Go(func() {
			n := 8
			if i%10 == 0 {
				n = 5000
			}
			req := pattern(n, uint64(i))
			reply, err := l.Call(ctx, "echo/1", req)
			if err != nil || !bytes.Equal(reply, req) {
				t.Errorf("call %d: %d bytes, error %v", i, len(reply), err)
			}
		})
	}
	all.Wait()
}

func testCallErrors(t *testing.T, open Open) {
	handlers := map[string]p2p.Handler{
		"plain/1": func(context.Context, p2p.Link, []byte) ([]byte, error) { return nil, errors.New("out of paper") },
		"coded/1": func(context.Context, p2p.Link, []byte) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &p2p.CallError{Code: "not_found", Message: "no such thing"})
		},
		"panic/1": func(context.Context, p2p.Link, []byte) ([]byte, error) { panic("on purpose") },
		"long/1": func(context.Context, p2p.Link, []byte) ([]byte, error) {
			return nil, errors.New(strings.Repeat("ü", 5000))
		},
		"echo/1": echo(""),
	}
	p := open(t, func(proto string) p2p.Handler { return handlers[proto] })
	for _, test := range []struct{ proto, code, message string }{
		{"plain/1", "internal", "out of paper"},
		{"coded/1", "not_found", "no such thing"},
		{"panic/1", "internal", ""},
		{"long/1", "internal", "üüü"},
		{"nobody/1", "no_protocol", "nobody/1"},
	} {
		_, err := p.A.Call(within(t), test.proto, nil)
		var got *p2p.CallError
		if !errors.As(err, &got) || got.Code != test.code || !strings.Contains(got.Message, test.message) {
			t.Errorf("%s: %v, want code %s with %q", test.proto, err, test.code, test.message)
		}
		if none := test.code == "no_protocol"; errors.Is(err, p2p.ErrNoProtocol) != none {
			t.Errorf("%s: p2p.ErrNoProtocol is %v in %v", test.proto, !none, err)
		}
	}
	for _, proto := range []string{"", "with space/1", strings.Repeat("x", 65)} {
		if _, err := p.A.Call(within(t), proto, nil); err == nil {
			t.Errorf("a call of the protocol %q was answered", proto)
		}
	}
	if reply, err := p.A.Call(within(t), "echo/1", []byte("still here")); err != nil || string(reply) != "still here" {
		t.Errorf("after all that: %q, %v", reply, err)
	}
}

func testCallCancel(t *testing.T, open Open) {
	began, cancelled := make(chan bool, 2), make(chan bool, 2)
	p := open(t, func(proto string) p2p.Handler {
		if proto == "echo/1" {
			return echo(proto)
		}
		return func(ctx context.Context, _ p2p.Link, _ []byte) ([]byte, error) {
			began <- true
			<-ctx.Done()
			cancelled <- true
			return nil, ctx.Err()
		}
	})
	for _, size := range []int{0, 40_000} {
		ctx, cancel := context.WithCancel(within(t))
		failed := make(chan error, 1)
		go func() {
			_, err := p.A.Call(ctx, "wait/1", make([]byte, size))
			failed <- err
		}()
		wait(t, "the handler", began)
		cancel()
		if err := wait(t, "the cancelled call", failed); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled call: %v", err)
		}
		wait(t, "the handler's context", cancelled)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.A.Call(gone, "echo/1", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("call with a context that has ended: %v", err)
	}
	if _, err := p.A.Call(within(t), "echo/1", nil); err != nil {
		t.Errorf("call after cancelled ones: %v", err)
	}
}

// testNestedCalls has handlers that ask back before they answer.
func testNestedCalls(t *testing.T, open Open) {
	p := open(t, func(string) p2p.Handler {
		return func(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) {
			if req[0] == 0 {
				return []byte{0}, nil
			}
			reply, err := from.Call(ctx, "nested/1", []byte{req[0] - 1})
			if err != nil {
				return nil, err
			}
			return []byte{reply[0] + 1}, nil
		}
	})
	reply, err := p.A.Call(within(t), "nested/1", []byte{20})
	if err != nil || len(reply) != 1 || reply[0] != 20 {
		t.Errorf("20 nested calls: %v, %v", reply, err)
	}
}
