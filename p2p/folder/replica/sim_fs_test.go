package replica

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"sync"
	"syscall"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// simCrash is what a computer that loses its power, or a program that is killed,
// panics with.
type simCrash struct{ at string }

// simFS is the disk of a node as its program sees it. Everything that changes
// something is counted, before and after: there the program can end, or a person can
// come between. Syncs run abreast and are not counted: a crash before them leaves any
// part of what they would make durable.
type simFS struct {
	*applytest.MemFS
	n      *simNode
	syncMu sync.Mutex
}

// around does an operation with a point before and after it.
func (f *simFS) around(op string, do func() error, paths ...string) error {
	f.n.point(op, paths...)
	if f.n.full && (op == "create" || op == "mkdir" || op == "rename" && f.n.chosen(paths[0])) {
		return &fs.PathError{Op: op, Path: paths[0], Err: syscall.ENOSPC}
	}
	err := do()
	f.n.point(op+" done", paths...)
	return err
}

func (f *simFS) Create(path string) (t apply.Temp, err error) {
	err = f.around("create", func() error {
		t, err = f.MemFS.Create(path)
		return err
	}, path)
	return &simTemp{Temp: t, f: f, path: path}, err
}

func (f *simFS) Mkdir(path string, mode fs.FileMode) error {
	return f.around("mkdir", func() error { return f.MemFS.Mkdir(path, mode) }, path)
}

func (f *simFS) Rmdir(path string) error {
	return f.around("rmdir", func() error { return f.MemFS.Rmdir(path) }, path)
}

func (f *simFS) Remove(path string) error {
	return f.around("remove", func() error { return f.MemFS.Remove(path) }, path)
}

func (f *simFS) Rename(from, to string) error {
	return f.around("rename", func() error { return f.MemFS.Rename(from, to) }, from, to)
}

func (f *simFS) Exchange(a, b string) error {
	return f.around("exchange", func() error { return f.MemFS.Exchange(a, b) }, a, b)
}

func (f *simFS) SetMeta(path string, mode fs.FileMode, modified int64) (st apply.Stat, err error) {
	err = f.around("setmeta", func() error {
		st, err = f.MemFS.SetMeta(path, mode, modified)
		return err
	}, path)
	return st, err
}

func (f *simFS) SyncFile(path string) error {
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	if f.n.eio && f.n.chosen(path) {
		f.Fail("Sync", 1, syscall.EIO)
	}
	return f.MemFS.SyncFile(path)
}

func (f *simFS) SyncDir(path string) error {
	if f.n.eio && f.n.chosen(path) {
		return &fs.PathError{Op: "sync", Path: path, Err: syscall.EIO}
	}
	return f.MemFS.SyncDir(path)
}

func (f *simFS) SyncAll() error {
	if f.n.eio { // of all that was not written yet, nothing ever is
		f.Fail("SyncAll", 1, syscall.EIO)
	}
	return f.MemFS.SyncAll()
}

// simTemp is a file whose syncs can fail: then what was to be written never is.
type simTemp struct {
	apply.Temp
	f    *simFS
	path string
}

func (t *simTemp) WriteAt(p []byte, off int64) (int, error) {
	if t.f.n.full {
		return 0, &fs.PathError{Op: "write", Path: t.path, Err: syscall.ENOSPC}
	}
	return t.Temp.WriteAt(p, off)
}

func (t *simTemp) Sync() error {
	t.f.syncMu.Lock()
	defer t.f.syncMu.Unlock()
	if t.f.n.eio && t.f.n.chosen(t.path) {
		t.f.Fail("Sync", 1, syscall.EIO)
	}
	return t.Temp.Sync()
}

// chosen decides, by nothing but the path and when the fault began, what a fault
// hits: calls that run abreast come in any order.
func (n *simNode) chosen(path string) bool {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d %s", n.salt, path)
	return h.Sum32()%3 == 0
}

// simStore is the database of a node. A transaction happens or not; the program can
// end before and after each.
type simStore struct {
	*Memory
	n *simNode
}

func (s *simStore) Write(ctx context.Context, folder string, fn func(Writer) error) error {
	s.n.point("commit")
	if s.n.full && s.n.chosen(fmt.Sprint("commit", s.n.ops)) {
		return fmt.Errorf("commit: %w", syscall.ENOSPC)
	}
	to := s.Memory
	fails := s.n.eio && s.n.w.doubts && s.n.chosen(fmt.Sprint("commit", s.n.ops))
	if fails {
		to = s.Memory.Clone()
	}
	var put []reconcile.Entry
	var discarded []Discarded
	err := to.Write(ctx, folder, func(w Writer) error {
		put, discarded = nil, nil
		return fn(&simWriter{Writer: w, put: &put, discarded: &discarded})
	})
	switch {
	case err != nil:
		return err
	case fails:
		s.n.doubt = &simDoubt{store: to, put: put, discarded: discarded}
		return fmt.Errorf("commit: %w", syscall.EIO)
	}
	s.n.doubt = nil
	s.n.committed(put, discarded)
	s.n.point("commit done")
	return nil
}

func (s *simStore) Read(ctx context.Context, folder string, fn func(Reader) error) error {
	if s.n.eio && s.n.w.doubts && s.n.unreadable() {
		return fmt.Errorf("read: %w", syscall.EIO)
	}
	return s.Memory.Read(ctx, folder, fn)
}

// simDoubt is a transaction that was written and could not be synced: it has not happened,
// as long as the program runs that was told so, and when that begins anew it may have.
type simDoubt struct {
	store     *Memory
	put       []reconcile.Entry
	discarded []Discarded
}

// resolve decides what has become of a transaction that could not be synced.
func (d *simDoubt) resolve(n *simNode) {
	if d == nil {
		return
	}
	n.doubt = nil
	if n.w.roll(2) == 0 {
		return
	}
	n.w.note("%s: what it could not commit is there", n.name)
	n.store = d.store
	n.committed(d.put, d.discarded)
}

// simWriter notes what an oracle wants to know of a transaction.
type simWriter struct {
	Writer
	put       *[]reconcile.Entry
	discarded *[]Discarded
}

func (w *simWriter) PutEntry(e reconcile.Entry, pending bool, need int64) error {
	*w.put = append(*w.put, e)
	return w.Writer.PutEntry(e, pending, need)
}

func (w *simWriter) Discard(d Discarded) (int64, error) {
	*w.discarded = append(*w.discarded, d)
	return w.Writer.Discard(d)
}
