package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/server/api"
)

// streamEnd is a program at one end of a stream.
type streamEnd struct {
	t    *testing.T
	conn *websocket.Conn
}

// openSocket asks for a stream; problem is the code of the refusal.
func openSocket(t *testing.T, base, path string, header http.Header) (_ *streamEnd, problem string) {
	t.Helper()
	conn, resp, err := new(websocket.Dialer).DialContext(t.Context(), strings.Replace(base, "http://", "ws://", 1)+path, header)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
		return &streamEnd{t, conn}, ""
	}
	if resp == nil {
		t.Fatal(err)
	}
	var p api.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return nil, p.Code
}

// next returns the next message: bytes, or a note.
func (e *streamEnd) next() (data []byte, note api.DataStreamNote) {
	e.t.Helper()
	kind, data, err := e.conn.ReadMessage()
	if err != nil {
		e.t.Fatal(err)
	}
	if kind == websocket.BinaryMessage {
		return data, note
	}
	if err := json.Unmarshal(data, &note); err != nil {
		e.t.Fatal(err)
	}
	return nil, note
}

func (e *streamEnd) write(data []byte) {
	if err := e.conn.WriteMessage(websocket.BinaryMessage, data); err != nil {
		e.t.Error(err)
	}
}

func (e *streamEnd) eof() {
	if err := e.conn.WriteJSON(api.DataStreamNote{Eof: new(true)}); err != nil {
		e.t.Error(err)
	}
}

// problem reads on until the stream breaks off, and returns why.
func (e *streamEnd) problem() string {
	e.t.Helper()
	for {
		if _, note := e.next(); note.Problem != nil {
			return note.Problem.Code
		}
	}
}

// streams are two nodes with the addresses of their APIs.
type streams struct {
	a, b   string // IDs
	atA    string
	atB    string
	header http.Header
}

func newStreams(t *testing.T) *streams {
	a, b := pair(t)
	id := func(s *Server) string {
		var n api.Node
		call(t, s, get, "/api/node", "", 200, &n)
		return n.Id
	}
	until(t, "they are linked", func() bool {
		var peers api.PeerList
		call(t, a, get, "/api/peers", "", 200, &peers)
		return len(peers.Items) == 1 && peers.Items[0].Connected
	})
	return &streams{id(a), id(b), running(t, a).URL, running(t, b).URL, http.Header{"Authorization": {"Bearer " + testToken}}}
}

// join opens a stream from a to b.
func (s *streams) join(t *testing.T, query string) (from, to *streamEnd) {
	t.Helper()
	to, problem := openSocket(t, s.atB, "/api/dht/accept?port=x"+query, s.header)
	if problem != "" {
		t.Fatal(problem)
	}
	from, problem = openSocket(t, s.atA, "/api/dht/stream?port=x&to="+s.b+query, s.header)
	if problem != "" {
		t.Fatal(problem)
	}
	if _, note := from.next(); note.Member == nil || *note.Member != s.b || *note.MemberName == "" {
		t.Errorf("%+v", note)
	}
	if _, note := to.next(); note.Member == nil || *note.Member != s.a {
		t.Errorf("%+v", note)
	}
	return from, to
}

// TestStream: what is written at one end is read at the other, each direction ends by
// itself, and then it is over.
func TestStream(t *testing.T) {
	s := newStreams(t)
	from, to := s.join(t, "")
	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(1+rand.IntN(300_000), len(rest))
			from.write(rest[:n])
			rest = rest[n:]
		}
		from.eof()
	}()
	got := sha256.New()
	for {
		data, note := to.next()
		if note.Eof != nil {
			break
		}
		got.Write(data)
	}
	if want := sha256.Sum256(sent); !bytes.Equal(got.Sum(nil), want[:]) {
		t.Error("something else has come")
	}
	to.write([]byte("thank you"))
	to.eof()
	if data, _ := from.next(); string(data) != "thank you" {
		t.Errorf("%q", data)
	}
	if _, note := from.next(); note.Eof == nil {
		t.Errorf("%+v", note)
	}
	for _, end := range []*streamEnd{from, to} {
		if _, _, err := end.conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("in the end: %v", err)
		}
	}
}

// TestStreamWaits: who does not read slows down who writes, and nothing piles up in between.
func TestStreamWaits(t *testing.T) {
	s := newStreams(t)
	from, to := s.join(t, "")
	var written atomic.Int64
	go func() {
		chunk := make([]byte, 64<<10)
		for from.conn.WriteMessage(websocket.BinaryMessage, chunk) == nil {
			written.Add(int64(len(chunk)))
		}
	}()
	last := int64(-1)
	for written.Load() != last {
		last = written.Load()
		time.Sleep(300 * time.Millisecond)
	}
	if last == 0 || last > 32<<20 {
		t.Errorf("%d bytes are on their way to somebody who does not read", last)
	}
	for read := 0; int64(read) < last+1<<20; { // it goes on
		data, _ := to.next()
		read += len(data)
	}
}

// TestStreamEnds: what is not whole is not taken for it.
func TestStreamEnds(t *testing.T) {
	s := newStreams(t)
	from, to := s.join(t, "")
	to.write([]byte("half a"))
	if data, _ := from.next(); string(data) != "half a" {
		t.Errorf("%q", data)
	}
	if err := to.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if code := from.problem(); code != "stream_cut" {
		t.Errorf("the program at the other end has gone: %s", code)
	}
	from, to = s.join(t, "&idle_s=1")
	began := time.Now()
	if a, b := from.problem(), to.problem(); a == "" || b == "" || a != "stream_idle" && b != "stream_idle" || time.Since(began) < 900*time.Millisecond {
		t.Errorf("idle: %s, %s after %v", a, b, time.Since(began))
	}
}

// TestStreamRefused: nobody gets a stream who is not waited for, and nobody waits who is not
// the user of the node.
func TestStreamRefused(t *testing.T) {
	s := newStreams(t)
	toB := "/api/dht/stream?port=x&to=" + s.b
	foreign := http.Header{"Authorization": s.header["Authorization"], "Origin": {"http://evil.example"}}
	waiting, problem := openSocket(t, s.atB, "/api/dht/accept?port=taken&from="+s.b, s.header)
	if problem != "" {
		t.Fatal(problem)
	}
	for _, tc := range []struct {
		at, path string
		header   http.Header
		want     string
	}{
		{s.atA, toB, s.header, "nobody_listens"},
		{s.atA, "/api/dht/stream?port=taken&to=" + s.b, s.header, "stream_denied"},
		{s.atA, "/api/dht/stream?to=" + s.a, s.header, "stream_to_self"},
		{s.atA, "/api/dht/stream", s.header, "request_invalid"},
		{s.atA, toB + "&idle_s=0", s.header, "request_invalid"},
		{s.atB, "/api/dht/accept?port=taken", s.header, "port_taken"},
		{s.atB, "/api/dht/accept?from=nobody", s.header, "request_invalid"},
		{s.atA, toB, nil, "token_required"},
		{s.atB, "/api/dht/accept", nil, "token_required"},
		{s.atB, "/api/dht/accept", foreign, "origin_refused"},
	} {
		if _, got := openSocket(t, tc.at, tc.path, tc.header); got != tc.want {
			t.Errorf("%s: %q, want %s", tc.path, got, tc.want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.atB+"/api/dht/accept", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = s.header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("without a WebSocket: %d %s", resp.StatusCode, body)
	}
	// Who has gone does not hold its port.
	if err := waiting.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		end, problem := openSocket(t, s.atB, "/api/dht/accept?port=taken", s.header)
		if end != nil {
			break
		}
		if problem != "port_taken" {
			t.Fatal(problem)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
