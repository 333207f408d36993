package swarm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// A place is a file in a directory of this computer. All access is through the directory, and no
// link in it is followed.
type place struct {
	dir  string // absolute
	name string // of the file in it
}

func (p place) path() string { return filepath.Join(p.dir, p.name) }

// placeOf finds where a path leads, once: what its links point to later changes nothing. Errors:
// ErrUnusable.
func placeOf(path string) (place, error) {
	full, err := filepath.Abs(path)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	if err != nil {
		return place{}, fmt.Errorf("swarm: %s: %w: %w", path, ErrUnusable, err)
	}
	return place{filepath.Dir(full), filepath.Base(full)}, nil
}

// open opens the file for reading. Errors: ErrUnusable if that is no regular file.
func (p place) open() (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close() // nothing was written through it
	return openRegular(root, p.name, os.O_RDONLY, 0)
}

// unusable is why a file cannot be used: an ErrUnusable, in words that do not say so again.
type unusable string

func (u unusable) Error() string { return string(u) }

// Is implements the method that errors.Is asks.
func (u unusable) Is(target error) bool { return target == ErrUnusable }

// openRegular opens a file that is one, and no link.
func openRegular(root *os.Root, name string, flag int, mode fs.FileMode) (*os.File, fs.FileInfo, error) {
	before, err := root.Lstat(name)
	if err == nil && before.IsDir() {
		return nil, nil, unusable("it is a directory, which is shared as a folder")
	}
	if err == nil && !before.Mode().IsRegular() {
		return nil, nil, unusable("it is no regular file")
	}
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || flag&os.O_CREATE == 0) {
		return nil, nil, err
	}
	if before == nil {
		flag |= os.O_EXCL // nothing that has come meanwhile, and no link
	}
	f, err := root.OpenFile(name, flag|noWait, mode)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err == nil && (!st.Mode().IsRegular() || before != nil && !os.SameFile(before, st)) {
		err = unusable("it is another file now")
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, err
	}
	return f, st, nil
}

// partName is the name of the file in which a seed grows.
func partName(id seed.ID) string { return ".shoal-" + id.String()[:24] + ".part" }

// openPart opens the file in which a seed grows, as long as the whole. Before one is made, anew must have made
// durable that nothing is in it.
func openPart(root *os.Root, id seed.ID, size int64, anew func() error) (*os.File, error) {
	st, err := root.Lstat(partName(id))
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() != size {
		err = anew()
	}
	if err != nil {
		return nil, err
	}
	f, st, err := openRegular(root, partName(id), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if st.Size() != size {
		if err := f.Truncate(size); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// install gives a file that is whole and durable a name which nothing has: that which is wanted,
// or "name (2).ext" and so on. Before a name is tried, note must make durable that it is. Errors: ErrUnusable if
// the file in which the seed grows is not whole any more.
func install(root *os.Root, id seed.ID, whole *os.File, want string, note func(name string) error) (string, error) {
	part := partName(id)
	mine, err := whole.Stat()
	if err != nil {
		return "", err
	}
	for n := 1; n <= maxNames; n++ {
		name := numbered(want, n)
		if _, err := root.Lstat(name); err == nil {
			continue
		}
		if err := note(name); err != nil {
			return "", err
		}
		if st, err := root.Lstat(part); err != nil || !os.SameFile(st, mine) {
			return "", errors.Join(fmt.Errorf("swarm: %s: %w: somebody has taken away what was there of the file", want, ErrUnusable), err)
		}
		err := root.Link(part, name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = root.Remove(part)
		} else {
			err = claim(root, part, name)
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("swarm: %s: %w", name, err)
		}
		return name, syncDir(root)
	}
	return "", fmt.Errorf("swarm: %s: %w: %d files are called so already", want, ErrUnusable, maxNames)
}

// maxNames is how many names of a file are tried.
const maxNames = 1000

// claim is for disks that do not give a file two names: the name is taken by an empty file, which
// is replaced.
func claim(root *os.Root, part, name string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err = root.Rename(part, name); err == nil {
		return nil
	}
	if st, statErr := root.Lstat(name); statErr == nil && st.Size() == 0 {
		err = errors.Join(err, root.Remove(name))
	}
	return err
}

// installed reports whether a file that was about to get a name has it, after a crash.
func installed(root *os.Root, id seed.ID, name string, size int64) (bool, error) {
	part, partErr := root.Lstat(partName(id))
	final, err := root.Lstat(name)
	switch {
	case err != nil && errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case partErr == nil && os.SameFile(part, final):
		return true, errors.Join(root.Remove(partName(id)), syncDir(root))
	case partErr == nil:
		if final.Size() == 0 && size > 0 {
			return false, root.Remove(name) // claimed, and not replaced
		}
		return false, nil
	case errors.Is(partErr, fs.ErrNotExist):
		return final.Mode().IsRegular() && final.Size() == size, nil
	}
	return false, partErr
}

// numbered is a name, for the n-th file of that name.
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	ext := filepath.Ext(name)
	if len(ext) > 16 || ext == name {
		ext = ""
	}
	base, suffix := strings.TrimSuffix(name, ext), " ("+strconv.Itoa(n)+")"+ext
	for len(base)+len(suffix) > 255 {
		_, last := utf8.DecodeLastRuneInString(base)
		base = base[:len(base)-last]
	}
	return base + suffix
}

// makeDir makes a directory, and those above it that are missing, durable: what is synced in it would else go with
// its name.
func makeDir(path string, mode fs.FileMode) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil
	}
	above := filepath.Dir(path)
	if above != path {
		if err := makeDir(above, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	root, err := os.OpenRoot(above)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(root), root.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(ignoreUnsupported(d.Sync()), d.Close())
}

// ignoreUnsupported passes over what some disks and systems do not do for directories.
func ignoreUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// sameDir reports whether two paths lead to one directory: what the program keeps may lie behind a link, which a path that
// a person has named does not have any more.
func sameDir(a, b string) bool {
	if a == b {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// stat describes the file, which must be a regular one.
func (p place) stat() (fs.FileInfo, error) {
	f, st, err := p.open()
	if err != nil {
		return nil, err
	}
	return st, f.Close()
}
