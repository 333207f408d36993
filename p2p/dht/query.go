package dht

import (
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
)

// Limits of a query. They are part of the protocol.
const (
	MaxContents = 1024     // names that one query can list
	MaxResults  = 4096     // records that one query can return from one replica
	MaxFilters  = 64       // Bloom filters of one query
	MaxFiltered = 48 << 10 // bytes of all filters of one query
)

// Query asks for records of one location. The zero value of everything but the location
// asks for the zero domain: all contents, and of each the newest versions.
type Query struct {
	Location p2p.Key   `cbor:"1,keyasint"`
	Domain   p2p.Key   `cbor:"2,keyasint"`
	Domains  bool      `cbor:"3,keyasint,omitempty"` // all domains of the location, whatever Domain is
	Contents []p2p.Key `cbor:"4,keyasint,omitempty"` // in order, each once; none: From to To
	From     p2p.Key   `cbor:"5,keyasint"`           // first content key
	To       *p2p.Key  `cbor:"6,keyasint,omitempty"` // last content key, included; nil: no end

	// Of each content: the heads, which no other version replaces; or all versions; or
	// those from VersionFrom to VersionTo, both included.
	Versions    bool    `cbor:"7,keyasint,omitempty"`
	VersionFrom Version `cbor:"8,keyasint"`
	VersionTo   Version `cbor:"9,keyasint"` // zero: no end

	Limit      int  `cbor:"10,keyasint,omitempty"` // records of one replica; 0: MaxResults
	Descending bool `cbor:"11,keyasint,omitempty"` // from the last address to the first
	Bare       bool `cbor:"12,keyasint,omitempty"` // headers only: what there is, and not what it says
	Tombstones bool `cbor:"13,keyasint,omitempty"` // what has been removed too
	Prepared   bool `cbor:"14,keyasint,omitempty"` // what is not confirmed too
	Count      bool `cbor:"15,keyasint,omitempty"` // only how many values there are, up to the limit

	// Where: only contents that may be in one of the filters of each list.
	Where [][]bloom.Filter `cbor:"16,keyasint,omitempty"`
	// Summary: instead of records a filter of the contents that have values, with so many bits
	// for each, as in TomP2P's digests; and how many there are.
	Summary int `cbor:"17,keyasint,omitempty"`
}

// check reports what is wrong with a query.
func (q Query) check() error {
	switch {
	case len(q.Contents) > MaxContents:
		return fmt.Errorf("%w: query for %d contents, at most %d", ErrMalformed, len(q.Contents), MaxContents)
	case !slices.IsSortedFunc(q.Contents, p2p.Key.Compare):
		return fmt.Errorf("%w: query for contents that are not in order", ErrMalformed)
	case q.Summary < 0 || q.Summary > 64:
		return fmt.Errorf("%w: a summary of %d bits for each content, at most 64", ErrMalformed, q.Summary)
	case q.Limit < 0 || q.Limit > MaxResults:
		return fmt.Errorf("%w: query for %d records, at most %d", ErrMalformed, q.Limit, MaxResults)
	}
	n, size := 0, 0
	for _, list := range q.Where {
		for _, f := range list {
			if err := f.Check(); err != nil {
				return fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			n, size = n+1, size+len(f.Bits)
		}
	}
	if n > MaxFilters || len(q.Where) > MaxFilters || size > MaxFiltered {
		return fmt.Errorf("%w: %d filters of %d bytes, at most %d of %d: %w", ErrMalformed, n, size, MaxFilters, MaxFiltered, p2p.ErrTooLarge)
	}
	return nil
}

// wants reports whether a content can be one of those that q is about, as far as its filters
// say.
func (q Query) wants(content p2p.Key) bool {
	for _, list := range q.Where {
		if !slices.ContainsFunc(list, func(f bloom.Filter) bool { return f.Has(content) }) {
			return false
		}
	}
	return true
}

// limit returns how many records a replica may return.
func (q Query) limit() int {
	if q.Limit == 0 {
		return MaxResults
	}
	return q.Limit
}
