package rtc

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/sctp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// unordered is the channel without order.
const unordered = 1

// smallWindow bounds the memory of control and calls, which are small. Lanes share what
// pace says. pion counts a message until the peer has acknowledged it, so these are
// also bounds of what is on its way.
const smallWindow = 256 << 10

// carrier is a connected session. It implements link.Carrier.
type carrier struct {
	s             *session
	local, remote [32]byte
	channels      [link.Channels]channel
	sent          atomic.Uint64 // bytes that lanes have handed to SCTP
}

// channel is this end of a data channel.
type channel struct {
	*sctp.Stream
	turn sync.Mutex    // held by the one who waits for room, so that senders stay in order
	room chan struct{} // holds a token after the buffered amount has fallen
}

var (
	_ link.NetworkCarrier = (*carrier)(nil)
	_ link.Tracer         = (*carrier)(nil)
)

func newCarrier(s *session, local, remote [32]byte) *carrier {
	c := &carrier{s: s, local: local, remote: remote}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range c.channels {
		ch := &c.channels[i]
		ch.Stream, ch.room = s.channels[i], make(chan struct{}, 1)
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
	for {
		select {
		case <-c.s.ended:
			return c.failure("send", c.s.cause())
		default:
		}
		window := c.window(ch)
		if fits(k.BufferedAmount(), uint64(len(msg)), window) {
			break
		}
		low := lowMark(uint64(len(msg)), window)
		k.SetBufferedAmountLowThreshold(low)
		if k.BufferedAmount() <= low { // it may have fallen before there was the threshold
			continue
		}
		if err := c.wait(k); err != nil {
			return err
		}
	}
	if _, err := k.WriteSCTP(msg, sctp.PayloadTypeWebRTCBinary); err != nil {
		return c.failure("send", err)
	}
	if ch > unordered {
		c.sent.Add(uint64(len(msg)))
	}
	return nil
}

// fits reports whether a message of n bytes may be sent while others are on their way. One that is longer than the
// window goes alone.
func fits(buffered, n, window uint64) bool { return buffered == 0 || buffered+n <= window }

// lowMark is at how many bytes on their way it is worth to look again whether a message of n bytes fits: when a part
// of the window is empty, and the message fits. The second matters when lanes share a small window: a mark at which it
// does not fit would be looked at again and again.
func lowMark(n, window uint64) uint64 { return window - min(window, max(window/refill, n)) }

// stuckAfter is how long a full window may stay full before somebody looks.
const stuckAfter = 3 * time.Second

// wait waits until the window of k has room.
func (c *carrier) wait(k *channel) error {
	stuck := time.NewTimer(stuckAfter)
	defer stuck.Stop()
	for {
		select {
		case <-k.room:
			return nil
		case <-stuck.C:
			c.s.peer.stuck()
			stuck.Reset(2 * stuckAfter)
		case <-c.s.ended:
			return c.failure("send", c.s.cause())
		}
	}
}

// window is how many bytes the channel may have on their way. Lanes that have
// something on their way share one window.
func (c *carrier) window(ch int) uint64 {
	if ch <= unordered {
		return smallWindow
	}
	var busy, buffered uint64
	for i := unordered + 1; i < len(c.channels); i++ {
		n := c.channels[i].BufferedAmount()
		if buffered += n; n > 0 || i == ch {
			busy++
		}
	}
	return c.s.peer.window(c.sent.Load()-buffered, buffered) / busy
}

// Await implements link.NetworkCarrier.
func (c *carrier) Await(ch int) error {
	// A message that does not fit stays where it is.
	_, _, err := c.channels[ch].ReadSCTP(nil)
	if err == nil || errors.Is(err, io.ErrShortBuffer) {
		return nil
	}
	return c.broken(err)
}

// Packet implements link.NetworkCarrier.
func (c *carrier) Packet() int { return payloadOf(c.s.peer.mtu()) }

// WatchesPeer implements link.NetworkCarrier.
func (c *carrier) WatchesPeer() {}

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
	return 0, c.broken(err)
}

// broken ends all channels because one has: they were agreed on together.
func (c *carrier) broken(err error) error {
	go c.s.close(fmt.Errorf("rtc: receive: %w: %w", errPeerGone, err))
	<-c.s.ended
	return c.failure("receive", c.s.cause())
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

// Trace implements link.Tracer.
func (c *carrier) Trace() p2p.Trace { return c.s.trace.view() }

// Stats implements link.Carrier.
func (c *carrier) Stats() p2p.Stats {
	st := p2p.Stats{Since: c.s.since, RTT: c.s.rtt()}
	st.BytesIn, st.BytesOut = c.s.peer.bytes()
	return st
}

// Close implements link.Carrier.
func (c *carrier) Close() error {
	c.s.close(fmt.Errorf("rtc: closed here: %w", p2p.ErrClosed))
	return nil
}
