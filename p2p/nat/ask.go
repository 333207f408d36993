package nat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// How a request is sent again when no answer comes: at 0, 0.5 and 1.5 s, and given
// up at 3.5 s. RFC 8489, section 6.2.1, doubles in the same way and sends seven
// times, for a server that is the only one.
const (
	firstWait     = 500 * time.Millisecond
	transmissions = 3
)

// ErrSilent: no answer came in time.
var ErrSilent = errors.New("no answer")

// Ask asks a STUN server for the address that it sees conn at. Nobody else may
// read from conn meanwhile; it can be used again afterwards. Only an answer from
// the address of the server and to this very request counts. The round trip time
// is counted from the first transmission.
//
// Errors: ErrSilent, those of conn and of ctx.
func Ask(ctx context.Context, conn net.PacketConn, server netip.AddrPort) (mapped netip.AddrPort, rtt time.Duration, err error) {
	e := openEar(conn)
	mapped, rtt, err = e.ask(ctx, server)
	if closed := e.close(); err == nil && closed != nil {
		err = fmt.Errorf("nat: ask %s: %w", server, closed)
	}
	return mapped, rtt, err
}

// pending holds what one socket waits for: answers to its requests, and probes.
type pending struct {
	mu     sync.Mutex // guards all that follows
	asked  map[txID]question
	probes map[Nonce]chan netip.AddrPort
}

type question struct {
	server netip.AddrPort
	answer chan message // has room for one
}

// maxWaiting bounds the probes with one nonce that wait to be read.
const maxWaiting = 4

// take hands a message that came from the address from to whoever waits for it. It
// reports whether somebody did.
func (p *pending) take(m message, from netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.class {
	case classSuccess, classFailure:
		q, ok := p.asked[m.tx]
		if !ok || q.server != from {
			return false
		}
		select {
		case q.answer <- m:
		default: // it was answered already
		}
		return true
	case classIndication:
		came, ok := p.probes[m.nonce]
		if !ok {
			return false
		}
		select {
		case came <- from:
		default:
		}
		return true
	case classRequest:
	}
	return false
}

// expect waits for probes with a nonce until forget. Their sources come through
// the channel.
func (p *pending) expect(n Nonce) (came <-chan netip.AddrPort, forget func()) {
	c := make(chan netip.AddrPort, maxWaiting)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probes == nil {
		p.probes = map[Nonce]chan netip.AddrPort{}
	}
	p.probes[n] = c
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.probes, n)
	}
}

func (p *pending) enter(tx txID, q question) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil {
		p.asked = map[txID]question{}
	}
	p.asked[tx] = q
}

func (p *pending) leave(tx txID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.asked, tx)
}

// ask asks server over a socket whose input goes to take.
func (p *pending) ask(ctx context.Context, send func([]byte, netip.AddrPort) error, server netip.AddrPort) (netip.AddrPort, time.Duration, error) {
	mapped, rtt, err := p.transact(ctx, send, server)
	if err != nil {
		return netip.AddrPort{}, 0, fmt.Errorf("nat: ask %s: %w", server, err)
	}
	return mapped, rtt, nil
}

func (p *pending) transact(ctx context.Context, send func([]byte, netip.AddrPort) error, server netip.AddrPort) (netip.AddrPort, time.Duration, error) {
	tx := newTxID()
	q := question{server: server, answer: make(chan message, 1)}
	p.enter(tx, q)
	defer func() { p.leave(tx) }()
	packet, began := bindingRequest(tx), time.Now()
	wait, bare := firstWait, false
	for range transmissions {
		if err := send(packet, server); err != nil {
			return netip.AddrPort{}, 0, err
		}
		timer := time.NewTimer(wait)
		select {
		case m := <-q.answer:
			timer.Stop()
			if m.class == classSuccess && m.mapped.IsValid() {
				return m.mapped, time.Since(began), nil
			}
			if m.code != codeUnknownAttribute || bare {
				return netip.AddrPort{}, 0, fmt.Errorf("the server answers with error %d", m.code)
			}
			// It does not know PADDING. That was the only attribute. A request
			// with other contents is another one.
			p.leave(tx)
			tx, bare = newTxID(), true
			p.enter(tx, q)
			packet = bareRequest(tx)
			continue
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return netip.AddrPort{}, 0, ctx.Err()
		}
		wait *= 2
	}
	return netip.AddrPort{}, 0, ErrSilent
}

func newTxID() (tx txID) {
	rand.Read(tx[:]) // never fails (crypto/rand)
	return tx
}

// ear reads a socket for those who wait for something to come.
type ear struct {
	pending
	conn net.PacketConn
	done chan struct{}
}

func openEar(conn net.PacketConn) *ear {
	e := &ear{conn: conn, done: make(chan struct{})}
	go e.listen()
	return e
}

// maxFailures is how many times in a row reading may fail. Some systems report a
// closed port of one peer to whoever reads next.
const maxFailures = 16

func (e *ear) listen() {
	defer close(e.done)
	buf := make([]byte, 2048)
	for failures := 0; failures < maxFailures; {
		n, from, err := e.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			failures++
			continue
		}
		failures = 0
		addr, ok := from.(*net.UDPAddr)
		if !ok {
			continue
		}
		if m, err := parse(buf[:n]); err == nil {
			e.take(m, unmap(addr.AddrPort()))
		}
	}
}

func (e *ear) send(b []byte, to netip.AddrPort) error {
	_, err := e.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

// ask asks server over the ear's socket.
func (e *ear) ask(ctx context.Context, server netip.AddrPort) (netip.AddrPort, time.Duration, error) {
	return e.pending.ask(ctx, e.send, unmap(server))
}

// close stops reading and leaves the socket as it was.
func (e *ear) close() error {
	if err := e.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	<-e.done
	return e.conn.SetReadDeadline(time.Time{})
}

// unmap writes an IPv4 address as one.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
