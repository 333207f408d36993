package replica

import (
	"context"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// compare finds all paths at which the disk is not as it was committed.
func (c *Core) compare(ctx context.Context) error {
	return c.o.Store.Read(ctx, c.o.Folder, func(r Reader) error {
		dirs := []string{"", reconcile.Aside}
		for len(dirs) > 0 {
			dir := dirs[len(dirs)-1]
			dirs = dirs[:len(dirs)-1]
			below, err := c.compareDir(ctx, r, dir)
			if err != nil {
				return err
			}
			dirs = append(dirs, below...)
		}
		return nil
	})
}

// compareDir compares what is directly in a directory, and returns the directories
// in it.
func (c *Core) compareDir(ctx context.Context, r Reader, dir string) (dirs []string, err error) {
	rows, err := r.RowsIn(dir, 0)
	if err != nil {
		return nil, err
	}
	seen, err := c.o.Disk.Children(ctx, dir)
	if err != nil {
		return nil, err
	}
	known := make(map[string]reconcile.Row, len(rows))
	for _, p := range rows {
		known[p.Path] = p.Row
	}
	for _, s := range seen {
		row, ok := known[s.Path]
		delete(known, s.Path)
		if !ok || row.Item != s.Item {
			c.dirty[s.Path] = true
		}
		if s.Kind == reconcile.KindDir {
			dirs = append(dirs, s.Path)
		} else if row.Kind == reconcile.KindDir {
			dirs = append(dirs, s.Path) // what was in it is gone
		}
	}
	for p, row := range known {
		c.dirty[p] = true
		if row.Kind == reconcile.KindDir {
			dirs = append(dirs, p)
		}
	}
	return dirs, ctx.Err()
}
