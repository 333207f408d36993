package link

import (
	"io"

	"github.com/shoal-p2p/shoal/p2p/wire"
)

// This file is the link's side of a stream: what is sent next, and what arrives.

// sendable reports whether message would return something. s.mu is held.
func (s *Stream) sendable() bool {
	if s.opening || s.stopping || s.resetting {
		return true
	}
	if s.outDone {
		return false
	}
	return s.out.len() > 0 && s.credit > 0 || s.finishing && s.out.len() == 0
}

// schedule gives the stream a turn if it has something to send. s.mu is held.
func (s *Stream) schedule() {
	if !s.scheduled && s.linkErr == nil && s.sendable() {
		s.scheduled = true
		s.lane.push(s)
	}
}

// message implements flow: as many frames as there are and as fit, at most one of
// them DATA, whose payload stays where Write put it.
func (s *Stream) message(scratch []byte) (msg []byte, used *chunk, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	msg = s.preamble(scratch)
	if !s.outDone && s.out.len() > 0 && s.credit > 0 {
		msg, used = s.data(msg)
	}
	if s.finishing && !s.outDone && s.out.len() == 0 {
		msg = wire.AppendFrame(msg, wire.Frame{Type: wire.Fin, Stream: s.id})
		s.outDone = true
	}
	if s.outDone {
		s.release()
	}
	s.scheduled = s.sendable()
	return msg, used, s.scheduled
}

// preamble appends the frames that precede data.
func (s *Stream) preamble(b []byte) []byte {
	if s.opening {
		s.opening = false
		b = wire.AppendFrame(b, wire.Frame{Type: wire.Open, Stream: s.id, Code: s.win.limit, Payload: []byte(s.proto)})
	}
	if s.stopping {
		s.stopping = false
		b = wire.AppendFrame(b, wire.Frame{Type: wire.Stop, Stream: s.id, Code: s.stopCode})
	}
	if s.resetting {
		s.resetting, s.outDone = false, true
		b = wire.AppendFrame(b, wire.Frame{Type: wire.Reset, Stream: s.id, Code: s.resetCode})
	}
	return b
}

// data writes head and a DATA header into the room in front of the first chunk's
// payload. A chunk whose payload the credit does not cover stays first: what was
// sent of it becomes the room for the next header, and Write may go on behind it.
func (s *Stream) data(head []byte) (msg []byte, used *chunk) {
	c := s.out.first()
	n := int(min(uint64(c.w-c.r), s.credit))
	head = wire.AppendHeader(head, wire.Frame{Type: wire.Data, Stream: s.id}, n)
	start := c.r - len(head)
	copy(c.buf[start:], head)
	msg = c.buf[start : c.r+n]
	c.r += n
	s.credit -= uint64(n)
	s.unsent -= n
	if c.r == c.w {
		used = s.out.pop()
	}
	if s.unsent <= s.ahead/2 {
		s.writable.Broadcast()
	}
	return msg, used
}

// abortSending replaces what was not sent by a RESET. s.mu is held.
func (s *Stream) abortSending(code uint64) {
	if s.outDone || s.resetting {
		return
	}
	s.resetting, s.resetCode, s.finishing = true, code, false
	// Not recycled: the lane may be sending from the first one.
	s.out.drop()
	s.unsent = 0
}

// closeReading drops what arrived and what will. s.mu is held.
func (s *Stream) closeReading(code uint64) {
	if s.readClosed {
		return
	}
	s.readClosed = true
	if !s.inDone {
		s.stopping, s.stopCode = true, code
	}
	s.discard()
	s.readable.Broadcast()
}

func (s *Stream) discard() {
	for s.in.len() > 0 {
		s.link.recycle(s.in.pop())
	}
	s.unread = 0
	s.win.shrink(&s.link.budget, 0)
}

// release ends the stream's share in the link's limits as soon as both directions
// are done and the application needs nothing of it. s.mu is held.
func (s *Stream) release() {
	if s.released || !s.accepted || !s.outDone || !s.inDone || s.unread > 0 || s.opening || s.stopping {
		return
	}
	s.released = true
	s.win.shrink(&s.link.budget, 0)
	s.link.mu.Lock()
	delete(s.link.streams, s.id)
	s.link.mu.Unlock()
}

// arrived handles DATA whose payload is part of c. It reports whether the stream
// has kept c.
func (s *Stream) arrived(payload []byte, c *chunk, mayKeep bool) (kept bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inDone {
		return false, violation("data on stream %d after its end", s.id)
	}
	s.win.received += uint64(len(payload))
	if s.win.received > s.win.limit {
		return false, violation("%d bytes on stream %d, of which %d were granted", s.win.received, s.id, s.win.limit)
	}
	if s.readClosed || len(payload) == 0 {
		return false, nil
	}
	if s.win.wants() {
		s.grant()
	}
	s.unread += len(payload)
	if mayKeep {
		s.in.push(c)
		kept = true
	} else {
		s.store(payload)
	}
	s.readable.Broadcast()
	return kept, nil
}

// store copies payload behind what waits already, so that many small frames do
// not hold a chunk each.
func (s *Stream) store(payload []byte) {
	for len(payload) > 0 {
		c := s.in.last()
		if c == nil || c.w == len(c.buf) {
			c = s.link.chunk()
			s.in.push(c)
		}
		n := copy(c.buf[c.w:], payload)
		c.w += n
		payload = payload[n:]
	}
}

// peerFinished handles FIN.
func (s *Stream) peerFinished() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inDone {
		return violation("fin on stream %d after its end", s.id)
	}
	s.inDone, s.inErr = true, io.EOF
	s.stopping = false
	s.win.shrink(&s.link.budget, s.unread)
	s.readable.Broadcast()
	s.release()
	return nil
}

// peerReset handles RESET. What has arrived is dropped: nobody may take a part for
// the whole.
func (s *Stream) peerReset(code uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inDone {
		return violation("reset of stream %d after its end", s.id)
	}
	s.inDone, s.inErr = true, &ResetError{Code: code}
	s.stopping = false
	s.discard()
	s.readable.Broadcast()
	s.release()
	return nil
}

// peerStopped handles STOP: the peer wants no more.
func (s *Stream) peerStopped(code uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outDone || s.outErr != nil {
		return
	}
	s.outErr = &ResetError{Code: code}
	s.abortSending(code)
	s.writable.Broadcast()
	s.schedule()
}

// granted handles CREDIT.
func (s *Stream) granted(n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > maxCredit-s.credit {
		return violation("credit of %d bytes on stream %d", n, s.id)
	}
	s.credit += n
	s.schedule()
	return nil
}

// maxCredit is more than any node can mean.
const maxCredit = 1 << 62

// linkEnded unblocks everything on the stream.
func (s *Stream) linkEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linkErr = s.link.Err()
	s.readBy.stop()
	s.writeBy.stop()
	s.out.drop()
	s.readable.Broadcast()
	s.writable.Broadcast()
}
