package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	// signalProto is the protocol of calls that carry an offer there and the reply
	// back.
	signalProto = "signal/1"
	// signalPath is the route of the WebSocket that does the same: one binary
	// message each way.
	signalPath = "/p2p/signal"
	// signalTimeout bounds one request, from the first byte to the reply.
	signalTimeout = 8 * time.Second
)

// Handlers returns what the node has to serve so that its peers can reach others
// through it, and it through them.
func (t *Transport) Handlers() map[string]p2p.Handler {
	return map[string]p2p.Handler{signalProto: t.handleSignal, relayProto: t.handleRelay}
}

func (t *Transport) handleSignal(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) {
	// What a peer carries for others must not use up what it may send itself.
	// Whose an offer is has not been verified here, but either allowance is the
	// peer's.
	if !t.perPeer.take(carried{from.Peer(), author(req) == from.Peer()}, time.Now()) {
		return nil, rateLimited()
	}
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	return t.signal(ctx, req, courier{peer: from.Peer()})
}

// signal serves one sealed offer: it is for this node, or for one that this node
// has a link to. There it is for that node, so that nothing is forwarded twice.
// Errors are *p2p.CallError.
func (t *Transport) signal(ctx context.Context, msg []byte, by courier) ([]byte, error) {
	e, err := open(msg)
	if err == nil && e.Kind != offer {
		err = errors.New("not an offer")
	}
	if err == nil && e.Wait > 0 {
		err = errors.New("an offer that a person has to carry")
	}
	if err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	var out []byte
	if e.To == t.id {
		out, err = t.answer(ctx, e, msg, by)
	} else {
		out, err = t.forward(ctx, e, msg, by)
	}
	if err == nil && len(out) > maxEnvelope {
		err = fmt.Errorf("a reply of %d bytes: %w", len(out), p2p.ErrTooLarge)
	}
	if err != nil {
		return nil, asCallError(err)
	}
	return out, nil
}

func asCallError(err error) *p2p.CallError {
	var c *p2p.CallError
	switch {
	case errors.As(err, &c):
		return c
	case errors.Is(err, errSDP):
		return &p2p.CallError{Code: "malformed", Message: err.Error()}
	case errors.Is(err, p2p.ErrUnreachable):
		return &p2p.CallError{Code: "not_linked", Message: "the link is gone"}
	}
	return &p2p.CallError{Code: "internal", Message: "the offer was not served"}
}

func (t *Transport) newServer() *http.Server {
	routes := http.NewServeMux()
	routes.HandleFunc("GET "+signalPath, t.serveSignal)
	routes.HandleFunc("GET "+rendezvousPath, t.serveRendezvous)
	return &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       signalTimeout,
		WriteTimeout:      signalTimeout,
		IdleTimeout:       5 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connOf{}, c)
		},
	}
}

// connOf is the key of a request's connection.
type connOf struct{}

// settleRequest says that a request is complete.
func settleRequest(r *http.Request) {
	if c, ok := r.Context().Value(connOf{}).(net.Conn); ok {
		settle(c)
	}
}

// Codes of WebSocket close frames; their reason is "code: message".
const (
	closeFailed  = 4000
	closeLimited = 4029
)

var upgrader = websocket.Upgrader{
	HandshakeTimeout: 5 * time.Second,
	ReadBufferSize:   4096,
	WriteBufferSize:  4096,
	// Browsers name the page that opens a connection. Pages have no business here.
	CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "" },
}

// serveSignal serves one offer over a WebSocket.
func (t *Transport) serveSignal(w http.ResponseWriter, r *http.Request) {
	if !t.enter() {
		http.Error(w, "closing", http.StatusServiceUnavailable)
		return
	}
	defer t.running.Done()
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has replied
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(t.ctx, func() { _ = c.Close() })()
	ctx, cancel := context.WithTimeout(t.ctx, signalTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	c.SetReadLimit(maxEnvelope)
	_ = c.SetReadDeadline(deadline)
	_ = c.SetWriteDeadline(deadline.Add(time.Second))
	kind, msg, err := c.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage {
		return
	}
	settleRequest(r)
	by := courier{household: household(c.RemoteAddr())}
	if !t.perHousehold.take(by.household, time.Now()) {
		bye(c, closeLimited, rateLimited())
		return
	}
	reply, err := t.signal(ctx, msg, by)
	if err != nil {
		bye(c, closeFailed, err)
		return
	}
	if c.WriteMessage(websocket.BinaryMessage, reply) == nil {
		bye(c, websocket.CloseNormalClosure, nil)
	}
}

// bye closes c with a reason. A close frame has room for 123 bytes of it.
func bye(c *websocket.Conn, code int, reason error) {
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text[:min(len(text), 120)]), time.Now().Add(time.Second))
}
