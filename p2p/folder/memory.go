package folder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store that forgets everything with the process.
type Memory struct {
	mu      sync.Mutex // guards all following fields
	folders map[string]Record
	rows    map[string]*table
}

// table holds a folder's rows twice: by path, and the names in a directory.
type table struct {
	rows     map[string]Row
	children map[string]map[string]struct{} // directory → paths in it
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{folders: make(map[string]Record), rows: make(map[string]*table)}
}

// Folders implements Registry.
func (m *Memory) Folders(context.Context) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Record, 0, len(m.folders))
	for _, r := range m.folders {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// SaveFolder implements Registry.
func (m *Memory) SaveFolder(_ context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.folders[r.ID] = r
	return nil
}

// DeleteFolder implements Registry.
func (m *Memory) DeleteFolder(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.folders, id)
	delete(m.rows, id)
	return nil
}

// Children implements Index.
func (m *Memory) Children(_ context.Context, folder, dir string) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.rows[folder]
	if t == nil {
		return nil, nil
	}
	var rows []Row
	for p := range t.children[dir] {
		rows = append(rows, t.rows[p])
	}
	sortRows(rows)
	return rows, nil
}

// Under implements Index.
func (m *Memory) Under(_ context.Context, folder, prefix, after string, limit int) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.rows[folder]
	if t == nil {
		return nil, nil
	}
	var rows []Row
	for p, r := range t.rows {
		if p > after && strings.HasPrefix(p, prefix) {
			rows = append(rows, r)
		}
	}
	sortRows(rows)
	return rows[:min(limit, len(rows))], nil
}

// Row implements Index.
func (m *Memory) Row(_ context.Context, folder, path string) (Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.rows[folder]; t != nil {
		if r, ok := t.rows[path]; ok {
			return r, nil
		}
	}
	return Row{}, fmt.Errorf("folder: %.100q in %s: %w", path, folder, ErrNotFound)
}

// Apply implements Index.
func (m *Memory) Apply(_ context.Context, folder string, drop []string, put []Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.rows[folder]
	if t == nil {
		t = &table{rows: make(map[string]Row), children: make(map[string]map[string]struct{})}
		m.rows[folder] = t
	}
	for _, p := range drop {
		delete(t.rows, p)
		delete(t.children[parent(p)], p)
		if len(t.children[parent(p)]) == 0 {
			delete(t.children, parent(p))
		}
	}
	for _, r := range put {
		t.rows[r.Path] = r
		if t.children[parent(r.Path)] == nil {
			t.children[parent(r.Path)] = make(map[string]struct{})
		}
		t.children[parent(r.Path)][r.Path] = struct{}{}
	}
	return nil
}

// Count implements Index.
func (m *Memory) Count(_ context.Context, folder string) (files int, bytes int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.rows[folder]; t != nil {
		for _, r := range t.rows {
			if r.Kind == KindFile {
				files++
				bytes += r.Size
			}
		}
	}
	return files, bytes, nil
}

func sortRows(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Path, b.Path) })
}
