package replica

import (
	"context"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

func (c *Core) giveBack(s seeds) {
	c.Dirty(s.paths, s.moved, false)
	for _, id := range s.entries {
		c.again[id] = true
	}
}

// take takes seeds: what has changed here first, so that nothing of others is
// installed over what is not recorded yet.
func (c *Core) take(ctx context.Context) (seeds, error) {
	s := seeds{moved: c.moved, paths: sorted(c.dirty)}
	c.moved = nil
	s.paths = s.paths[:min(len(s.paths), turnPaths)]
	for _, p := range s.paths {
		delete(c.dirty, p)
	}
	if len(s.paths)+len(s.moved) > 0 || !c.settled {
		return s, nil
	}
	for id := range c.again {
		if len(s.entries) == turnEntries {
			break
		}
		s.entries = append(s.entries, id)
	}
	slices.SortFunc(s.entries, reconcile.EntryID.Compare)
	for _, id := range s.entries {
		delete(c.again, id)
		delete(c.parked, id)
	}
	dirs, next := paths{}, c.next
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) error {
		some, err := r.Discarded(0, 1)
		if err != nil {
			return err
		}
		for len(s.entries) < turnEntries && !c.contents.full() {
			page, err := r.Pending(c.next, turnEntries-len(s.entries))
			if err != nil || len(page) == 0 {
				return err
			}
			for _, p := range page {
				c.next = p.Seq
				if _, waits := c.parked[p.Entry.ID]; waits {
					continue
				}
				ahead, err := c.wantAhead(ctx, r, dirs, len(some) > 0, p.Entry)
				if err != nil {
					return err
				}
				if !ahead {
					s.entries = append(s.entries, p.Entry.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		c.giveBack(s)
		c.next = next
	}
	return s, err
}

// wantAhead has the content of a file that is new here fetched before anything is planned for
// it: there is nothing to plan with before it has come. What is on this disk already is
// planned at once, for perhaps nothing needs to be fetched at all. trash: there is some.
func (c *Core) wantAhead(ctx context.Context, r Reader, dirs paths, trash bool, e reconcile.Entry) (bool, error) {
	if e.Kind != reconcile.KindFile || len(e.Contents) != 1 || len(e.Places) != 1 {
		return false, nil
	}
	x := e.Contents[0]
	if x.Deleted || x.Size == 0 || c.contents.has(x.Hash) {
		return false, nil
	}
	if rows, err := r.RowsOf(e.ID); err != nil || len(rows) > 0 {
		return false, err
	}
	if _, here, err := c.o.Disk.ByHash(ctx, x.Hash); err != nil || here {
		return false, err
	}
	if trash {
		if files, err := r.DiscardedAs(x.Hash); err != nil || len(files) > 0 {
			return false, err
		}
	}
	path, err := dirs.path(r, e)
	if err != nil || path == "" {
		return false, err
	}
	w := Want{Hash: x.Hash, Size: x.Size, Path: path, Mode: x.Mode, Modified: x.Modified, Made: x.Made.Member, Far: true}
	if c.contents.want(w) {
		c.ahead = append(c.ahead, w)
	}
	c.parked[e.ID] = parking{hash: x.Hash, content: x.Hash, path: w.Path, since: c.o.Now()}
	c.waiting[x.Hash] = append(c.waiting[x.Hash], e.ID)
	return true, nil
}

// paths are those of directories, as they are found out.
type paths map[reconcile.EntryID]string

// path returns where an entry with one place is; empty if a directory above is not
// known, or has not one place.
func (d paths) path(r Reader, e reconcile.Entry) (string, error) {
	if len(e.Places) != 1 {
		return "", nil
	}
	place := e.Places[0]
	if place.Parent.IsZero() {
		return place.Name, nil
	}
	dir, known := d[place.Parent]
	if !known {
		d[place.Parent] = "" // a cycle ends here
		s, found, err := r.Entry(place.Parent)
		if err != nil || !found {
			return "", err
		}
		if dir, err = d.path(r, s.Entry); err != nil {
			return "", err
		}
		d[place.Parent] = dir
	}
	if dir == "" {
		return "", nil
	}
	return join(dir, place.Name), nil
}
