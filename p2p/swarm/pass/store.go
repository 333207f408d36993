package pass

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Row is what is kept of a pass that this node has made.
type Row struct {
	ID               ID
	Secret           Secret
	Seed             seed.ID
	Network          p2p.ID // this node's, when it was made
	MaxUses          int
	Created, Expires time.Time // to the second
	Ended            bool      // withdrawn before its time
	Uses             []Use     // in the order in which they came
}

// Use is a node that a pass has let in.
type Use struct {
	Guest p2p.ID
	At    time.Time // for the first time, to the second
}

// Store keeps the passes of a node. What it returns without an error is durable.
type Store interface {
	// Passes returns all.
	Passes(ctx context.Context) ([]Row, error)
	// SavePass keeps a pass, in place of the one with its ID; the uses stay as they were.
	SavePass(ctx context.Context, r Row) error
	// UsePass adds a use to a pass.
	UsePass(ctx context.Context, id ID, u Use) error
	// DropPasses forgets passes and their uses.
	DropPasses(ctx context.Context, ids []ID) error
}

// Memory is a Store that forgets all with the program. The zero value is empty.
type Memory struct {
	mu   sync.Mutex
	rows []Row
}

// Passes implements Store.
func (m *Memory) Passes(context.Context) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.Clone(m.rows)
	for i := range out {
		out[i].Uses = slices.Clone(out[i].Uses)
	}
	return out, nil
}

func (m *Memory) find(id ID) int {
	return slices.IndexFunc(m.rows, func(r Row) bool { return r.ID == id })
}

// SavePass implements Store.
func (m *Memory) SavePass(_ context.Context, r Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.find(r.ID); i >= 0 {
		r.Uses = m.rows[i].Uses
		m.rows[i] = r
		return nil
	}
	r.Uses = nil
	m.rows = append(m.rows, r)
	return nil
}

// UsePass implements Store.
func (m *Memory) UsePass(_ context.Context, id ID, u Use) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.find(id); i >= 0 {
		m.rows[i].Uses = append(m.rows[i].Uses, u)
	}
	return nil
}

// DropPasses implements Store.
func (m *Memory) DropPasses(_ context.Context, ids []ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = slices.DeleteFunc(m.rows, func(r Row) bool { return slices.Contains(ids, r.ID) })
	return nil
}
