package applytest

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"syscall"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Names implements apply.FS.
func (m *MemFS) Names(path string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.look("Names", apply.UseLook, path)
	if err != nil {
		return nil, err
	}
	if n.kind != reconcile.KindDir {
		return nil, fault("Names", path, apply.ErrInTheWay)
	}
	return slices.Sorted(maps.Keys(n.kids)), nil
}

// Mkdir implements apply.FS.
func (m *MemFS) Mkdir(path string, mode fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.spot("Mkdir", apply.UseName, path)
	if err != nil {
		return err
	}
	if n != nil {
		return fault("Mkdir", path, syscall.EEXIST)
	}
	n, after := m.make(reconcile.KindDir, mode)
	m.record(&change{edits: []edit{{dir, name, nil, n}}, needs: []*change{after}})
	return nil
}

// spot is place, for the method op.
func (m *MemFS) spot(op string, use apply.Use, path string) (dir *inode, name string, n *inode, err error) {
	if err := apply.CheckPath(use, path); err != nil {
		return nil, "", nil, err
	}
	if err := m.fail(op, path); err != nil {
		return nil, "", nil, err
	}
	dir, name, n, err = m.place(path)
	if err != nil {
		return nil, "", nil, fault(op, path, err)
	}
	return dir, name, n, nil
}

// Rmdir implements apply.FS.
func (m *MemFS) Rmdir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.spot("Rmdir", apply.UseChange, path)
	switch {
	case err != nil:
		return err
	case n == nil:
		return fault("Rmdir", path, syscall.ENOENT)
	case n.kind != reconcile.KindDir:
		return fault("Rmdir", path, apply.ErrInTheWay)
	case len(n.kids) > 0:
		return fault("Rmdir", path, syscall.ENOTEMPTY)
	}
	m.record(&change{edits: []edit{{dir, name, n, nil}}})
	return nil
}

// Remove implements apply.FS.
func (m *MemFS) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.spot("Remove", apply.UseOwn, path)
	switch {
	case err != nil:
		return err
	case n == nil:
		return fault("Remove", path, syscall.ENOENT)
	case n.kind == reconcile.KindDir:
		return fault("Remove", path, syscall.EISDIR)
	}
	m.record(&change{edits: []edit{{dir, name, n, nil}}})
	return nil
}

// Rename implements apply.FS.
func (m *MemFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.swap("Rename", from, to, func(a, b *inode) error {
		if b != nil {
			return syscall.EEXIST
		}
		return nil
	})
}

// Exchange implements apply.FS.
func (m *MemFS) Exchange(a, b string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.swap("Exchange", a, b, func(_, b *inode) error {
		switch {
		case m.noExchange:
			return errors.ErrUnsupported
		case b == nil:
			return syscall.ENOENT
		}
		return nil
	})
}

// swap gives what is at a and b each other's name, if allowed does not object.
func (m *MemFS) swap(op, a, b string, allowed func(a, b *inode) error) error {
	if err := apply.CheckPaths(a, b); err != nil {
		return err
	}
	if err := m.fail(op, a); err != nil {
		return err
	}
	da, na, ia, err := m.place(a)
	if err != nil {
		return fault(op, a, err)
	}
	db, nb, ib, err := m.place(b)
	if err != nil {
		return fault(op, b, err)
	}
	if ia == nil {
		return fault(op, a, syscall.ENOENT)
	}
	if err := allowed(ia, ib); err != nil {
		return fault(op, b, err)
	}
	m.record(&change{edits: []edit{{da, na, ia, ib}, {db, nb, ib, ia}}})
	m.renamed(ia, ib)
	return nil
}

// renamed gives inodes a new change time.
func (m *MemFS) renamed(all ...*inode) {
	now := m.clock()
	for _, n := range all {
		if n != nil {
			m.touch(n)
			n.changed = now
		}
	}
}
