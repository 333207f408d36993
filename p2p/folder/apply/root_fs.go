package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"time"
)

// Lstat implements FS.
func (r *Root) Lstat(path string) (Stat, error) {
	if path == "" {
		info, err := r.top.file.Stat()
		if err != nil {
			return Stat{}, fmt.Errorf("apply: look at the folder: %w", err)
		}
		return r.stat(info), nil
	}
	st, err := r.lstat(path)
	if errors.Is(err, fs.ErrNotExist) && !below(path, Private) {
		// Nobody must conclude that from a directory that has just gone.
		r.distrust()
		st, err = r.lstat(path)
	}
	return st, err
}

func (r *Root) lstat(path string) (Stat, error) {
	d, name, err := r.place(UseLook, path)
	if err != nil {
		return Stat{}, err
	}
	defer r.release(d)
	info, err := d.root.Lstat(name)
	if err != nil {
		return Stat{}, fmt.Errorf("apply: look at %s: %w", path, inTheWay(err))
	}
	return r.stat(info), nil
}

// Names implements FS.
func (r *Root) Names(path string) ([]string, error) {
	if err := CheckPath(UseLook, path); err != nil {
		return nil, err
	}
	d, err := r.open(path)
	if err != nil {
		return nil, fmt.Errorf("apply: list %s: %w", path, err)
	}
	defer r.release(d)
	// Not d.file: it has a position, and others may be listing.
	f, err := d.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("apply: list %s: %w", path, err)
	}
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("apply: list %s: %w", path, err)
	}
	slices.Sort(names)
	return names, nil
}

// Mkdir implements FS. The system's mask takes bits from mode.
func (r *Root) Mkdir(path string, mode fs.FileMode) error {
	d, name, err := r.place(UseName, path)
	if err != nil {
		return err
	}
	defer r.release(d)
	if err := permitted([]*dir{d}, func() error { return d.root.Mkdir(name, mode.Perm()) }); err != nil {
		return fmt.Errorf("apply: make the directory %s: %w", path, err)
	}
	return nil
}

// Rmdir implements FS.
func (r *Root) Rmdir(path string) error {
	d, name, err := r.place(UseChange, path)
	if err != nil {
		return err
	}
	defer r.release(d)
	defer r.left(d, name)
	if err := permitted([]*dir{d}, func() error { return rmdir(d, name) }); err != nil {
		return fmt.Errorf("apply: remove the directory %s: %w", path, inTheWay(err))
	}
	return nil
}

// Remove implements FS.
func (r *Root) Remove(path string) error {
	d, name, err := r.place(UseOwn, path)
	if err != nil {
		return err
	}
	defer r.release(d)
	if err := unlink(d, name); err != nil {
		return fmt.Errorf("apply: remove %s: %w", path, err)
	}
	return nil
}

// Rename implements FS.
func (r *Root) Rename(from, to string) error {
	return r.two(from, to, func(f, t spot) error {
		if !r.plain {
			if err := renameNoReplace(f, t); !unsupported(err) {
				return err
			}
		}
		return r.renameByLink(f, t)
	})
}

// Exchange implements FS.
func (r *Root) Exchange(a, b string) error {
	return r.two(a, b, func(f, t spot) error {
		if r.plain {
			return errors.ErrUnsupported
		}
		err := exchange(f, t)
		if unsupported(err) {
			err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
		return err
	})
}

// spot is a name in an open directory.
type spot struct {
	dir        *dir
	name, path string
}

// two calls fn for two paths, neither of which is in the other.
func (r *Root) two(a, b string, fn func(a, b spot) error) error {
	if err := CheckPaths(a, b); err != nil {
		return err
	}
	da, na, err := r.place(UseChange, a)
	if err != nil {
		return err
	}
	defer r.release(da)
	db, nb, err := r.place(UseChange, b)
	if err != nil {
		return err
	}
	defer r.release(db)
	defer r.left(da, na)
	defer r.left(db, nb)
	err = fn(spot{da, na, a}, spot{db, nb, b})
	if errors.Is(err, fs.ErrPermission) {
		err = r.permitTwo(spot{da, na, a}, spot{db, nb, b}, fn)
	}
	if err != nil {
		return fmt.Errorf("apply: rename %s to %s: %w", a, b, inTheWay(err))
	}
	return nil
}

// SetMeta implements FS. It goes by the open file, because a name may be something
// else by then.
func (r *Root) SetMeta(path string, mode fs.FileMode, modified int64) (Stat, error) {
	d, name, err := r.place(UseChange, path)
	if err != nil {
		return Stat{}, err
	}
	defer r.release(d)
	st, err := r.setMeta(d, name, mode, modified)
	if err != nil {
		return Stat{}, fmt.Errorf("apply: set the mode and time of %s: %w", path, err)
	}
	return st, nil
}

func (r *Root) setMeta(d *dir, name string, mode fs.FileMode, modified int64) (Stat, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return Stat{}, err
	}
	if info.IsDir() {
		d, err := r.enter(d, name)
		if err != nil {
			return Stat{}, err
		}
		defer r.release(d)
		return r.setOpen(d.file, mode, nil)
	}
	f, err := openEither(d, name)
	if err != nil {
		return Stat{}, err
	}
	st, err := r.setOpen(f, mode, &modified)
	return st, errors.Join(err, f.Close())
}

// setOpen sets the mode and, unless it is nil, the time of an open file.
func (r *Root) setOpen(f *os.File, mode fs.FileMode, modified *int64) (Stat, error) {
	info, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	if err := setMode(f, info, mode.Perm()); err != nil {
		return Stat{}, err
	}
	// A time that is right already is not set, because that would hide that somebody
	// writes at this moment.
	if modified != nil && *modified != nanoseconds(info.ModTime()) {
		if err := setTime(f, *modified); err != nil {
			return Stat{}, err
		}
	}
	if info, err = f.Stat(); err != nil {
		return Stat{}, err
	}
	return r.stat(info), nil
}

// SyncDir implements FS.
func (r *Root) SyncDir(path string) error {
	if err := CheckPath(UseLook, path); err != nil {
		return err
	}
	d, err := r.open(path)
	if err != nil {
		return fmt.Errorf("apply: sync the directory %s: %w", path, err)
	}
	defer r.release(d)
	if err := syncDir(d.file); err != nil {
		return fmt.Errorf("apply: sync the directory %s: %w", path, err)
	}
	return nil
}

// SyncAll implements FS.
func (r *Root) SyncAll() error {
	if r.plain {
		return errors.ErrUnsupported
	}
	if err := syncAll(r.top.file); err != nil {
		return fmt.Errorf("apply: sync the file system: %w", err)
	}
	return nil
}

// Parallel implements Parallel: file systems do what is asked for at the same time in
// one go.
func (r *Root) Parallel() int { return 32 }

// Free implements FS.
func (r *Root) Free() (free, total int64, err error) {
	free, total, err = diskFree(r.top.file)
	if err != nil {
		return 0, 0, fmt.Errorf("apply: ask for the room on the disk: %w", err)
	}
	return free, total, nil
}

// renameByLink is Rename where the system has no rename that replaces nothing.
//
// Below Private nobody else makes files, so that a look tells whether a name is
// free. Otherwise it is a second link, whose making fails if the name is taken, and
// then the first goes; only what was looked at after it was renamed out of the way is
// removed, because somebody may have saved another file there. Directories have no
// second links, but renaming one replaces an empty one at most. Files that cannot
// have any, as on FAT, are renamed after a look.
func (r *Root) renameByLink(from, to spot) error {
	seen, err := from.dir.root.Lstat(from.name)
	if err != nil {
		return err
	}
	if _, err := to.dir.root.Lstat(to.name); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if below(to.path, Private) || !seen.Mode().IsRegular() {
		return rename(from, to)
	}
	err = link(from, to)
	if unsupported(err) || errors.Is(err, fs.ErrPermission) {
		return rename(from, to)
	}
	if err != nil {
		return err
	}
	err = r.unlinkFirst(from, to)
	if errors.Is(err, fs.ErrPermission) {
		// It has both names: as before, so that it can be tried in another way.
		if second, e := to.dir.root.Lstat(to.name); e == nil && os.SameFile(seen, second) {
			err = errors.Join(err, unlink(to.dir, to.name))
		}
	}
	return err
}

// unlinkFirst removes the name from of a file that is also to.
func (r *Root) unlinkFirst(from, to spot) error {
	trash, name, err := r.place(UseChange, leftover())
	if err != nil {
		return err
	}
	defer r.release(trash)
	out := spot{dir: trash, name: name}
	if err := rename(from, out); err != nil {
		return err
	}
	first, err := out.dir.root.Lstat(out.name)
	if err != nil {
		return err
	}
	second, err := to.dir.root.Lstat(to.name)
	if err == nil && os.SameFile(first, second) {
		return unlink(out.dir, out.name)
	}
	// Somebody's: it gets its name back, or stays in the trash.
	err = link(out, from)
	switch {
	case err == nil:
		return unlink(out.dir, out.name)
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	return err
}

// openRegular opens a regular file with the same proof as enter.
func openRegular(d *dir, name string, flag int) (*os.File, error) {
	seen, err := d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !seen.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrInTheWay)
	}
	f, err := d.root.OpenFile(name, flag|openFlags, 0)
	if err != nil {
		return nil, err
	}
	is, err := f.Stat()
	if err == nil && !os.SameFile(seen, is) {
		err = fmt.Errorf("%w: it was replaced while it was opened", ErrInTheWay)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// nanoseconds keeps times before 1678 and after 2262 at these limits.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

var _ Parallel = (*Root)(nil)
