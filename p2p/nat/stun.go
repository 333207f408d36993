package nat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// What a STUN message begins with (RFC 8489, section 5): its type, the length of
// what follows the header, the cookie, the transaction ID.
const (
	headerSize = 20
	cookie     = 0x2112a442
	binding    = 0x001 // the method
	classBits  = 0x110
)

// class of a STUN message: the two bits C1 and C0 of its type.
type class uint16

const (
	classRequest    class = 0x000
	classIndication class = 0x010
	classSuccess    class = 0x100
	classFailure    class = 0x110
)

// Attributes that are understood here. Those below 0x8000 must be understood by
// whoever gets them, or the request fails.
const (
	attrUsername   = 0x0006
	attrIntegrity  = 0x0008
	attrError      = 0x0009
	attrUnknown    = 0x000a
	attrIntegrity2 = 0x001c // MESSAGE-INTEGRITY-SHA256
	attrUserhash   = 0x001e
	attrXorMapped  = 0x0020
	attrPadding    = 0x0026 // RFC 5780, section 7.6
	attrOptional   = 0x8000
	attrNonce      = 0xc0b7 // ours: a Nonce, in a Binding indication
)

// codeUnknownAttribute refuses a request that has attributes which must be
// understood and are not.
const codeUnknownAttribute = 420

const (
	// paddedSize is the length of our requests: that of the longest answer, which
	// names an IPv6 address.
	paddedSize = headerSize + 4 + 20
	// probeSize is the length of a probe.
	probeSize = headerSize + 4 + 16
	// maxUnknown is how many unknown attributes a refusal names.
	maxUnknown = 4
)

// errSTUN: bytes that are no STUN Binding message.
var errSTUN = errors.New("not a STUN binding message")

type txID [12]byte

// Nonce tells a probe from all others. Who was asked to send the probe knows it,
// and nobody else.
type Nonce [16]byte

// message is what this package reads of a STUN Binding message.
type message struct {
	class  class
	tx     txID
	mapped netip.AddrPort // XOR-MAPPED-ADDRESS
	code   int            // ERROR-CODE
	nonce  Nonce          // zero: none

	credentials bool     // it names a user, or is authenticated
	unknown     []uint16 // attributes that have to be understood and are not, at most maxUnknown
}

// parse reads one Binding message. All bytes of b belong to it.
func parse(b []byte) (message, error) {
	var m message
	if len(b) < headerSize || b[0]&0xc0 != 0 || binary.BigEndian.Uint32(b[4:]) != cookie {
		return m, errSTUN
	}
	kind, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
	if kind&^classBits != binding || size != len(b)-headerSize || size%4 != 0 {
		return m, errSTUN
	}
	m.class, m.tx = class(kind&classBits), txID(b[8:headerSize])
	for rest := b[headerSize:]; len(rest) > 0; {
		kind, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		padded := 4 + (n+3)&^3
		if padded > len(rest) {
			return m, fmt.Errorf("attribute %#04x of %d bytes: %w", kind, n, errSTUN)
		}
		if err := m.attribute(kind, rest[4:4+n]); err != nil {
			return m, err
		}
		rest = rest[padded:]
	}
	return m, nil
}

// attribute reads one attribute. Of several of a kind the first counts (RFC 8489,
// section 14).
func (m *message) attribute(kind uint16, value []byte) error {
	switch kind {
	case attrXorMapped:
		if m.mapped.IsValid() {
			return nil
		}
		var err error
		m.mapped, err = xorAddr(value, m.tx)
		return err
	case attrError:
		if len(value) < 4 {
			return fmt.Errorf("an error code of %d bytes: %w", len(value), errSTUN)
		}
		if m.code == 0 {
			m.code = int(value[2]&7)*100 + int(value[3])
		}
	case attrNonce:
		if len(value) != len(m.nonce) {
			return fmt.Errorf("a nonce of %d bytes: %w", len(value), errSTUN)
		}
		if m.nonce == (Nonce{}) {
			m.nonce = Nonce(value)
		}
	case attrUsername, attrIntegrity, attrIntegrity2, attrUserhash:
		m.credentials = true
	case attrUnknown, attrPadding:
	default:
		if kind < attrOptional && len(m.unknown) < maxUnknown {
			m.unknown = append(m.unknown, kind)
		}
	}
	return nil
}

// Families of addresses.
const (
	familyIPv4 = 1
	familyIPv6 = 2
)

// xorAddr reads XOR-MAPPED-ADDRESS (RFC 8489, section 14.2).
func xorAddr(value []byte, tx txID) (netip.AddrPort, error) {
	if len(value) < 4 {
		return netip.AddrPort{}, fmt.Errorf("an address of %d bytes: %w", len(value), errSTUN)
	}
	key := xorKey(tx)
	port := binary.BigEndian.Uint16(value[2:]) ^ uint16(cookie>>16)
	family, addr := value[1], value[4:]
	switch {
	case family == familyIPv4 && len(addr) == 4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(xor(addr, key))), port), nil
	case family == familyIPv6 && len(addr) == 16:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(xor(addr, key))).Unmap(), port), nil
	}
	return netip.AddrPort{}, fmt.Errorf("an address of family %d and %d bytes: %w", family, len(addr), errSTUN)
}

// xorKey hides addresses from routers that would translate them.
func xorKey(tx txID) []byte {
	return append(binary.BigEndian.AppendUint32(nil, cookie), tx[:]...)
}

func xor(a, key []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ key[i]
	}
	return out
}

// appendHeader begins a message; size is the length of its attributes.
func appendHeader(b []byte, c class, tx txID, size int) []byte {
	b = binary.BigEndian.AppendUint16(b, binding|uint16(c))
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint32(b, cookie)
	return append(b, tx[:]...)
}

func appendAttr(b []byte, kind uint16, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// bindingRequest is a request without credentials, padded so that a Responder has
// room for its answer.
func bindingRequest(tx txID) []byte {
	return appendAttr(appendHeader(nil, classRequest, tx, paddedSize-headerSize), attrPadding, make([]byte, paddedSize-headerSize-4))
}

// bareRequest is a request for servers that do not know PADDING.
func bareRequest(tx txID) []byte { return appendHeader(nil, classRequest, tx, 0) }

// bindingSuccess tells the asker its address.
func bindingSuccess(tx txID, mapped netip.AddrPort) []byte {
	addr, family := mapped.Addr().Unmap(), byte(familyIPv4)
	if addr.Is6() {
		family = familyIPv6
	}
	value := []byte{0, family}
	value = binary.BigEndian.AppendUint16(value, mapped.Port()^uint16(cookie>>16))
	value = append(value, xor(addr.AsSlice(), xorKey(tx))...)
	return appendAttr(appendHeader(nil, classSuccess, tx, 4+len(value)), attrXorMapped, value)
}

// bindingFailure refuses a request for its unknown attributes.
func bindingFailure(tx txID, unknown []uint16) []byte {
	var names []byte
	for _, u := range unknown {
		names = binary.BigEndian.AppendUint16(names, u)
	}
	size := 4 + 4 + 4 + (len(names)+3)&^3
	b := appendHeader(nil, classFailure, tx, size)
	b = appendAttr(b, attrError, []byte{0, 0, codeUnknownAttribute / 100, codeUnknownAttribute % 100})
	return appendAttr(b, attrUnknown, names)
}

// probe is an indication that bears nothing but a nonce.
func probe(tx txID, nonce Nonce) []byte {
	return appendAttr(appendHeader(nil, classIndication, tx, probeSize-headerSize), attrNonce, nonce[:])
}
