package rtc

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
)

// This file is the record layer of DTLS 1.2 (RFC 6347, section 4.1) with the one
// cipher suite that every implementation of WebRTC has (RFC 8827, section 6.5). pion
// does the handshake; its record layer then takes a goroutine, a context and seven
// allocations for each datagram, which was half of what a link cost.

// suite is the only cipher suite that is offered and taken.
const suite = dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256

// Sizes of a record.
const (
	recordHeader = 13
	nonceSize    = 8 // the part that travels
	tagSize      = 16
	saltSize     = 4
	// recordOverhead is how much longer a record is than what is in it.
	recordOverhead = recordHeader + nonceSize + tagSize
)

// Types of records.
const (
	recordAlert       = 21
	recordApplication = 23
)

const (
	// firstSequence is the first number of our own records. Those below belong to
	// pion, which may have to repeat the end of its handshake with the same keys: no
	// number may be used twice.
	firstSequence = 1 << 32
	maxSequence   = 1<<48 - 1
	// dataEpoch is the epoch of all that follows the handshake: there is but one.
	dataEpoch = 1
)

var (
	errRecord   = errors.New("malformed or forged record")
	errReplay   = errors.New("record that was here before, or is too old")
	errUsedUp   = errors.New("all record numbers are used")
	errNoSecret = errors.New("the handshake has left no usable secret")
)

// secrets are what the two directions of a connection are encrypted with.
type secrets struct {
	seal, open aead
}

// aead is one direction: AES-GCM as RFC 5288 uses it.
type aead struct {
	cipher.AEAD
	salt [saltSize]byte
}

// handshaken is the part of dtls.State that matters here, in the encoding that it
// has for being stored.
type handshaken struct {
	LocalRandom   [32]byte
	RemoteRandom  [32]byte
	CipherSuiteID uint16
	MasterSecret  []byte
	IsClient      bool
}

// secretsOf derives the keys from what the handshake has agreed on.
func secretsOf(state dtls.State) (secrets, error) {
	raw, err := state.MarshalBinary()
	if err != nil {
		return secrets{}, fmt.Errorf("rtc: dtls: %w", err)
	}
	var h handshaken
	if err := gob.NewDecoder(bytes.NewReader(raw)).Decode(&h); err != nil {
		return secrets{}, fmt.Errorf("rtc: dtls: %w", err)
	}
	if h.CipherSuiteID != uint16(suite) || len(h.MasterSecret) != 48 || h.LocalRandom == h.RemoteRandom {
		return secrets{}, fmt.Errorf("rtc: dtls: suite %#x: %w", h.CipherSuiteID, errNoSecret)
	}
	client, server := h.RemoteRandom, h.LocalRandom
	if h.IsClient {
		client, server = server, client
	}
	keys, err := prf.GenerateEncryptionKeys(h.MasterSecret, client[:], server[:], 0, 16, saltSize, sha256.New)
	if err != nil {
		return secrets{}, fmt.Errorf("rtc: dtls: %w", err)
	}
	var s secrets
	to, from := &s.open, &s.seal
	if h.IsClient {
		to, from = from, to
	}
	// to is what the client writes with.
	if *to, err = newAEAD(keys.ClientWriteKey, keys.ClientWriteIV); err != nil {
		return secrets{}, err
	}
	*from, err = newAEAD(keys.ServerWriteKey, keys.ServerWriteIV)
	return s, err
}

func newAEAD(key, salt []byte) (aead, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return aead{}, fmt.Errorf("rtc: dtls: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return aead{}, fmt.Errorf("rtc: dtls: %w", err)
	}
	return aead{gcm, [saltSize]byte(salt)}, nil
}

// sealer makes records. One goroutine uses it at a time.
type sealer struct {
	aead
	next uint64 // number of the next record, without the epoch
	// The arguments of the cipher are kept here: else they would be made anew for
	// each record.
	nonce [saltSize + nonceSize]byte
	extra [recordHeader]byte
}

func newSealer(a aead) *sealer { return &sealer{aead: a, next: firstSequence} }

// append appends a record of type kind with data to dst, which has room for it.
func (s *sealer) append(dst []byte, kind byte, data []byte) ([]byte, error) {
	if s.next > maxSequence {
		return dst, errUsedUp
	}
	number := uint64(dataEpoch)<<48 | s.next
	s.next++
	dst = appendHeader(dst, kind, number, nonceSize+len(data)+tagSize)
	dst = binary.BigEndian.AppendUint64(dst, number) // the nonce: never the same again
	nonce, extra := s.arguments(&s.nonce, &s.extra, kind, number, number, len(data))
	return s.Seal(dst, nonce, data, extra), nil
}

func appendHeader(dst []byte, kind byte, number uint64, n int) []byte {
	dst = append(dst, kind, 0xfe, 0xfd)
	dst = binary.BigEndian.AppendUint64(dst, number)
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}

// arguments puts together the nonce and the additional data (RFC 5246, section
// 6.2.3.3) of a record with n bytes of data.
func (a *aead) arguments(nonce *[saltSize + nonceSize]byte, extra *[recordHeader]byte, kind byte, number, explicit uint64, n int) (_, _ []byte) {
	copy(nonce[:], a.salt[:])
	binary.BigEndian.PutUint64(nonce[saltSize:], explicit)
	binary.BigEndian.PutUint64(extra[:], number)
	extra[8], extra[9], extra[10] = kind, 0xfe, 0xfd
	binary.BigEndian.PutUint16(extra[11:], uint16(n))
	return nonce[:], extra[:]
}

// opener reads records. One goroutine uses it at a time.
type opener struct {
	aead
	seen  window
	nonce [saltSize + nonceSize]byte
	extra [recordHeader]byte
}

func newOpener(a aead) *opener { return &opener{aead: a} }

// first opens the first record of the datagram b into dst, and returns its type, its
// content and the records behind it. An error says that the record is to be dropped.
func (o *opener) first(dst, b []byte) (kind byte, data, rest []byte, err error) {
	if len(b) < recordOverhead {
		return 0, nil, nil, errRecord
	}
	number := binary.BigEndian.Uint64(b[3:])
	n := int(binary.BigEndian.Uint16(b[11:]))
	if b[1] != 0xfe || b[2] != 0xfd || number>>48 != dataEpoch || n < nonceSize+tagSize ||
		recordHeader+n > len(b) || n-nonceSize-tagSize > len(dst) {
		return 0, nil, nil, errRecord
	}
	kind, body, rest := b[0], b[recordHeader:recordHeader+n], b[recordHeader+n:]
	sequence := number & maxSequence
	if !o.seen.fresh(sequence) {
		return 0, nil, rest, errReplay
	}
	nonce, extra := o.arguments(&o.nonce, &o.extra, kind, number, binary.BigEndian.Uint64(body), n-nonceSize-tagSize)
	data, err = o.Open(dst[:0], nonce, body[nonceSize:], extra)
	if err != nil {
		return 0, nil, rest, errRecord
	}
	o.seen.mark(sequence)
	return kind, data, rest, nil
}

// window knows which record numbers were here (RFC 6347, section 4.1.2.6): of the
// last windowSize exactly, and all before count as seen.
type window struct {
	top  uint64 // above the highest number
	bits [windowSize / 64]uint64
}

const windowSize = 4096

// fresh reports whether the number was not here yet.
func (w *window) fresh(n uint64) bool {
	switch {
	case n >= w.top:
		return true
	case n+windowSize < w.top:
		return false
	}
	return w.bits[n%windowSize/64]&(1<<(n%64)) == 0
}

// mark enters a fresh number.
func (w *window) mark(n uint64) {
	if n >= w.top {
		if n-w.top >= windowSize {
			w.bits = [windowSize / 64]uint64{}
		} else {
			for i := w.top; i < n; i++ {
				w.bits[i%windowSize/64] &^= 1 << (i % 64)
			}
		}
		w.top = n + 1
	}
	w.bits[n%windowSize/64] |= 1 << (n % 64)
}
