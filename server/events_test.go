package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
)

// received is a message as a client decodes it.
type received struct {
	ID    string `json:"id"`
	Topic string `json:"topic"`
	Data  struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	} `json:"data"`
}

// running serves s on a port.
func running(t testing.TB, s *Server) *httptest.Server {
	t.Helper()
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	t.Cleanup(func() { _ = s.Close() }) // first: open streams would hold up h
	return h
}

func dial(t testing.TB, base, query string, header http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: protocols}
	conn, resp, err := d.DialContext(t.Context(), strings.Replace(base, "http://", "ws://", 1)+"/api/events?"+query, header)
	if conn != nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, resp, err
}

func add(t testing.TB, n *node.Node, title string) string {
	t.Helper()
	id, err := n.AddDocument(t.Context(), search.Document{Title: title})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSocket(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	h := running(t, s)
	since := n.Events().Position()
	id := add(t, n, "first")
	conn, resp, err := dial(t, h.URL, "topics=document&since="+since, nil, tokenProtocol+testToken, eventsProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if conn.Subprotocol() != eventsProtocol || resp.Header.Get("Sec-WebSocket-Extensions") != "" || resp.Header.Get(positionHeader) == "" {
		t.Errorf("handshake: %v", resp.Header)
	}
	second := add(t, n, "second")
	for _, want := range []string{id, second} {
		var m received
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if m.Topic != "document.published" || m.Data.ID != want {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = conn.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("after Close: %v", err)
	}
}

// TestSocketMatrix: who may open a socket, and with which subprotocol.
func TestSocketMatrix(t *testing.T) {
	for _, required := range []bool{false, true} {
		s := newServer(t, Options{RequireToken: required})
		h := running(t, s)
		own := h.URL
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(h.URL, "http://"))
		for _, row := range []struct {
			origin, host string
			protocols    []string
			status       int // 0: the socket opens; without a token only where none is required
			chosen       string
		}{
			{"", "", nil, 0, ""},
			{own, "", nil, 0, ""},
			{own, "", []string{eventsProtocol}, 0, eventsProtocol},
			{own, "", []string{tokenProtocol + testToken}, 0, tokenProtocol + testToken},
			{own, "", []string{tokenProtocol + testToken, eventsProtocol}, 0, eventsProtocol},
			{own, "", []string{eventsProtocol, tokenProtocol + testToken}, 0, eventsProtocol},
			{own, "", []string{tokenProtocol + "wrong"}, 403, ""},
			{own, "", []string{"other"}, 0, ""},
			{"http://localhost:" + port, "localhost:" + port, nil, 0, ""},
			{"http://localhost:" + port, "", nil, 403, ""},
			{"http://evil.example", "", []string{tokenProtocol + testToken}, 403, ""},
			{"http://evil.example:" + port, "evil.example:" + port, []string{tokenProtocol + testToken}, 403, ""},
			{"null", "", []string{tokenProtocol + testToken}, 403, ""},
			{"http://127.0.0.1:1", "", []string{tokenProtocol + testToken}, 403, ""},
			{strings.Replace(own, "http:", "https:", 1), "", nil, 403, ""},
		} {
			header := http.Header{}
			if row.origin != "" {
				header.Set("Origin", row.origin)
			}
			if row.host != "" {
				header.Set("Host", row.host)
			}
			hasToken := strings.Contains(strings.Join(row.protocols, " "), tokenProtocol)
			status := row.status
			if required && status == 0 && !hasToken {
				status = 401
			}
			conn, resp, err := dial(t, h.URL, "", header, row.protocols...)
			name := fmt.Sprintf("required %v, origin %s, host %s, %v", required, row.origin, row.host, row.protocols)
			if (err == nil) != (status == 0) || status != 0 && resp.StatusCode != status {
				t.Errorf("%s: %v %v, want status %d", name, err, resp, status)
				continue
			}
			if err == nil && conn.Subprotocol() != row.chosen {
				t.Errorf("%s: subprotocol %q, want %q", name, conn.Subprotocol(), row.chosen)
			}
		}
	}
}

// TestSocketSaysNothing: a client that talks too much is put out.
func TestSocketSaysNothing(t *testing.T) {
	h := running(t, newServer(t, Options{}))
	conn, _, err := dial(t, h.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, make([]byte, socketRead+1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("the socket goes on")
	}
}

// sse reads one event of a stream, or an id without data.
func sse(r *bufio.Reader) (id, event, data string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", "", "", err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return id, event, data, nil
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			id = value
		case "event":
			event = value
		case "data":
			data += value
		case "retry":
		default:
			return "", "", "", fmt.Errorf("line %q", line)
		}
	}
}

func openStream(t testing.TB, base, path string, header ...string) (*bufio.Reader, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
	}
	return bufio.NewReader(resp.Body), func() {
		cancel()
		_ = resp.Body.Close()
	}
}

func TestEventStream(t *testing.T) {
	n := startNode(t)
	h := running(t, newServer(t, Options{Node: n}))
	start := n.Events().Position()
	first, second := add(t, n, "line\nend"), add(t, n, "other")
	next := func(r *bufio.Reader) received {
		id, event, data, err := sse(r)
		var m received
		if err == nil {
			err = json.Unmarshal([]byte(data), &m)
		}
		if err != nil || id != m.ID || event != "" {
			t.Fatalf("id %q event %q data %q: %v", id, event, data, err)
		}
		return m
	}
	r, stop := openStream(t, h.URL, "/api/events?since="+start+"&topics=document.published")
	if id, _, data, err := sse(r); id != start || data != "" || err != nil {
		t.Fatalf("first: id %q data %q: %v", id, data, err)
	}
	m := next(r)
	if m.Data.ID != first || m.Data.Title != "line\nend" {
		t.Errorf("got %+v", m)
	}
	stop()
	// The browser comes back with the address it had and the last id it saw.
	r, stop = openStream(t, h.URL, "/api/events?since="+start, "Last-Event-ID", m.ID)
	defer stop()
	if id, _, _, err := sse(r); id != m.ID || err != nil {
		t.Fatalf("id %q: %v", id, err)
	}
	if m := next(r); m.Data.ID != second {
		t.Errorf("got %+v, want %s", m, second)
	}
}

// TestStreamInjection: what a client names as its position stays in its line.
func TestStreamInjection(t *testing.T) {
	h := running(t, newServer(t, Options{}))
	r, stop := openStream(t, h.URL, "/api/events?since="+url.QueryEscape("x\n\ndata: evil\n\n"))
	defer stop()
	if id, _, data, err := sse(r); id != "xdata: evil" || data != "" || err != nil {
		t.Errorf("id %q data %q: %v", id, data, err)
	}
	if _, _, data, err := sse(r); err != nil || !strings.Contains(data, `"topic":"reset"`) || !strings.Contains(data, `"data":{}`) {
		t.Errorf("data %q: %v", data, err)
	}
}

func TestPoll(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	poll := func(query string) api.EventList {
		var out api.EventList
		w := call(t, s, get, "/api/events?"+query, "", 200, &out)
		if out.Next == nil || w.Header().Get(positionHeader) != *out.Next {
			t.Errorf("%s: next %v, position %s", query, out.Next, w.Header().Get(positionHeader))
		}
		return out
	}
	empty := poll("timeout=0")
	if len(empty.Items) != 0 || *empty.Next != n.Events().Position() {
		t.Errorf("got %+v", empty)
	}
	if got := poll("timeout=1&topics=nothing"); len(got.Items) != 0 {
		t.Errorf("got %+v", got)
	}
	id := add(t, n, "one")
	if got := poll("since=" + *empty.Next); len(got.Items) != 1 || got.Items[0].Data["id"] != id || got.Items[0].Id != *got.Next {
		t.Errorf("got %+v", got)
	}
	if got := poll("topics=folder,peer.linked&timeout=0&since=" + *empty.Next); len(got.Items) != 0 || *got.Next == *empty.Next {
		t.Errorf("got %+v", got)
	}
	for _, since := range []string{"nonsense", "0123456789ab.1", *empty.Next + "9999999"} {
		got := poll("since=" + since)
		if len(got.Items) != 1 || got.Items[0].Topic != node.TopicReset || len(got.Items[0].Data) != 0 {
			t.Errorf("%s: got %+v", since, got)
		}
	}
	// One that waits hears of what happens meanwhile.
	var wg sync.WaitGroup
	wg.Go(func() {
		if got := poll("timeout=300&topics=document.withdrawn"); len(got.Items) != 1 {
			t.Errorf("got %+v", got)
		}
	})
	for len(s.streams) == 0 { // until it waits
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := n.RemoveDocument(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func TestTooManyStreams(t *testing.T) {
	s := newServer(t, Options{})
	s.streams = make(chan struct{}, 1)
	_, done, err := s.stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := good(t, route{method: get, path: "/api/events?timeout=0"})
	if w := do(t, s, r); w.Code != 503 || codeOf(t, w) != "too_many_streams" {
		t.Errorf("got %d", w.Code)
	}
	done()
	if w := do(t, s, good(t, route{method: get, path: "/api/events?timeout=0"})); w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
}

// pipeListener gives a server connections without any buffer: what a client does
// not read, the server has not written.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// TestSlowSocket: a client that does not read holds up nobody, and is told that
// it missed something.
func TestSlowSocket(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	l := newPipeListener()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	d := websocket.Dialer{NetDialContext: l.dial, Subprotocols: []string{tokenProtocol + testToken}}
	slow, _, err := d.DialContext(t.Context(), "ws://localhost/api/events?since="+n.Events().Position(), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := add(t, n, "first")
	for range 9000 { // more than the log keeps; nobody reads
		if err := n.RemoveDocument(t.Context(), first); err != nil && !errors.Is(err, search.ErrNotFound) {
			t.Fatal(err)
		}
		first = add(t, n, "more")
	}
	resets := 0
	for {
		var m received
		if err := slow.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if m.Topic == node.TopicReset {
			resets++
		}
		if m.ID == n.Events().Position() {
			break
		}
	}
	if resets != 1 {
		t.Errorf("%d resets, want 1", resets)
	}
	go func() { _, _, _ = slow.ReadMessage() }() // a pipe's other end must read to be told the end
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = slow.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestReplay: whatever way events come and however often the connection breaks,
// a snapshot and the events after its position make the present state.
func TestReplay(t *testing.T) {
	n := startNode(t)
	h := running(t, newServer(t, Options{Node: n}))
	rng := rand.New(rand.NewPCG(7, 1))
	snapshot := func() (map[string]bool, string) {
		resp, err := http.Get(h.URL + "/api/search?q=replay&via=local&limit=200")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var answer api.SearchAnswer
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		state := map[string]bool{}
		for _, hit := range answer.Hits {
			state[hit.Id] = true
		}
		return state, resp.Header.Get(positionHeader)
	}
	// The writer goes on while clients come and go.
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		write(ctx, t, n)
	})
	state, since := snapshot()
	apply := func(m received) {
		switch m.Topic {
		case node.TopicReset:
			state, since = snapshot()
			return
		case "document.published":
			state[m.Data.ID] = true
		case "document.withdrawn":
			delete(state, m.Data.ID)
		}
		since = m.ID
	}
	for i := range 1000 {
		if i == 500 {
			since = "0123456789ab.7" // as if the node had started anew
		}
		read(t, h.URL, since, i%3, rng.IntN(4), apply)
	}
	cancel()
	writer.Wait()
	for since != n.Events().Position() {
		read(t, h.URL, since, 2, 1000, apply)
	}
	want, _ := snapshot()
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("state (-fresh +replayed):\n%s", diff)
	}
}

// write adds and removes documents until ctx ends, never more than 100 at once.
func write(ctx context.Context, t *testing.T, n *node.Node) {
	rng := rand.New(rand.NewPCG(7, 2))
	live := map[string]bool{}
	for ctx.Err() == nil {
		if len(live) < 100 && rng.IntN(2) == 0 {
			id, err := n.AddDocument(context.WithoutCancel(ctx), search.Document{Title: "replay"})
			if err != nil {
				t.Error(err)
				return
			}
			live[id] = true
		}
		for id := range maps.Keys(live) {
			if rng.IntN(3) > 0 {
				break
			}
			if err := n.RemoveDocument(context.WithoutCancel(ctx), id); err != nil {
				t.Error(err)
				return
			}
			delete(live, id)
		}
		time.Sleep(time.Millisecond) // a pace, not a synchronisation
	}
}

// read takes up to most events in one of three ways and breaks the connection.
func read(t *testing.T, base, since string, way, most int, apply func(received)) {
	t.Helper()
	switch way {
	case 0:
		conn, _, err := dial(t, base, "since="+since, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range most {
			var m received
			if err := conn.ReadJSON(&m); err != nil {
				t.Fatal(err)
			}
			apply(m)
		}
		_ = conn.Close()
	case 1:
		r, stop := openStream(t, base, "/api/events", "Last-Event-ID", since)
		defer stop()
		for range most {
			_, _, data, err := sse(r)
			if err != nil {
				t.Fatal(err)
			}
			var m received
			if data == "" {
				continue
			}
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				t.Fatal(err)
			}
			apply(m)
		}
	default:
		resp, err := http.Get(base + "/api/events?timeout=5&since=" + since)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var out struct {
			Items []received `json:"items"`
			Next  string     `json:"next"`
		}
		data, err := io.ReadAll(resp.Body)
		if err != nil || json.Unmarshal(data, &out) != nil {
			t.Fatalf("%v: %s", err, data)
		}
		for _, m := range out.Items[:min(len(out.Items), most)] {
			apply(m)
		}
	}
}
