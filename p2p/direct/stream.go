package direct

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// openTimeout is how long the ends of a stream have to agree on its port.
const openTimeout = 10 * time.Second

// opening is what a stream begins with, and accepted the answer.
type opening struct {
	Port string `cbor:"1,keyasint,omitempty"`
}

type accepted struct {
	Refused string `cbor:"1,keyasint,omitempty"` // code of the refusal
}

// Open opens a stream to a port of a member, over the link to it: opening another one costs
// no new connection. Errors: ErrNobody, ErrDenied, p2p.ErrUnreachable.
func (s *Service) Open(ctx context.Context, to p2p.ID, port string) (net.Conn, error) {
	if len(port) > MaxPort {
		return nil, fmt.Errorf("direct: port %.20q…: %w", port, ErrPort)
	}
	l, err := s.o.Link(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("direct: stream to %s: %w", to.Short(), err)
	}
	conn, err := l.Open(ctx, StreamProto)
	if err != nil {
		return nil, fmt.Errorf("direct: stream to %s: %w", to.Short(), err)
	}
	if err := knock(ctx, conn, port); err != nil {
		reset(conn)
		return nil, fmt.Errorf("direct: stream to port %q of %s: %w", port, to.Short(), err)
	}
	return conn, nil
}

// knock asks for a port and waits for the answer.
func knock(ctx context.Context, conn net.Conn, port string) error {
	defer context.AfterFunc(ctx, func() { reset(conn) })()
	if err := conn.SetDeadline(time.Now().Add(openTimeout)); err != nil {
		return err
	}
	if err := wire.WriteMsg(conn, opening{port}); err != nil {
		return err
	}
	var a accepted
	if err := wire.ReadMsg(conn, &a); err != nil {
		return err
	}
	switch a.Refused {
	case "":
	case codeNobody:
		return ErrNobody
	case codeDenied:
		return ErrDenied
	default:
		return &p2p.CallError{Code: a.Refused, Message: "refused"}
	}
	return conn.SetDeadline(time.Time{})
}

// Listener accepts the streams of a port.
type Listener struct {
	s       *Service
	port    string
	from    []p2p.ID // whose streams are taken; empty: everybody's
	streams chan Stream
	closed  chan struct{}
	close   func()
}

// Listen begins to accept streams of a port: those of some members, or of all if none is
// named. Errors: ErrPort where somebody does already.
func (s *Service) Listen(port string, from ...p2p.ID) (*Listener, error) {
	if len(port) > MaxPort {
		return nil, fmt.Errorf("direct: port %.20q…: %w", port, ErrPort)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[port] != nil {
		return nil, fmt.Errorf("direct: port %q: somebody listens already: %w", port, ErrPort)
	}
	l := &Listener{s: s, port: port, from: from, streams: make(chan Stream, backlog), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() {
		s.mu.Lock()
		delete(s.streams, port)
		s.mu.Unlock()
		close(l.closed)
		l.drain()
	})
	s.streams[port] = l
	return l, nil
}

// Accept waits for a stream. Errors: p2p.ErrClosed, that of ctx.
func (l *Listener) Accept(ctx context.Context) (Stream, error) {
	select {
	case st := <-l.streams:
		return st, nil
	case <-l.closed:
		return Stream{}, fmt.Errorf("direct: port %q: %w", l.port, p2p.ErrClosed)
	case <-ctx.Done():
		return Stream{}, ctx.Err()
	}
}

// drain ends the streams that nobody has accepted.
func (l *Listener) drain() {
	for {
		select {
		case st := <-l.streams:
			reset(st.Conn)
		default:
			return
		}
	}
}

// Close ends the listening. Streams that were accepted go on.
func (l *Listener) Close() { l.close() }

// ServeStream takes a stream that a member has opened, and returns at once when it has
// been handed over or refused.
func (s *Service) ServeStream(ctx context.Context, from p2p.ID, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { reset(conn) })
	var o opening
	err := conn.SetDeadline(time.Now().Add(openTimeout))
	if err == nil {
		err = wire.ReadMsg(conn, &o)
	}
	if err != nil {
		stop()
		reset(conn)
		return
	}
	s.mu.Lock()
	l := s.streams[o.Port]
	s.mu.Unlock()
	// The place is taken before the other side is told.
	if code := l.refuses(from); code != "" {
		_ = wire.WriteMsg(conn, accepted{Refused: code}) // it learns so, or not at all
		stop()
		_ = conn.Close()
		return
	}
	if wire.WriteMsg(conn, accepted{}) != nil || conn.SetDeadline(time.Time{}) != nil {
		stop()
		reset(conn)
		return
	}
	stop() // a stream that was handed over ends with its link
	select {
	case l.streams <- Stream{From: from, Conn: conn}:
	default:
		reset(conn)
	}
	select {
	case <-l.closed:
		l.drain() // it was closed in between
	default:
	}
}

// refuses returns the code with which a stream of a member is refused, or "". A nil
// listener is nobody.
func (l *Listener) refuses(from p2p.ID) string {
	switch {
	case l == nil || len(l.streams) == cap(l.streams):
		return codeNobody
	case len(l.from) > 0 && !slices.Contains(l.from, from):
		return codeDenied
	}
	return ""
}

// reset ends a stream at once.
func reset(conn net.Conn) {
	if r, ok := conn.(interface{ Reset(code uint64) error }); ok {
		_ = r.Reset(0) // it may be broken already
	}
	_ = conn.Close()
}
