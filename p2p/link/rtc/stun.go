package rtc

import (
	"bytes"
	"encoding/binary"
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

// attrUsername is the attribute that names an agent.
const attrUsername = 0x0006

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
