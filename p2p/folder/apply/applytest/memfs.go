package applytest

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// MemFS is a disk in memory, for one folder. The same calls give the same disk, if
// they come from one goroutine. Inode numbers are used again as soon as they are
// free, the last one first. The zero value is not usable.
type MemFS struct {
	mu    sync.Mutex
	clock func() int64
	root  *inode
	next  uint64  // the next inode number that was never used
	freed []freed // numbers to use again
	journal
	dirty []*inode // with something that is not on the disk
	fails []*failure

	fold                  func(name string) string // what names are compared by; nil: bytes
	noExchange, noSyncAll bool
	room, total           int64
}

// inode is a file or a directory.
type inode struct {
	number uint64
	kind   reconcile.Kind
	meta
	data  []byte            // of a file; never changed while disk is nil
	kids  map[string]*inode // of a directory
	made  *change           // that gave it its first name; nil: it is durable
	fresh bool              // it has had no name yet
	names int
	disk  *disk // what is on the disk, if it is not the same
	bad   bool  // a sync has failed: what was to be written then never is
}

type meta struct {
	mode              fs.FileMode
	modified, changed int64
}

// disk is what is on the disk of a file.
type disk struct {
	meta
	data []byte
}

type freed struct {
	number uint64
	by     *change
}

// NewMem returns an empty disk whose clock goes on by a millisecond whenever it is
// looked at.
func NewMem() *MemFS {
	now := int64(1_700_000_000_000_000_000)
	m := &MemFS{next: 2, room: 1 << 40, total: 1 << 41}
	m.clock = func() int64 { now += 1_000_000; return now }
	m.root = &inode{number: 1, kind: reconcile.KindDir, meta: meta{mode: 0o755}, kids: map[string]*inode{}, names: 1}
	m.reset()
	return m
}

// SetClock sets what gives files their times, in ns since 1970.
func (m *MemFS) SetClock(now func() int64) { m.mu.Lock(); defer m.mu.Unlock(); m.clock = now }

// SetFree sets what Free returns.
func (m *MemFS) SetFree(free, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room, m.total = free, total
}

// SetFold makes names that fold maps to the same be the same.
func (m *MemFS) SetFold(fold func(name string) string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fold = fold
}

// Without makes Exchange, SyncAll, or both, unsupported.
func (m *MemFS) Without(exchange, syncAll bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noExchange, m.noSyncAll = exchange, syncAll
}

// failure is an error that a call will return.
type failure struct {
	op    string
	after int
	err   error
}

// Fail makes the nth call (from 1, counted from now) of a method fail. op is the
// method's name: one of FS's, or WriteAt, Truncate, Clone or Sync. After a failed
// Sync the content is never written, though later calls succeed, as it is on Linux.
func (m *MemFS) Fail(op string, nth int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = append(m.fails, &failure{op, nth, err})
}

// fail returns the error that a call of op is to return now.
func (m *MemFS) fail(op, path string) error {
	for i, f := range m.fails {
		if f.op != op {
			continue
		}
		if f.after--; f.after <= 0 {
			m.fails = slices.Delete(m.fails, i, i+1)
			return fault(op, path, f.err)
		}
	}
	return nil
}

func fault(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }

// find returns what is at path.
func (m *MemFS) find(path string) (*inode, error) {
	n := m.root
	if path == "" {
		return n, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if n.kind != reconcile.KindDir {
			return nil, apply.ErrInTheWay
		}
		if n = n.kids[m.spelled(n, name)]; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

// place returns the directory of path, the name there, and what is there, or nil.
func (m *MemFS) place(path string) (dir *inode, name string, n *inode, err error) {
	i := strings.LastIndexByte(path, '/')
	dir, err = m.find(path[:max(i, 0)])
	if err != nil {
		return nil, "", nil, err
	}
	if dir.kind != reconcile.KindDir {
		return nil, "", nil, apply.ErrInTheWay
	}
	name = path[i+1:]
	if len(name) > 255 {
		return nil, "", nil, syscall.ENAMETOOLONG
	}
	name = m.spelled(dir, name)
	return dir, name, dir.kids[name], nil
}

// spelled returns how what name leads to is spelled in dir, or name.
func (m *MemFS) spelled(dir *inode, name string) string {
	if m.fold == nil || dir.kids[name] != nil {
		return name
	}
	for _, other := range slices.Sorted(maps.Keys(dir.kids)) {
		if m.fold(other) == m.fold(name) {
			return other
		}
	}
	return name
}

// make returns a new inode, without a name.
func (m *MemFS) make(kind reconcile.Kind, mode fs.FileMode) (n *inode, after *change) {
	now := m.clock()
	n = &inode{kind: kind, fresh: true, meta: meta{mode: mode.Perm(), modified: now, changed: now}}
	if kind == reconcile.KindDir {
		n.kids = map[string]*inode{}
	}
	if last := len(m.freed) - 1; last >= 0 {
		n.number, after = m.freed[last].number, m.freed[last].by
		m.freed = m.freed[:last]
	} else {
		n.number = m.next
		m.next++
	}
	return n, after
}

// touch remembers what is on the disk of n before it is changed.
func (m *MemFS) touch(n *inode) {
	if n.disk == nil {
		n.disk = &disk{meta: n.meta, data: n.data}
		n.data = slices.Clone(n.data)
		if len(m.dirty) > 4096 {
			m.dirty = slices.DeleteFunc(m.dirty, func(n *inode) bool { return n.disk == nil })
		}
		m.dirty = append(m.dirty, n)
	}
}

func (n *inode) stat() apply.Stat {
	return apply.Stat{
		Kind: n.kind, Size: int64(len(n.data)), Modified: n.modified, Mode: n.mode,
		Inode: n.number, Changed: n.changed,
	}
}

// Lstat implements apply.FS.
func (m *MemFS) Lstat(path string) (apply.Stat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.look("Lstat", apply.UseLook, path)
	if err != nil {
		return apply.Stat{}, err
	}
	return n.stat(), nil
}

// look returns what is at path, for the method op.
func (m *MemFS) look(op string, use apply.Use, path string) (*inode, error) {
	if err := apply.CheckPath(use, path); err != nil {
		return nil, err
	}
	if err := m.fail(op, path); err != nil {
		return nil, err
	}
	n, err := m.find(path)
	if err != nil {
		return nil, fault(op, path, err)
	}
	return n, nil
}

// SetMeta implements apply.FS.
func (m *MemFS) SetMeta(path string, mode fs.FileMode, modified int64) (apply.Stat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.look("SetMeta", apply.UseChange, path)
	if err != nil {
		return apply.Stat{}, err
	}
	if n.kind == reconcile.KindOther {
		return apply.Stat{}, fault("SetMeta", path, apply.ErrInTheWay)
	}
	return m.setMeta(n, mode, modified), nil
}

func (m *MemFS) setMeta(n *inode, mode fs.FileMode, modified int64) apply.Stat {
	m.touch(n)
	n.mode, n.changed = mode.Perm(), m.clock()
	if n.kind == reconcile.KindFile {
		n.modified = modified
	}
	return n.stat()
}

// Free implements apply.FS.
func (m *MemFS) Free() (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail("Free", ""); err != nil {
		return 0, 0, err
	}
	return m.room, m.total, nil
}

// String is for failed tests.
func (m *MemFS) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	m.walk("", m.root, func(path string, n *inode) {
		fmt.Fprintf(&b, "%s\t%s %d bytes, mode %o, inode %d\n", path, n.kind, len(n.data), n.mode, n.number)
	})
	return b.String()
}

// walk calls fn for all that is in a directory, sorted.
func (m *MemFS) walk(path string, dir *inode, fn func(path string, n *inode)) {
	for _, name := range slices.Sorted(maps.Keys(dir.kids)) {
		n, p := dir.kids[name], name
		if path != "" {
			p = path + "/" + name
		}
		fn(p, n)
		m.walk(p, n, fn)
	}
}

var _ apply.FS = (*MemFS)(nil)
