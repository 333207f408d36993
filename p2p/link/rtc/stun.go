package rtc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Classes of STUN messages (RFC 8489, section 5).
const (
	stunRequest    = 0x000
	stunIndication = 0x010
	stunResponse   = 0x100 // success
	stunError      = 0x110
)

// Methods of STUN messages. All but binding are of TURN (RFC 8656).
const (
	stunBinding = 0x001
	turnData    = 0x007
)

// Attributes of STUN messages.
const (
	attrUsername         = 0x0006
	attrXORMappedAddress = 0x0020
	attrPadding          = 0x0026 // RFC 5780
)

// stunClass reports whether b looks like a STUN message, and of which class.
func stunClass(b []byte) (class uint16, ok bool) {
	if len(b) < 20 || b[0]&0xc0 != 0 || !bytes.Equal(b[4:8], magicCookie) {
		return 0, false
	}
	return binary.BigEndian.Uint16(b) & 0x110, true
}

// stunMethod returns the method of a STUN message.
func stunMethod(b []byte) uint16 {
	t := binary.BigEndian.Uint16(b)
	return t&0x000f | t>>1&0x0070 | t>>2&0x0f80
}

// isChannelData reports whether b looks like data of a TURN channel.
func isChannelData(b []byte) bool { return len(b) >= 4 && b[0]>>6 == 1 }

// stunAttribute returns the first attribute of that kind.
func stunAttribute(b []byte, kind uint16) ([]byte, bool) {
	for b = b[20:]; len(b) >= 4; {
		k, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if n > len(b) {
			return nil, false
		}
		if k == kind {
			return b[:n], true
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil, false
}

// stunTarget returns the fragment of the agent that a binding request is for: the
// part of USERNAME in front of the colon, or nothing.
func stunTarget(b []byte) string {
	user, _ := stunAttribute(b, attrUsername)
	target, _, _ := bytes.Cut(user, []byte(":"))
	return string(target)
}

// bindingRequest asks a STUN server how it sees the sender. It is as long as the
// answer, so that the server sends nobody more than it got.
func bindingRequest(id txID) []byte {
	const padding = 24
	b := binary.BigEndian.AppendUint16(nil, stunBinding|stunRequest)
	b = binary.BigEndian.AppendUint16(b, 4+padding)
	b = append(append(b, magicCookie...), id[:]...)
	b = binary.BigEndian.AppendUint16(b, attrPadding)
	b = binary.BigEndian.AppendUint16(b, padding)
	return append(b, make([]byte, padding)...)
}

// mappedAddress reads how a STUN server sees the sender of a binding request.
func mappedAddress(b []byte) (netip.AddrPort, bool) {
	a, ok := stunAttribute(b, attrXORMappedAddress)
	if !ok || len(a) != 8 && len(a) != 20 {
		return netip.AddrPort{}, false
	}
	port := binary.BigEndian.Uint16(a[2:]) ^ binary.BigEndian.Uint16(magicCookie)
	ip := bytes.Clone(a[4:])
	for i, mask := range b[4:20][:len(ip)] {
		ip[i] ^= mask
	}
	addr, _ := netip.AddrFromSlice(ip)
	if (a[1] == 1) != addr.Is4() || port == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), port), true
}

// question is a binding request of the node itself that waits for its answer.
type question struct {
	server netip.AddrPort
	answer chan netip.AddrPort // has room for one
}

// stunTries are the pauses before a request is sent again.
var stunTries = []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second}

// ask asks a STUN server how it sees this socket, until ctx ends.
func (m *mux) ask(ctx context.Context, server netip.AddrPort) (netip.AddrPort, time.Duration, error) {
	var id txID
	if _, err := rand.Read(id[:]); err != nil {
		return netip.AddrPort{}, 0, fmt.Errorf("rtc: ask %s: %w", server, err)
	}
	q := question{server, make(chan netip.AddrPort, 1)}
	m.mu.Lock()
	m.questions[id] = q
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.questions, id)
		m.mu.Unlock()
	}()
	start := time.Now()
	for _, pause := range append(stunTries, 2*time.Second) {
		select {
		case a := <-q.answer:
			return a, time.Since(start), nil
		case <-ctx.Done():
			return netip.AddrPort{}, 0, fmt.Errorf("rtc: ask %s: %w", server, ctx.Err())
		case <-time.After(pause):
		}
		start = time.Now()
		if err := m.sock.WriteTo(bindingRequest(id), server); err != nil {
			return netip.AddrPort{}, 0, fmt.Errorf("rtc: ask %s: %w", server, err)
		}
	}
	return netip.AddrPort{}, 0, fmt.Errorf("rtc: ask %s: no answer: %w", server, p2p.ErrUnreachable)
}

// answered gives an answer to who asked. The socket has only the number of the
// request to tell, so that the server must be the one that was asked.
func (m *mux) answered(q question, b []byte, from netip.AddrPort) {
	if a, ok := mappedAddress(b); ok && from == q.server {
		select {
		case q.answer <- a:
		default:
		}
	}
}
