package extract

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
)

// Unread is a file of a folder that has no text, or not all of it.
type Unread struct {
	Path    string // in the folder, with slashes
	Reason  Reason
	Detail  string
	Version int // of the package that has tried
}

// Store keeps which files could not be read. It may forget a folder at any time,
// if what is known of the folder's files is lost with it. Package extracttest holds
// the tests of what is promised here. Methods may be called by several goroutines
// at once.
type Store interface {
	// Note keeps what is missing of files of a folder, and that nothing is, or that
	// they are gone: all of it or nothing.
	Note(ctx context.Context, folder string, unread []Unread, others []string) error
	// Counts returns how many there are in each folder, by reason.
	Counts(ctx context.Context) (map[string]map[Reason]int, error)
	// List returns up to limit of them after a path, by path; with a reason only
	// those.
	List(ctx context.Context, folder string, why Reason, after string, limit int) ([]Unread, error)
	// Forget forgets those of a folder.
	Forget(ctx context.Context, folder string) error
	// Again has the files told again that another version has tried, and returns how
	// many there are.
	Again(ctx context.Context, version int) (int, error)
}

// Memory is a Store that lasts as long as the process. The zero value is empty.
type Memory struct {
	mu      sync.Mutex
	folders map[string]map[string]Unread // by path
}

// Note implements Store.
func (m *Memory) Note(_ context.Context, folder string, unread []Unread, others []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	files := m.folders[folder]
	for _, path := range others {
		delete(files, path)
	}
	if len(unread) == 0 {
		return nil
	}
	if files == nil {
		files = make(map[string]Unread)
	}
	if m.folders == nil {
		m.folders = make(map[string]map[string]Unread)
	}
	m.folders[folder] = files
	for _, u := range unread {
		files[u.Path] = u
	}
	return nil
}

// Counts implements Store.
func (m *Memory) Counts(context.Context) (map[string]map[Reason]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := make(map[string]map[Reason]int)
	for folder, files := range m.folders {
		for _, u := range files {
			if counts[folder] == nil {
				counts[folder] = make(map[Reason]int)
			}
			counts[folder][u.Reason]++
		}
	}
	return counts, nil
}

// List implements Store.
func (m *Memory) List(_ context.Context, folder string, why Reason, after string, limit int) ([]Unread, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.SortedFunc(maps.Values(m.folders[folder]), func(a, b Unread) int { return cmp.Compare(a.Path, b.Path) })
	all = slices.DeleteFunc(all, func(u Unread) bool { return u.Path <= after || why != "" && u.Reason != why })
	return all[:min(len(all), limit)], nil
}

// Forget implements Store.
func (m *Memory) Forget(_ context.Context, folder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.folders, folder)
	return nil
}

// Again implements Store: what was in memory was tried by this version.
func (m *Memory) Again(context.Context, int) (int, error) { return 0, nil }
