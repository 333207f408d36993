package applytest

import (
	"math/rand/v2"
	"slices"
)

// page is what a disk writes as a whole.
const page = 4096

// Crash returns what the disk could hold after a power cut at this moment: of what was
// not synced any part may be there, and any may not. m stays as it is.
func (m *MemFS) Crash(rng *rand.Rand) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.like()
	copied := map[*inode]*inode{}
	c.root = clone(m.root, copied)
	for _, lost := range slices.Backward(m.lost(rng)) {
		for _, e := range slices.Backward(lost.edits) {
			set(clone(e.dir, copied), e.name, clone(e.before, copied))
		}
	}
	c.recover(rng)
	return c
}

// like returns a disk of the same kind, without a root.
func (m *MemFS) like() *MemFS {
	c := &MemFS{
		clock: m.clock, next: m.next, room: m.room, total: m.total,
		noExchange: m.noExchange, noSyncAll: m.noSyncAll, fold: m.fold,
	}
	c.reset()
	return c
}

// lost decides which changes are lost, in their order: those that need a lost one
// are lost too. Sometimes all are, or none.
func (m *MemFS) lost(rng *rand.Rand) []*change {
	share := []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
	var lost []*change
	gone := map[*change]bool{}
	for _, c := range m.changes {
		needs := slices.ContainsFunc(c.needs, func(n *change) bool { return gone[n] })
		if random := rng.Float64() < share; random || needs {
			gone[c] = true
			lost = append(lost, c)
		}
	}
	return lost
}

// clone copies n with all in it, once. Data is shared: it is not changed in place
// while there is no disk, and recover makes its own.
func clone(n *inode, copied map[*inode]*inode) *inode {
	if n == nil {
		return nil
	}
	if c := copied[n]; c != nil {
		return c
	}
	c := &inode{number: n.number, kind: n.kind, meta: n.meta, data: n.data, disk: n.disk, bad: n.bad}
	copied[n] = c
	if n.kids != nil {
		c.kids = make(map[string]*inode, len(n.kids))
		for name, kid := range n.kids {
			c.kids[name] = clone(kid, copied)
		}
	}
	return c
}

// recover makes a disk of what was in the cache and what was on the disk, and counts
// what inode numbers are free.
func (m *MemFS) recover(rng *rand.Rand) {
	used := map[uint64]bool{m.root.number: true}
	seen := map[*inode]bool{}
	fix := func(n *inode) {
		n.names++
		if seen[n] {
			return
		}
		seen[n], used[n.number] = true, true
		if n.disk != nil {
			n.tear(rng)
		}
	}
	fix(m.root)
	m.walk("", m.root, func(_ string, n *inode) { fix(n) })
	for number := m.next - 1; number > 0; number-- {
		if !used[number] {
			m.freed = append(m.freed, freed{number: number})
		}
	}
}

// tear makes n what a disk could hold: each page old or new.
func (n *inode) tear(rng *rand.Rand) {
	old, fresh := n.disk, n.data
	n.disk = nil
	if rng.IntN(2) == 0 {
		n.meta = old.meta
	}
	size := len(fresh)
	if rng.IntN(2) == 0 {
		size = len(old.data)
	}
	data := make([]byte, size)
	for at := 0; at < size; at += page {
		end := min(at+page, size)
		source := old.data
		if !n.bad && rng.IntN(2) == 0 {
			source = fresh
		}
		if at < len(source) {
			copy(data[at:end], source[at:])
		}
	}
	n.data, n.bad = data, false
}

// Clone returns a copy of the disk on which all is durable.
func (m *MemFS) Clone() *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.like()
	c.root = clone(m.root, map[*inode]*inode{})
	for _, n := range c.all() {
		if n.disk != nil {
			n.disk, n.data, n.bad = nil, slices.Clone(n.data), false
		}
	}
	for _, f := range m.freed {
		c.freed = append(c.freed, freed{number: f.number})
	}
	return c
}

// all returns all inodes with a name, once for each.
func (m *MemFS) all() []*inode {
	m.root.names++
	out := []*inode{m.root}
	m.walk("", m.root, func(_ string, n *inode) {
		n.names++
		out = append(out, n)
	})
	return out
}
