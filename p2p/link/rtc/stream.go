package rtc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	// streamRetry is how long after a failed attempt the next one may begin.
	streamRetry = 2 * time.Second
	// streamQueue bounds the datagrams that wait to be written; more are lost.
	streamQueue = 1024
	// streamSilence ends a stream over which nothing comes, unless its other end may not
	// have begun: ICE says something every few seconds.
	streamSilence = 30 * time.Second
	// streamStall ends a stream that takes nothing.
	streamStall = 10 * time.Second
)

// stream is a TCP connection that carries datagrams, each behind its length in two
// bytes (RFC 4571), as ICE has it (RFC 6544). It is for pairs of nodes of which
// one is behind something that lets no UDP pass. It implements tunnel.
type stream struct {
	m    *mux
	peer netip.AddrPort
	idle time.Duration // it ends when nothing comes for so long
	out  chan []byte
	ctx  context.Context // ends with the stream
	end  context.CancelFunc

	mu    sync.Mutex // guards all that follows
	conn  net.Conn   // nil while there is none
	busy  bool       // it is being dialled, or open
	start time.Time  // it is not dialled before
}

// newStream returns the stream to peer, which is dialled when something is sent, and
// ends when nothing comes for as long as idle.
func newStream(m *mux, peer netip.AddrPort, idle time.Duration) *stream {
	s := &stream{m: m, peer: peer, idle: idle, out: make(chan []byte, streamQueue)}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// serveStream carries datagrams over a connection that somebody else made, until
// it ends. r holds what was read of it already.
func (m *mux) serveStream(c net.Conn, r *bufio.Reader) {
	at, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		_ = c.Close()
		return
	}
	s := newStream(m, netip.AddrPortFrom(at.AddrPort().Addr().Unmap(), at.AddrPort().Port()), streamSilence)
	s.conn, s.busy = c, true
	if !m.enterStream(s) {
		_ = c.Close()
		return
	}
	s.carry(c, r)
}

// enterStream counts s until leaveStream, unless the mux is closed.
func (m *mux) enterStream(s *stream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.streams[s] = true
	m.working.Add(1)
	return true
}

func (m *mux) leaveStream(s *stream) {
	m.mu.Lock()
	delete(m.streams, s)
	m.mu.Unlock()
	m.working.Done()
}

// send implements tunnel.
func (s *stream) send(b []byte, _ netip.AddrPort) error {
	s.mu.Lock()
	begin := !s.busy && !time.Now().Before(s.start)
	if begin {
		s.busy = true
	}
	busy := s.busy
	s.mu.Unlock()
	if begin && s.m.enterStream(s) {
		go s.dial()
	}
	if !busy || len(b) > maxPacket {
		return nil
	}
	select {
	case <-s.ctx.Done():
		return p2p.ErrClosed
	case s.out <- bytes.Clone(b):
	default:
	}
	return nil
}

// release implements tunnel.
func (s *stream) release(netip.AddrPort) { s.close() }

func (s *stream) close() {
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

func (s *stream) dial() {
	c, err := s.m.dial(s.ctx, "tcp", s.peer.String())
	s.mu.Lock()
	switch {
	case err != nil:
		s.busy, s.start = false, time.Now().Add(streamRetry)
	case s.ctx.Err() != nil:
		err = p2p.ErrClosed
		_ = c.Close()
	default:
		s.conn = c
	}
	s.mu.Unlock()
	if err != nil {
		s.m.leaveStream(s)
		return
	}
	s.carry(c, bufio.NewReaderSize(c, 64<<10))
}

// carry reads and writes until the connection ends, and with it the stream.
func (s *stream) carry(c net.Conn, r *bufio.Reader) {
	defer s.m.leaveStream(s)
	var writing sync.WaitGroup
	writing.Go(func() { s.write(c) })
	_ = s.read(c, r)
	s.close()
	writing.Wait()
	_ = c.Close()
}

var errFrame = errors.New("rtc: a frame of no datagram")

func (s *stream) read(c net.Conn, r *bufio.Reader) error {
	var buf [maxPacket]byte
	var set time.Time
	settled := false
	for {
		if now := time.Now(); now.Sub(set) > time.Second {
			set = now
			if err := c.SetReadDeadline(now.Add(s.idle)); err != nil {
				return err
			}
		}
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(head[:]))
		if n == 0 || n > len(buf) {
			return errFrame
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		s.m.arrive(s, buf[:n], s.peer)
		if !settled && s.ctx.Err() == nil { // else nobody knows the first datagram
			settle(c)
			settled = true
		}
	}
}

// write writes what is queued, all that is there with one call.
func (s *stream) write(c net.Conn) {
	w := bufio.NewWriterSize(c, 64<<10)
	for {
		select {
		case <-s.ctx.Done():
			return
		case b := <-s.out:
			_ = c.SetWriteDeadline(time.Now().Add(streamStall))
			err := writeFrame(w, b)
			for err == nil && len(s.out) > 0 {
				err = writeFrame(w, <-s.out)
			}
			if err == nil {
				err = w.Flush()
			}
			if err != nil {
				s.close()
				return
			}
		}
	}
}

func writeFrame(w *bufio.Writer, b []byte) error {
	if _, err := w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(b)))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}
