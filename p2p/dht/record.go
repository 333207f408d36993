package dht

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Limits of a record. They are part of the protocol.
const (
	MaxValue    = 64 << 10 // bytes; with header, signature and votes it fits a forwarded call
	MaxBased    = 16       // versions that one replaces
	MaxTTL      = 10 * 365 * 24 * time.Hour
	MaxPrepared = 10 * time.Second // how long a prepared version may wait for its confirmation
)

// Kind says what a record is.
type Kind uint8

// The kinds of record.
const (
	KindValue     Kind = iota // it has a value
	KindTombstone             // what was at the address has been removed
)

// Protect says what the author of a record claims for itself with it.
type Protect uint8

// What can be claimed, as bits.
const (
	ProtectDomain Protect = 1 << iota // the domain at this location: only the owner may write in it
	ProtectEntry                      // the name, with all its versions
)

// Header is what an author says of a record, and signs: everything but the value
// itself, of which the header has the sum. A header alone renews a record, confirms it
// or hands it over without sending the value again.
type Header struct {
	Address
	Kind     Kind              `cbor:"5,keyasint,omitempty"`
	Sum      p2p.Key           `cbor:"6,keyasint"`            // SHA-256 of the value
	Size     uint32            `cbor:"7,keyasint,omitempty"`  // bytes of the value
	Based    []Version         `cbor:"8,keyasint,omitempty"`  // versions that this one replaces, in order, each once
	TTL      uint32            `cbor:"9,keyasint,omitempty"`  // seconds; 0: until it is removed
	Seq      uint64            `cbor:"10,keyasint"`           // of records at one address, the one with the largest holds
	Prepared bool              `cbor:"11,keyasint,omitempty"` // a version that nobody is to see before it is confirmed
	Protect  Protect           `cbor:"12,keyasint,omitempty"`
	Owner    ed25519.PublicKey `cbor:"13,keyasint,omitempty"` // who is to own what is claimed; empty: the author
	Author   ed25519.PublicKey `cbor:"14,keyasint"`
}

// Record is a header with its value and the author's signature. A record without a
// value, whose header says that there is one, is a change of a header (see Header).
type Record struct {
	Header
	Value []byte `cbor:"15,keyasint,omitempty"`
	Proof Proof  `cbor:"16,keyasint"`
}

// Errors of Check, and of what is asked of a node. Each has a code that programs can
// tell apart; see Status for what becomes of a record at one replica.
var (
	// ErrMalformed: a record that nobody can have meant.
	ErrMalformed = errors.New("malformed record")
	// ErrSignature: the author did not sign this.
	ErrSignature = errors.New("not signed by its author")
)

// Newer reports whether h holds where both are at one address: the one with the larger
// sequence number does; of equal ones a tombstone, then the larger hash, so that all
// nodes agree whatever comes first.
func (h Header) Newer(o Header) bool {
	if h.Seq != o.Seq {
		return h.Seq > o.Seq
	}
	if h.Kind != o.Kind {
		return h.Kind > o.Kind
	}
	a, b := h.hash(), o.hash()
	return bytes.Compare(a[:], b[:]) > 0
}

// OwnerKey returns whom the claims of h belong to.
func (h Header) OwnerKey() ed25519.PublicKey {
	if len(h.Owner) > 0 {
		return h.Owner
	}
	return h.Author
}

// IsHeader reports whether r is a change of a header: it lacks the value that it is
// about.
func (r Record) IsHeader() bool { return r.Kind == KindValue && r.Size > 0 && r.Value == nil }

// check reports what is wrong with a header by itself.
func (h Header) check() error {
	switch {
	case len(h.Author) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: an author's key of %d bytes", ErrMalformed, len(h.Author))
	case len(h.Owner) != 0 && len(h.Owner) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: an owner's key of %d bytes", ErrMalformed, len(h.Owner))
	case len(h.Owner) != 0 && h.Protect == 0:
		return fmt.Errorf("%w: an owner of nothing", ErrMalformed)
	case h.Kind > KindTombstone:
		return fmt.Errorf("%w: kind %d", ErrMalformed, h.Kind)
	case h.Protect > ProtectDomain|ProtectEntry:
		return fmt.Errorf("%w: protection %d", ErrMalformed, h.Protect)
	case h.Size > MaxValue:
		return fmt.Errorf("%w: a value of %d bytes, at most %d: %w", ErrMalformed, h.Size, MaxValue, p2p.ErrTooLarge)
	case h.Kind == KindTombstone && (h.Size != 0 || h.Prepared || len(h.Based) != 0):
		return fmt.Errorf("%w: a tombstone that is something else too", ErrMalformed)
	case h.Seq == 0:
		return fmt.Errorf("%w: sequence number 0", ErrMalformed)
	case time.Duration(h.TTL)*time.Second > MaxTTL:
		return fmt.Errorf("%w: a TTL of %d seconds", ErrMalformed, h.TTL)
	case h.Prepared && (h.TTL == 0 || time.Duration(h.TTL)*time.Second > MaxPrepared):
		return fmt.Errorf("%w: prepared for %d seconds, want 1 to %d", ErrMalformed, h.TTL, MaxPrepared/time.Second)
	case h.Prepared && h.Version.IsZero():
		return fmt.Errorf("%w: prepared without a version", ErrMalformed)
	case len(h.Based) > MaxBased:
		return fmt.Errorf("%w: replaces %d versions, at most %d", ErrMalformed, len(h.Based), MaxBased)
	case !slices.IsSortedFunc(h.Based, Version.Compare) || len(slices.Compact(slices.Clone(h.Based))) != len(h.Based):
		return fmt.Errorf("%w: replaced versions that are not in order", ErrMalformed)
	}
	for _, b := range h.Based {
		if b.Number() >= h.Version.Number() {
			return fmt.Errorf("%w: version %s replaces %s, which is not older", ErrMalformed, h.Version, b)
		}
	}
	return nil
}

// check reports what is wrong with a record but for its signature.
func (r Record) check() error {
	if err := r.Header.check(); err != nil {
		return err
	}
	if r.IsHeader() {
		return nil
	}
	if len(r.Value) != int(r.Size) || SumOf(r.Value) != r.Sum {
		return fmt.Errorf("%w: %d bytes that are not the value that was signed", ErrMalformed, len(r.Value))
	}
	return nil
}

// SumOf returns the sum of a value, as it is in a header.
func SumOf(value []byte) p2p.Key { return sha256.Sum256(value) }

// hash returns the leaf of the header in the tree that its author signs.
func (h *Header) hash() [sha256.Size]byte { return leafHash(h.encode()) }

// TimeToLive returns how long the record may be served from when it was written, and
// whether there is an end at all.
func (h Header) TimeToLive() (time.Duration, bool) {
	return time.Duration(h.TTL) * time.Second, h.TTL > 0
}
