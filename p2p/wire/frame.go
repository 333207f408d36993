package wire

import (
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
)

// Type says what a frame is. The values are part of the protocol.
type Type byte

// The frames. Semantics follow QUIC streams (RFC 9000, sections 2 to 4 and 19):
// the two directions of a stream end independently.
const (
	Open    Type = 1  // begins a stream: Code is the credit for the way back, Payload the protocol
	Data    Type = 2  // bytes of a stream or of a long call body
	Fin     Type = 3  // the sender's direction is complete
	Stop    Type = 4  // asks the peer to end its direction with Code
	Reset   Type = 5  // the sender's direction ends unfinished, because of Code
	Credit  Type = 6  // the peer may send Code bytes more on Stream
	GoAway  Type = 7  // the link ends, because of Code; Payload says it for people
	Ping    Type = 8  // Code comes back in a Pong
	Pong    Type = 9  //
	Request Type = 10 // a whole call: Payload is AppendRequest's
	Ask     Type = 11 // begins a call whose body follows as Data and Fin: Payload is the protocol
	Reply   Type = 12 // the whole answer to a call
	Failure Type = 13 // the call failed: Payload is a CBOR value
	Cancel  Type = 14 // nobody waits for the answer any more
	Hello   Type = 15 // who speaks, before anything else: Payload is a CBOR value
	Auth    Type = 16 // proof of that: Payload is a signature
)

// MaxHeader is the longest a frame is without its payload, in bytes.
const MaxHeader = 1 + 3*MaxVarintLen

// MaxProto is the longest name of a protocol, in bytes.
const MaxProto = 64

// Frame is one frame. Which fields it has depends on the type; the others are
// zero. Form: type(1) [stream varint] [code varint] [length varint, payload].
type Frame struct {
	Type    Type
	Stream  uint64
	Code    uint64
	Payload []byte
}

// shape tells which fields a type has.
type shape struct {
	name                            string
	known, stream, code, hasPayload bool
}

// shapes is indexed by type; it is never written to.
var shapes = [...]shape{
	Open:    {"open", true, true, true, true},
	Data:    {"data", true, true, false, true},
	Fin:     {"fin", true, true, false, false},
	Stop:    {"stop", true, true, true, false},
	Reset:   {"reset", true, true, true, false},
	Credit:  {"credit", true, true, true, false},
	GoAway:  {"goaway", true, false, true, true},
	Ping:    {"ping", true, false, true, false},
	Pong:    {"pong", true, false, true, false},
	Request: {"request", true, true, false, true},
	Ask:     {"ask", true, true, false, true},
	Reply:   {"reply", true, true, false, true},
	Failure: {"failure", true, true, false, true},
	Cancel:  {"cancel", true, true, false, false},
	Hello:   {"hello", true, false, false, true},
	Auth:    {"auth", true, false, false, true},
}

// String returns the name of the type.
func (t Type) String() string {
	if int(t) < len(shapes) && shapes[t].known {
		return shapes[t].name
	}
	return fmt.Sprintf("type %d", byte(t))
}

// AppendFrame appends the encoding of f, whose type must be one of the constants.
func AppendFrame(dst []byte, f Frame) []byte {
	dst = AppendHeader(dst, f, len(f.Payload))
	if shapes[f.Type].hasPayload {
		dst = append(dst, f.Payload...)
	}
	return dst
}

// AppendHeader appends all of f but its payload, of which it announces n bytes.
func AppendHeader(dst []byte, f Frame, n int) []byte {
	s := shapes[f.Type]
	dst = append(dst, byte(f.Type))
	if s.stream {
		dst = AppendVarint(dst, f.Stream)
	}
	if s.code {
		dst = AppendVarint(dst, f.Code)
	}
	if s.hasPayload {
		dst = AppendVarint(dst, uint64(n))
	}
	return dst
}

// ParseFrame decodes the frame at the start of b and returns what follows it. The
// payload is a part of b; nothing is allocated. Errors: ErrMalformed.
func ParseFrame(b []byte) (f Frame, rest []byte, err error) {
	if len(b) == 0 {
		return Frame{}, nil, fmt.Errorf("wire: frame: no bytes: %w", ErrMalformed)
	}
	f.Type, rest = Type(b[0]), b[1:]
	if int(f.Type) >= len(shapes) || !shapes[f.Type].known {
		return Frame{}, nil, fmt.Errorf("wire: frame: unknown %v: %w", f.Type, ErrMalformed)
	}
	s := shapes[f.Type]
	if s.stream {
		if f.Stream, rest, err = ReadVarint(rest); err != nil {
			return Frame{}, nil, fmt.Errorf("wire: %v frame: stream: %w", f.Type, err)
		}
	}
	if s.code {
		if f.Code, rest, err = ReadVarint(rest); err != nil {
			return Frame{}, nil, fmt.Errorf("wire: %v frame: code: %w", f.Type, err)
		}
	}
	if s.hasPayload {
		if f.Payload, rest, err = ReadBytes(rest); err != nil {
			return Frame{}, nil, fmt.Errorf("wire: %v frame: payload: %w", f.Type, err)
		}
	}
	return f, rest, nil
}

// ReadBytes reads a varint length and that many bytes, which are a part of b.
func ReadBytes(b []byte) (data, rest []byte, err error) {
	n, rest, err := ReadVarint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("wire: %d bytes announced, %d there: %w", n, len(rest), ErrMalformed)
	}
	return rest[:n:n], rest[n:], nil
}

// AppendRequest appends the payload of a Request: the protocol and the body.
func AppendRequest(dst []byte, proto string, body []byte) []byte {
	dst = AppendVarint(dst, uint64(len(proto)))
	dst = append(dst, proto...)
	return append(dst, body...)
}

// ParseRequest decodes what AppendRequest made; body is a part of payload.
func ParseRequest(payload []byte) (proto string, body []byte, err error) {
	name, body, err := ReadBytes(payload)
	if err != nil {
		return "", nil, fmt.Errorf("wire: request: protocol: %w", err)
	}
	if err := CheckProto(string(name)); err != nil {
		return "", nil, err
	}
	return string(name), body, nil
}

// CheckProto refuses what cannot name a protocol: a name has 1 to MaxProto
// printable ASCII characters without spaces, such as "member/1".
func CheckProto(proto string) error {
	if len(proto) > MaxProto {
		return fmt.Errorf("wire: protocol of %d characters, at most %d: %w", len(proto), MaxProto, p2p.ErrTooLarge)
	}
	if proto == "" {
		return fmt.Errorf("wire: protocol without a name: %w", ErrMalformed)
	}
	for i := range len(proto) {
		if c := proto[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("wire: protocol %q: %w", proto, ErrMalformed)
		}
	}
	return nil
}
