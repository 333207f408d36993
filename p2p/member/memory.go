package member

import (
	"slices"
	"sync"
)

// NewMemory returns a Store that forgets everything when the process ends.
func NewMemory() Store { return &memory{held: map[Hash]bool{}} }

type memory struct {
	mu    sync.Mutex // guards all following fields
	state State
	held  map[Hash]bool // of state.Statements
}

func (m *memory) Load() (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copyState(m.state), nil
}

func (m *memory) Install(s State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = copyState(s)
	m.held = map[Hash]bool{}
	for _, st := range s.Statements {
		m.held[st.Hash()] = true
	}
	return nil
}

func (m *memory) Save(c Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.state
	if len(c.Drop) > 0 {
		s.Statements = slices.DeleteFunc(s.Statements, func(st Statement) bool { return slices.Contains(c.Drop, st.Hash()) })
	}
	for _, h := range c.Drop {
		delete(m.held, h)
	}
	for _, st := range c.Add {
		if h := st.Hash(); !m.held[h] {
			m.held[h] = true
			s.Statements = append(s.Statements, st)
		}
	}
	for _, in := range c.Invites {
		s.Invites = slices.DeleteFunc(s.Invites, func(old Invite) bool { return old.ID == in.ID })
		s.Invites = append(s.Invites, in)
	}
	for _, id := range c.DropInvites {
		s.Invites = slices.DeleteFunc(s.Invites, func(old Invite) bool { return old.ID == id })
		s.Redemptions = slices.DeleteFunc(s.Redemptions, func(r Redemption) bool { return r.Invite == id })
	}
	for _, r := range c.Redemptions {
		if !slices.ContainsFunc(s.Redemptions, func(old Redemption) bool { return old.Invite == r.Invite && old.Member == r.Member }) {
			s.Redemptions = append(s.Redemptions, r)
		}
	}
	return nil
}

func copyState(s State) State {
	s.Statements = slices.Clone(s.Statements)
	s.Invites = slices.Clone(s.Invites)
	s.Redemptions = slices.Clone(s.Redemptions)
	return s
}
