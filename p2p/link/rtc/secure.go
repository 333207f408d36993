package rtc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

// secure is DTLS over datagrams that somebody else carries. It implements net.Conn for
// SCTP, of which each Read and Write is one packet.
//
// What the peer sends goes to one of two queues: application data to SCTP, which opens
// it where it is used, and everything else to the handshake.
type secure struct {
	send func(b []byte) error
	data *inbox // of SCTP
	talk *inbox // of the handshake

	shaking *dtls.Conn // until the peer has proved that it needs no more of it; guarded by mu
	mu      sync.Mutex

	// Read's own:
	opener *opener
	last   *packet // the last datagram
	left   []byte  // its records that are not yet read
	proved bool    // the peer has sent something that only one who has the keys can

	wmu    sync.Mutex // guards the sealer and buf
	sealer *sealer
	buf    []byte

	once sync.Once
	gone func() // called when the peer has closed
}

func newSecure(send func(b []byte) error, gone func()) *secure {
	return &secure{send: send, gone: gone, data: newInbox(), talk: newInbox()}
}

// deliver takes a datagram of the peer.
func (s *secure) deliver(b []byte) (taken bool) {
	if len(b) > recordHeader && (b[0] == recordApplication || b[0] == recordAlert) && binary.BigEndian.Uint16(b[3:]) == dataEpoch {
		return s.data.put(b)
	}
	return s.talk.put(b)
}

// shake is what this end shows in the handshake, and what it wants to see.
type shake struct {
	cert   tls.Certificate
	client bool
	check  func(der []byte) error // of the peer's certificate
	log    logging.LoggerFactory
}

// handshake agrees on keys with the peer.
func (s *secure) handshake(ctx context.Context, o shake) error {
	options := []dtls.Option{
		dtls.WithCertificates(o.cert),
		dtls.WithCipherSuites(suite),
		// No media, but an implementation of WebRTC may insist on having agreed.
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithInsecureSkipVerify(true), // fingerprints count, not authorities
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 {
				return fmt.Errorf("rtc: dtls: no certificate")
			}
			return o.check(raw[0])
		}),
		dtls.WithReplayProtectionWindow(1024),
		// ICE has found a path already; a second, as RFC 6347 has it, would be most of
		// the handshake where one datagram is lost. It doubles each time.
		dtls.WithFlightInterval(100 * time.Millisecond),
		dtls.WithLoggerFactory(o.log),
	}
	c, err := s.newConn(options, o.client)
	if err != nil {
		return fmt.Errorf("rtc: dtls: %w", err)
	}
	s.mu.Lock()
	s.shaking = c
	s.mu.Unlock()
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("rtc: dtls: %w", err)
	}
	state, ok := c.ConnectionState()
	if !ok {
		return fmt.Errorf("rtc: dtls: %w", errNoSecret)
	}
	keys, err := secretsOf(state)
	if err != nil {
		return err
	}
	s.opener = newOpener(keys.open)
	s.wmu.Lock() // Close can come while the handshake ends
	s.sealer = newSealer(keys.seal)
	s.wmu.Unlock()
	if o.client {
		s.settled() // the server's last words have arrived
	}
	return nil
}

func (s *secure) newConn(options []dtls.Option, client bool) (*dtls.Conn, error) {
	if client {
		var all []dtls.ClientOption
		for _, o := range options {
			all = append(all, o)
		}
		return dtls.ClientWithOptions(talkConn{s}, noAddr{}, all...)
	}
	all := []dtls.ServerOption{
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true), // ICE has checked the path
	}
	for _, o := range options {
		all = append(all, o)
	}
	return dtls.ServerWithOptions(talkConn{s}, noAddr{}, all...)
}

// settled lets go of the handshake. A server may have to repeat its end until the
// client has sent what only one who knows it can.
func (s *secure) settled() {
	s.mu.Lock()
	c := s.shaking
	s.shaking = nil
	s.mu.Unlock()
	if c != nil {
		s.talk.close() // first: nothing of what it says now is to be sent
		go func() { _ = c.Close() }()
	}
}

// Read implements net.Conn. Records that cannot be opened are skipped, as RFC 6347
// wants it.
func (s *secure) Read(p []byte) (int, error) {
	for {
		if len(s.left) == 0 {
			if s.last != nil {
				s.last.free()
				s.last = nil
			}
			next, err := s.data.take()
			if err != nil {
				return 0, err
			}
			s.last, s.left = next, next.b
		}
		kind, data, rest, err := s.opener.first(p, s.left)
		s.left = rest
		if err != nil {
			continue
		}
		if kind == recordAlert {
			if len(data) == 2 && (data[0] == alertFatal || data[1] == alertClose) {
				s.gone()
			}
			continue
		}
		if kind != recordApplication {
			continue
		}
		if !s.proved {
			s.proved = true
			s.settled()
		}
		return len(data), nil
	}
}

// What an alert says (RFC 5246, section 7.2).
const (
	alertWarning = 1
	alertFatal   = 2
	alertClose   = 0
)

// Write implements net.Conn.
func (s *secure) Write(p []byte) (int, error) {
	if err := s.write(recordApplication, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *secure) write(kind byte, p []byte) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if n := len(p) + recordOverhead; cap(s.buf) < n {
		s.buf = make([]byte, 0, n)
	}
	b, err := s.sealer.append(s.buf[:0], kind, p)
	if err != nil {
		return err
	}
	return s.send(b)
}

// Close implements net.Conn, and tells the peer.
func (s *secure) Close() error {
	s.once.Do(func() {
		s.data.close()
		s.settled()
		s.talk.close()
		s.wmu.Lock()
		shaken := s.sealer != nil
		s.wmu.Unlock()
		if shaken {
			_ = s.write(recordAlert, []byte{alertWarning, alertClose}) // the peer finds out without it, later
		}
	})
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *secure) SetReadDeadline(t time.Time) error {
	s.data.setDeadline(t)
	return nil
}

// SetDeadline implements net.Conn.
func (s *secure) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn: no write waits.
func (s *secure) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.Conn.
func (s *secure) LocalAddr() net.Addr { return noAddr{} }

// RemoteAddr implements net.Conn.
func (s *secure) RemoteAddr() net.Addr { return noAddr{} }

// noAddr is the address of what is not bound to one: the path may change.
type noAddr struct{}

func (noAddr) Network() string { return "ice" }
func (noAddr) String() string  { return "ice" }

// talkConn carries the handshake. It implements net.PacketConn.
type talkConn struct{ s *secure }

// ReadFrom implements net.PacketConn.
func (c talkConn) ReadFrom(p []byte) (int, net.Addr, error) {
	d, err := c.s.talk.take()
	if err != nil {
		return 0, nil, err
	}
	defer d.free()
	return copy(p, d.b), noAddr{}, nil
}

// WriteTo implements net.PacketConn.
func (c talkConn) WriteTo(p []byte, _ net.Addr) (int, error) {
	c.s.talk.mu.Lock()
	closed := c.s.talk.closed
	c.s.talk.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	if err := c.s.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements net.PacketConn. What SCTP has is not the handshake's to close.
func (c talkConn) Close() error {
	c.s.talk.close()
	return nil
}

// LocalAddr implements net.PacketConn.
func (c talkConn) LocalAddr() net.Addr { return noAddr{} }

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.PacketConn.
func (c talkConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline: see SetDeadline.
func (c talkConn) SetReadDeadline(t time.Time) error {
	c.s.talk.setDeadline(t)
	return nil
}

// SetWriteDeadline: no write waits.
func (c talkConn) SetWriteDeadline(time.Time) error { return nil }
