package dht

import (
	"crypto/ed25519"
	"time"
)

// Cell is all that a replica keeps of one name: its records, and the claims that stand
// over them. What happens to it when a record comes is decided here, without disk,
// network and clock; times are Unix milliseconds of the replica's own clock.
type Cell struct {
	Name    Name
	Domain  *Claim // on (location, domain), never nil: the cells of one domain share it
	Entry   Claim  // on the name
	Records []Held // by version, each once; tombstones and prepared versions too
}

// Held is a record at a replica.
type Held struct {
	Record
	Expires int64 // when it must not be served any more; 0: never
}

// Claim says to whom a domain or an entry belongs. The zero Claim is nobody's.
type Claim struct {
	Owner   ed25519.PublicKey
	Expires int64 // with the last record that claims it; 0: never
}

// IsZero reports whether nothing is claimed.
func (c Claim) IsZero() bool { return len(c.Owner) == 0 }

// Write is a record on its way to a replica, and what its sender wants to be so.
type Write struct {
	Record Record `cbor:"1,keyasint"`
	Absent bool   `cbor:"2,keyasint,omitempty"` // only if there is none at the address
	Repair bool   `cbor:"3,keyasint,omitempty"` // a copy from another replica: forks are kept as they are
	// Left is how long the record has to live, in milliseconds: of a copy less than its
	// TTL. 0: its whole TTL.
	Left uint64 `cbor:"4,keyasint,omitempty"`
}

// Rules say who may claim what: the settings of a network. The zero value is the
// default, ALL and MASTER_PUBLIC_KEY for domains and entries.
type Rules struct {
	DomainNone     bool `cbor:"1,keyasint,omitempty"` // NONE: only the master may claim a domain; else ALL
	DomainNoMaster bool `cbor:"2,keyasint,omitempty"` // NO_MASTER: who claims first keeps it; else MASTER_PUBLIC_KEY
	EntryNone      bool `cbor:"3,keyasint,omitempty"`
	EntryNoMaster  bool `cbor:"4,keyasint,omitempty"`
}

// MaxVersions is how many versions a replica keeps of one name. Of more, those go that
// others replace, oldest first; if all are heads, a new one is refused.
const MaxVersions = 64

// live reports whether a record is to be served at a time.
func (h Held) live(now int64) bool { return h.Expires == 0 || now < h.Expires }

// expiry returns when a write ends that comes at now.
func (w Write) expiry(now int64) int64 {
	ttl, ends := w.Record.TimeToLive()
	if !ends {
		return 0
	}
	if left := time.Duration(min(w.Left, uint64(MaxTTL/time.Millisecond))) * time.Millisecond; w.Left > 0 && left < ttl {
		ttl = left
	}
	return now + ttl.Milliseconds()
}
