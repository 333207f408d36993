package route

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// What a request asks and what it is answered is for its two ends alone: one member may not
// see what another may, and it is through the one that the other is reached. Each run of
// a node has an X25519 key. That of the target comes with the epoch, that of the origin
// with each request, and both are signed. A request that does not know the epoch yet asks
// for nothing.

const (
	keysContext = "shoal forward keys 1"
	publicSize  = 32 // of an X25519 key
	sealSize    = 16 // by which sealing makes longer
	// maxResult is how long a sealed result may be.
	maxResult = MaxForwarded + maxText + 256
)

// newSecret makes the key of one run.
func newSecret() *ecdh.PrivateKey {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	key, err := ecdh.X25519().NewPrivateKey(b[:])
	if err != nil {
		panic("route: any 32 bytes are a key: " + err.Error())
	}
	return key
}

// secrets are what origin and target share for one epoch: a key for each direction.
type secrets struct{ request, answer cipher.AEAD }

// share computes the secrets of an envelope's two ends. mine is of either of them, theirs of
// the other one; target is the public key of the target's run.
func share(mine *ecdh.PrivateKey, theirs, target []byte, network p2p.ID, e *Envelope) (*secrets, error) {
	public, err := ecdh.X25519().NewPublicKey(theirs)
	if err != nil {
		return nil, fmt.Errorf("route: key of %d bytes: %w", len(theirs), wire.ErrMalformed)
	}
	common, err := mine.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("route: key of low order: %w", wire.ErrMalformed)
	}
	info := slices.Concat([]byte(keysContext), network[:], e.Origin, e.To[:], e.Public, target, e.Incarnation[:], e.Epoch[:])
	keys, err := hkdf.Key(sha256.New, common, nil, string(info), 64)
	if err != nil {
		return nil, fmt.Errorf("route: keys: %w", err)
	}
	var s secrets
	if s.request, err = newAEAD(keys[:32]); err != nil {
		return nil, err
	}
	s.answer, err = newAEAD(keys[32:])
	return &s, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("route: keys: %w", err)
	}
	return cipher.NewGCM(block)
}

// nonceOf is the nonce of the one message that has a number in one direction: an origin
// uses each number once, and a target serves it once.
func nonceOf(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), seq)
}

// result is what a handler returned. Code says that it failed.
type result struct {
	Body []byte `cbor:"1,keyasint,omitempty"`
	Code string `cbor:"2,keyasint,omitempty"`
	Text string `cbor:"3,keyasint,omitempty"`
	Hops uint8  `cbor:"4,keyasint,omitempty"` // that the request took: for people
}

// seal encrypts a result.
func (s *secrets) seal(r result, seq uint64) ([]byte, error) {
	b, err := wire.Marshal(r)
	if err != nil {
		return nil, err
	}
	return s.answer.Seal(nil, nonceOf(seq), b, nil), nil
}

// open decrypts and bounds a result.
func (s *secrets) open(b []byte, seq uint64) (r result, err error) {
	if b, err = s.answer.Open(nil, nonceOf(seq), b, nil); err != nil {
		return r, fmt.Errorf("route: sealed for somebody else: %w", wire.ErrMalformed)
	}
	if err := wire.Unmarshal(b, &r); err != nil {
		return r, err
	}
	if len(r.Body) > MaxForwarded || len(r.Code) > wire.MaxProto || len(r.Text) > maxText {
		return r, fmt.Errorf("route: result out of bounds: %w", wire.ErrMalformed)
	}
	return r, nil
}
