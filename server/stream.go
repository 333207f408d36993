package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/direct"
	"github.com/shoal-p2p/shoal/server/api"
)

const (
	// streamChunk is how many bytes of a stream go into one message to the client.
	streamChunk = 64 << 10
	// streamNote bounds a note of the client; that of its bytes is up to it.
	streamNote = 4 << 10
	// streamOpen is how long a member has to take a stream.
	streamOpen = 20 * time.Second
)

// openStream brings what comes over a WebSocket to a member, and back.
func (a *nodeAPI) openStream(w http.ResponseWriter, r *http.Request) error {
	ctx, done, err := a.beginStream(r)
	if err != nil {
		return err
	}
	defer done()
	q := r.URL.Query()
	to, err := a.recipient(ctx, given(q, "to"), given(q, "key"))
	if err != nil {
		return err
	}
	if to.ID == a.node.ID() {
		return fmt.Errorf("stream to %s: %w", to.Name, errSelf)
	}
	idle, err := idleOf(q)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, streamOpen)
	defer cancel()
	conn, err := a.node.Direct().Open(opening, to.ID, q.Get("port"))
	if err != nil {
		return err
	}
	client, err := a.upgrade(w, r, conn)
	if err != nil || client == nil {
		return err
	}
	splice(ctx, client, conn, nil, idle, api.DataStreamNote{Member: new(to.ID.String()), MemberName: new(to.Name)})
	return nil
}

// acceptStream waits for the stream of a member.
func (a *nodeAPI) acceptStream(w http.ResponseWriter, r *http.Request) error {
	ctx, done, err := a.beginStream(r)
	if err != nil {
		return err
	}
	defer done()
	q := r.URL.Query()
	var from []p2p.ID
	if id := given(q, "from"); id != nil {
		m, err := a.tableMember(*id)
		if err != nil {
			return err
		}
		from = []p2p.ID{m.ID}
	}
	idle, err := idleOf(q)
	if err != nil {
		return err
	}
	l, err := a.node.Direct().Listen(q.Get("port"), from...)
	if err != nil {
		return err
	}
	defer l.Close()
	client, err := a.upgrade(w, r, nil)
	if err != nil || client == nil {
		return err
	}
	s, heads, err := acceptFor(ctx, l, client)
	if err != nil { // nobody waits for a stream any more, or the server ends
		_ = client.Close()
		<-heads
		return nil
	}
	l.Close() // this one only
	splice(ctx, client, s.Conn, heads, idle, api.DataStreamNote{Member: new(s.From.String()), MemberName: new(nameIn(a.memberNames(), s.From))})
	return nil
}

// beginStream counts a stream among those of the server, and those of the node.
func (a *nodeAPI) beginStream(r *http.Request) (context.Context, func(), error) {
	if !websocket.IsWebSocketUpgrade(r) {
		return nil, nil, errUpgrade
	}
	ctx, done, err := a.stream(r.Context())
	if err != nil {
		return nil, nil, err
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		done()
		return nil, nil, err
	}
	return ctx, func() { leave(); done() }, nil
}

// given returns a parameter that there is.
func given(q url.Values, name string) *string {
	if !q.Has(name) {
		return nil
	}
	return new(q.Get(name))
}

func idleOf(q url.Values) (time.Duration, error) {
	s, err := strconv.Atoi(q.Get("idle_s"))
	if err != nil {
		return 0, fmt.Errorf("%w: parameter idle_s: %w", errInvalid, err)
	}
	return time.Duration(s) * time.Second, nil
}

// upgrade makes the request a WebSocket; a nil one means that it was answered otherwise, and
// the stream, if there is one, has been ended.
func (a *nodeAPI) upgrade(w http.ResponseWriter, r *http.Request, stream net.Conn) (*websocket.Conn, error) {
	rep, ok := w.(*reply)
	if !ok {
		return nil, errInternal
	}
	upgrader := websocket.Upgrader{
		HandshakeTimeout: sendTimeout, ReadBufferSize: streamChunk, WriteBufferSize: streamChunk,
		CheckOrigin: func(r *http.Request) bool { return a.guard.admit(r) == nil },
		Error: func(w http.ResponseWriter, r *http.Request, _ int, reason error) {
			a.fail(w, r, fmt.Errorf("%w: %w", errInvalid, reason))
		},
	}
	header := http.Header{}
	if p := subprotocol(protocols(r)); p != "" {
		header.Set("Sec-Websocket-Protocol", p)
	}
	client, err := upgrader.Upgrade(rep, r, header)
	if err != nil {
		cut(stream)
		return nil, nil // upgrader.Error answered
	}
	return client, nil
}

// head is the first message of a client, which may come before there is anybody to whom it
// could be brought.
type head struct {
	kind int
	r    io.Reader
	err  error
}

// acceptFor waits until a stream comes, or the client has gone. heads then gives its first
// message.
func acceptFor(ctx context.Context, l *direct.Listener, client *websocket.Conn) (_ direct.Stream, heads chan head, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heads = make(chan head, 1)
	go func() {
		var h head
		h.kind, h.r, h.err = client.NextReader()
		if h.err != nil {
			cancel()
		}
		heads <- h
	}()
	s, err := l.Accept(ctx)
	return s, heads, err
}

// splicing is a stream between a WebSocket and a member, of which each direction has its
// goroutine. The client is written to by that of what comes down, and for notes by the one
// that ends it, after the other.
type splicing struct {
	client *websocket.Conn
	stream net.Conn
	heads  chan head    // of the client; nil: nothing has been read yet
	moved  atomic.Int64 // when the last byte went through, in Unix nanoseconds
	idle   time.Duration
}

// splice carries bytes both ways until both have ended, one breaks off, nothing has
// moved for the idle time, or ctx ends. Each direction holds one message at a time: what
// cannot go on is not read, so that the one who sends it waits.
func splice(ctx context.Context, client *websocket.Conn, stream net.Conn, heads chan head, idle time.Duration, first api.DataStreamNote) {
	s := &splicing{client: client, stream: stream, heads: heads, idle: idle}
	s.touch()
	if s.note(first) != nil {
		cut(stream)
		_ = client.Close() // it is broken
		return
	}
	ends := make(chan error, 2)
	up, down := make(chan struct{}), make(chan struct{})
	go func() { defer close(up); ends <- s.up() }()
	go func() { defer close(down); ends <- s.down() }()
	err := s.wait(ctx, ends)
	if err != nil {
		cut(stream) // ends down, if it still runs
	} else {
		_ = stream.Close() // what was written is still sent
	}
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err != nil {
		p := problemOf(err)
		if data, failed := json.Marshal(api.DataStreamNote{Problem: &p}); failed == nil && drained(down) {
			_ = client.SetWriteDeadline(time.Now().Add(sendTimeout))
			_ = client.WriteMessage(websocket.TextMessage, data)
		}
	}
	// If it does not arrive, the end of the connection says the same.
	_ = client.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	_ = client.Close() // ends up
	drained(up)
	drained(down)
}

// drained waits for a direction to end; false: it has not within a send's time.
func drained(direction <-chan struct{}) bool {
	timer := time.NewTimer(sendTimeout + time.Second)
	defer timer.Stop()
	select {
	case <-direction:
		return true
	case <-timer.C:
		return false
	}
}

func (s *splicing) touch() { s.moved.Store(time.Now().UnixNano()) }

// wait returns why the stream ends; nil: both directions have ended as they should.
func (s *splicing) wait(ctx context.Context, ends <-chan error) error {
	timer := time.NewTimer(s.idle)
	defer timer.Stop()
	for ended := 0; ; {
		select {
		case err := <-ends:
			if ended++; err != nil || ended == 2 {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: the node ends", errCut)
		case <-timer.C:
			still := time.Since(time.Unix(0, s.moved.Load()))
			if still >= s.idle {
				return fmt.Errorf("%w: %v", errIdle, s.idle)
			}
			timer.Reset(s.idle - still)
		}
	}
}

// up carries what the client sends.
func (s *splicing) up() error {
	buf := make([]byte, streamChunk)
	for {
		kind, r, err := s.next()
		if err != nil {
			return fmt.Errorf("%w: the program here has gone: %w", errCut, err)
		}
		if kind == websocket.TextMessage {
			note, err := readNote(r)
			if err != nil {
				return err
			}
			if note.Eof != nil && *note.Eof {
				return closeWrite(s.stream)
			}
			continue
		}
		for {
			n, err := r.Read(buf)
			if n > 0 {
				if _, err := s.stream.Write(buf[:n]); err != nil {
					return fmt.Errorf("%w: %w", errCut, err)
				}
				s.touch()
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("%w: the program here has gone: %w", errCut, err)
			}
		}
	}
}

// next returns the next message of the client.
func (s *splicing) next() (kind int, r io.Reader, err error) {
	if s.heads != nil {
		h := <-s.heads
		s.heads = nil
		return h.kind, h.r, h.err
	}
	return s.client.NextReader()
}

func readNote(r io.Reader) (note api.DataStreamNote, err error) {
	data, err := io.ReadAll(io.LimitReader(r, streamNote))
	if err == nil {
		err = json.Unmarshal(data, &note)
	}
	if err != nil {
		return note, fmt.Errorf("%w: a note: %w", errInvalid, err)
	}
	return note, nil
}

// closeWrite ends the direction to the member.
func closeWrite(stream net.Conn) error {
	c, ok := stream.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("%w: this transport cannot end one direction", errInternal)
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return nil
}

// down carries what the member sends.
func (s *splicing) down() error {
	buf := make([]byte, streamChunk)
	for {
		n, err := s.stream.Read(buf)
		if n > 0 {
			s.touch()
			// A client that does not read for so long is idle.
			if err := s.client.SetWriteDeadline(time.Now().Add(s.idle + sendTimeout)); err != nil {
				return fmt.Errorf("%w: %w", errCut, err)
			}
			if err := s.client.WriteMessage(websocket.BinaryMessage, buf[:n]); err != nil {
				return fmt.Errorf("%w: the program here has gone: %w", errCut, err)
			}
			s.touch()
		}
		if errors.Is(err, io.EOF) {
			return s.note(api.DataStreamNote{Eof: new(true)})
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
	}
}

// note tells the client something beside the bytes.
func (s *splicing) note(n api.DataStreamNote) error {
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("server: note: %w", err)
	}
	if err = s.client.SetWriteDeadline(time.Now().Add(s.idle + sendTimeout)); err == nil {
		err = s.client.WriteMessage(websocket.TextMessage, data)
	}
	if err != nil {
		return fmt.Errorf("%w: the program here has gone: %w", errCut, err)
	}
	return nil
}

// cut ends a stream at once, so that the member learns that it is not whole.
func cut(stream net.Conn) {
	if stream == nil {
		return
	}
	if r, ok := stream.(interface{ Reset(code uint64) error }); ok {
		_ = r.Reset(0) // it may be broken already
	}
	_ = stream.Close()
}
