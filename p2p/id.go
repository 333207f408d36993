package p2p

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"math/bits"
)

// ID names a node: the SHA-256 of its ed25519 public key. Its text form is
// lower-case base32 without padding (52 characters); people see the first 12.
type ID [32]byte

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// IDOf returns the ID of the node that holds the private half of key.
func IDOf(key ed25519.PublicKey) ID { return sha256.Sum256(key) }

// ParseID reads the text form of an ID. It accepts only the full form: a
// shortened ID names nobody.
func ParseID(text string) (ID, error) {
	var id ID
	err := id.UnmarshalText([]byte(text))
	return id, err
}

// String returns the whole text form.
func (id ID) String() string { return base32Lower.EncodeToString(id[:]) }

// Short returns the first 12 characters, for people.
func (id ID) Short() string { return id.String()[:12] }

// IsZero reports whether id is the zero ID, which names no node.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs as big-endian numbers.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != base32Lower.EncodedLen(len(id)) {
		return fmt.Errorf("p2p: id %.60q: %d characters, want %d", text, len(text), base32Lower.EncodedLen(len(id)))
	}
	b, err := base32Lower.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("p2p: id %.60q: %w", text, err)
	}
	// The last character carries 4 unused bits; only one spelling is an ID.
	copy(id[:], b)
	if id.String() != string(text) {
		return fmt.Errorf("p2p: id %.60q: not in canonical form", text)
	}
	return nil
}

// Key is a point of the key space in which nodes and records have positions.
type Key [32]byte

// Distance is the XOR metric of Kademlia (Maymounkov & Mazières 2002).
func (k Key) Distance(other Key) Key {
	for i := range k {
		k[i] ^= other[i]
	}
	return k
}

// CommonPrefixLen counts the leading bits that k and other share, 0 to 256.
func (k Key) CommonPrefixLen(other Key) int {
	for i := range k {
		if x := k[i] ^ other[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(k)
}

// Compare orders keys, and distances, as big-endian numbers.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }
