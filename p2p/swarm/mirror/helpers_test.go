package mirror

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// hasty makes a server that says nothing a matter of a moment.
var hasty = Options{Timeout: 500 * time.Millisecond, Slowest: 64 << 10}

// noise returns n bytes without a pattern.
func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// A server is a web server with one file, at any path.
type server struct {
	*httptest.Server
	data []byte

	mu       sync.Mutex // guards what follows
	handle   http.HandlerFunc
	requests []*http.Request
	conns    int // opened
	open     int
	most     int // open at once
	sent     int64
}

// newServer serves data with ranges.
func newServer(t testing.TB, data []byte) *server {
	s := &server{data: data}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ConnState = s.state
	s.Start()
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	return s
}

func (s *server) state(_ net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns++
		s.open++
		s.most = max(s.most, s.open)
	case http.StateClosed, http.StateHijacked:
		s.open--
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	handle := s.handle
	s.mu.Unlock()
	w = &counter{w, s}
	if handle != nil {
		handle(w, r)
		return
	}
	s.serve(w, r)
}

// serve serves the file as it should be.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if w.Header().Get("ETag") == "" {
		w.Header().Set("ETag", `"1"`)
	}
	http.ServeContent(w, r, "file.bin", time.Time{}, bytes.NewReader(s.data))
}

// answer changes what the server does.
func (s *server) answer(handle http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = handle
}

func (s *server) port() int { return s.Listener.Addr().(*net.TCPAddr).Port }

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func (s *server) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// A counter counts what was written.
type counter struct {
	http.ResponseWriter
	s *server
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.mu.Lock()
	c.s.sent += int64(n)
	c.s.mu.Unlock()
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func newTestClient(t testing.TB, o Options) *Client {
	c := NewClient(o)
	t.Cleanup(c.Close)
	return c
}

func mustOpen(t testing.TB, c *Client, s *server) *Mirror {
	t.Helper()
	m, err := c.Open(t.Context(), s.URL+"/file", int64(len(s.data)), true)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func layoutOf(t testing.TB, data []byte) seed.Layout {
	t.Helper()
	l, err := seed.LayoutOf(int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A basket is a sink that compares what arrives.
type basket struct {
	l    seed.Layout
	data []byte

	mu       sync.Mutex // guards what follows
	got      []int
	received int
	wrong    []int
}

func (b *basket) sink() Sink {
	return Sink{
		Received: func(_, n int) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.received += n
		},
		Piece: func(i int, data []byte) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.got = append(b.got, i)
			offset, n := b.l.Extent(i)
			if !bytes.Equal(data, b.data[offset:offset+int64(n)]) {
				b.wrong = append(b.wrong, i)
			}
			return nil
		},
	}
}

func all(l seed.Layout) []int {
	pieces := make([]int, l.Count())
	for i := range pieces {
		pieces[i] = i
	}
	return pieces
}

// names is a name server that says of every name what it was told last.
type names struct {
	conn net.PacketConn

	mu   sync.Mutex // guards what follows
	addr netip.Addr
	n    int
}

func newNames(t *testing.T) *names {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: c}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.run()
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return n
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

func (n *names) set(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr = a
}

func (n *names) asked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.n
}

func (n *names) run() {
	buf := make([]byte, 1500)
	for {
		k, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:k]) != nil || len(m.Questions) != 1 {
			continue
		}
		n.mu.Lock()
		a := n.addr
		n.n++
		n.mu.Unlock()
		m.Response, m.Additionals = true, nil
		q := m.Questions[0]
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: a.As4()}}}
		case q.Type == dnsmessage.TypeAAAA && !a.Is4():
			m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
		}
		if b, err := m.Pack(); err == nil {
			_, _ = n.conn.WriteTo(b, from)
		}
	}
}
