package replica

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Memory is a Store that lives as long as the process, for simulations and tests.
// Readers wait for a running Write to end, so that a Read or a Clone inside a Write
// would wait for itself.
type Memory struct {
	mu        sync.RWMutex
	folders   map[string]*folderState
	discarded int64 // the last number
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{folders: map[string]*folderState{}} }

// Clone returns a store of its own with what is committed in m, as after a crash.
func (m *Memory) Clone() *Memory {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := &Memory{folders: make(map[string]*folderState, len(m.folders)), discarded: m.discarded}
	for id, f := range m.folders {
		out.folders[id] = f.clone()
	}
	return out
}

// Read implements Store.
func (m *Memory) Read(ctx context.Context, folder string, fn func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("replica: read %.30q: %w", folder, err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	f := m.folders[folder]
	if f == nil {
		f = newFolderState()
	}
	return fn(f)
}

// Write implements Store. What cannot be done ends it, even if fn goes on and
// returns nil.
func (m *Memory) Write(ctx context.Context, folder string, fn func(Writer) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("replica: write %.30q: %w", folder, err)
	}
	f := m.folders[folder]
	if f == nil {
		f = newFolderState()
		m.folders[folder] = f
	}
	w := &memoryWriter{folderState: f, memory: m}
	done := false
	defer func() {
		if !done {
			w.rollBack()
		}
	}()
	if err := fn(w); err != nil {
		return err
	}
	if err := cmp.Or(w.failed, ctx.Err()); err != nil {
		return fmt.Errorf("replica: write %.30q: %w", folder, err)
	}
	done = true
	return nil
}

// Forget implements Store.
func (m *Memory) Forget(ctx context.Context, folder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("replica: forget %.30q: %w", folder, err)
	}
	delete(m.folders, folder)
	return nil
}

// memoryActor is a pair of member and incarnation.
type memoryActor struct {
	member      p2p.ID
	incarnation uint64
}

type idSet map[reconcile.EntryID]struct{}

// folderState is the replica of one folder. It implements Reader.
type folderState struct {
	state     State
	entries   map[reconcile.EntryID]Stored
	order     []uint64 // sorted; numbers that entries had, or have
	bySeq     map[uint64]reconcile.EntryID
	pending   int
	need      int64
	places    map[reconcile.EntryID]map[string]idSet // parent, name
	rows      *rowTree
	cursors   map[p2p.ID]Cursor
	claims    map[memoryActor]Claim
	journal   []byte
	discarded []Discarded                     // by number
	conflicts map[string][]reconcile.Conflict // by path
	holds     map[p2p.ID]Hold
}

func newFolderState() *folderState {
	return &folderState{
		entries: map[reconcile.EntryID]Stored{}, bySeq: map[uint64]reconcile.EntryID{},
		places: map[reconcile.EntryID]map[string]idSet{}, rows: newRowTree(),
		cursors: map[p2p.ID]Cursor{}, claims: map[memoryActor]Claim{}, holds: map[p2p.ID]Hold{},
		conflicts: map[string][]reconcile.Conflict{},
	}
}

func (f *folderState) clone() *folderState {
	out := *f
	out.entries, out.bySeq = maps.Clone(f.entries), maps.Clone(f.bySeq)
	out.order = slices.Clone(f.order)
	out.places = make(map[reconcile.EntryID]map[string]idSet, len(f.places))
	for id, names := range f.places {
		out.places[id] = make(map[string]idSet, len(names))
		for name, ids := range names {
			out.places[id][name] = maps.Clone(ids)
		}
	}
	out.rows = f.rows.clone()
	out.cursors, out.claims, out.holds = maps.Clone(f.cursors), maps.Clone(f.claims), maps.Clone(f.holds)
	out.conflicts = maps.Clone(f.conflicts) // what they hold is replaced, never changed
	out.discarded = slices.Clone(f.discarded)
	return &out
}

// State implements Reader.
func (f *folderState) State() (State, error) { return f.state, nil }

// own returns s with slices of the caller's own. Vectors are never changed.
func (s Stored) own() Stored {
	s.Entry.Places = slices.Clone(s.Entry.Places)
	s.Entry.Contents = slices.Clone(s.Entry.Contents)
	return s
}

// Entry implements Reader.
func (f *folderState) Entry(id reconcile.EntryID) (Stored, bool, error) {
	s, found := f.entries[id]
	return s.own(), found, nil
}

// At implements Reader.
func (f *folderState) At(spot reconcile.Spot) ([]reconcile.EntryID, error) {
	return sortedIDs(f.places[spot.Parent][spot.Name]), nil
}

// In implements Reader.
func (f *folderState) In(parent reconcile.EntryID) ([]reconcile.EntryID, error) {
	all := idSet{}
	for _, ids := range f.places[parent] {
		maps.Copy(all, ids)
	}
	return sortedIDs(all), nil
}

func sortedIDs(set idSet) []reconcile.EntryID {
	return slices.SortedFunc(maps.Keys(set), reconcile.EntryID.Compare)
}

// Since implements Reader.
func (f *folderState) Since(seq uint64, limit int) ([]Stored, error) {
	return f.after(seq, limit, func(Stored) bool { return true }), nil
}

// Pending implements Reader.
func (f *folderState) Pending(seq uint64, limit int) ([]Stored, error) {
	if f.pending == 0 {
		return nil, nil
	}
	return f.after(seq, limit, func(s Stored) bool { return s.Pending }), nil
}

func (f *folderState) after(seq uint64, limit int, want func(Stored) bool) (out []Stored) {
	i, found := slices.BinarySearch(f.order, seq)
	if found {
		i++
	}
	for _, n := range f.order[i:] {
		if len(out) >= limit {
			break
		}
		// Numbers that an entry had before are still in order.
		if id, ok := f.bySeq[n]; ok && want(f.entries[id]) {
			out = append(out, f.entries[id].own())
		}
	}
	return out
}

// CountEntries implements Reader.
func (f *folderState) CountEntries() (int, error) { return len(f.entries), nil }

// Needs implements Reader.
func (f *folderState) Needs() (entries int, bytes int64, err error) { return f.pending, f.need, nil }

// Cursors implements Reader.
func (f *folderState) Cursors() ([]Cursor, error) {
	return slices.SortedFunc(maps.Values(f.cursors), func(a, b Cursor) int { return a.Member.Compare(b.Member) }), nil
}

// Claims implements Reader.
func (f *folderState) Claims() ([]Claim, error) {
	all := slices.SortedFunc(maps.Values(f.claims), func(a, b Claim) int { return a.Dot.Compare(b.Dot) })
	for i := range all {
		all[i].Sig = bytes.Clone(all[i].Sig)
	}
	return all, nil
}

// Journal implements Reader.
func (f *folderState) Journal() ([]byte, error) { return bytes.Clone(f.journal), nil }

// Discarded implements Reader.
func (f *folderState) Discarded(before int64, limit int) ([]Discarded, error) {
	var out []Discarded
	for _, d := range slices.Backward(f.discarded) {
		if len(out) >= limit {
			break
		}
		if before == 0 || d.N < before {
			out = append(out, d)
		}
	}
	return out, nil
}

// DiscardedAs implements Reader.
func (f *folderState) DiscardedAs(h reconcile.Hash) ([]Discarded, error) {
	var out []Discarded
	for _, d := range slices.Backward(f.discarded) {
		if d.Name != "" && d.Hash == h && h != (reconcile.Hash{}) {
			out = append(out, d)
		}
	}
	return out, nil
}

// Conflicts implements Reader.
func (f *folderState) Conflicts() ([]reconcile.Conflict, error) {
	var all []reconcile.Conflict
	for _, path := range slices.Sorted(maps.Keys(f.conflicts)) {
		for _, c := range f.conflicts[path] {
			c.Others = slices.Clone(c.Others)
			all = append(all, c)
		}
	}
	return all, nil
}

// Holds implements Reader.
func (f *folderState) Holds() ([]Hold, error) {
	all := slices.SortedFunc(maps.Values(f.holds), func(a, b Hold) int { return a.Member.Compare(b.Member) })
	for i := range all {
		all[i].Released = slices.Clone(all[i].Released)
	}
	return all, nil
}
