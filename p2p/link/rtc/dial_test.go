package rtc

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Whoever dials when, both ends have one and the same link afterwards.
func TestGlare(t *testing.T) {
	t.Parallel()
	// The goodbye of a link can be lost; then its other end has to notice.
	q := quiet{rest: time.Second, retry: 200 * time.Millisecond, gone: 2 * time.Second}
	a, b := newQuietNode(t, 1, q, nil), newQuietNode(t, 2, q, nil)
	rounds := 50
	if testing.Short() {
		rounds = 5
		t.Logf("%d rounds, not 50: -short", rounds)
	}
	for i := range rounds {
		var both sync.WaitGroup
		var links [2]p2p.Link
		var errs [2]error
		both.Go(func() { links[0], errs[0] = a.Dial(t.Context(), b.contact(), nil) })
		both.Go(func() { links[1], errs[1] = b.Dial(t.Context(), a.contact(), nil) })
		both.Wait()
		for side, err := range errs {
			if err != nil {
				t.Fatalf("round %d, side %d: %v", i, side, err)
			}
		}
		// One of the dials may have been over before the other began: then the later
		// link has replaced the earlier one, on both sides, or is about to.
		newest := links[0]
		if _, err := newest.Call(t.Context(), "echo/1", []byte("hello")); errors.Is(err, p2p.ErrClosed) {
			newest = links[1]
		}
		mustEcho(t, newest)
		waitLive(t, a, 1)
		waitLive(t, b, 1)
		_ = newest.Close()
		waitLive(t, a, 0)
		waitLive(t, b, 0)
	}
}

// At once means here: neither offer has arrived when the other is made.
func TestGlareSmallerWins(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	small, large := a, b
	if a.id.Compare(b.id) > 0 {
		small, large = b, a
	}
	d := &dial{peer: large.id, offered: time.Now(), cancel: func() {}, incoming: make(chan p2p.Link, 1)}
	for _, c := range []struct {
		name     string
		offered  time.Time
		answered int64
		issued   int64
		want     bool
	}{
		{"no offer out", time.Time{}, 0, 5, false},
		{"offer out", time.Now(), 0, 5, true},
		{"offer out for long", time.Now().Add(-2 * glarePriority), 0, 5, false},
		{"answered", time.Now(), 10, 5, true},
		{"answered for long", time.Now().Add(-2 * glarePriority), 10, 5, true},
		{"peer restarted", time.Now(), 10, 15, false},
	} {
		d.offered, d.answered = c.offered, c.answered
		if got := d.beats(small.id, c.issued, time.Now()); got != c.want {
			t.Errorf("%s: smaller beats: %v", c.name, got)
		}
		d.peer = small.id
		if d.beats(large.id, c.issued, time.Now()) {
			t.Errorf("%s: larger beats", c.name)
		}
		d.peer = large.id
	}
}

// A peer that is killed and starts again on the same port is linked at once,
// although this node believes in the old link.
func TestRedialAfterCrash(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	address := b.port.addr().String()
	for round := range 3 {
		b.mustDial(t, a.contact())
		old := mustAccept(t, a)
		b.sock.mute.Store(true) // no goodbye leaves this process
		_ = b.Transport.Close()
		again := newNode(t, 2, func(o *Options) { o.Listen = address })
		l := again.mustDial(t, a.contact())
		mustEcho(t, mustAccept(t, a))
		select {
		case <-old.Done():
		case <-time.After(5 * time.Second):
			t.Errorf("round %d: the old link is still there", round)
		}
		mustEcho(t, l)
		waitLive(t, a, 1)
		b = again
	}
}

// The same in the other direction: the node that stayed dials the one that
// crashed.
func TestDialCrashedPeer(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	address := b.port.addr().String()
	old := a.mustDial(t, b.contact())
	b.sock.mute.Store(true)
	_ = b.Transport.Close()
	again := newNode(t, 2, func(o *Options) { o.Listen = address })
	l := a.mustDial(t, again.contact())
	select {
	case <-old.Done():
	case <-time.After(5 * time.Second):
		t.Error("the old link is still there")
	}
	mustEcho(t, l)
}

func TestCloseIsNoticed(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	l := a.mustDial(t, b.contact())
	other := mustAccept(t, b)
	_ = l.Close()
	select {
	case <-other.Done():
	case <-time.After(4 * time.Second): // less than a peer that is gone takes
		t.Error("the other end did not notice")
	}
}

func TestManyDialsOfOnePeer(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if _, err := a.Dial(t.Context(), b.contact(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	waitLive(t, a, 1)
	waitLive(t, b, 1)
}

func TestDialIsCancelled(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	c := b.hidden()
	c.Addrs = append(c.Addrs, silent.Addr().(*net.TCPAddr).AddrPort())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Dial(ctx, c, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	waitNoneLive(t, a)

	failed := make(chan error, 1)
	go func() {
		_, err := a.Dial(context.Background(), c, nil)
		failed <- err
	}()
	waitLive(t, a, 1)
	_ = a.Transport.Close()
	if err := <-failed; !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if _, err := a.Dial(t.Context(), c, nil); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// What 100 links leave behind is what one leaves.
func TestCycles(t *testing.T) {
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	cycles := 100
	if raceEnabled || testing.Short() {
		cycles = 20
		t.Logf("%d links, not 100: each takes ten times as long under the race detector", cycles)
	}
	var goroutines, files int
	for i := range cycles {
		l := a.mustDial(t, b.contact())
		other := mustAccept(t, b)
		if i%2 == 0 {
			l, other = other, l
		}
		_ = l.Close()
		<-other.Done()
		waitLive(t, a, 0)
		waitLive(t, b, 0)
		if i == 1 {
			goroutines, files = runtime.NumGoroutine(), openFiles(t)
		}
	}
	end := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > goroutines+2 || openFiles(t) > files+2 {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines and %d files, after the first links %d and %d", runtime.NumGoroutine(), openFiles(t), goroutines, files)
		}
		time.Sleep(time.Millisecond)
	}
	a.mux.mu.RLock()
	defer a.mux.mu.RUnlock()
	if n := len(a.mux.conns) + len(a.mux.owner) + len(a.mux.pending); n != 0 {
		t.Errorf("the mux remembers %d things", n)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not on this system; the goroutines are counted everywhere
	}
	return len(all)
}

func TestBusyPort(t *testing.T) {
	t.Parallel()
	a := newNode(t, 1, nil)
	o := a.o
	o.Listen = a.port.addr().String()
	if tr, err := Listen(t.Context(), o); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v", err)
		if err == nil {
			_ = tr.Close()
		}
	}
	o.AnyPort = true
	b, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if b.Port() == a.Port() || b.Port() == 0 || b.Addrs()[0].Port() != b.Port() {
		t.Errorf("ports %d and %d", a.Port(), b.Port())
	}
	conn, err := net.Dial("tcp", b.Addrs()[0].String())
	if err != nil {
		t.Fatalf("UDP and TCP have different numbers: %v", err)
	}
	_ = conn.Close()
	// Only TCP is taken: the number is of no use either.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	o.Listen, o.AnyPort = l.Addr().String(), false
	if tr, err := Listen(t.Context(), o); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v", err)
		if err == nil {
			_ = tr.Close()
		}
	}
	o.Listen = "no address"
	if _, err := Listen(t.Context(), o); err == nil {
		t.Error("listened on nonsense")
	}
}

func TestAcceptEnds(t *testing.T) {
	t.Parallel()
	a := newNode(t, 1, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	_ = a.Transport.Close()
	if _, err := a.Accept(t.Context()); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// The certificate has to outlive the process, which may run for years.
func TestCertificateLives(t *testing.T) {
	t.Parallel()
	cert, _, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if time.Until(parsed.NotAfter) < 20*365*24*time.Hour {
		t.Errorf("expires %s", parsed.NotAfter)
	}
}

func BenchmarkDial(b *testing.B) {
	x, y := newNode(b, 1, nil), newNode(b, 2, nil)
	for b.Loop() {
		l, err := x.Dial(b.Context(), y.contact(), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = l.Close()
		b.StartTimer()
	}
}

func BenchmarkGoroutines(b *testing.B) {
	x := newNode(b, 1, nil)
	const peers = 10
	for b.Loop() {
		before := runtime.NumGoroutine()
		var all []*testNode
		for i := range peers {
			all = append(all, newNode(b, byte(i+2), nil))
		}
		nodes := runtime.NumGoroutine() - before
		var links []p2p.Link
		for _, n := range all {
			links = append(links, x.mustDial(b, n.contact()))
		}
		// Both ends of a link live in this process.
		b.ReportMetric(float64(runtime.NumGoroutine()-before-nodes)/(2*peers), "goroutines/link")
		b.ReportMetric(float64(nodes)/peers, "goroutines/node")
		for _, l := range links {
			_ = l.Close()
		}
	}
}

func BenchmarkThroughput(b *testing.B) {
	x, y := newNode(b, 1, nil), newNode(b, 2, nil)
	l := x.mustDial(b, y.contact())
	in := mustAccept(b, y)
	const size = 64 << 20
	buf := make([]byte, 256<<10)
	b.SetBytes(size)
	for b.Loop() {
		out, err := l.Open(b.Context(), "bulk/1")
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			for range size / len(buf) {
				if _, err := out.Write(buf); err != nil {
					return
				}
			}
			_ = out.(interface{ CloseWrite() error }).CloseWrite()
		}()
		_, c, err := in.Accept(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, c); n != size || err != nil {
			b.Fatal(n, err)
		}
		_ = c.Close()
		_ = out.Close()
	}
}
