package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// sendBuffer is how much a stream takes from its writer before the bytes are on
// their way: enough to keep a lane busy while the writer sleeps.
const sendBuffer = 128 << 10

// Stream is one stream of a Link, a net.Conn whose directions end independently.
// Write returns when the bytes are copied, not when they have arrived. All
// methods may be used by several goroutines at once.
type Stream struct {
	link  *Link
	id    uint64
	proto string
	lane  *queue
	full  int // where the payload of a full chunk ends

	// mu guards all following fields.
	mu        sync.Mutex
	scheduled bool // in the lane's queue, or about to be asked again
	accepted  bool // the application has it
	closed    bool // by the application: Close or Reset
	released  bool // no longer counted by the link
	linkErr   error

	// The receiving direction.
	readable   sync.Cond
	readBy     deadline
	in         chunks
	unread     int // bytes in in
	win        window
	inDone     bool  // nothing more will come
	inErr      error // what Read gives after the last byte: io.EOF or *ResetError
	readClosed bool  // by the application
	stopping   bool  // STOP with stopCode is to be sent
	stopCode   uint64

	// The sending direction.
	writable  sync.Cond
	writing   bool // a Write is under way; others wait, so that writes stay whole
	writeBy   deadline
	out       chunks
	ahead     int    // how many bytes Write takes before they are on their way
	unsent    int    // bytes in out
	credit    uint64 // that the peer still grants
	opening   bool   // OPEN is to be sent
	finishing bool   // FIN is to be sent after the last byte
	resetting bool   // RESET with resetCode is to be sent
	resetCode uint64
	outDone   bool  // nothing more will be sent
	outErr    error // what Write gives: *ResetError
}

var _ net.Conn = (*Stream)(nil)

func newStream(l *Link, id uint64, proto string) *Stream {
	s := &Stream{link: l, id: id, proto: proto, lane: &l.queues[laneOf(id)], full: headroom + l.maxData(id), ahead: sendBuffer}
	s.readable.L, s.writable.L = &s.mu, &s.mu
	return s
}

// Open starts a stream for proto. It does not wait for the peer, who may still
// refuse: then reading and writing give a *ResetError. With MaxStreams open
// already the error is a *p2p.CallError with code CallBusy.
func (l *Link) Open(ctx context.Context, proto string) (net.Conn, error) {
	err := wire.CheckProto(proto)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.where("open", proto), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, fmt.Errorf("%s: %w", l.where("open", proto), l.err)
	}
	if len(l.streams) >= MaxStreams {
		busy := &p2p.CallError{Code: CallBusy, Message: fmt.Sprintf("%d streams are open", len(l.streams))}
		return nil, fmt.Errorf("%s: %w", l.where("open", proto), busy)
	}
	s := newStream(l, l.next, proto)
	l.next += 2
	s.accepted, s.opening, s.scheduled = true, true, true
	s.credit = floor
	s.win.open(&l.budget, time.Now())
	l.streams[s.id] = s
	// Numbers must be begun in their order on each lane, so this happens before
	// the next number is taken.
	s.lane.push(s)
	return s, nil
}

// Accept waits for a stream that the peer opens.
func (l *Link) Accept(ctx context.Context) (proto string, c net.Conn, err error) {
	for {
		s, err := l.arrival()
		if err != nil {
			return "", nil, fmt.Errorf("link: accept: %w", err)
		}
		if s != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.accepted = true
			s.release()
			return s.proto, s, nil
		}
		select {
		case <-l.acceptable:
		case <-l.done:
		case <-ctx.Done():
			return "", nil, fmt.Errorf("link: accept: %w", ctx.Err())
		}
	}
}

func (l *Link) arrival() (*Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || len(l.arrivals) == 0 {
		return nil, l.err
	}
	s := l.arrivals[0]
	l.arrivals[0] = nil
	l.arrivals = l.arrivals[1:]
	if len(l.arrivals) > 0 {
		l.announce()
	}
	return s, nil
}

// announce wakes one Accept, which wakes the next while arrivals are left.
func (l *Link) announce() {
	select {
	case l.acceptable <- struct{}{}:
	default:
	}
}

// Read implements net.Conn. At the end of the peer's direction it gives io.EOF,
// after a reset *ResetError, after Close an error that is p2p.ErrClosed and
// net.ErrClosed. What had arrived in full before the link ended can still be read.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.read(p)
	// Who reads later grants later: so the peer learns of a limit.
	s.link.down.wait(s.link.ctx, n)
	return n, err
}

func (s *Stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.cannotRead(); err != nil {
			return 0, err
		}
		if len(p) == 0 {
			return 0, nil
		}
		if s.in.len() > 0 {
			return s.take(p), nil
		}
		if s.inErr == io.EOF {
			return 0, io.EOF
		}
		if err := s.inErr; err != nil {
			return 0, s.opError("read", err)
		}
		if s.linkErr != nil {
			return 0, s.opError("read", s.linkErr)
		}
		s.readable.Wait()
	}
}

func (s *Stream) cannotRead() error {
	switch {
	case s.readClosed:
		return s.opError("read", errStreamClosed)
	case s.readBy.passed:
		return s.opError("read", os.ErrDeadlineExceeded)
	}
	return nil
}

// take copies what has arrived and grants the peer new credit.
func (s *Stream) take(p []byte) (n int) {
	for n < len(p) && s.in.len() > 0 {
		c := s.in.first()
		k := copy(p[n:], c.buf[c.r:c.w])
		n += k
		if c.r += k; c.r == c.w {
			s.link.recycle(s.in.pop())
		}
	}
	s.unread -= n
	s.win.consumed += uint64(n)
	if s.inDone {
		s.win.shrink(&s.link.budget, s.unread)
		s.release()
	} else {
		s.grant()
	}
	return n
}

func (s *Stream) grant() {
	if !s.win.worth() {
		return
	}
	n := s.win.grant(&s.link.budget, time.Now(), time.Duration(s.link.pulse.rtt.Load()))
	if n > 0 {
		s.link.queues[control].put(wire.Frame{Type: wire.Credit, Stream: s.id, Code: n})
	}
}

// SetWriteBuffer sets how many bytes Write takes before they are on their way, at
// least one message. Little is for somebody who wants to decide late what goes next.
func (s *Stream) SetWriteBuffer(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = max(bytes, MaxFrame)
}

// Write implements net.Conn. It waits while the stream has as many bytes as its
// write buffer holds that the peer does not yet take. After a reset by the peer, or when the peer has
// closed its reading end, it gives *ResetError.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := false
	defer func() {
		if mine {
			s.writing = false
			s.writable.Broadcast()
		}
	}()
	for {
		if err := s.cannotWrite(); err != nil {
			return n, s.opError("write", err)
		}
		if len(p) == 0 {
			return n, nil
		}
		if s.unsent >= s.ahead || s.writing && !mine {
			s.writable.Wait()
			continue
		}
		s.writing, mine = true, true
		c := s.out.last()
		if c == nil || c.w >= s.full {
			c = s.link.chunk()
			c.r, c.w = headroom, headroom
			s.out.push(c)
		}
		k := copy(c.buf[c.w:s.full], p)
		c.w += k
		s.unsent += k
		n += k
		p = p[k:]
		s.schedule()
	}
}

func (s *Stream) cannotWrite() error {
	switch {
	case s.closed || s.finishing:
		return errStreamClosed
	case s.outErr != nil:
		return s.outErr
	case s.linkErr != nil:
		return s.linkErr
	case s.writeBy.passed:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite ends the sending direction after the bytes written so far; the peer
// reads them and then io.EOF. Reading goes on.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finishing && !s.closed {
		return nil
	}
	if err := s.cannotWrite(); err != nil && err != os.ErrDeadlineExceeded {
		return s.opError("close writing", err)
	}
	s.finishing = true
	s.schedule()
	s.writable.Broadcast()
	return nil
}

// CloseRead drops what comes from the peer, whose Write fails with CodeNone as
// soon as it learns of it. Writing goes on.
func (s *Stream) CloseRead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeReading(CodeNone)
	s.schedule()
	s.release()
	return nil
}

// Reset ends both directions at once, unsent bytes are lost, and the peer's Read
// and Write give a *ResetError with code. After Close it still drops what was not
// sent.
func (s *Stream) Reset(code uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.closeReading(code)
	s.abortSending(code)
	s.finish()
	return nil
}

// Close implements net.Conn: what was written is still sent, then the peer reads
// io.EOF; what the peer sends is dropped, as after CloseRead. It does not wait.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.closeReading(CodeNone)
	if s.outErr == nil {
		s.finishing = true
	}
	s.finish()
	return nil
}

func (s *Stream) finish() {
	s.readBy.stop()
	s.writeBy.stop()
	s.writable.Broadcast()
	s.schedule()
	s.release()
}

// LocalAddr names this node.
func (s *Stream) LocalAddr() net.Addr { return addr(s.link.self) }

// RemoteAddr names the peer.
func (s *Stream) RemoteAddr() net.Addr { return addr(s.link.Peer()) }

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setDeadline(&s.readBy, &s.readable, t)
	s.setDeadline(&s.writeBy, &s.writable, t)
	return nil
}

// SetReadDeadline makes Read, also one that waits, fail with
// os.ErrDeadlineExceeded from t on; the zero time lifts it.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setDeadline(&s.readBy, &s.readable, t)
	return nil
}

// SetWriteDeadline is SetReadDeadline for Write.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setDeadline(&s.writeBy, &s.writable, t)
	return nil
}

// deadline is one deadline of a stream, whose mu guards it.
type deadline struct {
	timer  *time.Timer
	passed bool
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (s *Stream) setDeadline(d *deadline, waiting *sync.Cond, t time.Time) {
	d.stop()
	d.passed = false
	if t.IsZero() || s.closed {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		waiting.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.timer == timer { // else it was stopped too late
			d.passed = true
			waiting.Broadcast()
		}
	})
	d.timer = timer
}

// closedError is what a stream gives after it was closed at this end.
type closedError struct{}

func (closedError) Error() string   { return "stream closed" }
func (closedError) Unwrap() []error { return []error{p2p.ErrClosed, net.ErrClosed} }

var errStreamClosed = closedError{}

// opError says on what an operation failed. The errors of net.Conn's contract
// stay recognizable: it is a net.Error exactly when the cause is.
func (s *Stream) opError(op string, err error) error {
	return &net.OpError{Op: op + " " + s.proto, Net: "shoal", Addr: s.RemoteAddr(), Err: err}
}
