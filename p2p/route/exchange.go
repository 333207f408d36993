package route

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ExchangeProtocol is the stream that carries one request and its answer.
const ExchangeProtocol = "exchange/1"

// Limits of an exchange. The first two are part of the protocol.
const (
	MaxExchange = 4 << 20 // bytes of a request
	MaxAnswer   = 8 << 20 // bytes of its answer
	// Exchanges that are served at once: of all links, and of each. Others wait.
	exchangesAtOnce = 16
	exchangesOfEach = 2
	// exchangeTimeout is how long a peer has for the request, and for taking the answer.
	exchangeTimeout = 30 * time.Second
)

// What the first byte of an answer says about the rest.
const (
	statusDone   = 0 // what the handler returned
	statusFailed = 1 // a failed
)

// opening is what the stream begins with; the request follows.
type opening struct {
	Proto  string `cbor:"1,keyasint"`
	Length uint32 `cbor:"2,keyasint"`
}

// failed is an error of a handler.
type failed struct {
	Code string `cbor:"1,keyasint"`
	Text string `cbor:"2,keyasint,omitempty"`
}

// Exchange is Call for answers that may be long, up to MaxAnswer: over one stream of
// the link to the member. Without a link it is a forwarded call, with its limits. Errors:
// as of Call.
func (r *Router) Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	if to != r.self {
		if l, err := r.o.Link(to); err == nil {
			return r.exchange(ctx, l, proto, req)
		}
	}
	return r.Call(ctx, to, proto, req)
}

func (r *Router) exchange(ctx context.Context, l p2p.Link, proto string, req []byte) ([]byte, error) {
	b, err := exchange(ctx, l, proto, req)
	if ctx.Err() != nil && err != nil {
		err = ctx.Err() // the stream was reset because of that
	}
	if err != nil {
		return nil, fmt.Errorf("route: %s at %s: %w", proto, l.Peer().Short(), err)
	}
	return b, nil
}

func exchange(ctx context.Context, l p2p.Link, proto string, req []byte) ([]byte, error) {
	if len(req) > MaxExchange {
		return nil, fmt.Errorf("request of %d bytes, at most %d: %w", len(req), MaxExchange, p2p.ErrTooLarge)
	}
	conn, err := l.Open(ctx, ExchangeProtocol)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { abort(conn) })
	defer func() {
		if stop() {
			_ = conn.Close() // all was read that matters
		}
	}()
	// Who refuses need not read the request: then there is an answer all the same.
	sent := ask(conn, proto, req)
	b, err := io.ReadAll(io.LimitReader(conn, 1+MaxAnswer+1))
	if sent != nil && (err != nil || len(b) == 0) {
		return nil, sent
	}
	if err != nil {
		return nil, err
	}
	return readAnswer(b)
}

// ask writes a request.
func ask(conn net.Conn, proto string, req []byte) error {
	if err := wire.WriteMsg(conn, opening{Proto: proto, Length: uint32(len(req))}); err != nil {
		return err
	}
	if _, err := conn.Write(req); err != nil {
		return err
	}
	return closeWrite(conn)
}

// readAnswer reads all that came back.
func readAnswer(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if len(b) > 1+MaxAnswer {
		return nil, fmt.Errorf("answer of more than %d bytes: %w", MaxAnswer, p2p.ErrTooLarge)
	}
	switch b[0] {
	case statusDone:
		return b[1:], nil
	case statusFailed:
		var f failed
		if err := wire.Unmarshal(b[1:], &f); err != nil {
			return nil, err
		}
		return nil, refusal(f.Code, f.Text)
	}
	return nil, fmt.Errorf("answer with status %d: %w", b[0], wire.ErrMalformed)
}

// ServeStream answers one stream of ExchangeProtocol, and closes it.
func (r *Router) ServeStream(ctx context.Context, l p2p.Link, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { abort(conn) })
	defer func() {
		if stop() {
			_ = conn.Close() // what was written is on its way, or nobody wants it
		}
	}()
	resp, err := r.serveStream(ctx, l, conn)
	var broken *brokenError
	if errors.As(err, &broken) {
		r.o.Logger.Debug("exchange", "peer", l.Peer().Short(), "error", err)
		abort(conn)
		return
	}
	if err := conn.SetWriteDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		abort(conn)
		return
	}
	if err := writeAnswer(conn, resp, err); err != nil {
		r.o.Logger.Debug("exchange", "peer", l.Peer().Short(), "error", err)
		abort(conn)
	}
}

// brokenError: the stream did not bring a request.
type brokenError struct{ error }

// serveStream reads a request and answers it.
func (r *Router) serveStream(ctx context.Context, l p2p.Link, conn net.Conn) ([]byte, error) {
	if err := conn.SetReadDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return nil, &brokenError{err}
	}
	var o opening
	if err := wire.ReadMsg(conn, &o); err != nil {
		return nil, &brokenError{err}
	}
	if err := wire.CheckProto(o.Proto); err != nil || o.Length > MaxExchange {
		return nil, &p2p.CallError{Code: codeMalformed, Message: "exchange out of bounds"}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*exchangeTimeout)
	defer cancel()
	leave, err := r.exchanges.enter(ctx, l.Peer())
	if err != nil {
		return nil, &p2p.CallError{Code: codeBusy, Message: "too many exchanges"}
	}
	defer leave()
	if err := conn.SetReadDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return nil, &brokenError{err}
	}
	// Memory grows with what has arrived, not with what is announced.
	req, err := io.ReadAll(io.LimitReader(conn, int64(o.Length)+1))
	if err != nil {
		return nil, &brokenError{err}
	}
	if len(req) != int(o.Length) {
		return nil, &brokenError{fmt.Errorf("request of %d bytes instead of %d: %w", len(req), o.Length, io.ErrUnexpectedEOF)}
	}
	resp, err := r.serve(ctx, l.Peer(), o.Proto, req)
	if err == nil && len(resp) > MaxAnswer {
		return nil, &p2p.CallError{Code: codeTooLarge, Message: fmt.Sprintf("answer of %d bytes, at most %d", len(resp), MaxAnswer)}
	}
	return resp, err
}

func writeAnswer(w io.Writer, resp []byte, err error) error {
	status := []byte{statusDone}
	if err != nil {
		var f failed
		f.Code, f.Text = failure(err)
		if resp, err = wire.Marshal(f); err != nil {
			return err
		}
		status[0] = statusFailed
	}
	if _, err := w.Write(status); err != nil {
		return err
	}
	_, err = w.Write(resp)
	return err
}

// abort ends a stream in both directions.
func abort(conn net.Conn) {
	if r, ok := conn.(interface{ Reset(code uint64) error }); ok {
		_ = r.Reset(0) // it is broken already
	}
	_ = conn.Close() // nothing more is written
}

func closeWrite(conn net.Conn) error {
	c, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("a stream that cannot be half-closed")
	}
	return c.CloseWrite()
}
