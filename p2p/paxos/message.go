package paxos

import (
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
)

// MaxJump is by how much the counter of a ballot, or an epoch, may be ahead of what an
// acceptor knows. One that was away for years is behind by less, and who wants to use up
// all ballots of an epoch needs 2³² messages.
const MaxJump = 1 << 32

// Kind says what a message is.
type Kind uint8

// The kinds of message. A proposer sends the first three, an acceptor the others.
const (
	KindPrepare  Kind = iota + 1 // answered by a promise or a conflict
	KindAccept                   // answered by accepted or a conflict
	KindRetire                   // the new acceptors have the state: answered by accepted
	KindPromise                  // no round with a smaller ballot will be accepted
	KindAccepted                 // it is on the acceptor's disk
	KindConflict                 // a greater ballot is known, or a newer epoch
)

// String returns the paper's word.
func (k Kind) String() string {
	words := [...]string{"?", "prepare", "accept", "retire", "promise", "accepted", "conflict"}
	if int(k) >= len(words) {
		return words[0]
	}
	return words[k]
}

// Request is what a proposer sends to an acceptor.
type Request struct {
	Kind     Kind    `cbor:"1,keyasint"`
	Register p2p.Key `cbor:"2,keyasint"`
	Ballot   Ballot  `cbor:"3,keyasint"`
	Config   Config  `cbor:"4,keyasint"` // of the ballot's epoch
	Value    Value   `cbor:"5,keyasint"` // to be accepted
	// Next is the proposer's next ballot, for which an acceptor promises with an accept what
	// it would promise for a prepare: the one-round-trip optimisation.
	Next Ballot `cbor:"6,keyasint"`
	// Proof shows the promises of a majority for an accept, and for a retire, which has votes
	// only, that one has the value.
	Proof Proof `cbor:"7,keyasint"`
	// Steps show that Config was decided to those who know the epochs before only.
	Steps []Step `cbor:"8,keyasint,omitempty"`
}

// Reply is what an acceptor answers.
type Reply struct {
	Kind     Kind   `cbor:"1,keyasint"`
	Ballot   Ballot `cbor:"2,keyasint"` // of the request
	Accepted Ballot `cbor:"3,keyasint"` // of a promise: with which Value was accepted; zero: there is none
	Value    Value  `cbor:"4,keyasint"`
	Promised Ballot `cbor:"5,keyasint"`           // of a conflict: the greatest ballot that the acceptor knows
	Config   Config `cbor:"6,keyasint"`           // of a conflict: the newest that the acceptor knows
	Vote     Vote   `cbor:"7,keyasint"`           // of a promise and of accepted
	Steps    []Step `cbor:"8,keyasint,omitempty"` // of a conflict: from the epoch of the request on
}

// check reports what is wrong with a request by itself.
func (m Request) check() error {
	if err := m.Config.check(); err != nil {
		return err
	}
	switch {
	case m.Kind < KindPrepare || m.Kind > KindRetire:
		return fmt.Errorf("%w: a request of kind %d", ErrMalformed, m.Kind)
	case m.Ballot.Epoch != m.Config.Epoch || m.Ballot.Counter == 0:
		return fmt.Errorf("%w: ballot %v in epoch %d", ErrMalformed, m.Ballot, m.Config.Epoch)
	case m.Kind != KindAccept:
		return nil
	case !m.Next.IsZero() && m.Next != m.Ballot.next():
		return fmt.Errorf("%w: %v is not next after %v", ErrMalformed, m.Next, m.Ballot)
	case m.Value.Next != nil && !m.Value.Next.follows(m.Config):
		return fmt.Errorf("%w: epoch %d does not follow from %d", ErrMalformed, m.Value.Next.Epoch, m.Config.Epoch)
	}
	return m.Value.check()
}

// check reports what is wrong with a reply to the round of a ballot.
func (r Reply) check(round Ballot) error {
	switch {
	case r.Ballot != round:
		return fmt.Errorf("%w: an answer to another round", ErrMalformed)
	case r.Kind == KindPromise && !r.Accepted.Less(round):
		return fmt.Errorf("%w: a promise for %v after %v", ErrMalformed, round, r.Accepted)
	case r.Kind == KindPromise && r.Value.Next != nil && r.Value.Next.Epoch != r.Accepted.Epoch+1:
		return fmt.Errorf("%w: epoch %d after %d", ErrMalformed, r.Value.Next.Epoch, r.Accepted.Epoch)
	case r.Kind == KindPromise:
		return r.Value.check()
	case len(r.Steps) > MaxSteps:
		return fmt.Errorf("%w: %d steps", ErrMalformed, len(r.Steps))
	case r.Kind == KindConflict:
		return r.Config.check()
	case r.Kind != KindAccepted:
		return fmt.Errorf("%w: an answer of kind %d", ErrMalformed, r.Kind)
	}
	return nil
}
