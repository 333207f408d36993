package rtc

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// farSocket is a socket behind a router with a queue: what is sent leaves at a rate and
// arrives after a delay, or not at all when the queue is full.
type farSocket struct {
	socket
	rate  float64 // bytes per second
	delay time.Duration
	queue time.Duration // longest that anything waits for its turn

	mu   sync.Mutex
	busy time.Time
	way  chan late
}

type late struct {
	at time.Time
	b  []byte
	to netip.AddrPort
}

func newFarSocket(s socket, rate float64, delay, queue time.Duration) *farSocket {
	f := &farSocket{socket: s, rate: rate, delay: delay, queue: queue, way: make(chan late, 1<<16)}
	go func() {
		for l := range f.way {
			time.Sleep(time.Until(l.at))
			if f.socket.WriteTo(l.b, l.to) != nil {
				return
			}
		}
	}()
	return f
}

func (f *farSocket) WriteTo(b []byte, to netip.AddrPort) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.busy.Before(now) {
		f.busy = now
	}
	if f.busy.Sub(now) > f.queue {
		return nil
	}
	f.busy = f.busy.Add(time.Duration(float64(len(b)+28) / f.rate * float64(time.Second)))
	select {
	case f.way <- late{f.busy.Add(f.delay), slices.Clone(b), to}:
	default:
	}
	return nil
}

func (f *farSocket) Whole() bool { return false } // as on a path that takes no long packets

// BenchmarkPath sends over paths with delays. Each has a queue of 100 ms in front, which
// nothing has to fill.
func BenchmarkPath(b *testing.B) {
	for _, p := range []struct {
		mbit int
		rtt  time.Duration
	}{{10, 30 * time.Millisecond}, {100, 20 * time.Millisecond}, {100, 100 * time.Millisecond}, {400, 5 * time.Millisecond}, {400, 50 * time.Millisecond}} {
		b.Run(fmt.Sprintf("%dMbit/%s", p.mbit, p.rtt), func(b *testing.B) {
			far := func(s socket) socket {
				return newFarSocket(s, float64(p.mbit)*1e6/8, p.rtt/2, 100*time.Millisecond)
			}
			x, y := newFarNode(b, 1, far), newFarNode(b, 2, far)
			l := x.mustDial(b, y.contact())
			in := mustAccept(b, y)
			buf := make([]byte, 64<<10)
			for b.Loop() {
				ctx, stop := context.WithTimeout(b.Context(), 10*time.Second)
				out, err := l.Open(ctx, "bulk/1")
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					for ctx.Err() == nil {
						if _, err := out.Write(buf); err != nil {
							return
						}
					}
				}()
				_, c, err := in.Accept(ctx)
				if err != nil {
					b.Fatal(err)
				}
				var calls []time.Duration
				go func() {
					<-ctx.Done()
					_ = c.Close()
				}()
				start := time.Now()
				var n int64
				var reading sync.WaitGroup
				reading.Go(func() { n, _ = io.Copy(io.Discard, c) }) // it ends with an error
				for time.Sleep(3 * time.Second); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
					asked := time.Now()
					if _, err := l.Call(ctx, "echo/1", []byte("hello")); err == nil {
						calls = append(calls, time.Since(asked))
					}
				}
				reading.Wait()
				took := time.Since(start)
				stop()
				_ = out.Close()
				slices.Sort(calls)
				b.ReportMetric(float64(n)*8/1e6/took.Seconds(), "Mbit/s")
				b.ReportMetric(float64(calls[len(calls)/2])/1e6, "ms/call")
				b.ReportMetric(float64(calls[len(calls)*95/100])/1e6, "ms/call-p95")
			}
		})
	}
}
