package linktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// conn is what a stream can beyond net.Conn.
type conn interface {
	net.Conn
	CloseWrite() error
	Reset(code uint64) error
}

// pattern is n bytes that differ between seeds.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	source := newSource(n, seed)
	_, _ = io.ReadFull(source, b) // a source has all its bytes
	return b
}

// newSource reads n bytes that follow from the seed.
func newSource(n int, seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), int64(n))
}

func sumOf(n int, seed uint64) []byte {
	h := sha256.New()
	_, _ = io.Copy(h, newSource(n, seed)) // neither side fails
	return h.Sum(nil)
}

// streams opens a stream at A and accepts it at B.
func streams(t *testing.T, p Pair) (a, b conn) {
	t.Helper()
	return connect(t, p.A, p.B)
}

func connect(t *testing.T, from, to p2p.Link) (a, b conn) {
	t.Helper()
	opened, err := from.Open(within(t), "test/1")
	if err != nil {
		t.Fatal(err)
	}
	proto, accepted, err := to.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if proto != "test/1" {
		t.Fatalf("accepted a stream of %q", proto)
	}
	t.Cleanup(func() {
		_ = opened.Close()
		_ = accepted.Close()
	})
	return opened.(conn), accepted.(conn)
}

// send writes n bytes and ends the direction.
func send(c conn, n int, seed uint64) error {
	if _, err := io.Copy(struct{ io.Writer }{c}, newSource(n, seed)); err != nil {
		return fmt.Errorf("sending %d bytes: %w", n, err)
	}
	return c.CloseWrite()
}

// check reads to the end and compares with what send sent.
func check(c conn, n int, seed uint64) error {
	h := sha256.New()
	got, err := io.Copy(h, struct{ io.Reader }{c})
	if err != nil || got != int64(n) {
		return fmt.Errorf("received %d of %d bytes: %w", got, n, err)
	}
	if !bytes.Equal(h.Sum(nil), sumOf(n, seed)) {
		return fmt.Errorf("%d bytes arrived changed", n)
	}
	return nil
}

// transfer sends n bytes each way at once.
func transfer(t *testing.T, a, b conn, n int) {
	t.Helper()
	var all sync.WaitGroup
	for _, step := range []func() error{
		func() error { return send(a, n, 1) },
		func() error { return send(b, n, 2) },
		func() error { return check(a, n, 2) },
		func() error { return check(b, n, 1) },
	} {
		all.Go(func() {
			if err := step(); err != nil {
				t.Error(err)
				_ = a.Reset(99)
				_ = b.Reset(99)
			}
		})
	}
	all.Wait()
}

func testStreamSizes(t *testing.T, open Open) {
	p := open(t, no)
	for _, n := range []int{0, 1, 4095, 4096, 4097, 16207, 16208, 16209, 1 << 16, 1<<18 - 1, 1 << 18, 1<<18 + 1, 3 << 20} {
		for _, ends := range [][2]p2p.Link{{p.A, p.B}, {p.B, p.A}} {
			a, b := connect(t, ends[0], ends[1])
			transfer(t, a, b, n)
		}
	}
}

func testBothWays(t *testing.T, open Open) {
	p := open(t, no)
	var all sync.WaitGroup
	for range 12 {
		a, b := streams(t, p)
		all.Go(func() { transfer(t, a, b, 1<<20+12345) })
	}
	all.Wait()
}

func testLarge(t *testing.T, open Open) {
	if testing.Short() {
		t.Skip("100 MiB each way take too long for -short")
	}
	p := open(t, no)
	a, b := streams(t, p)
	transfer(t, a, b, 100<<20)
}

func testHalfClose(t *testing.T, open Open) {
	a, b := streams(t, open(t, no))
	if _, err := a.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("more")); err == nil {
		t.Error("Write after CloseWrite succeeded")
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != "question" {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := b.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); err != nil || string(got) != "answer" {
		t.Fatalf("read %q, %v", got, err)
	}
}

// wantReset waits until op fails with the peer's code.
func wantReset(t *testing.T, what string, code uint64, op func() error) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		for {
			if err := op(); err != nil {
				failed <- err
				return
			}
		}
	}()
	var reset *link.ResetError
	if err := wait(t, what, failed); !errors.As(err, &reset) || reset.Code != code {
		t.Errorf("%s: %v, want a reset with code %d", what, err, code)
	}
}

func reader(c io.Reader) func() error {
	return func() error { _, err := c.Read(make([]byte, 100)); return err }
}

func writer(c io.Writer) func() error {
	return func() error { _, err := c.Write(make([]byte, 10_000)); return err }
}

func testReset(t *testing.T, open Open) {
	p := open(t, no)
	for _, ends := range [][2]p2p.Link{{p.A, p.B}, {p.B, p.A}} {
		a, b := connect(t, ends[0], ends[1])
		if _, err := a.Write([]byte("half of it")); err != nil {
			t.Fatal(err)
		}
		if err := a.Reset(4711); err != nil {
			t.Fatal(err)
		}
		wantReset(t, "read at the other end", 4711, reader(b))
		wantReset(t, "write at the other end", 4711, writer(b))
		wantClosed(t, "read after Reset", reader(a)())
		wantClosed(t, "write after Reset", writer(a)())
	}
}

// testStopSending: who closes without having read all stops the sender.
func testStopSending(t *testing.T, open Open) {
	a, b := streams(t, open(t, no))
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte("enough")); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wantReset(t, "write to a closed stream", 0, writer(a))
	if got, err := io.ReadAll(a); err != nil || string(got) != "enough" {
		t.Errorf("what was written before Close: %q, %v", got, err)
	}
}

// testStreamClose: Close unblocks the stream's own operations.
func testStreamClose(t *testing.T, open Open) {
	a, b := streams(t, open(t, no))
	read, written := make(chan error, 1), make(chan error, 1)
	go func() { read <- reader(b)() }()
	go func() {
		for {
			if err := writer(a)(); err != nil {
				written <- err
				return
			}
		}
	}()
	c, d := streams(t, open(t, no))
	go func() { _ = c.Close() }()
	if got, err := io.ReadAll(d); err != nil || len(got) > 0 {
		t.Errorf("read from a stream closed at once: %q, %v", got, err)
	}
	_ = b.Close()
	_ = a.Close()
	for range 2 {
		select {
		case err := <-read:
			if err != nil { // it may have read something first
				wantClosed(t, "blocked read", err)
			}
		case err := <-written:
			var reset *link.ResetError
			if !errors.Is(err, p2p.ErrClosed) && !errors.As(err, &reset) {
				t.Errorf("blocked write: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("Close did not unblock")
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for what, err := range map[string]error{"read": reader(a)(), "write": writer(a)()} {
		if !errors.Is(err, p2p.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

func testDeadlines(t *testing.T, open Open) {
	a, b := streams(t, open(t, no))
	past, soon := time.Now().Add(-time.Second), func() time.Time { return time.Now().Add(30 * time.Millisecond) }
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = a.SetReadDeadline(past)
	wantTimeout(t, "read", reader(a)())
	_ = a.SetReadDeadline(time.Time{})
	if err := reader(a)(); err != nil {
		t.Errorf("read after the deadline was lifted: %v", err)
	}
	_ = a.SetReadDeadline(soon())
	wantTimeout(t, "waiting read", reader(a)())
	_ = a.SetReadDeadline(time.Time{})

	// A deadline that is set while the operation waits.
	failed := make(chan error, 1)
	go func() { failed <- reader(a)() }()
	_ = a.SetDeadline(soon())
	wantTimeout(t, "read that waited before", wait(t, "read", failed))

	_ = a.SetWriteDeadline(past)
	wantTimeout(t, "write", writer(a)())
	_ = a.SetWriteDeadline(soon())
	var err error
	for err == nil { // nobody reads at b
		err = writer(a)()
	}
	wantTimeout(t, "waiting write", err)
	_ = a.SetDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, b) }()
	if err := writer(a)(); err != nil {
		t.Errorf("write after the deadline was lifted: %v", err)
	}
}

func testStreamContexts(t *testing.T, open Open) {
	p := open(t, no)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.A.Open(gone, "test/1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that has ended: %v", err)
	}
	if _, _, err := p.A.Accept(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Accept with a context that has ended: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, _, err := p.A.Accept(ctx)
		failed <- err
	}()
	cancel()
	if err := wait(t, "Accept", failed); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Accept: %v", err)
	}
	if _, err := p.A.Open(within(t), "not a protocol"); err == nil {
		t.Error("Open of a protocol with spaces succeeded")
	}
}
