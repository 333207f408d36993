package applytest

import (
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
)

// Walk calls fn for all that is on the disk, sorted, directories before what is in
// them. content must not be changed, and fn must not call methods of m.
func (m *MemFS) Walk(fn func(path string, st apply.Stat, content []byte)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.walk("", m.root, func(path string, n *inode) { fn(path, n.stat(), n.data) })
}

// Hidden reports whether a path is one of the program's own, which no person sees.
func Hidden(path string) bool {
	return path == apply.Private || strings.HasPrefix(path, apply.Private+"/")
}
