package dht

import (
	"context"
	"iter"

	"github.com/shoal-p2p/shoal/p2p"
)

// Store keeps cells. It is implemented by NewMemory and by package store; dhttest has the
// suite that both pass. Times are Unix milliseconds. What a store is given it keeps, and
// what it yields it may keep too: nobody writes into the values, keys and proofs of either.
// While a loop over Read or Sums runs, its body must not use the store.
type Store interface {
	// Change lets decide change the cells of names, which are in order and each there
	// once, in one transaction that is durable when Change returns nil. decide is called
	// once with all cells, in the order of names; a cell that there is not is empty but for
	// its name, and for the claim on its domain. decide may change the cells' records, which
	// stay in the order of their versions, and claims, that on a domain through its pointer.
	// An error of decide undoes all and is returned. decide may run in another goroutine,
	// beside that of another Change, but never at the same time.
	Change(ctx context.Context, names []Name, decide func(cells []*Cell) error) error
	// Read yields what the store has for a query, in the order that it wants, without
	// applying its limit, its wish for heads only, and expiry; all of one name come together.
	// Bounds of versions hold with Versions and without. It is one snapshot. With Bare the
	// records have no values.
	Read(ctx context.Context, q Query) iter.Seq2[Held, error]
	// Sums yields the sum over all records of each location that has any, in the order of
	// locations: what replicas compare. Records that have expired by now do not count.
	Sums(ctx context.Context, now int64) iter.Seq2[LocationSum, error]
	// Expire deletes records and claims that have expired by now, at most limit of each,
	// and returns how many records it has deleted, and when the next record or claim of
	// those that are left expires (0: none will), which may be over.
	Expire(ctx context.Context, now int64, limit int) (deleted int, next int64, err error)
	// Drop deletes everything of locations that others keep now: records and claims.
	Drop(ctx context.Context, locations []p2p.Key) error
	// Usage returns what an author has at this replica, tombstones and what has expired but
	// is not deleted yet too.
	Usage(ctx context.Context, author p2p.ID) (Usage, error)
	// Total returns that of all authors together.
	Total(ctx context.Context) (Usage, error)
	// NextSeq returns a sequence number for this node's own writes that is larger than
	// all before and at least atLeast; it reserves n of them durably.
	NextSeq(ctx context.Context, atLeast uint64, n int) (first uint64, err error)
}

// Usage counts records and the bytes of their values.
type Usage struct {
	Records int
	Bytes   int64
}

// LocationSum is the sum of what a replica has at a location.
type LocationSum struct {
	Location p2p.Key
	Sum      Sum
	Records  int
}

// Sum is a sum over headers that does not depend on their order: the first 16 bytes of
// each header's hash, added without carry (exclusive or). Two replicas with the same
// records have the same sum; a record that somebody makes on purpose can hide another
// one of his own making only.
type Sum [16]byte

// Add adds a header to the sum, or takes it out again.
func (s *Sum) Add(h Header) {
	hash := h.hash()
	for i := range s {
		s[i] ^= hash[i]
	}
}
