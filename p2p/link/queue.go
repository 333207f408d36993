package link

import (
	"runtime"
	"sync"

	"github.com/shoal-p2p/shoal/p2p/wire"
)

// maxLoose bounds the bytes of single frames that wait on one channel. Only a
// peer that makes this node answer and takes no answers comes near it.
const maxLoose = 1 << 20

// While at least crowd calls are under way, what is sent on their channel lets
// others run up to gatherTurns times until a packet is full: the frames of calls
// that begin and end at the same time then share a message. A message costs about
// ten times as much as a frame. It does so by yielding, not by a timer, so that
// calls wait for nothing but each other, and few calls not even for that.
const (
	crowd       = 8
	gatherTurns = 4
)

// flow is something that sends many messages on a lane and takes turns with
// others: a stream, or the long body of a call.
type flow interface {
	// message returns the next message, nil if there is none now, and whether to
	// ask again in the next round. The message is in scratch, or in used, which
	// the queue recycles after the message is sent, or in a buffer of the flow.
	message(scratch []byte) (msg []byte, used *chunk, more bool)
}

// queue is what waits to be sent on one channel. Single frames go first. Flows
// take turns, a message of at most MaxFrame each (deficit round robin with equal
// shares and equal sizes), so that a bulk stream does not keep others waiting.
// The goroutine that sends lives only while there is something to send.
type queue struct {
	link *Link
	ch   int
	full int // bytes of a message to which frames are gathered

	// mu guards all following fields.
	mu      sync.Mutex
	loose   []byte // encoded frames, one after the other
	spare   []byte // the other buffer of loose, while it is not being sent
	flows   []flow // flows[head:] wait for their turn, first come first
	head    int
	running bool
	closed  bool
}

func (q *queue) init(l *Link, ch int) {
	q.link, q.ch, q.full = l, ch, l.full
	if ch < firstLane {
		q.full = packetful
	}
}

// put queues one frame that belongs to no flow.
func (q *queue) put(f wire.Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.loose = wire.AppendFrame(q.loose, f)
	q.wake()
	if len(q.loose) > maxLoose {
		q.closed = true
		// Callers hold locks that the end of a link needs.
		q.link.work.Go(func() {
			q.link.fail(violation("does not take its answers: %d bytes wait on channel %d", maxLoose, q.ch))
		})
	}
}

// push gives f a turn. A flow must be in at most one place of the queue.
func (q *queue) push(f flow) {
	q.mu.Lock()
	if !q.closed {
		q.flows = append(q.flows, f)
		q.wake()
	}
	q.mu.Unlock()
}

// close drops what waits and takes nothing more; last, if there is one, is still
// sent.
func (q *queue) close(last []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.flows, q.head = true, nil, 0
	q.loose = last
	if last != nil {
		q.wake()
	}
}

// wake starts the sending goroutine unless it runs. q.mu is held. After close it
// is called only by the goroutine that is part of Link.work itself, so that Wait
// cannot have returned.
func (q *queue) wake() {
	if !q.running {
		q.running = true
		q.link.work.Go(q.run)
	}
}

func (q *queue) run() {
	scratch := q.link.chunk()
	defer q.link.recycle(scratch)
	for {
		if q.ch == calls {
			q.gather()
		}
		frames, f, ok := q.take()
		if !ok {
			return
		}
		var err error
		if f != nil {
			err = q.turn(f, scratch)
		} else {
			err = q.sendLoose(frames)
		}
		if err != nil {
			q.stop()
			q.link.end(err, silently, "")
			return
		}
	}
}

// gather waits, within limits, until the frames of a crowd of calls fill a packet.
func (q *queue) gather() {
	for range gatherTurns {
		if q.waiting() >= packetful || !q.link.crowded() {
			return
		}
		runtime.Gosched()
	}
}

// waiting returns how many bytes of single frames wait.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.loose)
}

// take returns what to send next: frames, or the flow whose turn it is. When
// there is nothing the goroutine is no longer running.
func (q *queue) take() (frames []byte, f flow, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.loose) > 0:
		frames = q.loose
		q.loose, q.spare = q.spare[:0], nil
		return frames, nil, true
	case q.head < len(q.flows):
		f = q.flows[q.head]
		q.flows[q.head] = nil
		q.head++
		if q.head == len(q.flows) {
			q.flows, q.head = q.flows[:0], 0
		} else if q.head > 64 && q.head > len(q.flows)/2 {
			n := copy(q.flows, q.flows[q.head:])
			clear(q.flows[n:])
			q.flows, q.head = q.flows[:n], 0
		}
		return nil, f, true
	}
	q.running = false
	return nil, nil, false
}

// stop marks the goroutine as ended after a failure; nothing starts it again.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.running = true, false
	q.loose, q.flows, q.head = nil, nil, 0
}

func (q *queue) turn(f flow, scratch *chunk) error {
	msg, used, more := f.message(scratch.buf[:0])
	if more {
		q.push(f)
	}
	var err error
	if len(msg) > 0 {
		q.link.up.wait(q.link.ctx, len(msg))
		err = q.link.carrier.Send(q.ch, msg)
	}
	if used != nil {
		q.link.recycle(used)
	}
	return err
}

// sendLoose sends frames in as few messages as their sizes permit.
func (q *queue) sendLoose(frames []byte) error {
	rest := frames
	for len(rest) > 0 {
		n := 0
		for n < len(rest) {
			_, after, err := wire.ParseFrame(rest[n:])
			if err != nil {
				return err // not reached: AppendFrame wrote it
			}
			end := len(rest) - len(after)
			if n > 0 && end > q.full {
				break
			}
			n = end
		}
		if err := q.link.carrier.Send(q.ch, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	q.mu.Lock()
	if cap(frames) <= 4*MaxFrame { // a burst's buffer is not kept
		q.spare = frames[:0]
	}
	q.mu.Unlock()
	return nil
}
