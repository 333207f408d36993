package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

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

// Missing returns which contents have to be at ArrivalName before Restore: those
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
		to = besides(d.Path, "restored", i+1)
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
		from = ArrivalName(d.Hash)
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

// maxExt is up to which length the end of a name is kept where the name has to be cut.
const maxExt = 32

// besides returns a name for what comes back to a path that is taken, with a word that
// says why.
func besides(p, why string, n int) string {
	name := lastName(p)
	ext := path.Ext(name)
	if ext == name {
		ext = ""
	}
	mark := " (" + why + ")"
	if n > 1 {
		mark = fmt.Sprintf(" (%s %d)", why, n)
	}
	stem := strings.TrimSuffix(name, ext)
	if len(ext) > maxExt {
		stem, ext = name, ""
	}
	return join(parent(p), reconcile.Cut(stem, max(1, reconcile.MaxName-len(mark)-len(ext)))+mark+ext)
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

// stale says what can go: what is too old, and of the rest, from the oldest on, as much
// as is too much. What was discarded within a day stays, however large it is: who has
// deleted something by mistake has not noticed yet.
func stale(all []Discarded, now time.Time, most int64) (drop []int64, names []string) {
	var bytes int64
	for _, d := range all {
		if d.Name != "" {
			bytes += d.Size
		}
	}
	oldest, young := now.AddDate(0, 0, -trashDays), now.AddDate(0, 0, -1)
	for _, d := range slices.Backward(all) { // which are newest first
		if !d.Time.Before(oldest) && (bytes <= most || d.Name == "" || !d.Time.Before(young)) {
			continue
		}
		drop = append(drop, d.N)
		if d.Name != "" {
			bytes -= d.Size
			names = append(names, d.Name)
		}
	}
	return drop, names
}

// lateSaves looks for files in the trash that a program has written to after they were
// replaced, because it had them open: they come back beside what replaced them. It returns
// the rest.
func (c *Core) lateSaves(ctx context.Context, all []Discarded) ([]Discarded, error) {
	var rest []Discarded
	for _, d := range all {
		if d.Name == "" {
			rest = append(rest, d)
			continue
		}
		from := apply.TrashDir + "/" + d.Name
		st, err := c.o.FS.Lstat(from)
		if err != nil || st.Size == d.Size && st.Modified == d.Modified || c.o.Now().UnixNano()-st.Modified < int64(time.Minute) {
			rest = append(rest, d)
			continue
		}
		if err := c.mkdirs(parent(d.Path)); err != nil {
			return all, err
		}
		to := besides(d.Path, "saved late", 1)
		for i := 2; i < 100; i++ {
			if _, err = apply.Install(c.o.FS, from, to); !errors.Is(err, fs.ErrExist) {
				break
			}
			to = besides(d.Path, "saved late", i)
		}
		if err != nil {
			return all, err
		}
		if err := apply.SyncDirs(c.o.FS, []string{parent(to), apply.TrashDir}); err != nil {
			return all, err
		}
		c.o.Disk.Hint(to)
		if err := c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error { return w.Forgo([]int64{d.N}) }); err != nil {
			return all, err
		}
	}
	return rest, nil
}

// Limits of the trash.
const (
	trashDays = 30
	trashPart = 10 // a tenth of the disk
)

// partsKept is how long what has come in part is kept after the last piece came.
const partsKept = 6 * time.Hour

// tidyParts removes what has come in part of contents that nothing needs any more.
func (c *Core) tidyParts() error {
	needed := map[string]bool{}
	for _, p := range c.parked {
		needed[p.content.String()] = true
	}
	for h := range c.contents.wants {
		needed[h.String()] = true
	}
	names, err := c.o.FS.Names(apply.TempDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		hash, _, _ := strings.Cut(name, ".")
		if !strings.HasSuffix(name, partial) || needed[hash] {
			continue
		}
		// What was begun in the last run may be wanted again before long.
		st, err := c.o.FS.Lstat(apply.TempDir + "/" + name)
		if err != nil || c.o.Now().UnixNano()-st.Modified < int64(partsKept) {
			continue
		}
		if err := c.o.FS.Remove(apply.TempDir + "/" + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Tidy removes from the trash what is too old, and the oldest of what is too much. It
// is called from time to time.
func (c *Core) Tidy(ctx context.Context) error {
	if err := c.tidyParts(); err != nil {
		return c.errorf("tidy what was begun", err)
	}
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
	all, err = c.lateSaves(ctx, all)
	if err != nil {
		return c.errorf("tidy the trash", err)
	}
	drop, names := stale(all, c.o.Now(), disk/trashPart)
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
