package paxos

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// State is what an acceptor remembers of a register. The zero State is that of one of
// which it has heard nothing. It is never changed in place, and never forgotten: an
// acceptor that does not know any more what it has promised breaks the register.
type State struct {
	Config   Config // the newest that it has heard of
	Promised Ballot // it accepts nothing below
	Accepted Ballot // with which it has accepted Value; zero: nothing
	Value    Value
	Retired  bool // the acceptors of Config have the value, and this one is none of them
}

// IsZero reports whether nothing is known.
func (s State) IsZero() bool { return s.Config.Epoch == 0 }

// equal reports whether both are the same. A ballot has one value.
func (s State) equal(o State) bool {
	return s.Config.Equal(o.Config) && s.Promised == o.Promised && s.Accepted == o.Accepted && s.Retired == o.Retired
}

// Answer decides what the acceptor self does about a request: its new state, which must
// be durable before the reply leaves. An error means that the request is not for self,
// or that nobody can have meant it; the state stays. Errors: ErrMalformed,
// ErrFuture, ErrNotAcceptor.
func (s State) Answer(self p2p.ID, m Request) (State, Reply, error) {
	if err := s.admit(self, m); err != nil {
		return s, Reply{}, fmt.Errorf("paxos: %s of %s for register %x: %w", m.Kind, m.Ballot.Proposer.Short(), m.Register[:6], err)
	}
	reply := Reply{Ballot: m.Ballot}
	if s.conflicts(m) {
		reply.Kind, reply.Promised, reply.Config = KindConflict, s.Promised, s.Config
		return s, reply, nil
	}
	switch m.Kind {
	case KindPrepare:
		// "persists the ballot number as a promise and returns a confirmation either with an
		// empty value or with a tuple of an accepted value and its ballot number"
		s.Config, s.Promised, s.Retired = m.Config, m.Ballot, false
		reply.Kind, reply.Accepted, reply.Value = KindPromise, s.Accepted, s.Value
	case KindAccept:
		// "erases the promise, marks the received tuple (ballot number, value) as the accepted
		// value and returns a confirmation"; then it promises for Next, which is greater.
		reply.Kind = KindAccepted
		if m.Ballot != s.Accepted {
			s = State{Config: m.Config, Promised: m.Ballot, Accepted: m.Ballot, Value: m.Value}
			if !m.Next.IsZero() {
				s.Promised = m.Next
			}
		}
	case KindRetire:
		reply.Kind = KindAccepted
		s = State{Config: m.Config, Promised: s.Promised, Retired: true}
	}
	return s, reply, nil
}

// admit says why a request is not to be looked at.
func (s State) admit(self p2p.ID, m Request) error {
	if err := m.check(); err != nil {
		return err
	}
	accepts, leaves := slices.Contains(m.Config.Acceptors, self), slices.Contains(m.Config.leaving(), self)
	if m.Kind == KindPrepare && !accepts && !leaves || m.Kind == KindAccept && !accepts || m.Kind == KindRetire && !leaves {
		return ErrNotAcceptor
	}
	counter := uint64(0)
	if s.Promised.Epoch == m.Ballot.Epoch {
		counter = s.Promised.Counter
	}
	if m.Ballot.Counter > counter && m.Ballot.Counter-counter > MaxJump ||
		m.Config.Epoch > s.Config.Epoch && m.Config.Epoch-s.Config.Epoch > MaxJump {
		return fmt.Errorf("%w: ballot %v of epoch %d is %w of %v of epoch %d", ErrMalformed, m.Ballot, m.Config.Epoch, ErrFuture, s.Promised, s.Config.Epoch)
	}
	return nil
}

// conflicts reports whether the acceptor has to refuse, by what it knows.
func (s State) conflicts(m Request) bool {
	switch {
	case m.Config.Epoch < s.Config.Epoch:
		return true
	case m.Config.Epoch == s.Config.Epoch && !m.Config.Equal(s.Config):
		return true // only one of the two can have been decided
	case m.Kind == KindRetire:
		return false // a fact, of no matter which round
	case m.Config.Epoch == s.Config.Epoch && s.Retired:
		return true // what it knew is with the others now
	case m.Kind == KindAccept && m.Ballot == s.Accepted:
		return false // once more
	}
	return m.Ballot.Less(s.Promised)
}

// Acceptor answers the requests of proposers out of a Store.
type Acceptor struct {
	Self  p2p.ID
	Store Store
	// Refused is told of each request that no honest member makes: ErrForeign, ErrMalformed,
	// ErrFuture. nil: nobody is.
	Refused func(from p2p.ID, m Request, why error)
}

// Answer answers requests that came over the link from a member, in one transaction.
// A reply's Kind is zero where the request was refused as malformed or because this
// node is no acceptor of its register, or not in its present life. An error means that nothing has been promised.
func (a Acceptor) Answer(ctx context.Context, from p2p.ID, requests []Request) ([]Reply, error) {
	registers := make([]p2p.Key, 0, len(requests))
	for _, m := range requests {
		registers = append(registers, m.Register)
	}
	slices.SortFunc(registers, p2p.Key.Compare)
	registers = slices.Compact(registers)
	replies := make([]Reply, len(requests))
	age, err := a.Store.Age(ctx)
	if err != nil {
		return nil, fmt.Errorf("paxos: answer %s: %w", from.Short(), err)
	}
	refused := make([]error, len(requests))
	err = a.Store.Change(ctx, registers, func(states []State) error {
		for i, m := range requests {
			if m.Ballot.Proposer != from {
				refused[i] = fmt.Errorf("paxos: %s for register %x: %w", m.Kind, m.Register[:6], ErrForeign)
				continue // a value carries the name of who proposed it
			}
			if !age.Serves(a.Self, m.Config) {
				continue
			}
			at, _ := slices.BinarySearchFunc(registers, m.Register, p2p.Key.Compare)
			next, reply, err := states[at].Answer(a.Self, m)
			if err != nil {
				if errors.Is(err, ErrMalformed) {
					refused[i] = err
				}
				continue // that the zero reply says so is all that the proposer can use
			}
			states[at], replies[i] = next, reply
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("paxos: answer %s: %w", from.Short(), err)
	}
	for i, why := range refused {
		if why != nil && a.Refused != nil {
			a.Refused(from, requests[i], why)
		}
	}
	return replies, nil
}
