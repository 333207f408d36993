package folder

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// Memory is a Store that forgets everything with the process.
type Memory struct {
	mu      sync.Mutex // guards all following fields
	folders map[string]Record
	rows    map[string]*table
	made    map[Hash]kept
}

// kept is a manifest, and since when it is here.
type kept struct {
	manifest *chunk.Manifest
	saved    time.Time
}

// table holds a folder's rows by path, and what finds them in other ways.
type table struct {
	rows     map[string]*slot
	children map[string]set // of a directory
	dirs     map[uint64]set // by inode
	files    map[Hash]set   // by content
	untold   [2]set         // there, and gone
	rev      int64
	count    Delta
}

type set map[string]struct{}

// slot is a row, or what is left of one that the sink has to be told of.
type slot struct {
	Row
	gone    bool
	ignored bool
	told    bool
	known   map[Kind]bool // what the sink may know to be there
	rev     int64
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{folders: make(map[string]Record), rows: make(map[string]*table), made: make(map[Hash]kept)}
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
	t := m.table(folder)
	var rows []Row
	for _, p := range slices.Sorted(maps.Keys(t.children[dir])) {
		rows = append(rows, t.rows[p].Row)
	}
	return rows, nil
}

// Under implements Index.
func (m *Memory) Under(_ context.Context, folder, prefix, after string, limit int) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []Row
	for p, r := range m.table(folder).rows {
		if !r.gone && p > after && strings.HasPrefix(p, prefix) {
			rows = append(rows, r.Row)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Path, b.Path) })
	return rows[:min(limit, len(rows))], nil
}

// Row implements Index.
func (m *Memory) Row(_ context.Context, folder, path string) (Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.table(folder).rows[path]; r != nil && !r.gone {
		return r.Row, nil
	}
	return Row{}, fmt.Errorf("folder: %.100q in %s: %w", path, folder, ErrNotFound)
}

// DirByInode implements Index.
func (m *Memory) DirByInode(_ context.Context, folder string, inode uint64) (Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table(folder)
	return t.first(t.dirs[inode], fmt.Sprintf("directory of inode %d in %s", inode, folder))
}

// ByHash implements Index.
func (m *Memory) ByHash(_ context.Context, folder string, h Hash) (Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table(folder)
	return t.first(t.files[h], fmt.Sprintf("content %v in %s", h, folder))
}

// first returns the row of the first path.
func (t *table) first(paths set, what string) (Row, error) {
	if len(paths) == 0 {
		return Row{}, fmt.Errorf("folder: %s: %w", what, ErrNotFound)
	}
	return t.rows[slices.Min(slices.Collect(maps.Keys(paths)))].Row, nil
}

// Apply implements Index.
func (m *Memory) Apply(_ context.Context, folder string, d Diff) (Delta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table(folder)
	m.rows[folder] = t
	t.rev++
	before := t.count
	for _, p := range d.Drop {
		t.drop(p, false)
	}
	for _, p := range d.Left {
		t.drop(p, true)
	}
	t.move(d.Moved)
	for _, r := range d.Put {
		t.put(r, false)
	}
	for _, r := range d.Same {
		t.put(r, true)
	}
	m.save(d.Made)
	return Delta{t.count.Files - before.Files, t.count.Bytes - before.Bytes}, nil
}

// Manifest implements Index.
func (m *Memory) Manifest(_ context.Context, h Hash) (*chunk.Manifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, found := m.made[h]; found {
		return k.manifest, nil
	}
	return nil, fmt.Errorf("folder: manifest of %v: %w", h, ErrNotFound)
}

// SaveManifests implements Index.
func (m *Memory) SaveManifests(_ context.Context, ms []*chunk.Manifest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.save(ms)
	return nil
}

// save adds manifests that are not known. The caller holds m.mu.
func (m *Memory) save(ms []*chunk.Manifest) {
	for _, x := range ms {
		h := Hash(x.Root())
		if known := m.made[h].manifest; known != nil {
			x = known
		}
		m.made[h] = kept{x, time.Now()}
	}
}

// Similar implements Index.
func (m *Memory) Similar(_ context.Context, folder string, sketch []chunk.Hash, limit int) ([]Similar, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table(folder)
	var found []Similar
	for h, k := range m.made {
		r, err := t.first(t.files[h], "")
		if err != nil {
			continue
		}
		s := Similar{Path: r.Path, Hash: h}
		for _, c := range k.manifest.Sketch() {
			if slices.Contains(sketch, c) {
				s.Shared++
			}
		}
		if s.Shared > 0 {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b Similar) int { return cmp.Or(b.Shared-a.Shared, cmp.Compare(a.Path, b.Path)) })
	return found[:min(len(found), limit)], nil
}

// Sweep implements Index.
func (m *Memory) Sweep(_ context.Context, before time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for h, k := range m.made {
		used := slices.ContainsFunc(slices.Collect(maps.Values(m.rows)), func(t *table) bool { return len(t.files[h]) > 0 })
		if !used && k.saved.Before(before) {
			delete(m.made, h)
		}
	}
	return nil
}

// Count implements Index.
func (m *Memory) Count(_ context.Context, folder string) (files int, bytes int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.table(folder).count
	return c.Files, c.Bytes, nil
}

// Untold implements Index.
func (m *Memory) Untold(_ context.Context, folder string, gone bool, after string, limit int) ([]Untold, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table(folder)
	paths := slices.Sorted(maps.Keys(t.untold[which(gone)]))
	if gone {
		slices.Reverse(paths)
	}
	var us []Untold
	for _, p := range paths {
		if after != "" && (p == after || (p < after) != gone) {
			continue
		}
		if len(us) == limit {
			break
		}
		us = append(us, t.rows[p].untold())
	}
	return us, nil
}

func (s *slot) untold() Untold {
	u := Untold{Row: s.Row, Ignored: s.ignored, Rev: s.rev}
	if s.gone {
		u.Kind = ""
	}
	for _, k := range []Kind{KindFile, KindDir} {
		if s.known[k] && k != u.Kind {
			u.Ended = append(u.Ended, k)
		}
	}
	return u
}

// Told implements Index.
func (m *Memory) Told(_ context.Context, folder string, us []Untold) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table(folder)
	for _, u := range us {
		s := t.rows[u.Path]
		if s == nil || s.rev != u.Rev {
			continue
		}
		t.leave(s)
		if s.gone {
			continue
		}
		now := *s
		now.told, now.known = true, map[Kind]bool{s.Kind: true}
		t.enter(&now)
	}
	return nil
}

// table returns the rows of a folder; those of an unknown one are not kept.
func (m *Memory) table(folder string) *table {
	if t := m.rows[folder]; t != nil {
		return t
	}
	return &table{
		rows: make(map[string]*slot), children: make(map[string]set), dirs: make(map[uint64]set), files: make(map[Hash]set),
		untold: [2]set{{}, {}},
	}
}

func which(gone bool) int {
	if gone {
		return 1
	}
	return 0
}

// put adds a row. same: the sink need not hear of it.
func (t *table) put(r Row, same bool) {
	now := &slot{Row: r, told: same, known: map[Kind]bool{}, rev: t.rev}
	if same {
		now.known[r.Kind] = true
	}
	if old := t.rows[r.Path]; old != nil {
		now.known = old.knew()
		now.told = same && old.told && !old.gone && old.Kind == r.Kind
		t.leave(old)
	}
	t.enter(now)
}

// drop leaves of a row what the sink has to be told.
func (t *table) drop(path string, ignored bool) {
	old := t.rows[path]
	if old == nil || old.gone {
		return
	}
	t.leave(old)
	t.enter(&slot{Row: old.Row, gone: true, ignored: ignored, known: old.knew(), rev: t.rev})
}

// knew returns what the sink may know, be it told or about to be.
func (s *slot) knew() map[Kind]bool {
	known := maps.Clone(s.known)
	if !s.gone {
		known[s.Kind] = true
	}
	return known
}

// move gives directories other paths, all at once.
func (t *table) move(moves []Move) {
	var moved []Row
	for _, m := range deepestFirst(moves) {
		for _, p := range t.within(m.From) {
			r := t.rows[p].Row
			t.drop(p, false)
			r.Path = m.To + p[len(m.From):]
			moved = append(moved, r)
		}
	}
	for _, m := range moves {
		for _, p := range t.within(m.To) {
			t.drop(p, false)
		}
	}
	for _, r := range moved {
		t.put(r, false)
	}
}

// deepestFirst orders moves so that a directory comes after those in it.
func deepestFirst(moves []Move) []Move {
	return slices.SortedFunc(slices.Values(moves), func(a, b Move) int { return strings.Compare(b.From, a.From) })
}

// within returns the paths of a row and of those below it.
func (t *table) within(path string) (paths []string) {
	for p, s := range t.rows {
		if !s.gone && (p == path || strings.HasPrefix(p, path+"/")) {
			paths = append(paths, p)
		}
	}
	return paths
}

// enter adds s to everything by which it is found.
func (t *table) enter(s *slot) {
	t.rows[s.Path] = s
	if s.gone || !s.told {
		t.untold[which(s.gone)][s.Path] = struct{}{}
	}
	if s.gone {
		return
	}
	add(t.children, parent(s.Path), s.Path)
	if s.Kind == KindDir {
		add(t.dirs, s.Inode, s.Path)
		return
	}
	add(t.files, s.Hash, s.Path)
	t.count.Files++
	t.count.Bytes += s.Size
}

// leave takes s out of everything that enter has added it to.
func (t *table) leave(s *slot) {
	delete(t.rows, s.Path)
	delete(t.untold[which(s.gone)], s.Path)
	if s.gone {
		return
	}
	take(t.children, parent(s.Path), s.Path)
	if s.Kind == KindDir {
		take(t.dirs, s.Inode, s.Path)
		return
	}
	take(t.files, s.Hash, s.Path)
	t.count.Files--
	t.count.Bytes -= s.Size
}

func add[K comparable](sets map[K]set, key K, path string) {
	if sets[key] == nil {
		sets[key] = make(set)
	}
	sets[key][path] = struct{}{}
}

func take[K comparable](sets map[K]set, key K, path string) {
	delete(sets[key], path)
	if len(sets[key]) == 0 {
		delete(sets, key)
	}
}
