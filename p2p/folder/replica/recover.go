package replica

import (
	"context"
	"errors"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// recover looks after what a database that was lost, or is another one now, knew of the
// folder's own directories: a file between two steps may be a person's, and what is in
// the trash is in no list.
func (c *Core) recover(ctx context.Context) error {
	if err := c.rescueTemps(ctx); err != nil {
		return c.errorf("look for files between two steps", err)
	}
	if err := c.adoptTrash(ctx); err != nil {
		return c.errorf("look for what is in the trash", err)
	}
	return nil
}

// rescueTemps moves to the trash what is among the temporary files and is not what its
// name says: it was exchanged for that, and not put away yet.
func (c *Core) rescueTemps(ctx context.Context) error {
	names, err := c.o.FS.Names(apply.TempDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := apply.TempDir + "/" + name
		if strings.HasSuffix(name, partial) {
			continue
		}
		h, err := hashFile(ctx, c.o.FS, path)
		if err != nil {
			return err
		}
		hash, _, _ := strings.Cut(name, "-")
		if h.String() == hash {
			continue
		}
		if err := c.o.FS.Rename(path, apply.TrashName(c.o.Now(), c.o.Random(), "recovered")); err != nil {
			return err
		}
	}
	return apply.SyncDirs(c.o.FS, []string{apply.TempDir, apply.TrashDir})
}

// adoptTrash lists what is in the trash and in no list.
func (c *Core) adoptTrash(ctx context.Context) error {
	names, err := c.o.FS.Names(apply.TrashDir)
	if err != nil || len(names) == 0 {
		return err
	}
	listed := map[string]bool{}
	err = c.o.Store.Read(ctx, c.o.Folder, func(r Reader) error {
		all, err := r.Discarded(0, 1<<30)
		for _, d := range all {
			listed[d.Name] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	var found []Discarded
	for _, name := range names {
		if listed[name] {
			continue
		}
		seen, err := look(ctx, c.o.FS, apply.TrashDir+"/"+name)
		if errors.Is(err, errNotExist) || err == nil && seen.Kind != reconcile.KindFile {
			continue
		}
		if err != nil {
			return err
		}
		// The name is time-number-name; see apply.TrashName.
		path := name
		for range 2 {
			if _, rest, ok := strings.Cut(path, "-"); ok {
				path = rest
			}
		}
		found = append(found, discarded(path, seen.Item, c.o.Self, c.o.Now(), true, name))
	}
	if len(found) == 0 {
		return nil
	}
	return c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error {
		for _, d := range found {
			if _, err := w.Discard(d); err != nil {
				return err
			}
		}
		return nil
	})
}
