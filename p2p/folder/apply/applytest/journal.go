package applytest

import (
	"errors"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// journal is what has happened to names and is not durable yet. The rules are those of
// the weakest file systems in use:
//
//   - a change of two names happens as a whole;
//   - a change needs all earlier changes of the same names, the making of the
//     directories it is in, and, if it uses an inode number again, the change that
//     freed it;
//   - moves of directories keep their order, and a directory is removed after all that
//     happened in it;
//   - otherwise any changes may be lost.
type journal struct {
	changes []*change
	last    map[entry]*change
	moved   *change // the last move of a directory
}

type entry struct {
	dir  *inode
	name string
}

// change is one operation on names.
type change struct {
	edits   []edit
	needs   []*change
	durable bool
}

// edit is what a name was, and is.
type edit struct {
	dir           *inode
	name          string
	before, after *inode
}

func (j *journal) reset() { *j = journal{last: map[entry]*change{}} }

// record makes a change and writes it down.
func (m *MemFS) record(c *change) {
	now := m.clock()
	for _, e := range c.edits {
		c.need(m.last[entry{e.dir, e.name}])
		c.need(e.dir.made)
		m.last[entry{e.dir, e.name}] = c
		e.dir.modified, e.dir.changed = now, now
		set(e.dir, e.name, e.after)
		if e.after != nil {
			e.after.names++
			if e.after.fresh {
				e.after.made, e.after.fresh = c, false
			}
		}
		if e.before != nil {
			e.before.names--
		}
	}
	m.orderDirectories(c)
	for _, e := range c.edits {
		if e.before != nil && e.before.names == 0 {
			m.freed = append(m.freed, freed{e.before.number, c})
		}
	}
	m.changes = append(m.changes, c)
}

func (m *MemFS) orderDirectories(c *change) {
	moves := false
	for _, e := range c.edits {
		switch {
		case e.before == nil || e.before.kind != reconcile.KindDir:
		case e.before.names > 0:
			moves = true
		default:
			for _, earlier := range m.changes {
				if earlier.in(e.before) {
					c.need(earlier)
				}
			}
		}
	}
	if moves {
		c.need(m.moved)
		m.moved = c
	}
}

func (c *change) need(earlier *change) {
	if earlier != nil && earlier != c && !earlier.durable {
		c.needs = append(c.needs, earlier)
	}
}

func (c *change) in(dir *inode) bool {
	return slices.ContainsFunc(c.edits, func(e edit) bool { return e.dir == dir })
}

// commit makes c durable, and what it needs.
func (c *change) commit() {
	if c == nil || c.durable {
		return
	}
	c.durable = true
	for _, earlier := range c.needs {
		earlier.commit()
	}
	c.needs = nil
}

func set(dir *inode, name string, n *inode) {
	if n == nil {
		delete(dir.kids, name)
	} else {
		dir.kids[name] = n
	}
}

// settle forgets what is durable.
func (m *MemFS) settle() {
	m.changes = slices.DeleteFunc(m.changes, func(c *change) bool { return c.durable })
	if len(m.changes) == 0 {
		m.reset()
	}
}

// SyncDir implements apply.FS.
func (m *MemFS) SyncDir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, err := m.look("SyncDir", apply.UseLook, path)
	if err != nil {
		return err
	}
	if dir.kind != reconcile.KindDir {
		return fault("SyncDir", path, apply.ErrInTheWay)
	}
	for _, c := range m.changes {
		if c.in(dir) {
			c.commit()
		}
	}
	m.settle()
	dir.disk = nil // its mode
	return nil
}

// SyncAll implements apply.FS.
func (m *MemFS) SyncAll() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.noSyncAll {
		return errors.ErrUnsupported
	}
	if err := m.fail("SyncAll", ""); err != nil {
		for _, n := range m.dirty {
			n.bad = n.bad || n.disk != nil // what was written before is on the disk
		}
		return err
	}
	for _, c := range m.changes {
		c.durable, c.needs = true, nil
	}
	m.reset()
	for _, n := range m.dirty {
		n.sync()
	}
	m.dirty = nil
	return nil
}

// sync writes n to the disk, as far as it can.
func (n *inode) sync() {
	if n.disk == nil {
		return
	}
	if n.bad {
		n.disk.meta = n.meta
		return
	}
	n.disk = nil
}
