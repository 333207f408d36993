package dht

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// What the implementations of Store have in common.

// CheckNames reports whether names are such as Change takes: in order, each once.
func CheckNames(names []Name) error {
	for i := 1; i < len(names); i++ {
		if names[i-1].Compare(names[i]) >= 0 {
			return fmt.Errorf("dht: change cells: name %d of %d is not after the one before it", i, len(names))
		}
	}
	return nil
}

// Check reports what a Store cannot keep: records that are not in the order of their
// versions, or that belong to another name.
func (c *Cell) Check() error {
	for i := range c.Records {
		switch r := &c.Records[i]; {
		case r.Name() != c.Name:
			return fmt.Errorf("dht: change cells: a record of another name in cell %x", c.Name.Location[:4])
		case i > 0 && c.Records[i-1].Version.Compare(r.Version) >= 0:
			return fmt.Errorf("dht: change cells: version %s in cell %x is not after the one before it", r.Version, c.Name.Location[:4])
		}
	}
	return nil
}

// Changed yields how the records of a cell have changed, in the order of versions: what
// was (nil: nothing) and what is (nil: nothing any more). Both are in that order.
func Changed(was, is []Held) iter.Seq2[*Held, *Held] {
	return func(yield func(was, is *Held) bool) {
		for len(was) > 0 || len(is) > 0 {
			c := 0
			switch {
			case len(was) == 0:
				c = 1
			case len(is) == 0:
				c = -1
			default:
				c = was[0].Version.Compare(is[0].Version)
			}
			var before, after *Held
			if c <= 0 {
				before, was = &was[0], was[1:]
			}
			if c >= 0 {
				after, is = &is[0], is[1:]
			}
			if before != nil && after != nil && before.Equal(after) {
				continue
			}
			if !yield(before, after) {
				return
			}
		}
	}
}

// Equal reports whether h and o are the same record with the same end.
func (h *Held) Equal(o *Held) bool {
	a, b := &h.Header, &o.Header
	return h.Expires == o.Expires && a.Address == b.Address && a.Kind == b.Kind && a.Sum == b.Sum && a.Size == b.Size &&
		slices.Equal(a.Based, b.Based) && a.TTL == b.TTL && a.Seq == b.Seq && a.Prepared == b.Prepared && a.Protect == b.Protect &&
		bytes.Equal(a.Owner, b.Owner) && bytes.Equal(a.Author, b.Author) &&
		h.Proof.Equal(&o.Proof) && bytes.Equal(h.Value, o.Value)
}

// Equal reports whether p and o are the same proof.
func (p *Proof) Equal(o *Proof) bool {
	return bytes.Equal(p.Sig, o.Sig) && p.Index == o.Index && p.Count == o.Count && bytes.Equal(p.Path, o.Path)
}

// Equal reports whether c and o say the same.
func (c Claim) Equal(o Claim) bool {
	return c.Expires == o.Expires && c.Master == o.Master && bytes.Equal(c.Owner, o.Owner)
}

// Encode returns the bytes of the header that are hashed and signed. They are CBOR, which
// wire.Unmarshal reads.
func (h *Header) Encode() []byte { return h.encode() }

// SumOfHeader returns what a header with these bytes is in a Sum.
func SumOfHeader(encoded []byte) Sum {
	hash := leafHash(encoded)
	return Sum(hash[:len(Sum{})])
}

// Merge adds all that is in o to the sum, or takes it out again.
func (s *Sum) Merge(o Sum) {
	for i := range s {
		s[i] ^= o[i]
	}
}

// Wants reports whether Read yields a record that is at a place that the query asks for.
func (q *Query) Wants(h *Header) bool {
	switch {
	case h.Kind == KindTombstone && !q.Tombstones, h.Prepared && !q.Prepared:
		return false
	case h.Version.Compare(q.VersionFrom) < 0:
		return false
	}
	return q.VersionTo.IsZero() || h.Version.Compare(q.VersionTo) <= 0
}

// Expired reports whether something that ends at expires (0: never) has ended by now.
func Expired(expires, now int64) bool { return expires != 0 && expires <= now }

// Reserve returns the first of n sequence numbers when next is the least that is free,
// and what is free then: the rule of NextSeq.
func Reserve(next, atLeast uint64, n int) (first, then uint64, err error) {
	first = max(next, atLeast, 1)
	then = first + uint64(n)
	if n < 1 || then < first {
		return 0, 0, fmt.Errorf("dht: reserve %d sequence numbers from %d: %w", n, first, p2p.ErrTooLarge)
	}
	return first, then, nil
}
