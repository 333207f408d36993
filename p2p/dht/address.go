package dht

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
)

// KeyOf returns the key of a name that people use: its SHA-256.
func KeyOf(name string) p2p.Key { return sha256.Sum256([]byte(name)) }

// KeyOfOwner returns the domain, or the content key, of which the holder of a public
// key is master: its SHA-256, which is also the ID of a node.
func KeyOfOwner(public []byte) p2p.Key { return sha256.Sum256(public) }

// Address is where a record is. Addresses are ordered by their parts.
type Address struct {
	Location p2p.Key `cbor:"1,keyasint"` // decides who keeps it
	Domain   p2p.Key `cbor:"2,keyasint"` // a name space within the location, which can have an owner
	Content  p2p.Key `cbor:"3,keyasint"` // which record of the domain
	Version  Version `cbor:"4,keyasint"` // zero for records without versions
}

// Compare orders addresses.
func (a Address) Compare(b Address) int {
	return cmp.Or(a.Name().Compare(b.Name()), a.Version.Compare(b.Version))
}

// Name returns the address without its version.
func (a Address) Name() Name { return Name{a.Location, a.Domain, a.Content} }

// Name is what all versions of a record have in common.
type Name struct {
	Location p2p.Key `cbor:"1,keyasint"`
	Domain   p2p.Key `cbor:"2,keyasint"`
	Content  p2p.Key `cbor:"3,keyasint"`
}

// Compare orders names.
func (n Name) Compare(o Name) int {
	return cmp.Or(n.Location.Compare(o.Location), n.Domain.Compare(o.Domain), n.Content.Compare(o.Content))
}

// At returns the address of a version of the name.
func (n Name) At(v Version) Address { return Address{n.Location, n.Domain, n.Content, v} }

// Version tells versions of a record apart: 8 bytes of a number that grows from
// each version to those that follow it, and 12 of the hash of the value, so that two
// writers who follow the same version make two. The order is that of the numbers.
type Version [20]byte

// NewVersion returns the version of a value that has the number n.
func NewVersion(n uint64, value []byte) Version {
	var v Version
	binary.BigEndian.PutUint64(v[:8], n)
	sum := sha256.Sum256(value)
	copy(v[8:], sum[:])
	return v
}

// Number returns the number: 0 for a record without versions.
func (v Version) Number() uint64 { return binary.BigEndian.Uint64(v[:8]) }

// IsZero reports whether v is that of records without versions.
func (v Version) IsZero() bool { return v == Version{} }

// Compare orders versions.
func (v Version) Compare(o Version) int { return bytes.Compare(v[:], o[:]) }

// String returns the text form, such as "3-a1b2…": the number, then 24 hexadecimal
// digits of the hash.
func (v Version) String() string {
	return strconv.FormatUint(v.Number(), 10) + "-" + hex.EncodeToString(v[8:])
}

// MarshalText implements encoding.TextMarshaler.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the text form.
func (v *Version) UnmarshalText(text []byte) error {
	number, hash, _ := strings.Cut(string(text), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return fmt.Errorf("dht: version %.60q: no number before the hash", text)
	}
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != len(v)-8 {
		return fmt.Errorf("dht: version %.60q: want a number, \"-\" and %d hexadecimal digits", text, 2*(len(v)-8))
	}
	binary.BigEndian.PutUint64(v[:8], n)
	copy(v[8:], b)
	if v.String() != string(text) {
		return fmt.Errorf("dht: version %.60q: not in canonical form", text)
	}
	return nil
}
