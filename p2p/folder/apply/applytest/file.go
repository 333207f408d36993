package applytest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// memFile is an open file. It stays the file that was opened, whatever is renamed.
type memFile struct {
	fs   *MemFS
	n    *inode
	path string
	at   int64
}

// Open implements apply.FS.
func (m *MemFS) Open(path string) (apply.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.look("Open", apply.UseName, path)
	if err != nil {
		return nil, err
	}
	if n.kind != reconcile.KindFile {
		return nil, fault("Open", path, apply.ErrInTheWay)
	}
	return &memFile{fs: m, n: n, path: path}, nil
}

// Create implements apply.FS.
func (m *MemFS) Create(path string) (apply.Temp, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.spot("Create", apply.UseOwn, path)
	if err != nil {
		return nil, err
	}
	if n == nil {
		var after *change
		n, after = m.make(reconcile.KindFile, 0o600)
		m.record(&change{edits: []edit{{dir, name, nil, n}}, needs: []*change{after}})
	}
	if n.kind != reconcile.KindFile || n.names > 1 {
		return nil, fault("Create", path, fmt.Errorf("%w: not a file with one name", apply.ErrInTheWay))
	}
	return &memFile{fs: m, n: n, path: path}, nil
}

// Read implements io.Reader.
func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, fault("ReadAt", f.path, syscall.EINVAL)
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.fail("WriteAt", f.path); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fault("WriteAt", f.path, syscall.EINVAL)
	}
	f.fs.write(f.n, p, off)
	return len(p), nil
}

func (m *MemFS) write(n *inode, p []byte, off int64) {
	m.touch(n)
	if end := off + int64(len(p)); end > int64(len(n.data)) {
		n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
	}
	copy(n.data[off:], p)
	n.modified = m.clock()
	n.changed = n.modified
}

// Truncate implements apply.Temp.
func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.fail("Truncate", f.path); err != nil {
		return err
	}
	if size < 0 {
		return fault("Truncate", f.path, syscall.EINVAL)
	}
	f.fs.touch(f.n)
	if size <= int64(len(f.n.data)) {
		f.n.data = f.n.data[:size:size]
	}
	f.fs.write(f.n, nil, size)
	return nil
}

// Clone implements apply.Temp.
func (f *memFile) Clone(apply.File) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return errors.Join(f.fs.fail("Clone", f.path), errors.ErrUnsupported)
}

// SetMeta implements apply.Temp.
func (f *memFile) SetMeta(mode fs.FileMode, modified int64) (apply.Stat, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.setMeta(f.n, mode, modified), nil
}

// Stat implements apply.File.
func (f *memFile) Stat() (apply.Stat, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.n.stat(), nil
}

// Sync implements apply.Temp.
func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.sync(f.n, f.path)
}

// SyncFile implements apply.FS.
func (m *MemFS) SyncFile(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.look("SyncFile", apply.UseOwn, path)
	if err != nil {
		return err
	}
	if n.kind != reconcile.KindFile {
		return fault("SyncFile", path, apply.ErrInTheWay)
	}
	return m.sync(n, path)
}

func (m *MemFS) sync(n *inode, path string) error {
	if err := m.fail("Sync", path); err != nil {
		n.bad = true
		return err
	}
	n.sync()
	return nil
}

// Close implements io.Closer.
func (f *memFile) Close() error { return nil }
