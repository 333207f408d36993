package link

import (
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p/wire"
)

// receive is the goroutine of one channel. It never waits for a reader or a
// handler, and goes on discarding after the end of the link until the carrier is
// closed, so that the goodbye gets through.
func (l *Link) receive(ch int) {
	if ch == control {
		defer close(l.gone)
	}
	var c *chunk // of a lane
	var buf []byte
	if ch < firstLane { // messages are short
		buf = make([]byte, MaxPacket)
	}
	for {
		if ch >= firstLane {
			if l.network != nil {
				if err := l.network.Await(ch); err != nil {
					l.lost(ch, err)
					return
				}
			}
			if c == nil {
				c = l.chunk()
				buf = c.buf[:]
			}
		}
		n, err := l.carrier.Receive(ch, buf)
		if err != nil {
			l.lost(ch, err)
			return
		}
		if l.ended() != nil {
			continue
		}
		if !l.pulse.heard.Load() {
			l.pulse.heard.Store(true)
		}
		switch {
		case n == 0:
			err = violation("empty message on channel %d", ch)
		case ch == control:
			err = each(buf[:n], l.onControl)
		case ch == calls:
			err = each(buf[:n], l.onCall)
		default:
			c, err = l.onLane(ch, c, n)
		}
		if err != nil {
			l.fail(err)
		}
	}
}

// lost ends the link after the carrier has failed on one channel. A goodbye of the
// peer may still wait on channel 0, and says more than a broken carrier.
func (l *Link) lost(ch int, err error) {
	if ch != control {
		t := time.NewTimer(farewell)
		defer t.Stop()
		select {
		case <-l.gone:
		case <-l.done:
		case <-t.C:
		}
	}
	l.end(fmt.Errorf("carrier: %w", err), silently, "")
}

// each calls on for every frame of a message.
func each(msg []byte, on func(wire.Frame) error) error {
	for len(msg) > 0 {
		f, rest, err := wire.ParseFrame(msg)
		if err != nil {
			return violation("%w", err)
		}
		if err := on(f); err != nil {
			return err
		}
		msg = rest
	}
	return nil
}

func (l *Link) onControl(f wire.Frame) error {
	switch f.Type {
	case wire.Credit:
		l.mu.Lock()
		s := l.streams[f.Stream]
		l.mu.Unlock()
		if s == nil {
			return nil // of a stream that is over
		}
		return s.granted(f.Code)
	case wire.Cancel:
		return l.onCancel(f.Stream)
	case wire.Ping:
		l.queues[control].put(wire.Frame{Type: wire.Pong, Code: f.Code})
	case wire.Pong:
		l.onPong(f.Code)
	case wire.GoAway:
		reason := errClosedThere
		if f.Code != CodeNone {
			reason = fmt.Errorf("%w (code %d): %q", errClosedThere, f.Code, clip(string(f.Payload), 512))
		}
		l.end(reason, silently, "")
	default:
		return violation("%v frame on channel %d", f.Type, control)
	}
	return nil
}

// onLane handles one message of a lane, which is in c, and returns the chunk for the
// next one, or nil if there is none now.
func (l *Link) onLane(ch int, c *chunk, n int) (*chunk, error) {
	kept, err := l.onLaneMessage(ch, c, n)
	switch {
	case kept:
		return nil, err
	case l.network != nil:
		l.recycle(c) // until there is something to receive
		return nil, err
	}
	return c, err
}

// onLaneMessage reports whether a stream has kept c.
func (l *Link) onLaneMessage(ch int, c *chunk, n int) (gone bool, err error) {
	var tail [64]byte // shorter than any payload that is kept
	msg := c.buf[:n]
	for len(msg) > 0 {
		f, rest, err := wire.ParseFrame(msg)
		if err != nil {
			return gone, violation("%w", err)
		}
		if laneOf(f.Stream) != ch {
			return gone, violation("%v frame of stream %d on channel %d", f.Type, f.Stream, ch)
		}
		if f.Type != wire.Data {
			if err := l.onLaneFrame(ch, f); err != nil {
				return gone, err
			}
			msg = rest
			continue
		}
		// Long payload is not copied: the stream keeps the chunk. Frames behind it
		// move out of the way first, because the reader may be done with the chunk
		// before they are parsed.
		end := n - len(rest)
		keep := !gone && len(f.Payload) >= MaxFrame/2 && len(rest) <= len(tail)
		if keep {
			rest = tail[:copy(tail[:], rest)]
			c.r, c.w = end-len(f.Payload), end
		}
		kept, err := l.onData(ch, f, c, keep)
		gone = gone || kept
		if err != nil {
			return gone, err
		}
		msg = rest
	}
	return gone, nil
}

// onData gives payload to whom it belongs: a stream, or the body of a call.
func (l *Link) onData(ch int, f wire.Frame, c *chunk, keep bool) (kept bool, err error) {
	l.mu.Lock()
	s := l.streams[f.Stream]
	if s == nil {
		err = l.onBody(ch, f)
	}
	l.mu.Unlock()
	if s == nil {
		return false, err
	}
	return s.arrived(f.Payload, c, keep)
}

// onLaneFrame handles all that can come on a lane but data.
func (l *Link) onLaneFrame(ch int, f wire.Frame) error {
	switch f.Type {
	case wire.Open:
		return l.onOpen(ch, f)
	case wire.Ask:
		return l.onAsk(ch, f)
	case wire.Fin, wire.Stop, wire.Reset:
	default:
		return violation("%v frame on channel %d", f.Type, ch)
	}
	l.mu.Lock()
	s := l.streams[f.Stream]
	var err error
	if s == nil {
		if f.Type == wire.Fin {
			err = l.onBodyEnd(ch, f.Stream)
		} else {
			err = l.known(ch, f)
		}
	}
	l.mu.Unlock()
	switch {
	case s == nil:
		return err
	case f.Type == wire.Fin:
		return s.peerFinished()
	case f.Type == wire.Reset:
		return s.peerReset(f.Code)
	}
	s.peerStopped(f.Code)
	return nil
}

// known accepts what still comes for streams and calls that are over, and refuses
// what never began. Link.mu is held.
func (l *Link) known(ch int, f wire.Frame) error {
	begun := f.Stream < l.next
	if l.isPeers(f.Stream) {
		begun = f.Stream <= l.opened[ch-firstLane]
	}
	if !begun || f.Stream == 0 {
		return violation("%v frame of stream %d, which nobody opened", f.Type, f.Stream)
	}
	return nil
}

// isPeers reports whether the peer gives out the number.
func (l *Link) isPeers(id uint64) bool { return id&1 == l.odd }

// begin checks the number of something that the peer begins on a lane. Numbers
// only rise, so that nothing ever begins twice. Link.mu is held.
func (l *Link) begin(ch int, f wire.Frame) error {
	if !l.isPeers(f.Stream) || f.Stream <= l.opened[ch-firstLane] {
		return violation("%v frame with number %d, after %d", f.Type, f.Stream, l.opened[ch-firstLane])
	}
	l.opened[ch-firstLane] = f.Stream
	return nil
}

func (l *Link) onOpen(ch int, f wire.Frame) error {
	proto := string(f.Payload)
	if err := wire.CheckProto(proto); err != nil {
		return violation("%w", err)
	}
	if f.Code > maxCredit {
		return violation("credit of %d bytes on stream %d", f.Code, f.Stream)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.begin(ch, f); err != nil {
		return err
	}
	if l.err != nil {
		return nil
	}
	if len(l.streams) >= MaxStreams {
		l.queues[ch].put(wire.Frame{Type: wire.Stop, Stream: f.Stream, Code: CodeBusy})
		l.queues[ch].put(wire.Frame{Type: wire.Reset, Stream: f.Stream, Code: CodeBusy})
		return nil
	}
	s := newStream(l, f.Stream, proto)
	s.credit = f.Code
	s.win.arrive(time.Now())
	l.streams[s.id] = s
	l.arrivals = append(l.arrivals, s)
	l.announce()
	return nil
}
