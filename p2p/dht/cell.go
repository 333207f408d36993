package dht

import (
	"bytes"
	"crypto/ed25519"
	"iter"
	"slices"
	"sort"
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
	Expires int64 // with the last record that claims it for Owner; 0: never
	// Master is the largest sequence number with which the master has claimed it. What
	// it signed earlier changes nothing, or an old copy would take back what it has
	// handed over since.
	Master uint64
	// Stale says that the record that Expires is of may be gone, or that there may be a
	// later one in another cell: whoever has all records of the domain has to Recount. Until
	// then the owner keeps the claim, at the latest to Expires.
	Stale bool
}

// IsZero reports whether nothing is claimed.
func (k Claim) IsZero() bool { return len(k.Owner) == 0 }

// Recount finds out when the claim ends: with the last of the records that claim p for
// its owner. If there is none, the claim is nobody's from then on. A store calls it with
// the records of a domain when Put has left the domain's claim Stale.
func (k *Claim) Recount(p Protect, records iter.Seq[Held]) {
	last, any := int64(0), false
	for h := range records {
		if !h.Claims(p, k.Owner) {
			continue
		}
		if !any || later(h.Expires, last) {
			last = h.Expires
		}
		any = true
	}
	if !any {
		*k = Claim{}
		return
	}
	k.Expires, k.Stale = last, false
}

// later reports whether something ends after something else; 0 is never.
func later(a, b int64) bool { return b != 0 && (a == 0 || a > b) }

// Write is a record on its way to a replica, and what its sender wants to be so.
type Write struct {
	Record Record `cbor:"1,keyasint"`
	Absent bool   `cbor:"2,keyasint,omitempty"` // only if there is none at the address
	Repair bool   `cbor:"3,keyasint,omitempty"` // a copy from another replica: forks are kept as they are
	// Left is how long the record has to live, in milliseconds: of a copy less than its
	// TTL. 0: its whole TTL.
	Left uint64 `cbor:"4,keyasint,omitempty"`
	// Fork says that the writer knows that this version may replace one that another has
	// replaced already, and wants it beside the other. It is of no use with a prepared
	// version, which is there to find out that nobody else is writing.
	Fork bool `cbor:"5,keyasint,omitempty"`
	// Delta is on its way instead of the record's value: the difference to the value with the
	// sum Base. A replica that does not have that answers StatusNotFound.
	Base  []byte `cbor:"6,keyasint,omitempty"`
	Delta []byte `cbor:"7,keyasint,omitempty"`
	// Quorum goes with the confirmation of a prepared version, and with copies that its author
	// brings a moment later. Other writes need none.
	Quorum *Quorum `cbor:"8,keyasint,omitempty"`

	proved uint64 // up to which sequence number a majority has prepared it; 0: that is not known
	own    bool   // its author brings it
}

// Rules say who may claim what: the settings of a network. The zero value is the
// default, ALL and MASTER_PUBLIC_KEY for domains and entries.
type Rules struct {
	DomainNone     bool `cbor:"1,keyasint,omitempty"` // NONE: only the master may claim a domain; else ALL
	DomainNoMaster bool `cbor:"2,keyasint,omitempty"` // NO_MASTER: who claims first keeps it; else MASTER_PUBLIC_KEY
	EntryNone      bool `cbor:"3,keyasint,omitempty"`
	EntryNoMaster  bool `cbor:"4,keyasint,omitempty"`
}

// MaxVersions is how many records with a value a replica keeps of one name. Of more,
// those go that others replace, oldest first; if all are heads, a new one is refused. It
// keeps as many tombstones of versions at most, of which the oldest version's goes for
// another, and one of the record without versions: so a cell holds 2·MaxVersions+1 records, and MaxVersions·MaxValue
// bytes of values.
const MaxVersions = 64

// drop forgets what has expired.
func (c *Cell) drop(now int64) {
	c.Records = slices.DeleteFunc(c.Records, func(h Held) bool { return !h.live(now) })
	if !c.Entry.live(now) {
		c.Entry = Claim{}
	}
	if !c.Domain.live(now) {
		*c.Domain = Claim{}
	}
}

// find returns where the record of a version is, or would be.
func (c *Cell) find(v Version) (i int, found bool) {
	return sort.Find(len(c.Records), func(i int) int { return v.Compare(c.Records[i].Version) })
}

// replaced tells of each record whether another version that can be seen replaces it.
// What has expired replaces nothing.
func (c *Cell) replaced(now int64) []bool {
	marks := make([]bool, len(c.Records))
	for i := range c.Records {
		h := &c.Records[i]
		if h.Prepared || !h.live(now) {
			continue
		}
		for _, b := range h.Based {
			if i, found := c.find(b); found {
				marks[i] = true
			}
		}
	}
	return marks
}

// live reports whether a record is to be served at a time.
func (h Held) live(now int64) bool { return h.Expires == 0 || now < h.Expires }

// live reports whether a claim still stands at a time.
func (k Claim) live(now int64) bool { return k.Expires == 0 || now < k.Expires }

// Left returns how long a record that is live has to live, in milliseconds, to go
// with a copy of it (Write.Left); 0: it does not end.
func (h Held) Left(now int64) uint64 {
	if h.Expires == 0 {
		return 0
	}
	return uint64(max(h.Expires-now, 1)) // 0 would make it immortal
}

// same reports whether h is the header of the record that is held.
func (h Held) same(o Header) bool {
	return h.Seq == o.Seq && h.Kind == o.Kind && h.Sum == o.Sum && bytes.Equal(h.encode(), o.encode())
}

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
