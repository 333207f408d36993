package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// window is how many bytes a channel holds before Send waits: sent, but not yet
// received.
const window = 1 << 20

// message is on its way until the time at.
type message struct {
	at   time.Time
	data []byte
}

// pipe is one channel in one direction. It runs no goroutine: the receiver itself
// waits for the time at which the first message arrives.
type pipe struct {
	road    *road
	ch      int
	ordered bool
	clock   bool // messages have times
	random  *rand.Rand

	// mu guards all following fields.
	mu       sync.Mutex
	readable sync.Cond
	writable sync.Cond
	queue    []message // queue[head:], first arrival first
	head     int
	size     int       // bytes in queue
	last     time.Time // the latest arrival so far
	held     bool
	sealed   bool // the sender has closed
	closed   bool // the receiver has closed
	timer    *time.Timer
	spare    [][]byte
}

func (p *pipe) init(r *road, ch int, random *rand.Rand) {
	p.road, p.ch, p.ordered, p.clock, p.random = r, ch, ch != 1, !r.perfect(), random
	p.readable.L, p.writable.L = &p.mu, &p.mu
}

func (p *pipe) send(msg []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.size >= window && !p.sealed && !p.closed {
		p.writable.Wait()
	}
	if p.sealed {
		return fmt.Errorf("sim: send: carrier: %w", p2p.ErrClosed)
	}
	if p.closed {
		return nil // nobody will receive it, and nobody has told the sender yet
	}
	m := message{data: p.buffer(msg)}
	i := len(p.queue)
	if p.clock {
		m.at = p.road.arrival(time.Now(), p.ch, len(msg), p.random)
		if p.ordered && m.at.Before(p.last) {
			m.at = p.last
		}
		for i > p.head && p.queue[i-1].at.After(m.at) {
			i--
		}
		if m.at.After(p.last) {
			p.last = m.at
		}
	}
	p.queue = slices.Insert(p.queue, i, m)
	p.size += len(msg)
	p.readable.Broadcast()
	return nil
}

// buffer copies msg, if possible to memory of a message that was received.
func (p *pipe) buffer(msg []byte) []byte {
	var b []byte
	if n := len(p.spare); n > 0 {
		b, p.spare = p.spare[n-1], p.spare[:n-1]
	}
	return append(b[:0], msg...)
}

func (p *pipe) receive(buf []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return 0, fmt.Errorf("sim: receive: carrier: %w", p2p.ErrClosed)
		}
		ready, end := p.ready()
		if end {
			return 0, io.EOF
		}
		if ready {
			return p.pop(buf)
		}
		p.readable.Wait()
	}
}

// ready reports whether the first message has arrived, or that none will come any
// more. If only time is missing it sets the timer.
func (p *pipe) ready() (ready, end bool) {
	empty := p.head == len(p.queue)
	if p.held || empty && !p.sealed {
		return false, false
	}
	next := p.last // the end comes after the last message
	if !empty {
		next = p.queue[p.head].at
	}
	if p.clock {
		if wait := time.Until(next); wait > 0 {
			p.wakeIn(wait)
			return false, false
		}
	}
	return !empty, empty
}

func (p *pipe) wakeIn(d time.Duration) {
	if p.timer != nil {
		p.timer.Reset(d)
		return
	}
	p.timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.readable.Broadcast()
	})
}

func (p *pipe) pop(buf []byte) (int, error) {
	m := p.queue[p.head]
	p.queue[p.head] = message{}
	if p.head++; p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
	} else if p.head > 64 && p.head > len(p.queue)/2 {
		p.queue, p.head = slices.Delete(p.queue, 0, p.head), 0
	}
	p.size -= len(m.data)
	p.writable.Broadcast()
	if len(p.spare) < 64 {
		p.spare = append(p.spare, m.data)
	}
	if len(m.data) > len(buf) {
		return 0, fmt.Errorf("sim: receive: message of %d bytes for %d: %w", len(m.data), len(buf), p2p.ErrTooLarge)
	}
	return copy(buf, m.data), nil
}

func (p *pipe) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = on
	p.readable.Broadcast()
}

// closeWriter ends the pipe after what was sent.
func (p *pipe) closeWriter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.sealed && p.clock {
		if at := time.Now().Add(p.road.options.Latency); at.After(p.last) {
			p.last = at
		}
	}
	p.sealed = true
	p.readable.Broadcast()
	p.writable.Broadcast()
}

// closeReader drops what was not received.
func (p *pipe) closeReader() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.queue, p.head, p.size, p.spare = nil, 0, 0, nil
	if p.timer != nil {
		p.timer.Stop()
	}
	p.readable.Broadcast()
	p.writable.Broadcast()
}
