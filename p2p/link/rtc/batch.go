package rtc

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Sizes of batches.
const (
	maxRun        = 44        // datagrams that the kernel takes in one call
	maxRunBytes   = 65000     // of these
	maxBatchBytes = 512 << 10 // that wait for the socket; writers then wait too
)

// When manyDatagrams went within lately, which is 30 MB/s, the sender lets others
// run up to gatherTurns times while the queue is short.
const (
	manyDatagrams = 24
	lately        = time.Millisecond
	gatherTurns   = 8
)

// batch is a queue of datagrams, one behind the other in one buffer.
type batch struct {
	bytes []byte
	items []item
}

// item is a datagram of a batch: the next n bytes.
type item struct {
	n  int
	to netip.AddrPort
}

// run is a number of neighbours that can be sent with one call: all go to one
// address and have the same size, but for the last, which may be smaller.
type run struct {
	to    netip.AddrPort
	bytes []byte
	size  int // of each datagram
	count int
}

// runs cuts b into runs and hands them to send.
func (b *batch) runs(send func(run)) {
	rest := b.bytes
	for i := 0; i < len(b.items); {
		r := run{to: b.items[i].to, size: b.items[i].n}
		total, last := 0, r.size
		for ; i < len(b.items) && r.count < maxRun; i++ {
			it := b.items[i]
			if it.to != r.to || it.n > r.size || last < r.size || total+it.n > maxRunBytes {
				break
			}
			total, last, r.count = total+it.n, it.n, r.count+1
		}
		r.bytes, rest = rest[:total], rest[total:]
		send(r)
	}
}

// batcher gathers datagrams and sends them in runs from one goroutine. A
// datagram that comes alone is sent at once. While many come, the sender lets the
// writers run on between two batches: a system call costs about as much as the
// encryption of what it sends. It does so by yielding and not by a timer, whose
// grain on an idle computer is a millisecond.
type batcher struct {
	send    func(run)
	stopped chan struct{} // closed when run has returned

	mu    sync.Mutex // guards all that follows
	more  sync.Cond  // signalled when something is queued, and at the end
	room  sync.Cond  // signalled when the queue was taken, and at the end
	queue batch
	spare batch
	ended bool
}

func newBatcher(send func(run)) *batcher {
	b := &batcher{send: send, stopped: make(chan struct{})}
	b.more.L, b.room.L = &b.mu, &b.mu
	return b
}

// add queues a copy of p.
func (b *batcher) add(p []byte, to netip.AddrPort) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue.bytes)+len(p) > maxBatchBytes && !b.ended {
		b.room.Wait()
	}
	if b.ended {
		return net.ErrClosed
	}
	b.queue.bytes = append(b.queue.bytes, p...)
	b.queue.items = append(b.queue.items, item{len(p), to})
	if len(b.queue.items) == 1 {
		b.more.Signal()
	}
	return nil
}

// run sends until close, and then what is still queued.
func (b *batcher) run() {
	defer close(b.stopped)
	var recent int
	since := time.Now()
	for {
		taken, ok := b.take(recent >= manyDatagrams)
		if !ok {
			return
		}
		taken.runs(b.send)
		if now := time.Now(); now.Sub(since) > lately {
			recent, since = 0, now
		}
		recent += len(taken.items)
		b.mu.Lock()
		b.spare = batch{taken.bytes[:0], taken.items[:0]}
		b.mu.Unlock()
	}
}

// take waits for the next batch.
func (b *batcher) take(busy bool) (batch, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue.items) == 0 && !b.ended {
		b.more.Wait()
	}
	for range gatherTurns {
		if !busy || b.ended || len(b.queue.items) >= maxRun {
			break
		}
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
	}
	if len(b.queue.items) == 0 {
		return batch{}, false
	}
	taken := b.queue
	b.queue, b.spare = b.spare, batch{}
	b.room.Broadcast()
	return taken, true
}

// close ends run and waits for it.
func (b *batcher) close() {
	b.mu.Lock()
	b.ended = true
	b.more.Broadcast()
	b.room.Broadcast()
	b.mu.Unlock()
	<-b.stopped
}
