package rtc

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"time"
)

// What may arrive at the TCP port.
type streamKind int

const (
	nothing streamKind = iota
	webStream
	iceStream
	turnStream
)

// sniffed is how many bytes tell what a connection is for.
const sniffed = 10

// sniffTimeout bounds the wait for these.
const sniffTimeout = 5 * time.Second

var magicCookie = []byte{0x21, 0x12, 0xa4, 0x42}

// sniff tells what a connection is for by its first bytes: a method of HTTP, a
// datagram of ICE behind its length, or a message of TURN without one. STUN
// messages have the cookie at their fifth byte.
func sniff(b []byte) streamKind {
	switch {
	case len(b) < sniffed:
		return nothing
	case b[0] >= 'A' && b[0] <= 'Z':
		return webStream
	case b[0] < 4 && bytes.Equal(b[4:8], magicCookie):
		return turnStream
	case bytes.Equal(b[6:10], magicCookie):
		return iceStream
	}
	return nothing
}

// splitter hands the connections of one listener to those they are for.
type splitter struct {
	net.Listener
	web *funnel
	ice func(net.Conn, *bufio.Reader)

	mu   sync.Mutex // guards all that follows
	turn *funnel    // nil while this node is no relay
	new  map[net.Conn]bool

	handing sync.WaitGroup
}

func newSplitter(l net.Listener, ice func(net.Conn, *bufio.Reader)) *splitter {
	return &splitter{Listener: l, web: newFunnel(l.Addr()), ice: ice, new: map[net.Conn]bool{}}
}

// run accepts until the listener is closed.
func (s *splitter) run() {
	defer s.handing.Wait()
	for {
		c, err := s.Accept()
		s.mu.Lock()
		if err != nil {
			for c := range s.new {
				_ = c.Close()
			}
			s.mu.Unlock()
			_ = s.web.Close()
			return
		}
		s.new[c] = true
		s.handing.Go(func() { s.hand(c) })
		s.mu.Unlock()
	}
}

// setTURN says who takes connections of TURN. Nil: nobody.
func (s *splitter) setTURN(f *funnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn = f
}

func (s *splitter) hand(c net.Conn) {
	r := bufio.NewReaderSize(c, 4096)
	_ = c.SetReadDeadline(time.Now().Add(sniffTimeout))
	first, _ := r.Peek(sniffed)
	_ = c.SetReadDeadline(time.Time{})
	s.mu.Lock()
	delete(s.new, c)
	turn := s.turn
	s.mu.Unlock()
	switch kind := sniff(first); {
	case kind == webStream:
		s.web.give(&readAhead{c, r})
	case kind == iceStream:
		s.ice(c, r)
	case kind == turnStream && turn != nil:
		turn.give(&turnConn{readAhead: readAhead{c, r}})
	default:
		_ = c.Close()
	}
}

// readAhead is a connection of which something was read already.
type readAhead struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (c *readAhead) Read(b []byte) (int, error) { return c.r.Read(b) }

// turnConn is the connection of a client of the relay. One that says nothing ends; that
// its client has an allocation is seen by how much it says.
type turnConn struct {
	readAhead
	heard int
}

const (
	turnSilence = 2 * time.Minute // clients refresh what they have every 45 s
	turnSettled = 1 << 10         // bytes: more than it takes to be refused
)

// Read implements net.Conn.
func (c *turnConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(turnSilence)); err != nil {
		return 0, err
	}
	n, err := c.readAhead.Read(b)
	if c.heard < turnSettled {
		if c.heard += n; c.heard >= turnSettled {
			settle(c.Conn)
		}
	}
	return n, err
}

// funnel is a listener whose connections somebody else accepts.
type funnel struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newFunnel(addr net.Addr) *funnel {
	return &funnel{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// give hands c to whoever accepts, or closes it.
func (f *funnel) give(c net.Conn) {
	select {
	case f.conns <- c:
	case <-f.done:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (f *funnel) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *funnel) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

// Addr implements net.Listener.
func (f *funnel) Addr() net.Addr { return f.addr }
