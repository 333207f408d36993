package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p/node"
)

const (
	// eventsProtocol is the subprotocol of event sockets.
	eventsProtocol = "shoal.events.v1"
	// heartbeat is how often a silent stream shows that it lives.
	heartbeat = 15 * time.Second
	// socketTimeout is how long a socket's other end may be silent; it answers
	// each heartbeat.
	socketTimeout = 3 * heartbeat
	// sendTimeout is how long one message may take to be taken by the client. It
	// then comes back with the last id that it saw.
	sendTimeout = 10 * time.Second
	// pollItems bounds one answer of a long poll; the next one goes on there.
	pollItems = 1000
	// defaultPoll is how long a long poll waits unless it says otherwise.
	defaultPoll = 30
	// socketRead bounds what a client sends; it has nothing to say.
	socketRead = 1024
)

// message is an event as clients get it.
type message struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Topic string    `json:"topic"`
	Data  any       `json:"data"`
}

// messageOf gives a reset, which has no data, an empty object.
func messageOf(m node.Message) message {
	out := message{ID: m.ID, Time: m.Time.UTC(), Topic: m.Topic, Data: m.Data}
	if m.Data == nil {
		out.Data = struct{}{}
	}
	return out
}

// topics selects events: topics, or their first parts. None selects all.
type topics []string

func parseTopics(text string) topics {
	var t topics
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.Trim(strings.TrimSpace(name), "."); name != "" {
			t = append(t, name)
		}
	}
	return t
}

// has reports whether m is selected. A reset always is: without it a client
// would believe what is not so.
func (t topics) has(m node.Message) bool {
	return len(t) == 0 || m.Topic == node.TopicReset || slices.ContainsFunc(t, func(name string) bool {
		return m.Topic == name || strings.HasPrefix(m.Topic, name+".")
	})
}

// events tells what happens, in the form that the client asks for.
func (a *nodeAPI) events(w http.ResponseWriter, r *http.Request) error {
	rep, ok := w.(*reply)
	if !ok {
		return errInternal
	}
	ctx, done, err := a.stream(r.Context())
	if err != nil {
		return err
	}
	defer done()
	query := r.URL.Query()
	since, wanted := query.Get("since"), parseTopics(query.Get("topics"))
	switch {
	case websocket.IsWebSocketUpgrade(r):
		return a.socket(ctx, rep, r, since, wanted)
	case acceptsStream(r):
		if last := r.Header.Get("Last-Event-ID"); last != "" {
			since = last // a reconnecting browser knows better than its first address
		}
		return a.eventStream(ctx, rep, r, since, wanted)
	default:
		return a.poll(ctx, rep, since, wanted, query.Get("timeout"))
	}
}

// follow calls send for every selected event after since, and beat when nothing
// was sent for a while, with the id of the last event that was looked at. Both
// are called from this goroutine only. It returns nil when ctx ends.
func follow(ctx context.Context, log *node.Events, since string, wanted topics, every time.Duration,
	send func(node.Message) error, beat func(last string) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan node.Message)
	go func() {
		defer close(messages)
		for m := range log.Subscribe(ctx, since) {
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { // the goroutine has ended when follow has
		cancel()
		for range messages {
		}
	}()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := since
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			last = m.ID
			if !wanted.has(m) {
				continue
			}
			if err := send(m); err != nil {
				return err
			}
			ticker.Reset(every)
		case <-ticker.C:
			if err := beat(last); err != nil {
				return err
			}
		}
	}
}

// eventStream sends server-sent events (HTML Living Standard §9.2) whose id is
// the event's. A heartbeat is an id without data: the browser remembers it and
// tells nobody, so that after a long silence it does not ask for events that are
// gone.
func (a *nodeAPI) eventStream(ctx context.Context, rep *reply, r *http.Request, since string, wanted topics) error {
	rep.Header().Set("Content-Type", "text/event-stream")
	rep.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if since == "" {
		since = positionOf(r.Context())
	}
	err := writeEvents(rep, "id: "+oneLine(since)+"\nretry: 1000\n\n")
	if err == nil {
		err = follow(ctx, a.node.Events(), since, wanted, heartbeat,
			func(m node.Message) error {
				data, err := json.Marshal(messageOf(m))
				if err != nil {
					return fmt.Errorf("server: event %s: %w", m.Topic, err)
				}
				return writeEvents(rep, fmt.Sprintf("id: %s\ndata: %s\n\n", m.ID, data))
			},
			func(last string) error { return writeEvents(rep, "id: "+oneLine(last)+"\n\n") })
	}
	return gone(r.Context(), err)
}

// writeEvents sends text at once, or fails when the client does not take it.
func writeEvents(rep *reply, text string) error {
	rep.deadline(time.Now().Add(sendTimeout))
	if _, err := io.WriteString(rep, text); err != nil {
		return &goneError{err}
	}
	rep.Flush()
	return nil
}

// oneLine keeps a client's own text from becoming another line of the stream.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
}

// goneError: the client does not read any more. It ends a stream and is nobody's
// failure.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// gone is err unless the client is gone.
func gone(ctx context.Context, err error) error {
	var g *goneError
	if errors.As(err, &g) || ctx.Err() != nil {
		return nil
	}
	return err
}

// poll answers with the events after since: at once if there are any, else when
// the first comes or the timeout has passed. next leads on in each case; events
// that were not selected are behind it.
func (a *nodeAPI) poll(ctx context.Context, rep *reply, since string, wanted topics, timeout string) error {
	seconds := defaultPoll
	if timeout != "" {
		var err error
		if seconds, err = strconv.Atoi(timeout); err != nil {
			return fmt.Errorf("%w: parameter timeout: %w", errInvalid, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	rep.deadline(time.Now().Add(time.Duration(seconds)*time.Second + writeTimeout))
	log := a.node.Events()
	if since == "" {
		since = positionOf(ctx)
	}
	for {
		items, next := selected(log, since, wanted)
		if len(items) > 0 || ctx.Err() != nil || log.Wait(ctx, next) != nil {
			rep.Header().Set(positionHeader, next)
			return writeJSON(rep, struct {
				Items []message `json:"items"`
				Next  string    `json:"next"`
			}{items, next})
		}
		since = next
	}
}

// selected lists the first selected events after since.
func selected(log *node.Events, since string, wanted topics) (items []message, next string) {
	items = []message{}
	after, next, ok := log.Since(since)
	if !ok {
		reset := node.Message{ID: next, Time: time.Now(), Topic: node.TopicReset}
		return append(items, messageOf(reset)), next
	}
	for _, m := range after {
		if !wanted.has(m) {
			continue
		}
		if items = append(items, messageOf(m)); len(items) == pollItems {
			return items, m.ID
		}
	}
	return items, next
}

// socket sends events over a WebSocket. Each is a text message. Compression is
// off: it would count a client's read limit in compressed bytes, and save
// nothing on loopback.
func (a *nodeAPI) socket(ctx context.Context, rep *reply, r *http.Request, since string, wanted topics) error {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: sendTimeout,
		// admit did this for every request; a socket must not be open even if
		// that is changed one day, and the library's own check would accept any
		// host that resolves to us.
		CheckOrigin: func(r *http.Request) bool { return a.guard.admit(r) == nil },
		Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
			a.fail(w, r, fmt.Errorf("%w: %w", errInvalid, reason))
		},
	}
	header := http.Header{}
	if p := subprotocol(protocols(r)); p != "" {
		header.Set("Sec-Websocket-Protocol", p)
	}
	header.Set(positionHeader, positionOf(r.Context()))
	conn, err := upgrader.Upgrade(rep, r, header)
	if err != nil {
		return nil // upgrader.Error answered
	}
	// The other end is told below, or is gone; closing cannot fail otherwise.
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		defer cancel()
		listen(conn)
	}()
	if since == "" {
		since = positionOf(r.Context())
	}
	err = follow(ctx, a.node.Events(), since, wanted, heartbeat,
		func(m node.Message) error { return sendMessage(conn, m) },
		func(string) error {
			return conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(sendTimeout))
		})
	if err == nil {
		bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
		// If it does not arrive, the end of the connection says the same.
		_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	}
	_ = conn.Close() // ends listen
	<-heard
	return nil
}

// subprotocol chooses from what a client offers: ours, or the one with the
// token, since a browser closes a socket that takes none of its offers.
func subprotocol(offers []string) string {
	if slices.Contains(offers, eventsProtocol) {
		return eventsProtocol
	}
	for _, p := range offers {
		if strings.HasPrefix(p, tokenProtocol) {
			return p
		}
	}
	return ""
}

// listen reads what a client sends, to hear pongs and the end, until the end.
func listen(conn *websocket.Conn) {
	conn.SetReadLimit(socketRead)
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(socketTimeout)) }
	conn.SetPongHandler(alive)
	if alive("") != nil {
		return
	}
	for {
		if _, _, err := conn.NextReader(); err != nil {
			return
		}
	}
}

func sendMessage(conn *websocket.Conn, m node.Message) error {
	data, err := json.Marshal(messageOf(m))
	if err != nil {
		return fmt.Errorf("server: event %s: %w", m.Topic, err)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	return conn.WriteMessage(websocket.TextMessage, data)
}

// writeJSON sends v as the whole body.
func writeJSON(w http.ResponseWriter, v any) error {
	var buf bytes.Buffer
	if err := json.NewEncoder(&buf).Encode(v); err != nil {
		return fmt.Errorf("server: reply: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	_, err := buf.WriteTo(w)
	return err
}
