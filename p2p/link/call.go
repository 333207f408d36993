package link

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// shortBody is the longest body of a request or answer that travels in one packet
// on channel 1. Longer ones take a lane, under the number of the call.
const shortBody = 1100

// call is a call of this end that has no answer yet. Link.mu guards body.
type call struct {
	body  []byte        // of a long answer, as far as it has come
	reply []byte        // valid once done is closed
	err   error         // likewise
	done  chan struct{} // closed by settle
}

// failure is the payload of a Failure frame.
type failure struct {
	Code    string `cbor:"1,keyasint"`
	Message string `cbor:"2,keyasint,omitempty"`
}

// Call sends req, of at most wire.MaxMessage bytes, to the peer's handler of proto
// and returns its answer. When ctx ends first, the context of the peer's handler
// is cancelled. At most MaxCalls calls run at the peer; others wait for their turn
// here.
//
// Errors: *p2p.CallError when the peer refused or failed (also p2p.ErrNoProtocol
// when nobody there serves proto), p2p.ErrTooLarge, p2p.ErrClosed, the context's.
func (l *Link) Call(ctx context.Context, proto string, req []byte) ([]byte, error) {
	reply, err := l.call(ctx, proto, req)
	if err != nil {
		var refused *p2p.CallError
		if errors.As(err, &refused) && refused.Code == CallNoProtocol {
			err = fmt.Errorf("%w (%w)", p2p.ErrNoProtocol, err)
		}
		return nil, fmt.Errorf("%s: %w", l.where("call", proto), err)
	}
	return reply, nil
}

func (l *Link) call(ctx context.Context, proto string, req []byte) ([]byte, error) {
	if err := wire.CheckProto(proto); err != nil {
		return nil, err
	}
	if len(req) > l.session.bodies {
		return nil, fmt.Errorf("request of %d bytes, at most %d: %w", len(req), l.session.bodies, p2p.ErrTooLarge)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.ended(); err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, l.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	id, c, err := l.ask(proto, req)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.done:
		return c.reply, c.err
	case <-l.done:
	case <-ctx.Done():
		// The slot stays taken until the peer has answered: until then the call
		// counts at the peer.
		l.queues[control].put(wire.Frame{Type: wire.Cancel, Stream: id})
		return nil, ctx.Err()
	}
	select {
	case <-c.done: // the answer and the end came together
		return c.reply, c.err
	default:
		return nil, l.Err()
	}
}

// ask sends a request and returns what waits for the answer.
func (l *Link) ask(proto string, req []byte) (uint64, *call, error) {
	c := &call{done: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, nil, l.err
	}
	id := l.next
	l.next += 2
	l.waiting[id] = c
	if len(req) > shortBody {
		// A copy, because Call may return before the last byte is sent.
		l.queues[laneOf(id)].push(&body{id: id, proto: proto, most: l.maxData(id), data: slices.Clone(req)})
		return id, c, nil
	}
	payload := wire.AppendRequest(make([]byte, 0, 1+len(proto)+len(req)), proto, req)
	l.queues[calls].put(wire.Frame{Type: wire.Request, Stream: id, Payload: payload})
	return id, c, nil
}

// settle gives a call its answer. Link.mu is held.
func (l *Link) settle(id uint64, c *call, reply []byte, err error) {
	delete(l.waiting, id)
	c.reply, c.err, c.body = reply, err, nil
	close(c.done)
	<-l.slots
}

// body sends the long body of a call on a lane. It needs no credit: a body has a
// limit, and so has the number of calls.
type body struct {
	id    uint64
	proto string // of a request; empty in an answer
	data  []byte
	most  int // bytes of one message's payload
	begun bool
	sent  func() // called when the last message is about to be sent; may be nil
}

func (b *body) message(scratch []byte) (msg []byte, used *chunk, more bool) {
	msg = scratch
	if !b.begun && b.proto != "" {
		msg = wire.AppendFrame(msg, wire.Frame{Type: wire.Ask, Stream: b.id, Payload: []byte(b.proto)})
	}
	b.begun = true
	n := min(len(b.data), b.most)
	msg = wire.AppendFrame(msg, wire.Frame{Type: wire.Data, Stream: b.id, Payload: b.data[:n]})
	b.data = b.data[n:]
	if len(b.data) > 0 {
		return msg, nil, true
	}
	msg = wire.AppendFrame(msg, wire.Frame{Type: wire.Fin, Stream: b.id})
	if b.sent != nil {
		b.sent()
	}
	return msg, nil, false
}

// onCall handles the frames of channel 1.
func (l *Link) onCall(f wire.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch f.Type {
	case wire.Request:
		proto, req, err := wire.ParseRequest(f.Payload)
		if err != nil {
			return violation("%w", err)
		}
		s, err := l.admit(f, proto)
		if s != nil {
			s.body = slices.Clone(req)
			l.serve(f.Stream, s)
		}
		return err
	case wire.Reply, wire.Failure:
		return l.onAnswer(f)
	}
	return violation("%v frame on channel %d", f.Type, calls)
}

// onAnswer handles a whole answer. Link.mu is held.
func (l *Link) onAnswer(f wire.Frame) error {
	if l.isPeers(f.Stream) || f.Stream >= l.next {
		return violation("%v to call %d, which nobody made", f.Type, f.Stream)
	}
	c := l.waiting[f.Stream]
	if c == nil {
		return nil
	}
	if f.Type == wire.Reply {
		l.settle(f.Stream, c, slices.Clone(f.Payload), nil)
		return nil
	}
	var why failure
	if err := wire.Unmarshal(f.Payload, &why); err != nil {
		return violation("failure of call %d: %w", f.Stream, err)
	}
	l.settle(f.Stream, c, nil, &p2p.CallError{Code: why.Code, Message: why.Message})
	return nil
}

// onBody handles data that is no stream's. Link.mu is held.
func (l *Link) onBody(ch int, f wire.Frame) error {
	var to *[]byte
	if c := l.waiting[f.Stream]; c != nil {
		to = &c.body
	} else if s := l.serving[f.Stream]; s != nil && s.assembling {
		to = &s.body
	} else {
		return l.known(ch, f)
	}
	if len(*to)+len(f.Payload) > wire.MaxMessage {
		return violation("body of call %d exceeds %d bytes", f.Stream, wire.MaxMessage)
	}
	*to = append(*to, f.Payload...)
	return nil
}

// onBodyEnd handles a FIN that is no stream's. Link.mu is held.
func (l *Link) onBodyEnd(ch int, id uint64) error {
	if c := l.waiting[id]; c != nil {
		l.settle(id, c, c.body, nil)
		return nil
	}
	if s := l.serving[id]; s != nil && s.assembling {
		s.assembling = false
		l.serve(id, s)
		return nil
	}
	return l.known(ch, wire.Frame{Type: wire.Fin, Stream: id})
}

// serving is a call of the peer that is not yet answered. Link.mu guards
// assembling and, while it is true, body.
type serving struct {
	proto      string
	body       []byte
	assembling bool // the body is still on its way
	ctx        context.Context
	cancel     context.CancelFunc
}

func (l *Link) onAsk(ch int, f wire.Frame) error {
	proto := string(f.Payload)
	if err := wire.CheckProto(proto); err != nil {
		return violation("%w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.begin(ch, f); err != nil {
		return err
	}
	s, err := l.admit(f, proto)
	if s != nil {
		s.assembling = true
	}
	return err
}

// admit enters a call of the peer, or answers at once that it is not run: then
// the result is nil. Link.mu is held.
func (l *Link) admit(f wire.Frame, proto string) (*serving, error) {
	id := f.Stream
	if !l.isPeers(id) || id == 0 || l.serving[id] != nil || l.streams[id] != nil {
		return nil, violation("%v frame with number %d", f.Type, id)
	}
	if l.err != nil {
		return nil, nil
	}
	if i := slices.Index(l.early[:], id); i >= 0 {
		l.early[i] = 0
		l.refuse(id, &p2p.CallError{Code: CallCancelled, Message: "cancelled by the caller"})
		return nil, nil
	}
	if len(l.serving) >= MaxCalls {
		l.refuse(id, &p2p.CallError{Code: CallBusy, Message: fmt.Sprintf("%d calls are running", len(l.serving))})
		return nil, nil
	}
	s := &serving{proto: proto}
	s.ctx, s.cancel = context.WithCancel(l.ctx)
	l.serving[id] = s
	return s, nil
}

// onCancel handles that nobody waits for an answer any more.
func (l *Link) onCancel(id uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isPeers(id) {
		return violation("cancel of call %d, which is this node's", id)
	}
	if s := l.serving[id]; s != nil {
		s.cancel()
		return nil
	}
	l.early[l.earlyAt] = id
	l.earlyAt = (l.earlyAt + 1) % len(l.early)
	return nil
}

// serve runs the handler of a call in a goroutine of its own.
func (l *Link) serve(id uint64, s *serving) {
	go func() {
		reply, err := l.handle(s)
		l.answer(id, s, reply, err)
	}()
}

func (l *Link) handle(s *serving) (reply []byte, err error) {
	var h p2p.Handler
	defer func() {
		if r := recover(); r != nil {
			l.log.Error("handler panicked", "proto", s.proto, "panic", r, "stack", string(debug.Stack()))
			reply, err = nil, &p2p.CallError{Code: CallInternal, Message: "the handler panicked"}
		}
	}()
	if l.handler != nil {
		h = l.handler(s.proto)
	}
	if h == nil {
		return nil, &p2p.CallError{Code: CallNoProtocol, Message: s.proto + " is not served here"}
	}
	return h(s.ctx, l, s.body)
}

// answer sends what the handler of a call gave. The call stops counting before
// the caller can learn of it and make the next one.
func (l *Link) answer(id uint64, s *serving, reply []byte, err error) {
	done := func() {
		s.cancel()
		l.mu.Lock()
		delete(l.serving, id)
		l.mu.Unlock()
	}
	if l.ended() != nil { // what a handler says of its end is no answer
		done()
		return
	}
	if err == nil && len(reply) > l.session.bodies {
		err = &p2p.CallError{Code: CallTooLarge, Message: fmt.Sprintf("answer of %d bytes, at most %d", len(reply), l.session.bodies)}
	}
	switch {
	case err != nil:
		done()
		l.refuse(id, err)
	case len(reply) > shortBody:
		l.queues[laneOf(id)].push(&body{id: id, most: l.maxData(id), data: reply, sent: done})
	default:
		done()
		l.queues[calls].put(wire.Frame{Type: wire.Reply, Stream: id, Payload: reply})
	}
}

// refuse answers a call with an error, cut to fit a packet.
func (l *Link) refuse(id uint64, err error) {
	f := failure{Code: CallInternal, Message: err.Error()}
	var own *p2p.CallError
	if errors.As(err, &own) {
		f = failure{Code: own.Code, Message: own.Message}
	}
	// CBOR text is valid UTF-8, also after the cut.
	f.Code = strings.ToValidUTF8(clip(f.Code, 64), "")
	f.Message = strings.ToValidUTF8(clip(f.Message, shortBody-128), "")
	payload, err := wire.Marshal(f)
	if err != nil {
		l.log.Error("encoding a failure", "error", err)
		return
	}
	l.queues[calls].put(wire.Frame{Type: wire.Failure, Stream: id, Payload: payload})
}
