package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	firstMeeting    = time.Second // before a lost rendezvous is tried again
	longestMeeting  = time.Minute
	offersAtOnce    = 4 // that come over one rendezvous
	meetDialTimeout = 8 * time.Second
)

// meet keeps this node registered at a rendezvous, "host:port".
func (t *Transport) meet(host string) {
	pause := firstMeeting
	for {
		began := time.Now()
		err := t.attend(host)
		if t.ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestMeeting {
			pause = firstMeeting
		}
		t.log.Info("not registered at the rendezvous", "host", host, "error", err, "again", pause)
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestMeeting)
	}
}

// attend registers this node and answers what comes, until the connection is lost.
func (t *Transport) attend(host string) error {
	c, err := dialSocket(t.ctx, host, rendezvousPath)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(t.ctx, func() { _ = c.Close() })()
	c.SetReadLimit(maxEnvelope + 4)
	deadline := time.Now().Add(signalTimeout)
	_ = c.SetReadDeadline(deadline)
	_ = c.SetWriteDeadline(deadline)
	kind, nonce, err := c.ReadMessage()
	if err != nil {
		return err
	}
	e := envelope{Kind: registration, Network: t.o.Local.Network(), Issued: t.number(0)}
	if kind != websocket.BinaryMessage || copy(e.Nonce[:], nonce) != len(e.Nonce) || len(nonce) != len(e.Nonce) {
		return fmt.Errorf("rtc: rendezvous %s: it does not ask who is there: %w", host, p2p.ErrRefused)
	}
	msg, err := seal(t.o.Local.Identity, e)
	if err != nil {
		return err
	}
	if err := c.WriteMessage(websocket.BinaryMessage, msg); err != nil {
		return err
	}
	t.log.Debug("registered at the rendezvous", "host", host)
	return t.answerAll(c)
}

// answerAll answers offers for this node.
func (t *Transport) answerAll(c *websocket.Conn) error {
	ctx, cancel := context.WithCancel(t.ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	var writing sync.Mutex
	working.Go(func() { keepAlive(ctx, c) })
	c.SetPongHandler(func(string) error { return c.SetReadDeadline(time.Now().Add(meetingSilence)) })
	slots := make(chan struct{}, offersAtOnce)
	for {
		_ = c.SetReadDeadline(time.Now().Add(meetingSilence))
		kind, b, err := c.ReadMessage()
		if err != nil {
			return err
		}
		n, msg, ok := number(b)
		if kind != websocket.BinaryMessage || !ok {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			continue // too many at once: its sender hears nothing, and has other ways
		}
		working.Go(func() {
			defer func() { <-slots }()
			reply := t.answerCarried(ctx, msg)
			writing.Lock()
			defer writing.Unlock()
			_ = c.SetWriteDeadline(time.Now().Add(signalTimeout))
			_ = c.WriteMessage(websocket.BinaryMessage, numbered(n, reply))
		})
	}
}

// answerCarried answers an offer that a rendezvous has brought, or returns nothing. It
// carries nothing on.
func (t *Transport) answerCarried(ctx context.Context, msg []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	e, err := open(msg)
	if err != nil || e.Kind != offer || e.To != t.id || !t.perPeer.take(carried{peer: p2p.IDOf(e.From), own: true}, time.Now()) {
		return nil
	}
	out, err := t.answer(ctx, e, msg, courier{})
	if err != nil {
		return nil
	}
	return out
}

func keepAlive(ctx context.Context, c *websocket.Conn) {
	tick := time.NewTicker(meetingPing)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) != nil {
				return
			}
		}
	}
}

// viaRendezvous is the WebSocket of a node at which the peer may be registered.
func (t *Transport) viaRendezvous(host string) way {
	return way{name: "rendezvous " + host, send: func(ctx context.Context, msg []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, signalTimeout)
		defer cancel()
		return askSocket(ctx, host, msg)
	}}
}

// dialSocket opens a WebSocket at "host:port". No proxy is used: it could not reach
// what this node cannot.
func dialSocket(ctx context.Context, host, path string) (*websocket.Conn, error) {
	stop := func() bool { return true }
	d := websocket.Dialer{
		NetDialContext: func(within context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(within, network, addr)
			if err == nil {
				stop = context.AfterFunc(ctx, func() { _ = c.Close() }) // the handshake looks only at the time
			}
			return c, err
		},
		HandshakeTimeout: meetDialTimeout,
		ReadBufferSize:   4096,
		WriteBufferSize:  4096,
	}
	c, res, err := d.DialContext(ctx, "ws://"+host+path, nil)
	stop()
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("HTTP status %d", res.StatusCode)
		}
		return nil, err
	}
	return c, nil
}

// reply reads the one message of the other end.
func readReply(c *websocket.Conn) ([]byte, error) {
	kind, reply, err := c.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case websocket.IsCloseError(err, websocket.CloseAbnormalClosure):
		return nil, io.ErrUnexpectedEOF // without a word
	case errors.As(err, &closed):
		return nil, fmt.Errorf("closed: %.120s", closed.Text)
	case err != nil:
		return nil, err
	case kind != websocket.BinaryMessage:
		return nil, errors.New("a reply that is text")
	}
	return reply, nil
}
