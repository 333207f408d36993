package member

import (
	"slices"
	"sync"
)

// NewMemory returns a Store that forgets everything when the process ends.
func NewMemory() Store { return &memory{held: map[Hash]Statement{}} }

type memory struct {
	mu    sync.Mutex // guards all following fields
	state State      // but for the statements
	order []Hash     // of the statements
	held  map[Hash]Statement
}

func (m *memory) Load() (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := copyState(m.state)
	for _, h := range m.order {
		s.Statements = append(s.Statements, m.held[h])
	}
	return s, nil
}

func (m *memory) Install(s State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.order, m.held = copyState(s), nil, map[Hash]Statement{}
	m.add(s.Statements)
	return nil
}

func (m *memory) add(statements []Statement) {
	for _, st := range statements {
		h := st.Hash()
		if _, here := m.held[h]; !here {
			m.held[h] = st
			m.order = append(m.order, h)
		}
	}
}

func (m *memory) drop(hashes []Hash) {
	for _, h := range hashes {
		delete(m.held, h)
	}
	if len(hashes) > 0 {
		m.order = slices.DeleteFunc(m.order, func(h Hash) bool { return slices.Contains(hashes, h) })
	}
}

func (m *memory) Save(c Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.state
	m.drop(c.Drop)
	m.add(c.Add)
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

// copyState copies all but the statements.
func copyState(s State) State {
	s.Statements = nil
	s.Invites = slices.Clone(s.Invites)
	s.Redemptions = slices.Clone(s.Redemptions)
	return s
}
