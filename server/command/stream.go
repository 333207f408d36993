package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mattn/go-isatty"

	"github.com/shoal-p2p/shoal/server/api"
)

// streamChunk is how many bytes of the standard input are sent at once.
const streamChunk = 64 << 10

type dhtStreamCmd struct {
	Member string        `arg:"" optional:"" help:"A member's name or ID; without it, --key says who."`
	Key    string        `placeholder:"KEY" help:"To whoever is responsible for this key."`
	Port   string        `placeholder:"NAME" help:"What the stream is for: a word that both sides know."`
	Idle   time.Duration `default:"10m" placeholder:"TIME" help:"End it when nothing was sent for so long, at most 24h."`
}

// Run opens a stream.
func (s dhtStreamCmd) Run(c *console) error {
	if (s.Key == "") == (s.Member == "") {
		return UsageError{"dht stream: to whom? MEMBER, or --key KEY"}
	}
	q, err := streamQuery(s.Port, s.Idle)
	if err != nil {
		return err
	}
	if s.Key != "" {
		q.Set("key", s.Key)
	} else {
		id, err := c.member(s.Member)
		if err != nil {
			return err
		}
		q.Set("to", id)
	}
	return c.splice("/api/dht/stream", q, "to")
}

type dhtAcceptCmd struct {
	Port string        `arg:"" optional:"" help:"What the stream is for: a word that both sides know."`
	From string        `placeholder:"MEMBER" help:"Only from this member: a name or ID."`
	Idle time.Duration `default:"10m" placeholder:"TIME" help:"End it when nothing was sent for so long, at most 24h."`
}

// Run waits for a stream.
func (a dhtAcceptCmd) Run(c *console) error {
	q, err := streamQuery(a.Port, a.Idle)
	if err != nil {
		return err
	}
	if a.From != "" {
		id, err := c.member(a.From)
		if err != nil {
			return err
		}
		q.Set("from", id)
	}
	return c.splice("/api/dht/accept", q, "from")
}

func streamQuery(port string, idle time.Duration) (url.Values, error) {
	if idle < time.Second || idle > 24*time.Hour {
		return nil, UsageError{fmt.Sprintf("--idle %v: between 1s and 24h", idle)}
	}
	q := url.Values{"idle_s": {strconv.Itoa(int((idle + time.Second - 1) / time.Second))}}
	if port != "" {
		q.Set("port", port)
	}
	return q, nil
}

// splice joins the standard input and output to a stream of the node, until both of its
// directions have ended. way says how the member at its end stands to it.
func (c *console) splice(path string, q url.Values, way string) error {
	conn, err := c.socket(path, q)
	if err != nil {
		return err
	}
	s := &pipe{c: c, conn: conn, way: way}
	defer func() { _ = conn.Close() }() // the node has said what there is to be said
	defer context.AfterFunc(c.ctx, func() { _ = conn.Close() })()
	in := make(chan error, 1)
	go func() { in <- s.send() }() // ends with the process, if nothing more is typed
	err = s.receive()
	if err != nil && !errors.As(err, new(*problem)) {
		// Why the input could not be sent says more than that the socket has ended.
		select {
		case failed := <-in:
			err = errors.Join(failed, err)
		default:
		}
	}
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return err
}

// socket opens a WebSocket of the node.
func (c *console) socket(path string, q url.Values) (*websocket.Conn, error) {
	n, err := c.node()
	if err != nil {
		return nil, err
	}
	u := n.base.JoinPath(path)
	u.Scheme, u.RawQuery = strings.Replace(u.Scheme, "http", "ws", 1), q.Encode()
	header := http.Header{}
	if n.token != "" {
		header.Set("Authorization", "Bearer "+n.token)
	}
	dialer := websocket.Dialer{HandshakeTimeout: answerTimeout, ReadBufferSize: streamChunk, WriteBufferSize: streamChunk}
	conn, resp, err := dialer.DialContext(c.ctx, u.String(), header)
	switch {
	case err == nil:
		return conn, nil
	case resp == nil:
		return nil, fmt.Errorf("%w at %s (%s): %w", errUnreachable, n.base.Host, n.told, err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u, err)
	}
	if err := n.check(resp, answer); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w at %s (%s): it makes no WebSocket", errUnreachable, n.base.Host, n.told)
}

// pipe is a stream on its way between the terminal and the node.
type pipe struct {
	c    *console
	conn *websocket.Conn
	way  string

	mu    sync.Mutex // guards writing, and ended
	ended bool       // the node knows that nothing more is sent
}

// send sends the standard input. A failure is also one of receive, which knows why.
func (s *pipe) send() error {
	buf := make([]byte, streamChunk)
	for {
		n, err := s.c.Stdin.Read(buf)
		if n > 0 {
			s.mu.Lock()
			ended := s.ended
			if !ended {
				err = errors.Join(err, s.conn.WriteMessage(websocket.BinaryMessage, buf[:n]))
			}
			s.mu.Unlock()
			if ended {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return s.end()
		case err != nil:
			_ = s.conn.Close() // the other side must not take it for the whole
			return fmt.Errorf("read the standard input: %w", err)
		}
	}
}

// end says that nothing more is sent.
func (s *pipe) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	data, err := json.Marshal(api.DataStreamNote{Eof: new(true)})
	if err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, data)
}

// receive writes what comes to the standard output, until the node ends the stream.
func (s *pipe) receive() error {
	whole := false
	for {
		kind, r, err := s.conn.NextReader()
		if err != nil {
			if whole && websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				return nil
			}
			return fmt.Errorf("the stream broke off: %w", err)
		}
		if kind == websocket.BinaryMessage {
			if _, err := io.Copy(s.c.Stdout, r); err != nil {
				return fmt.Errorf("write the standard output: %w", err)
			}
			continue
		}
		var note api.DataStreamNote
		if err := json.NewDecoder(r).Decode(&note); err != nil {
			return fmt.Errorf("a note of the node: %w", err)
		}
		switch {
		case note.Problem != nil:
			return &problem{*note.Problem}
		case note.Member != nil && note.MemberName != nil:
			fmt.Fprintf(s.c.Stderr, "A stream %s %s.\n", s.way, nodeName(*note.MemberName, *note.Member))
		case note.Eof != nil && *note.Eof:
			whole = true
			// A person at a terminal has nobody to talk to any more.
			if f, ok := s.c.Stdin.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
				if err := s.end(); err != nil {
					return err
				}
			}
		}
	}
}
