package replica

import (
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Dirty tells what has changed on the disk. All: compare everything. It is called
// after each scan, even if nothing has changed.
func (c *Core) Dirty(paths []string, moved []Move, all bool) {
	c.all = c.all || all
	c.lookAgain() // the scan may know more now
	for _, p := range paths {
		c.dirty[p] = true
	}
	c.moved = append(c.moved, moved...)
	c.follow(moved)
	if len(paths)+len(moved) > 0 {
		c.unpark()
	}
}

// unpark has tried again what waits for something at a path that has changed.
func (c *Core) unpark() {
	for id, p := range c.parked {
		if p.hash == (reconcile.Hash{}) && p.held.IsZero() && c.dirty[p.path] {
			c.again[id] = true
		}
	}
}

// maxFollow bounds, as a product, how many dirty paths follow how many moves.
const maxFollow = 10_000_000

// follow has what is dirty in directories that were moved since looked at where it is now,
// too: it may be looked at in a later turn than the move.
func (c *Core) follow(moved []Move) {
	if len(moved)*len(c.dirty) > maxFollow {
		c.all = true
		return
	}
	for _, m := range moved {
		for _, p := range sorted(c.dirty) {
			if below(p, m.From) && len(m.To)+len(p)-len(m.From) <= reconcile.MaxPath {
				c.dirty[m.To+p[len(m.From):]] = true
			}
		}
	}
}

// lookAgain makes dirty what was not known for sure.
func (c *Core) lookAgain() {
	if len(c.unsure) == 0 {
		return
	}
	for p := range c.unsure {
		c.dirty[p] = true
	}
	c.doubted, c.unsure = c.unsure, map[string]bool{}
}

// doubt notes what is not known for sure. What a look has not made sure is looked at again
// later each time; what is new among it waits for nothing else.
func (c *Core) doubt(paths []string) {
	for _, p := range paths {
		if !c.unsure[p] && !c.doubted[p] {
			c.looks, c.sureAt = 0, time.Time{}
		}
		c.unsure[p] = true
	}
}

// Doubt returns when what is not known for sure is looked at again; zero: all is known.
func (c *Core) Doubt() time.Time {
	if len(c.unsure) == 0 {
		return time.Time{}
	}
	return c.sureAt
}

// lookSometimes is lookAgain without a reason, the more seldom the longer there is
// something that is not known.
func (c *Core) lookSometimes() (any bool) {
	if len(c.unsure) == 0 {
		c.looks, c.doubted = 0, nil
		return false
	}
	if c.o.Now().Before(c.sureAt) {
		return false
	}
	c.lookAgain()
	c.looks++
	c.sureAt = c.o.Now().Add(min(time.Second<<min(c.looks, 12), longestWait))
	return true
}
