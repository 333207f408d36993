package p2p

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"net/netip"
)

// Identity is a node's key pair: who it is, and the power to say so.
type Identity struct{ key ed25519.PrivateKey }

// NewIdentity makes an identity from 32 bytes of rand, which is crypto/rand.Reader
// everywhere but in simulations.
func NewIdentity(rand io.Reader) (Identity, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return Identity{}, fmt.Errorf("p2p: new identity: %w", err)
	}
	return IdentityFromSeed(seed)
}

// IdentityFromSeed restores the identity whose Seed is seed.
func IdentityFromSeed(seed []byte) (Identity, error) {
	if len(seed) != ed25519.SeedSize {
		return Identity{}, fmt.Errorf("p2p: identity: seed of %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	return Identity{key: ed25519.NewKeyFromSeed(seed)}, nil
}

// Seed returns the 32 secret bytes from which IdentityFromSeed restores i.
func (i Identity) Seed() []byte { return i.key.Seed() }

// PublicKey returns the public half.
func (i Identity) PublicKey() ed25519.PublicKey { return i.key.Public().(ed25519.PublicKey) }

// ID returns the node's ID.
func (i Identity) ID() ID { return IDOf(i.PublicKey()) }

// IsZero reports whether i is the zero Identity, which can sign nothing.
func (i Identity) IsZero() bool { return i.key == nil }

// Sign signs message under a context, a constant such as "shoal contact 1" that
// says what kind of statement it is, so that no statement can pass for another.
func (i Identity) Sign(context string, message []byte) []byte {
	return ed25519.Sign(i.key, signed(context, message))
}

// Verify reports whether sig is key's signature of message under context. A key
// or signature of the wrong length is no signature.
func Verify(key ed25519.PublicKey, context string, message, sig []byte) bool {
	return len(key) == ed25519.PublicKeySize && len(sig) == ed25519.SignatureSize &&
		ed25519.Verify(key, signed(context, message), sig)
}

// signed joins context and message so that no two pairs give the same bytes:
// contexts hold no NUL.
func signed(context string, message []byte) []byte {
	b := make([]byte, 0, len(context)+1+len(message))
	b = append(b, context...)
	b = append(b, 0)
	return append(b, message...)
}

// Contact tells how to reach a node. It is signed by that node (the context and
// encoding are p2p/member's); of two, the one with the higher Seq holds.
type Contact struct {
	PublicKey ed25519.PublicKey `cbor:"1,keyasint"`
	Name      string            `cbor:"2,keyasint"`           // for people; not unique
	Addrs     []netip.AddrPort  `cbor:"3,keyasint,omitempty"` // of the p2p port, UDP and TCP alike
	Relays    []ID              `cbor:"4,keyasint,omitempty"` // members that forward signalling to it
	Seq       uint64            `cbor:"5,keyasint"`
	Sig       []byte            `cbor:"6,keyasint,omitempty"`
}

// ID follows from the key.
func (c Contact) ID() ID { return IDOf(c.PublicKey) }
