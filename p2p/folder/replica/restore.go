package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// find returns what was discarded under numbers, in their order. Errors:
// ErrNotFound.
func (c *Core) find(ctx context.Context, numbers []int64) ([]Discarded, error) {
	out := make([]Discarded, len(numbers))
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) error {
		for i, n := range numbers {
			found, err := r.Discarded(n+1, 1)
			if err != nil {
				return err
			}
			if len(found) == 0 || found[0].N != n {
				return fmt.Errorf("number %d of the trash: %w", n, ErrNotFound)
			}
			out[i] = found[0]
		}
		return nil
	})
	return out, err
}

// Missing returns which contents have to be at apply.TempName before Restore: those
// that are not in the trash of this node.
func (c *Core) Missing(ctx context.Context, numbers []int64) ([]Want, error) {
	if !c.o.Writer(c.o.Self) {
		return nil, c.errorf("restore", ErrReadOnly)
	}
	all, err := c.find(ctx, numbers)
	if err != nil {
		return nil, c.errorf("restore", err)
	}
	var wants []Want
	for _, d := range all {
		if d.Name == "" && d.Size > 0 {
			wants = append(wants, Want{Hash: d.Hash, Size: d.Size, Path: d.Path, Made: d.Member})
		}
	}
	return wants, nil
}

// Restore puts what was discarded back to where it was, or beside what is there now,
// and returns the paths in the order of the numbers. Errors: ErrNotFound, ErrNotHere,
// ErrReadOnly.
func (c *Core) Restore(ctx context.Context, numbers []int64) ([]string, error) {
	if !c.o.Writer(c.o.Self) {
		return nil, c.errorf("restore", ErrReadOnly)
	}
	all, err := c.find(ctx, numbers)
	if err != nil {
		return nil, c.errorf("restore", err)
	}
	var paths []string
	for _, d := range all {
		p, err := c.restore(ctx, d)
		if err != nil {
			return paths, c.errorf("restore "+d.Path, err)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

func (c *Core) restore(ctx context.Context, d Discarded) (string, error) {
	from, err := c.restorable(d)
	if err != nil {
		return "", err
	}
	if err := c.mkdirs(parent(d.Path)); err != nil {
		return "", err
	}
	to := d.Path
	for i := 0; ; i++ {
		_, err = apply.Install(c.o.FS, from, to)
		if !errors.Is(err, fs.ErrExist) || i > 1000 {
			break
		}
		to = beside(d.Path, i+1)
	}
	if err != nil {
		return "", err
	}
	if err := apply.SyncDirs(c.o.FS, []string{parent(to), parent(from)}); err != nil {
		return "", err
	}
	c.o.Disk.Hint(to)
	return to, c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error { return w.Forgo([]int64{d.N}) })
}

// restorable returns the path of a file with what was discarded: that in the trash,
// or one that has been fetched.
func (c *Core) restorable(d Discarded) (string, error) {
	from := apply.TrashDir + "/" + d.Name
	if d.Name == "" {
		from = apply.TempName(d.Hash)
		f, err := c.o.FS.Create(from)
		if err != nil {
			return "", err
		}
		_, err = f.SetMeta(fs.FileMode(d.Mode), d.Modified)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return "", err
		}
	}
	st, err := c.o.FS.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotHere
	}
	if err == nil && st.Size != d.Size {
		err = ErrNotHere
	}
	return from, err
}

// mkdirs makes a directory and those above it.
func (c *Core) mkdirs(dir string) error {
	if dir == "" {
		return nil
	}
	if st, err := c.o.FS.Lstat(dir); err == nil && st.Kind == reconcile.KindDir {
		return nil
	}
	if err := c.mkdirs(parent(dir)); err != nil {
		return err
	}
	if err := c.o.FS.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	c.o.Disk.Hint(dir)
	return c.o.FS.SyncDir(parent(dir))
}

// beside returns a name for what comes back to a path that is taken.
func beside(p string, n int) string {
	name := lastName(p)
	ext := path.Ext(name)
	if ext == name {
		ext = ""
	}
	mark := " (restored)"
	if n > 1 {
		mark = fmt.Sprintf(" (restored %d)", n)
	}
	return join(parent(p), strings.TrimSuffix(name, ext)+mark+ext)
}

// Revert gives files that were changed here, in a folder that is read-only here, what
// the folder has; what they were is in the trash. No paths: all.
func (c *Core) Revert(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		for _, l := range c.Locals() {
			paths = append(paths, l.Path)
		}
	}
	for _, p := range paths {
		if _, ok := c.locals[p]; !ok {
			return c.errorf("revert "+p, ErrNotFound)
		}
	}
	for _, p := range paths {
		if err := c.trash(ctx, p); err != nil {
			return c.errorf("revert "+p, err)
		}
		delete(c.locals, p)
	}
	return nil
}

// Limits of the trash.
const (
	trashDays = 30
	trashPart = 10 // a tenth of the disk
)

// Tidy removes from the trash what is too old, and the oldest of what is too much. It
// is called from time to time.
func (c *Core) Tidy(ctx context.Context) error {
	_, disk, err := c.o.FS.Free()
	if err != nil {
		return c.errorf("tidy the trash", err)
	}
	var all []Discarded
	err = c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		all, err = r.Discarded(0, 1<<30)
		return err
	})
	if err != nil {
		return c.errorf("tidy the trash", err)
	}
	var drop []int64
	var names []string
	var bytes int64
	oldest := c.o.Now().AddDate(0, 0, -trashDays)
	for _, d := range all { // newest first
		if d.Name != "" {
			bytes += d.Size
		}
		if !d.Time.Before(oldest) && bytes <= disk/trashPart {
			continue
		}
		drop = append(drop, d.N)
		if d.Name != "" {
			names = append(names, d.Name)
		}
	}
	// The files first: what is listed and not there is worse than the contrary.
	for _, name := range names {
		if err := c.o.FS.Remove(apply.TrashDir + "/" + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c.errorf("tidy the trash", err)
		}
	}
	if len(drop) == 0 {
		return nil
	}
	err = c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error { return w.Forgo(drop) })
	if err != nil {
		return c.errorf("tidy the trash", err)
	}
	return nil
}
