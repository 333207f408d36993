package applytest

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// The methods in this file are what a person does with other programs. None of
// them fails on purpose, and what they do is durable at once, so that whatever a
// person has written is there after a crash, unless something has lost it.

// do makes a change, durable.
func (m *MemFS) do(edits ...edit) *change {
	c := &change{edits: edits}
	m.record(c)
	return c
}

func (m *MemFS) durable(c *change) {
	c.commit()
	m.settle()
}

// WriteFile writes a file as an editor does that writes into the same inode, or makes
// it, with mode 0644.
func (m *MemFS) WriteFile(path, content string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.place(path)
	if err != nil {
		return fault("WriteFile", path, err)
	}
	if n == nil {
		fresh, after := m.make(reconcile.KindFile, 0o644)
		n = fresh
		after.commit()
		m.do(edit{dir, name, nil, n})
	}
	if n.kind != reconcile.KindFile {
		return fault("WriteFile", path, apply.ErrInTheWay)
	}
	m.touch(n)
	n.data = nil
	m.write(n, []byte(content), 0)
	n.bad = false
	n.sync()
	m.last[entry{dir, name}].commit()
	m.settle()
	return nil
}

// ReadFile returns the content of a file.
func (m *MemFS) ReadFile(path string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(path)
	if err == nil && n.kind != reconcile.KindFile {
		err = apply.ErrInTheWay
	}
	if err != nil {
		return "", fault("ReadFile", path, err)
	}
	return string(n.data), nil
}

// MkdirAll makes a directory, and those above.
func (m *MemFS) MkdirAll(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for end := 0; end < len(path); {
		end = next(path, end)
		dir, name, n, err := m.place(path[:end])
		if err != nil {
			return fault("MkdirAll", path, err)
		}
		if n == nil {
			fresh, after := m.make(reconcile.KindDir, 0o755)
			after.commit()
			m.durable(m.do(edit{dir, name, nil, fresh}))
		} else if n.kind != reconcile.KindDir {
			return fault("MkdirAll", path, apply.ErrInTheWay)
		}
	}
	return nil
}

// next returns where the component of path ends that begins at or after start.
func next(path string, start int) int {
	if start > 0 {
		start++
	}
	if i := strings.IndexByte(path[start:], '/'); i >= 0 {
		return start + i
	}
	return len(path)
}

// Other makes something that is neither a file nor a directory, such as a symbolic
// link.
func (m *MemFS) Other(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.place(path)
	if err == nil && n != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return fault("Other", path, err)
	}
	fresh, after := m.make(reconcile.KindOther, 0o777)
	after.commit()
	m.durable(m.do(edit{dir, name, nil, fresh}))
	return nil
}

// RemoveAll removes what is at path, with all in it. Nothing there is no error.
func (m *MemFS) RemoveAll(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.place(path)
	if err != nil || n == nil {
		return nil // what has no directory is not there
	}
	m.removeAll(dir, name, n)
	m.settle()
	return nil
}

func (m *MemFS) removeAll(dir *inode, name string, n *inode) {
	for _, kid := range slices.Sorted(maps.Keys(n.kids)) {
		m.removeAll(n, kid, n.kids[kid])
	}
	m.do(edit{dir, name, n, nil}).commit()
}

// RenamePath renames, as mv does: a file at to is replaced.
func (m *MemFS) RenamePath(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	df, nf, n, err := m.place(from)
	if err == nil && n == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return fault("RenamePath", from, err)
	}
	dt, nt, old, err := m.place(to)
	switch {
	case err != nil:
	case strings.HasPrefix(to, from+"/"):
		err = syscall.EINVAL
	case old == n:
		return nil
	case old != nil && (old.kind == reconcile.KindDir || n.kind == reconcile.KindDir):
		err = syscall.EEXIST
	}
	if err != nil {
		return fault("RenamePath", to, err)
	}
	m.durable(m.do(edit{df, nf, n, nil}, edit{dt, nt, old, n}))
	m.renamed(n)
	n.sync()
	return nil
}

// Chmod sets permission bits.
func (m *MemFS) Chmod(path string, mode fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(path)
	if err != nil {
		return fault("Chmod", path, err)
	}
	m.setMeta(n, mode, n.modified)
	n.sync()
	return nil
}

// Tree returns the files that a person sees, by path, with the hash of their content.
func (m *MemFS) Tree() map[string]string {
	return m.files("", func(path string) bool { return path != apply.Private && !strings.HasPrefix(path, apply.Private+"/") })
}

// Trash returns the files in the trash, by name, with the hash of their content.
func (m *MemFS) Trash() map[string]string {
	return m.files(apply.TrashDir+"/", func(path string) bool { return strings.HasPrefix(path, apply.TrashDir+"/") })
}

func (m *MemFS) files(prefix string, of func(path string) bool) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]string{}
	m.walk("", m.root, func(path string, n *inode) {
		if n.kind == reconcile.KindFile && of(path) {
			out[strings.TrimPrefix(path, prefix)] = ContentHash(string(n.data))
		}
	})
	return out
}

// ContentHash is the hash that Tree and Trash show for a content.
func ContentHash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
