package paxos

import (
	"cmp"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
)

// Ballot numbers a round. Ballots are ordered by their fields from the first to the
// last, so that all rounds of an epoch come after all rounds of the epochs before it.
// The zero Ballot comes before all and is nobody's.
type Ballot struct {
	Epoch    uint64 `cbor:"1,keyasint"` // of the configuration that the round runs in
	Counter  uint64 `cbor:"2,keyasint"` // from 1
	Proposer p2p.ID `cbor:"3,keyasint"`
	// Run is a random number that each Proposer draws when it is made. No two rounds may
	// ever have one ballot, and a proposer forgets its counter when its computer fails.
	Run uint64 `cbor:"4,keyasint"`
}

// Compare orders ballots.
func (b Ballot) Compare(o Ballot) int {
	return cmp.Or(cmp.Compare(b.Epoch, o.Epoch), cmp.Compare(b.Counter, o.Counter),
		b.Proposer.Compare(o.Proposer), cmp.Compare(b.Run, o.Run))
}

// Less reports whether b comes before o.
func (b Ballot) Less(o Ballot) bool { return b.Compare(o) < 0 }

// IsZero reports whether b is no ballot.
func (b Ballot) IsZero() bool { return b == Ballot{} }

// String returns epoch, counter and proposer, such as "1.7-abcdefghijkl", for people.
func (b Ballot) String() string {
	if b.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%d.%d-%s", b.Epoch, b.Counter, b.Proposer.Short())
}

// next returns the ballot that the same proposer uses after b.
func (b Ballot) next() Ballot {
	b.Counter++
	return b
}
