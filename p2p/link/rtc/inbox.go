package rtc

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// maxPacket is the longest datagram that is read. pion's SCTP reads no longer
	// packets.
	maxPacket = 8192
	// shortPacket is the size of most buffers: most datagrams are as long as an
	// Ethernet allows.
	shortPacket = 2048
	// maxInbox is how many bytes of datagrams wait to be read; more are dropped.
	maxInbox = 4 << 20
)

// packet is a datagram that somebody owns.
type packet struct {
	b    []byte // the datagram
	from netip.AddrPort
	room []byte // its buffer
}

// Packets keep their buffers between their uses, for all connections alike.
var (
	shortPackets = sync.Pool{New: func() any { return &packet{room: make([]byte, shortPacket)} }}
	longPackets  = sync.Pool{New: func() any { return &packet{room: make([]byte, maxPacket)} }}
)

// newPacket copies b, which has at most maxPacket bytes.
func newPacket(b []byte) *packet {
	pool := &shortPackets
	if len(b) > shortPacket {
		pool = &longPackets
	}
	p := pool.Get().(*packet)
	p.b = p.room[:copy(p.room, b)]
	return p
}

// free gives the buffer back: the packet must not be used after it.
func (p *packet) free() {
	p.b = nil
	if len(p.room) == shortPacket {
		shortPackets.Put(p)
	} else {
		longPackets.Put(p)
	}
}

// inbox is a queue of datagrams for one goroutine. It takes all that have come at
// once, so that a run of datagrams wakes it once.
type inbox struct {
	mu      sync.Mutex // guards all that follows but out
	more    sync.Cond  // signalled when waiting is true and there is something to see
	in      []*packet
	bytes   int // in in
	waiting bool
	closed  bool
	expired bool        // the deadline has passed
	timer   *time.Timer // of a deadline to come

	out  []*packet // the reader's own: out[next:] are not yet read
	next int
}

func newInbox() *inbox {
	q := &inbox{}
	q.more.L = &q.mu
	return q
}

// put queues a copy of b, or drops it when the reader is too far behind: as a
// router would.
func (q *inbox) put(b []byte) (taken bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes+len(b) > maxInbox {
		return false
	}
	q.in = append(q.in, newPacket(b))
	q.bytes += len(b)
	q.wake()
	return true
}

// wake wakes the reader. q.mu is held.
func (q *inbox) wake() {
	if q.waiting {
		q.waiting = false
		q.more.Signal()
	}
}

// take waits for the next datagram, which the caller frees. Its errors are
// net.ErrClosed and os.ErrDeadlineExceeded.
func (q *inbox) take() (*packet, error) {
	if q.next == len(q.out) {
		if err := q.fetch(); err != nil {
			return nil, err
		}
	}
	p := q.out[q.next]
	q.out[q.next] = nil
	q.next++
	return p, nil
}

// fetch waits for datagrams.
func (q *inbox) fetch() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.closed:
			return net.ErrClosed
		case q.expired:
			return os.ErrDeadlineExceeded
		case len(q.in) > 0:
			q.in, q.out, q.next = q.out[:0], q.in, 0
			q.bytes = 0
			return nil
		}
		if cap(q.in)+cap(q.out) > keptPackets { // after a burst
			q.in, q.out, q.next = nil, nil, 0
		}
		q.waiting = true
		q.more.Wait()
	}
}

// keptPackets is for how many packets an idle queue keeps room.
const keptPackets = 1024

// setDeadline makes waiting readers give up at t; the zero time lifts it.
func (q *inbox) setDeadline(t time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	q.expired = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		q.expired = true
		q.wake()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.timer == timer { // else it was stopped too late
			q.expired = true
			q.wake()
		}
	})
	q.timer = timer
}

// close ends all waiting, and drops what comes from now on.
func (q *inbox) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	q.wake()
}
