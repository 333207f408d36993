package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/rtc/repair"
)

// lossy are the two ends of a link, and a switch for what share of datagrams their
// sockets lose, in percent. Without repair they do what they would with peers that
// do not know of it.
func lossy(t testing.TB, repaired bool) (near, far p2p.Link, lose func(percent int32)) {
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	lose = func(percent int32) {
		a.sock.loss.Store(percent)
		b.sock.loss.Store(percent)
	}
	near, far = a.mustDial(t, b.contact()), mustAccept(t, b)
	for _, n := range []*testNode{a, b} {
		n.Transport.mu.Lock()
		for s := range n.sessions {
			if s.peer.mending.Load() == nil {
				t.Error("two nodes have not agreed on repair")
			}
			if !repaired {
				s.peer.mending.Store(nil)
			}
		}
		n.Transport.mu.Unlock()
	}
	t.Cleanup(func() { lose(0) }) // before the nodes are closed: goodbyes need not be tried again
	return near, far, lose
}

// flood writes to the next stream that the peer opens, until that ends.
func flood(ctx context.Context, l p2p.Link) {
	_, c, err := l.Accept(ctx)
	if err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}

// opened opens a stream that is already used.
func opened(t testing.TB, l p2p.Link) net.Conn {
	t.Helper()
	c, err := l.Open(t.Context(), "bulk/1")
	if err == nil {
		_, err = c.Write([]byte{1})
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Two nodes find each other while a third of all datagrams is lost, of the
// handshakes too.
func TestDialThroughLoss(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	a.sock.loss.Store(30)
	b.sock.loss.Store(30)
	start := time.Now()
	var err error
	for range 3 { // as a node does; one attempt in a hundred or so fails
		if _, err = a.Dial(t.Context(), b.contact(), nil); err == nil {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("linked in %s", time.Since(start))
	a.sock.loss.Store(0)
	b.sock.loss.Store(0)
}

// A third of all datagrams is lost in both directions, and what is sent arrives.
func TestLoss(t *testing.T) {
	t.Parallel()
	near, far, lose := lossy(t, true)
	data := make([]byte, 2<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	lose(30)
	sent := make(chan error, 1)
	go func() {
		_, c, err := far.Accept(t.Context())
		if err == nil {
			_, err = c.Write(data)
		}
		if err == nil {
			err = c.Close()
		}
		sent <- err
	}()
	start := time.Now()
	c := opened(t, near)
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Error("what came is not what was sent")
	}
	took := time.Since(start)
	t.Logf("2 MiB in %s", took)
	if took > 15*time.Second {
		t.Errorf("2 MiB took %s: without repair it is two minutes", took)
	}
}

// BenchmarkLoss is the throughput of one stream over a path that loses, each
// measured for three seconds; with SHOAL_BENCH_PLAIN also without repair.
func BenchmarkLoss(b *testing.B) {
	for _, loss := range []int32{0, 1, 5, 10, 30} {
		for _, repaired := range benchmarked() {
			b.Run(fmt.Sprintf("%d%%/repair=%t", loss, repaired), func(b *testing.B) {
				near, far, lose := lossy(b, repaired)
				go flood(b.Context(), far)
				c := opened(b, near)
				lose(loss)
				n, start := int64(0), time.Now()
				for b.Loop() {
					if err := c.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
						b.Fatal(err)
					}
					k, err := io.Copy(io.Discard, c)
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						b.Fatal(err)
					}
					n += k
				}
				b.ReportMetric(float64(n)/time.Since(start).Seconds()/1e6, "MB/s")
				b.ReportMetric(0, "ns/op")
				lose(0)
				_ = c.Close()
			})
		}
	}
}

// BenchmarkLossCalls is the time that calls take over a path that loses, 20 ms
// apart.
func BenchmarkLossCalls(b *testing.B) {
	for _, loss := range []int32{0, 1, 10, 30} {
		for _, repaired := range benchmarked() {
			b.Run(fmt.Sprintf("%d%%/repair=%t", loss, repaired), func(b *testing.B) {
				near, _, lose := lossy(b, repaired)
				lose(loss)
				var took []time.Duration
				for b.Loop() {
					for range 200 {
						start := time.Now()
						mustEcho(b, near)
						took = append(took, time.Since(start))
						time.Sleep(20 * time.Millisecond)
					}
				}
				slices.Sort(took)
				for _, q := range []int{50, 95, 99} {
					b.ReportMetric(float64(took[len(took)*q/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", q))
				}
				b.ReportMetric(0, "ns/op")
				lose(0)
			})
		}
	}
}

func benchmarked() []bool {
	if os.Getenv("SHOAL_BENCH_PLAIN") != "" {
		return []bool{false, true}
	}
	return []bool{true}
}

// BenchmarkCalm is what repair costs a record, sent and received, where nothing is
// lost.
func BenchmarkCalm(b *testing.B) {
	m := newMending(repair.Keys{}, func([]byte) {}, func([]byte) {})
	record, n := make([]byte, 1228), uint64(1)
	for b.Loop() {
		record[0], record[4] = 23, 1
		binary.BigEndian.PutUint32(record[7:], uint32(n))
		n++
		m.sent(record)
		if m.arrive(record) && n > 2 {
			b.Fatal("a record in order was taken")
		}
	}
	m.end()
}
