package rtc

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pion/sctp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// unordered is the channel without order.
const unordered = 1

// Send windows in bytes. pion counts a message until the peer has acknowledged
// it, so a window also bounds what is in flight: 2 MiB fill 100 Mbit/s at 160 ms.
// Control and calls are small; their window only bounds memory.
const (
	laneWindow  = 2 << 20
	smallWindow = 256 << 10
)

// carrier is a connected session. It implements link.Carrier.
type carrier struct {
	s             *session
	local, remote [32]byte
	channels      [link.Channels]channel
}

// channel is this end of a data channel.
type channel struct {
	*sctp.Stream
	window uint64
	turn   sync.Mutex    // held by the one who waits for room, so that senders stay in order
	room   chan struct{} // holds a token after the buffered amount has fallen
}

var _ link.Carrier = (*carrier)(nil)

func newCarrier(s *session, local, remote [32]byte) *carrier {
	c := &carrier{s: s, local: local, remote: remote}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range c.channels {
		ch := &c.channels[i]
		ch.Stream, ch.window, ch.room = s.channels[i], smallWindow, make(chan struct{}, 1)
		if i > unordered {
			ch.window = laneWindow
		}
		ch.SetBufferedAmountLowThreshold(ch.window / 2)
		// Runs on the goroutine that reads acknowledgements: it must not wait.
		ch.OnBufferedAmountLow(func() {
			select {
			case ch.room <- struct{}{}:
			default:
			}
		})
	}
	return c
}

// Send implements link.Carrier.
func (c *carrier) Send(ch int, msg []byte) error {
	if len(msg) > maxMessage {
		return fmt.Errorf("rtc: send %d bytes, at most %d: %w", len(msg), maxMessage, p2p.ErrTooLarge)
	}
	k := &c.channels[ch]
	k.turn.Lock()
	defer k.turn.Unlock()
	for k.BufferedAmount()+uint64(len(msg)) > k.window {
		select {
		case <-k.room:
		case <-c.s.ended:
			return c.failure("send", c.s.cause())
		}
	}
	select {
	case <-c.s.ended:
		return c.failure("send", c.s.cause())
	default:
	}
	if _, err := k.WriteSCTP(msg, sctp.PayloadTypeWebRTCBinary); err != nil {
		return c.failure("send", err)
	}
	return nil
}

// Receive implements link.Carrier.
func (c *carrier) Receive(ch int, buf []byte) (int, error) {
	n, kind, err := c.channels[ch].ReadSCTP(buf)
	switch {
	case err == nil && (kind == sctp.PayloadTypeWebRTCBinaryEmpty || kind == sctp.PayloadTypeWebRTCStringEmpty):
		return 0, nil
	case err == nil:
		return n, nil
	case errors.Is(err, io.ErrShortBuffer):
		return 0, fmt.Errorf("rtc: receive: a message of more than %d bytes: %w", len(buf), p2p.ErrTooLarge)
	}
	// One channel that ends, ends all: they were agreed on together.
	go c.s.close(fmt.Errorf("rtc: receive: %w: %w", errPeerGone, err))
	<-c.s.ended
	return 0, c.failure("receive", c.s.cause())
}

func (c *carrier) failure(what string, why error) error {
	if errors.Is(why, p2p.ErrClosed) {
		return fmt.Errorf("rtc: %s: %w", what, why)
	}
	return fmt.Errorf("rtc: %s: %w: %w", what, p2p.ErrClosed, why)
}

// Fingerprints implements link.Carrier.
func (c *carrier) Fingerprints() (local, remote [32]byte) { return c.local, c.remote }

// Path implements link.Carrier.
func (c *carrier) Path() p2p.Path { return c.s.currentPath() }

// Stats implements link.Carrier.
func (c *carrier) Stats() p2p.Stats {
	st := p2p.Stats{Since: c.s.since, RTT: c.s.rtt()}
	for _, m := range c.s.conns {
		st.BytesIn += m.bytesIn.Load()
		st.BytesOut += m.bytesOut.Load()
	}
	return st
}

// Close implements link.Carrier.
func (c *carrier) Close() error {
	c.s.close(fmt.Errorf("rtc: closed here: %w", p2p.ErrClosed))
	return nil
}
