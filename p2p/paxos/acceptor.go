package paxos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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
	Sealed   bool // Value closes the epoch, and nothing else will (Vote.Sealed)
	// Steps are those that have led to Config since the state was read: a Store adds them to
	// those that it has, and returns none of them.
	Steps []Step
}

// IsZero reports whether nothing is known.
func (s State) IsZero() bool { return s.Config.Epoch == 0 }

// equal reports whether both are the same. A ballot has one value.
func (s State) equal(o State) bool {
	return s.Config.Equal(o.Config) && s.Promised == o.Promised && s.Accepted == o.Accepted && s.Retired == o.Retired
}

// Answer decides what the acceptor self does about a request: its new state, which must
// be durable before the reply leaves. check checks the signatures by which an accept shows
// its majority and a request that its epoch was decided; nil: whoever asks is believed. An
// error means that the request is not for self, or that nobody can have meant it; the state
// stays. Errors: ErrMalformed, ErrFuture, ErrNotAcceptor, ErrNoQuorum.
func (s State) Answer(self p2p.ID, m Request, check Check) (State, Reply, error) {
	before := s
	err := s.admit(self, m)
	if err == nil {
		s, err = s.stepTo(m, check)
	}
	if err != nil {
		return before, Reply{}, fmt.Errorf("paxos: %s of %s for register %x: %w", m.Kind, m.Ballot.Proposer.Short(), m.Register[:6], err)
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
			s = State{Config: m.Config, Promised: m.Ballot, Accepted: m.Ballot, Value: m.Value, Sealed: m.seals(), Steps: s.Steps}
			if !m.Next.IsZero() {
				s.Promised = m.Next
			}
		}
	case KindRetire:
		reply.Kind = KindAccepted
		s = State{Config: m.Config, Promised: s.Promised, Retired: true, Steps: s.Steps}
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

// stepTo returns the state of an acceptor that has been shown that the epoch of a request was
// decided, if it knows older ones only. Who knows nothing of a register believes what it hears
// first (see Acceptor.Begin). Errors: ErrNoQuorum.
func (s State) stepTo(m Request, check Check) (State, error) {
	if check == nil || s.IsZero() || m.Config.Epoch <= s.Config.Epoch {
		return s, nil
	}
	to, taken := Walk(m.Register, s.Config, m.Steps, check)
	if !to.Equal(m.Config) {
		return s, fmt.Errorf("%w: that epoch %d was decided, from %d on", ErrNoQuorum, m.Config.Epoch, s.Config.Epoch)
	}
	s.Steps = append(slices.Clone(s.Steps), taken...)
	return s, nil
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
	Self   p2p.ID
	Store  Store
	Signer Signer // nil: nothing is signed, and whoever asks is believed
	// Serving is held while requests are decided and answered, not while others are asked. nil: nothing.
	Serving sync.Locker
	// Ask asks a member for the steps to the epochs of a register after one; none: it does not
	// say. nil: nobody is asked, and each request has to show them all.
	Ask func(ctx context.Context, id p2p.ID, register p2p.Key, after uint64) []Step
	// Begin returns a configuration of a request's register that was decided, as the directory
	// says, to an acceptor that knows nothing of it, and the steps that show it, if any do: it keeps
	// those. nil: it believes the first one who asks.
	Begin func(ctx context.Context, m Request) (Config, []Step, error)
	// Refused is told of each request that no honest member makes: ErrForeign, ErrMalformed,
	// ErrFuture, ErrNoQuorum. nil: nobody is.
	Refused func(from p2p.ID, m Request, why error)
}

// answered is what becomes of a request.
type answered struct {
	reply   Reply
	vote    Vote   // to be signed
	config  Config // of the acceptor that votes
	refused error  // why nobody honest can have sent it
	lacks   State  // which does not know how the request's epoch came about
	again   bool   // it is to be answered once that is found out
	begin   State  // what the directory has said, where lacks is zero
}

// Answer answers requests that came over the link from a member, in one transaction, or two if
// it has to ask others first how an epoch came about. A reply's Kind is zero where the request
// was refused, as malformed or without the majority that it needs, or because this node is no
// acceptor of its register, or not in its present life. An error means that nothing has been
// promised.
func (a Acceptor) Answer(ctx context.Context, from p2p.ID, requests []Request) ([]Reply, error) {
	requests = slices.Clone(requests)
	all := make([]answered, len(requests))
	for i, m := range requests {
		all[i].refused = a.foreign(from, m)
	}
	replies, err := a.serve(ctx, requests, all, true)
	if err == nil && slices.ContainsFunc(all, func(x answered) bool { return x.again }) {
		for i := range all {
			if all[i].again && err == nil {
				err = a.findOut(ctx, &requests[i], &all[i])
			}
		}
		if err == nil {
			replies, err = a.serve(ctx, requests, all, false)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("paxos: answer %s: %w", from.Short(), err)
	}
	for i, x := range all {
		if x.refused != nil && a.Refused != nil {
			a.Refused(from, requests[i], x.refused)
		}
	}
	return replies, nil
}

// serve decides about requests, and completes the replies.
func (a Acceptor) serve(ctx context.Context, requests []Request, all []answered, ask bool) ([]Reply, error) {
	if a.Serving != nil {
		a.Serving.Lock()
		defer a.Serving.Unlock()
	}
	if err := a.decide(ctx, requests, all, ask); err != nil {
		return nil, err
	}
	replies := make([]Reply, len(requests))
	for i, m := range requests {
		var err error
		if replies[i], err = a.complete(ctx, m, all[i]); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// findOut has others say how the epoch of a request came about.
func (a Acceptor) findOut(ctx context.Context, m *Request, x *answered) (err error) {
	known := x.lacks
	if known.IsZero() && a.Begin != nil {
		known.Config, known.Steps, err = a.Begin(ctx, *m)
		x.begin = known
		if errors.Is(err, ErrMalformed) || err == nil && known.Config.Epoch == m.Config.Epoch && !known.Config.Equal(m.Config) {
			x.refused, x.again = fmt.Errorf("paxos: %s for register %x: %w: the directory says otherwise", m.Kind, m.Register[:6], ErrNoQuorum), false
			return nil
		}
		if err != nil {
			return err
		}
	}
	if a.Ask != nil && known.Lacks(*m) {
		m.Steps = Missed(*m, known, a.check(), func(id p2p.ID, after uint64) []Step { return a.Ask(ctx, id, m.Register, after) })
	}
	return nil
}

// decide answers in one transaction the requests that are not answered yet. If others can be
// asked, those whose epoch is not shown are left to be answered again.
func (a Acceptor) decide(ctx context.Context, requests []Request, all []answered, ask bool) error {
	age, err := a.Store.Age(ctx)
	if err != nil {
		return err
	}
	var registers []p2p.Key
	open := make([]bool, len(requests))
	for i, m := range requests {
		x := &all[i]
		open[i] = x.refused == nil && (x.again || x.reply.Kind == 0) && age.Serves(a.Self, m.Config)
		x.again = false
		if open[i] {
			registers = append(registers, m.Register)
		}
	}
	slices.SortFunc(registers, p2p.Key.Compare)
	registers = slices.Compact(registers)
	return a.Store.Change(ctx, registers, func(states []State) error {
		for i, m := range requests {
			if !open[i] {
				continue
			}
			x := &all[i]
			at, _ := slices.BinarySearchFunc(registers, m.Register, p2p.Key.Compare)
			s := states[at]
			if ask && a.Signer != nil && (s.IsZero() || s.Lacks(m)) && s.admit(a.Self, m) == nil {
				x.lacks, x.again = s, true
				continue
			}
			if s.IsZero() {
				s = x.begin
			}
			next, reply, err := s.Answer(a.Self, m, a.check())
			if err != nil {
				if errors.Is(err, ErrMalformed) || errors.Is(err, ErrNoQuorum) {
					x.refused = err
				}
				continue // that the zero reply says so is all that the proposer can use
			}
			states[at], x.reply, x.vote = next, reply, next.vote(a.Self, age.Life)
			x.config = next.Config
		}
		return nil
	})
}

// foreign says why a request is refused whatever the state is.
func (a Acceptor) foreign(from p2p.ID, m Request) error {
	err := error(nil)
	switch {
	case m.Ballot.Proposer != from:
		err = ErrForeign // a value carries the name of who proposed it
	case len(m.Steps) > MaxSteps:
		err = fmt.Errorf("%w: %d steps", ErrMalformed, len(m.Steps))
	default:
		if err = m.check(); err == nil {
			err = m.proven(a.check())
		}
	}
	if err != nil {
		return fmt.Errorf("paxos: %s of %s for register %x: %w", m.Kind, from.Short(), m.Register[:6], err)
	}
	return nil
}

// complete adds to a reply what is no part of the decision: the vote, and the steps to what
// the proposer does not know yet.
func (a Acceptor) complete(ctx context.Context, m Request, x answered) (Reply, error) {
	r := x.reply
	switch {
	case a.Signer == nil:
	case r.Kind == KindConflict && r.Config.Epoch > m.Config.Epoch:
		var err error
		r.Steps, err = a.Store.Steps(ctx, m.Register, m.Config.Epoch, MaxSteps)
		return r, err
	case r.Kind == KindPromise || r.Kind == KindAccepted && m.Kind == KindAccept:
		r.Vote = x.vote.signed(m.Register, x.config, a.Signer)
	}
	return r, nil
}

func (a Acceptor) check() Check {
	if a.Signer == nil {
		return nil
	}
	return a.Signer.Check
}
