package paxos

import (
	"context"
	"fmt"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
)

// Store keeps an acceptor's states. A store that was put back to an earlier time, or
// lost, must not be used again under the same ID: see "What must hold" in the package's
// description. It may gather what several callers want into one transaction.
type Store interface {
	// Change lets decide replace the states of registers, which are in order and each there
	// once. decide is called once, with all of them; states of which nothing is known are
	// zero. It is all durable when Change returns nil; an error of decide undoes all and is
	// returned. Errors: ErrFull if a new register has no room.
	Change(ctx context.Context, registers []p2p.Key, decide func(states []State) error) error
}

// Memory is a Store that forgets everything when the process ends. It may be used by
// several goroutines at once. The zero Memory is empty and has no limit.
type Memory struct {
	Max int // registers; 0: without limit

	mu     sync.Mutex // guards states
	states map[p2p.Key]State
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
	for i, r := range registers {
		if !states[i].IsZero() {
			s.states[r] = states[i]
		}
	}
	return nil
}
