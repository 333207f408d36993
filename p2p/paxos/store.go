package paxos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
)

// Age says how far the memory of an acceptor has come. It never goes back, unless the memory
// was put back to an earlier time: who has seen a greater age of an acceptor than it has
// knows that it has forgotten something.
type Age struct {
	// Life is how often that was found out. An acceptor of an earlier life exists no more: what
	// it has promised is not known (see "What must hold" in the package's description).
	Life byte `cbor:"1,keyasint,omitempty"`
	// Changes is how many changes of the store were made, of all lives together.
	Changes uint64 `cbor:"2,keyasint,omitempty"`
}

// MaxLife is the last life: who has forgotten so often is no acceptor any more.
const MaxLife = 255

// Behind reports whether an acceptor of age a has forgotten something: somebody has seen a
// greater one.
func (a Age) Behind(seen Age) bool {
	return seen.Life > a.Life || seen.Life == a.Life && seen.Changes > a.Changes
}

// Renewed returns the age with which a new life begins.
func (a Age) Renewed(seen Age) Age {
	return Age{Life: byte(min(int(max(a.Life, seen.Life))+1, MaxLife)), Changes: max(a.Changes, seen.Changes) + 1}
}

// Serves reports whether the acceptor self of age a is the one that a configuration means.
func (a Age) Serves(self p2p.ID, c Config) bool { return a.Life < MaxLife && c.Life(self) == a.Life }

// Attest is an Age with its acceptor's signature, which whoever passes it on cannot check and
// need not: the acceptor itself does.
type Attest struct {
	Age Age    `cbor:"1,keyasint"`
	Sig []byte `cbor:"2,keyasint,omitempty"`
}

// Store keeps an acceptor's states, and its age. It may gather what several callers want
// into one transaction.
type Store interface {
	// Age returns how old the store is.
	Age(ctx context.Context) (Age, error)
	// Renew begins a new life, because somebody has seen an age that the store is behind, and
	// returns the new age. It is durable then.
	Renew(ctx context.Context, seen Age) (Age, error)
	// Remember notes ages that were seen of others, which Remembered returns later. They need
	// not be durable at once, and may be forgotten.
	Remember(ctx context.Context, seen map[p2p.ID]Attest) error
	Remembered(ctx context.Context) (map[p2p.ID]Attest, error)
	// Change lets decide replace the states of registers, which are in order and each there
	// once. decide is called once, with all of them; states of which nothing is known are
	// zero. It is all durable when Change returns nil, and has made the store older if anything
	// was changed; an error of decide undoes all and is returned. Errors: ErrFull if a new register has no room.
	Change(ctx context.Context, registers []p2p.Key, decide func(states []State) error) error
	// Steps returns those to the epochs of a register after one, at most so many, the first first.
	// A store may forget those that KeepSteps others have followed.
	Steps(ctx context.Context, register p2p.Key, after uint64, most int) ([]Step, error)
}

// KeepSteps is how many steps of a register a Store keeps at least, where there are so many. An
// acceptor that was away for more changes of the acceptors than that is shown by nobody what
// has become of them, and of no use any more.
const KeepSteps = 1000

// Memory is a Store that forgets everything when the process ends. It may be used by
// several goroutines at once. The zero Memory is empty and has no limit.
type Memory struct {
	Max int // registers; 0: without limit

	mu     sync.Mutex // guards all following fields
	states map[p2p.Key]State
	steps  map[p2p.Key][]Step
	age    Age
	seen   map[p2p.ID]Attest
}

// Age implements Store.
func (s *Memory) Age(ctx context.Context) (Age, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.age, ctx.Err()
}

// Renew implements Store.
func (s *Memory) Renew(ctx context.Context, seen Age) (Age, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.age.Behind(seen) {
		s.age = s.age.Renewed(seen)
	}
	return s.age, ctx.Err()
}

// Remember implements Store.
func (s *Memory) Remember(ctx context.Context, seen map[p2p.ID]Attest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[p2p.ID]Attest{}
	}
	maps.Copy(s.seen, seen)
	return ctx.Err()
}

// Remembered implements Store.
func (s *Memory) Remembered(ctx context.Context) (map[p2p.ID]Attest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.seen), ctx.Err()
}

// Clone returns a store with the same content, such as a backup is.
func (s *Memory) Clone() *Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Memory{Max: s.Max, states: maps.Clone(s.states), steps: maps.Clone(s.steps), age: s.age, seen: maps.Clone(s.seen)}
}

// Change implements Store.
func (s *Memory) Change(ctx context.Context, registers []p2p.Key, decide func([]State) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	states, known := make([]State, len(registers)), len(s.states)
	for i, r := range registers {
		states[i] = s.states[r]
	}
	if err := decide(states); err != nil {
		return err
	}
	for i, r := range registers {
		if _, here := s.states[r]; !here && !states[i].IsZero() {
			known++
		}
		if s.Max > 0 && known > max(s.Max, len(s.states)) {
			return fmt.Errorf("%w: %d registers", ErrFull, s.Max)
		}
	}
	if s.states == nil {
		s.states = map[p2p.Key]State{}
	}
	changed := false
	for i, r := range registers {
		if !states[i].IsZero() && !states[i].equal(s.states[r]) {
			s.steps = addSteps(s.steps, r, states[i].Steps)
			states[i].Steps = nil
			s.states[r], changed = states[i], true
		}
	}
	if changed {
		s.age.Changes++
	}
	return nil
}

// addSteps adds to what was known of a register, in the order of epochs.
func addSteps(all map[p2p.Key][]Step, register p2p.Key, more []Step) map[p2p.Key][]Step {
	if len(more) == 0 {
		return all
	}
	if all == nil {
		all = map[p2p.Key][]Step{}
	}
	known := append(slices.Clip(all[register]), more...)
	all[register] = known[max(0, len(known)-KeepSteps):]
	return all
}

// Steps implements Store.
func (s *Memory) Steps(ctx context.Context, register p2p.Key, after uint64, most int) ([]Step, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stepsAfter(s.steps[register], after, most), ctx.Err()
}

func stepsAfter(steps []Step, after uint64, most int) []Step {
	i := slices.IndexFunc(steps, func(x Step) bool { return x.Last.Next.Epoch > after })
	if i < 0 {
		return nil
	}
	return slices.Clone(steps[i:min(len(steps), i+most)])
}
