package linktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// fill writes until the stream takes no more.
func fill(t *testing.T, c conn) {
	t.Helper()
	for i := 0; ; i++ {
		_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Write(make([]byte, 64<<10)); err != nil {
			wantTimeout(t, "write to a full stream", err)
			break
		}
		if i > 64<<20/(64<<10) {
			t.Fatal("a stream that nobody reads takes more than 64 MiB")
		}
	}
	_ = c.SetWriteDeadline(time.Time{})
}

// works checks that calls and new streams get through in both directions.
func works(t *testing.T, p Pair) {
	t.Helper()
	for _, ends := range [][2]p2p.Link{{p.A, p.B}, {p.B, p.A}} {
		for _, n := range []int{10, 50_000} {
			req := pattern(n, 5)
			if reply, err := ends[0].Call(within(t), "echo/1", req); err != nil || !bytes.Equal(reply, req) {
				t.Fatalf("call of %d bytes: %v", n, err)
			}
		}
		a, b := connect(t, ends[0], ends[1])
		transfer(t, a, b, 1<<20)
	}
}

// testUnread: a stream that nobody reads stalls only itself.
func testUnread(t *testing.T, open Open) {
	p := open(t, echo)
	stuck, unread := streams(t, p)
	fill(t, stuck)
	works(t, p)
	// Nothing of what waited is lost.
	if err := stuck.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, unread); err != nil || n < 64<<10 {
		t.Errorf("read %d bytes late: %v", n, err)
	}
}

// testManyUnread: nor do many of them, also when they have used up everything that
// a link may hold unread.
func testManyUnread(t *testing.T, open Open) {
	p := open(t, echo)
	var all sync.WaitGroup
	for range 100 {
		stuck, unread := streams(t, p)
		all.Go(func() {
			fill(t, stuck)
			fill(t, unread)
		})
	}
	all.Wait()
	works(t, p)
}

// testUnserved: streams of a protocol that nobody accepts do no harm.
func testUnserved(t *testing.T, open Open) {
	p := open(t, echo)
	c, err := p.A.Open(within(t), "unserved/1")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, c.(conn))
	if _, err := p.A.Call(within(t), "echo/1", nil); err != nil {
		t.Fatal(err)
	}
	proto, d, err := p.B.Accept(within(t))
	if err != nil || proto != "unserved/1" {
		t.Fatalf("accepted %q, %v", proto, err)
	}
	if err := d.(conn).Reset(3); err != nil {
		t.Fatal(err)
	}
	wantReset(t, "write to a refused stream", 3, writer(c))
	wantReset(t, "read from a refused stream", 3, reader(c))
	_ = c.Close()
	works(t, p)
}

// testManyStreams opens more streams, one after the other, than may be open at
// once: those that are over must not count.
func testManyStreams(t *testing.T, open Open) {
	p := open(t, no)
	ctx := within(t)
	served := make(chan error, 1)
	go func() {
		for {
			_, c, err := p.B.Accept(ctx)
			if err != nil {
				served <- err
				return
			}
			go func() {
				_, _ = io.Copy(c, c) // what went wrong shows at the other end
				_ = c.Close()
			}()
		}
	}()
	const workers, rounds = 8, 200
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range rounds {
				if err := roundTrip(ctx, p.A, pattern(100+i, uint64(w))); err != nil {
					t.Errorf("worker %d, stream %d: %v", w, i, err)
					return
				}
			}
		})
	}
	all.Wait()
	_ = p.A.Close()
	wantClosed(t, "Accept", wait(t, "Accept", served))
}

func roundTrip(ctx context.Context, l p2p.Link, data []byte) error {
	c, err := l.Open(ctx, "test/1")
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(data); err != nil {
		return err
	}
	if err := c.(conn).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("sent %d bytes, got %d others", len(data), len(got))
	}
	return nil
}

// testCloseUnblocks closes one end while everything that can wait, waits.
func testCloseUnblocks(t *testing.T, open Open, end int) {
	p := open(t, func(string) p2p.Handler {
		return func(ctx context.Context, _ p2p.Link, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	c, _ := streams(t, p)
	full, _ := streams(t, p)
	fill(t, full)
	failed := make(chan error, 5)
	var waiting sync.WaitGroup
	for _, op := range []func() error{
		reader(c),
		func() error { _, err := full.Write(make([]byte, 1<<20)); return err },
		func() error { _, _, err := p.A.Accept(t.Context()); return err },
		func() error { _, err := p.A.Call(t.Context(), "wait/1", nil); return err },
		func() error { _, err := p.A.Call(t.Context(), "wait/1", make([]byte, 30_000)); return err },
	} {
		waiting.Add(1)
		go func() {
			waiting.Done()
			failed <- op()
		}()
	}
	waiting.Wait()
	if err := []p2p.Link{p.A, p.B}[end].Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for range cap(failed) {
		wantClosed(t, "blocked operation", wait(t, "blocked operation", failed))
	}
	for _, l := range []p2p.Link{p.A, p.B} {
		wait(t, "Done", l.Done())
		wantClosed(t, "Err", l.Err())
	}
}

func testAfterClose(t *testing.T, open Open) {
	p := open(t, echo)
	c, d := streams(t, p)
	if _, err := d.Write([]byte("complete")); err != nil {
		t.Fatal(err)
	}
	if err := d.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.A.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, err := p.A.Open(t.Context(), "test/1")
	wantClosed(t, "Open", err)
	_, _, err = p.A.Accept(t.Context())
	wantClosed(t, "Accept", err)
	_, err = p.A.Call(t.Context(), "echo/1", nil)
	wantClosed(t, "Call", err)
	wantClosed(t, "Write", writer(c)())
	wantClosed(t, "Err", p.A.Err())
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("rest of a stream: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close of a stream: %v", err)
	}
	wait(t, "Done at the other end", p.B.Done())
}

// testCloseInHandler: who answers a call may find that the caller has to go.
func testCloseInHandler(t *testing.T, open Open) {
	closed := make(chan error, 1)
	p := open(t, func(string) p2p.Handler {
		return func(_ context.Context, from p2p.Link, _ []byte) ([]byte, error) {
			closed <- from.Close()
			return nil, nil
		}
	})
	_, err := p.A.Call(within(t), "bye/1", nil)
	wantClosed(t, "call whose handler closed the link", err)
	if err := wait(t, "Close", closed); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func testCrash(t *testing.T, open Open) {
	p := open(t, echo)
	if p.Crash == nil {
		t.Skip("this transport cannot take a node away without a goodbye")
	}
	c, _ := streams(t, p)
	failed := make(chan error, 1)
	go func() { failed <- reader(c)() }()
	p.Crash()
	wait(t, "Done", p.A.Done())
	wantClosed(t, "Err", p.A.Err())
	wantClosed(t, "read", wait(t, "read", failed))
}
