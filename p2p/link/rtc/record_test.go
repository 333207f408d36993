package rtc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// aPair is two ends that have agreed on keys, in which a's records are b's to open.
func aPair(t testing.TB) (*sealer, *opener) {
	t.Helper()
	a, err := newAEAD(bytes.Repeat([]byte{1}, 16), []byte{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	return newSealer(a), newOpener(a)
}

func mustSeal(t testing.TB, s *sealer, kind byte, data []byte) []byte {
	t.Helper()
	b, err := s.append(nil, kind, data)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != len(data)+recordOverhead {
		t.Fatalf("%d bytes became %d", len(data), len(b))
	}
	return b
}

// What is sealed is opened once, whatever else is in the datagram; nothing that was
// changed is.
func TestRecords(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s, o := aPair(t)
		dst := make([]byte, maxPacket)
		first := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(r, "first")
		second := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(r, "second")
		a, b := mustSeal(t, s, recordApplication, first), mustSeal(t, s, recordAlert, second)

		forged := bytes.Clone(a)
		at := rapid.IntRange(0, len(a)-1).Draw(r, "at")
		forged[at] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if _, _, _, err := o.first(dst, forged); err == nil {
			r.Fatalf("a record whose byte %d was changed was opened", at)
		}
		if _, _, _, err := o.first(dst, a[:rapid.IntRange(0, len(a)-1).Draw(r, "short")]); err == nil {
			r.Fatal("a part of a record was opened")
		}
		kind, data, rest, err := o.first(dst, append(bytes.Clone(a), b...))
		if err != nil || kind != recordApplication || !bytes.Equal(data, first) || !bytes.Equal(rest, b) {
			r.Fatalf("opened type %d, %d bytes, %d behind it, %v", kind, len(data), len(rest), err)
		}
		kind, data, rest, err = o.first(dst, rest)
		if err != nil || kind != recordAlert || !bytes.Equal(data, second) || len(rest) != 0 {
			r.Fatalf("opened type %d, %d bytes, %d behind it, %v", kind, len(data), len(rest), err)
		}
		if _, _, _, err := o.first(dst, a); !errors.Is(err, errReplay) {
			r.Fatalf("a record was opened twice: %v", err)
		}
	})
}

// A record that is too long for the reader is dropped, not cut.
func TestLongRecord(t *testing.T) {
	s, o := aPair(t)
	if _, _, _, err := o.first(make([]byte, 99), mustSeal(t, s, recordApplication, make([]byte, 100))); err == nil {
		t.Error("opened")
	}
}

// The numbers end before one is used twice.
func TestRecordNumbers(t *testing.T) {
	s, _ := aPair(t)
	s.next = maxSequence
	mustSeal(t, s, recordApplication, nil)
	if _, err := s.append(nil, recordApplication, nil); !errors.Is(err, errUsedUp) {
		t.Errorf("after the last number: %v", err)
	}
}

// The window agrees with a set that remembers everything, as far back as it reaches.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var w window
		seen := map[uint64]bool{}
		top := uint64(0)
		for _, step := range rapid.SliceOfN(rapid.Int64Range(-2*windowSize, 2*windowSize), 1, 300).Draw(r, "steps") {
			n := uint64(max(0, int64(top)+step))
			want := !seen[n] && n+windowSize >= top
			if got := w.fresh(n); got != want {
				r.Fatalf("%d after %d: fresh %v, want %v", n, top, got, want)
			}
			if want {
				w.mark(n)
				seen[n] = true
				top = max(top, n+1)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	s, _ := aPair(f)
	f.Add(mustSeal(f, s, recordApplication, []byte("hello")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, o := aPair(t)
		dst := make([]byte, maxPacket)
		for rest := b; len(rest) > 0; {
			_, _, behind, err := o.first(dst, rest)
			if len(behind) >= len(rest) {
				t.Fatalf("%d bytes left of %d, %v", len(behind), len(rest), err)
			}
			rest = behind
		}
	})
}

func TestInbox(t *testing.T) {
	t.Parallel()
	q := newInbox()
	for i := range 5000 {
		if !q.put([]byte{byte(i), byte(i >> 8)}) {
			t.Fatalf("datagram %d was dropped", i)
		}
	}
	for i := range 5000 {
		p, err := q.take()
		if err != nil || !bytes.Equal(p.b, []byte{byte(i), byte(i >> 8)}) {
			t.Fatalf("datagram %d: %v, %v", i, p.b, err)
		}
		p.free()
	}
	q.setDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := q.take(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	q.setDeadline(time.Time{})
	go func() {
		time.Sleep(10 * time.Millisecond)
		q.close()
	}()
	if _, err := q.take(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if q.put([]byte{1}) {
		t.Error("a closed inbox takes datagrams")
	}
}

// Who sends faster than is read fills the inbox, not the memory.
func TestInboxIsBounded(t *testing.T) {
	t.Parallel()
	q := newInbox()
	n := 0
	for q.put(make([]byte, 1200)) {
		n++
	}
	if n != maxInbox/1200 {
		t.Errorf("%d datagrams were taken", n)
	}
}

// The handshake ends with keys that both ends have, and is let go of. A goodbye is heard.
func TestSecure(t *testing.T) {
	t.Parallel()
	cert, _, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	var a, b *secure
	gone, once := make(chan struct{}), sync.Once{}
	a = newSecure(func(p []byte) error { b.deliver(p); return nil }, func() {})
	b = newSecure(func(p []byte) error { a.deliver(p); return nil }, func() {
		once.Do(func() { close(gone) })
	})
	config := newEngine(nil, cert, slog.New(slog.DiscardHandler), silence)
	done := make(chan error, 1)
	check := func([]byte) error { return nil }
	go func() {
		done <- a.handshake(context.Background(), shake{cert: cert, client: true, check: check, log: config.log})
	}()
	if err := b.handshake(t.Context(), shake{cert: cert, check: check, log: config.log}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // a client that lets go of its handshake says no goodbye
	buf := make([]byte, maxPacket)
	for _, dir := range [][2]*secure{{a, b}, {b, a}} {
		for _, n := range []int{1, 1191, 8000} {
			want := bytes.Repeat([]byte{byte(n)}, n)
			if _, err := dir[0].Write(want); err != nil {
				t.Fatal(err)
			}
			got, err := dir[1].Read(buf)
			if err != nil || !bytes.Equal(buf[:got], want) {
				t.Fatalf("%d of %d bytes, %v", got, n, err)
			}
		}
	}
	if a.shaking != nil || b.shaking != nil {
		t.Error("the handshake is kept")
	}
	select {
	case <-gone:
		t.Error("a goodbye of somebody who stays")
	default:
	}
	_ = a.Close()
	go func() { _, _ = b.Read(buf) }()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the goodbye was not heard")
	}
	_ = b.Close()
}
