package swarm

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Row is what is kept of a seed.
type Row struct {
	ID   seed.ID
	Text []byte // of the seed; of one that is known by a link only, what the link says

	Dir, Name string // where the file is, or will be
	Own       bool   // the file is this program's, and goes with the seed
	Whole     bool   // all of it is there
	Paused    bool
	Reading   bool   // only what somebody reads is fetched, and it is forgotten some time after that
	Settling  string // the name that the file is just being given; empty: none
	Error     string // why a download stands still; empty: it does not
	Via       string // a link with a pass, by which a member of another network lets this node have it; empty: none. It is secret.

	Also []string // directories into which a copy of the file is put when it is whole; what is in it never changes

	// Of the file when it was verified last.
	Size, Modified int64 // bytes; ns since 1970

	Added, Ended time.Time // Ended: when all was there
	Counts
}

// Counts are what a seed took and gave, in bytes, since it was added.
type Counts struct {
	Wire    int64 // that came over the network
	Reused  int64 // that were in other files here
	Wasted  int64 // that came twice, or wrong
	Sent    int64 // that went to others
	Resumed int64 // that an interrupted attempt had left
}

// Store keeps the seeds of a node. What it returns without an error is durable.
type Store interface {
	// Rows returns all, in the order in which they were added.
	Rows(ctx context.Context) ([]Row, error)
	// Save keeps a row, in place of the one with its ID.
	Save(ctx context.Context, r Row) error
	// Progress keeps which pieces are there, and the counts. Of a seed that is not kept it does nothing.
	Progress(ctx context.Context, id seed.ID, have []byte, c Counts) error
	// Have returns which pieces are there, as Progress was told last.
	Have(ctx context.Context, id seed.ID) ([]byte, error)
	// Describe keeps what a seed is made of: the values of its pieces, and a manifest. One that is nil
	// stays as it was.
	Describe(ctx context.Context, id seed.ID, values, manifest []byte) error
	// Values and Manifest return that; nil: it is not known.
	Values(ctx context.Context, id seed.ID) ([]byte, error)
	Manifest(ctx context.Context, id seed.ID) ([]byte, error)
	// Forget forgets all of a seed.
	Forget(ctx context.Context, id seed.ID) error
}

// Memory is a Store that forgets all with the program. The zero value is empty.
type Memory struct {
	mu   sync.Mutex
	rows []Row
	more map[seed.ID]*memoryRow
}

type memoryRow struct{ have, values, manifest []byte }

// Rows implements Store.
func (m *Memory) Rows(context.Context) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.rows), nil
}

func (m *Memory) find(id seed.ID) int {
	return slices.IndexFunc(m.rows, func(r Row) bool { return r.ID == id })
}

// Save implements Store.
func (m *Memory) Save(_ context.Context, r Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.find(r.ID); i >= 0 {
		m.rows[i] = r
		return nil
	}
	m.rows = append(m.rows, r)
	if m.more == nil {
		m.more = map[seed.ID]*memoryRow{}
	}
	m.more[r.ID] = new(memoryRow)
	return nil
}

// Progress implements Store.
func (m *Memory) Progress(_ context.Context, id seed.ID, have []byte, c Counts) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.find(id); i >= 0 {
		m.rows[i].Counts = c
		m.more[id].have = bytes.Clone(have)
	}
	return nil
}

// Describe implements Store.
func (m *Memory) Describe(_ context.Context, id seed.ID, values, manifest []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.more[id]; r != nil {
		if values != nil {
			r.values = bytes.Clone(values)
		}
		if manifest != nil {
			r.manifest = bytes.Clone(manifest)
		}
	}
	return nil
}

func (m *Memory) get(id seed.ID, which func(*memoryRow) []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.more[id]; r != nil {
		return bytes.Clone(which(r))
	}
	return nil
}

// Have implements Store.
func (m *Memory) Have(_ context.Context, id seed.ID) ([]byte, error) {
	return m.get(id, func(r *memoryRow) []byte { return r.have }), nil
}

// Values implements Store.
func (m *Memory) Values(_ context.Context, id seed.ID) ([]byte, error) {
	return m.get(id, func(r *memoryRow) []byte { return r.values }), nil
}

// Manifest implements Store.
func (m *Memory) Manifest(_ context.Context, id seed.ID) ([]byte, error) {
	return m.get(id, func(r *memoryRow) []byte { return r.manifest }), nil
}

// Forget implements Store.
func (m *Memory) Forget(_ context.Context, id seed.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = slices.DeleteFunc(m.rows, func(r Row) bool { return r.ID == id })
	delete(m.more, id)
	return nil
}
