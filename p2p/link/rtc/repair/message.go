package repair

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Window is how many records, counted from the first that is missing, the two ends
// deal with at one time. It covers what one stream has in flight (2 MiB).
const Window = 2048

// Kind is the first byte of a control datagram.
type Kind byte

// The kinds of control datagrams. RFC 7983 gives 192 to 255 to nobody.
const (
	Report Kind = 0xc5
	Head   Kind = 0xc6
)

// IsControl reports whether b may be a control datagram.
func IsControl(b []byte) bool {
	return len(b) > 0 && (Kind(b[0]) == Report || Kind(b[0]) == Head)
}

// Message is a control datagram.
type Message struct {
	Kind  Kind
	Ask   bool   // an answer is wanted
	Once  bool   // Report: the path is congested, send nothing twice
	Stamp uint64 // microseconds of the clock of who sent it; larger than in all its messages before
	Echo  uint64 // the Stamp of the message that this one answers, or 0
	// Base is, in a Report, the first record that is still waited for, and in a
	// Head the first of which there is a copy.
	Base uint64
	// End is one more than the highest number that came (Report) or was sent (Head).
	End uint64
	// Missing has, in a Report, a bit for each record from Base on: the first is the
	// lowest bit of the first byte.
	Missing []byte
}

// Copies is how often m is sent at once. What asks for records goes out twice: if
// it is lost, all of them wait for another round.
func (m Message) Copies() int {
	if len(m.Missing) > 0 {
		return 2
	}
	return 1
}

// Sizes in bytes.
const (
	macSize    = 8
	fixedSize  = 2 + 4*8
	maxMissing = Window / 8
	maxNumber  = 1<<48 - 1 // of a record
)

// MaxMessage is the size of the largest control datagram in bytes.
const MaxMessage = fixedSize + maxMissing + macSize

const (
	flagAsk  = 1
	flagOnce = 2
)

var (
	errMessage = errors.New("malformed control datagram")
	errMAC     = errors.New("control datagram of somebody else")
)

// Keys authenticate control datagrams between two ends. They are made from what the
// ends have told each other in their signed session descriptions.
type Keys struct {
	out, in [sha256.Size]byte
}

// NewKeys returns the keys of the end whose ICE credentials are local. The
// directions have different ones, so that nothing can be sent back to its sender.
func NewKeys(localUfrag, localPwd, remoteUfrag, remotePwd string) Keys {
	return Keys{
		out: direction(localUfrag, localPwd, remoteUfrag, remotePwd),
		in:  direction(remoteUfrag, remotePwd, localUfrag, localPwd),
	}
}

func direction(fromUfrag, fromPwd, toUfrag, toPwd string) (key [sha256.Size]byte) {
	mac := hmac.New(sha256.New, []byte("shoal repair 1"))
	for _, s := range []string{fromUfrag, fromPwd, toUfrag, toPwd} {
		mac.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s))))
		mac.Write([]byte(s))
	}
	mac.Sum(key[:0])
	return key
}

func sum(key [sha256.Size]byte, b []byte) []byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(b)
	return mac.Sum(nil)[:macSize]
}

// Seal appends m to b as a datagram.
func (k Keys) Seal(b []byte, m Message) []byte {
	start := len(b)
	var flags byte
	if m.Ask {
		flags |= flagAsk
	}
	if m.Once {
		flags |= flagOnce
	}
	b = append(b, byte(m.Kind), flags)
	for _, v := range []uint64{m.Stamp, m.Echo, m.Base, m.End} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, m.Missing...)
	return append(b, sum(k.out, b[start:])...)
}

// Open reads a datagram of the other end. Missing shares the memory of b.
func (k Keys) Open(b []byte) (Message, error) {
	if len(b) < fixedSize+macSize || len(b) > MaxMessage || !IsControl(b) {
		return Message{}, fmt.Errorf("repair: %d bytes: %w", len(b), errMessage)
	}
	body, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(mac, sum(k.in, body)) {
		return Message{}, fmt.Errorf("repair: %w", errMAC)
	}
	u := func(i int) uint64 { return binary.BigEndian.Uint64(body[2+8*i:]) }
	m := Message{
		Kind: Kind(body[0]), Ask: body[1]&flagAsk != 0, Once: body[1]&flagOnce != 0,
		Stamp: u(0), Echo: u(1), Base: u(2), End: u(3), Missing: body[fixedSize:],
	}
	if m.Base > maxNumber+1 || m.End > maxNumber+1 {
		return Message{}, fmt.Errorf("repair: numbers %d and %d: %w", m.Base, m.End, errMessage)
	}
	return m, nil
}

// Number returns the number of the record of DTLS that b consists of. Records of
// the handshake, which are of epoch 0, have none.
func Number(b []byte) (n uint64, ok bool) {
	if len(b) < 13 || b[0] < 20 || b[0] > 25 || b[3] != 0 || b[4] != 1 {
		return 0, false
	}
	return uint64(b[5])<<40 | uint64(b[6])<<32 | uint64(binary.BigEndian.Uint32(b[7:])), true
}
