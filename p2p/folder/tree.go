package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Why something in a folder is not opened.
var (
	errLink    = errors.New("symbolic link")
	errSpecial = errors.New("neither file nor directory")
	errKind    = errors.New("not a directory")
	errMount   = errors.New("another file system")
	errSwapped = errors.New("replaced while it was opened")
)

// stat is what tells one state of a file from another.
type stat struct {
	size     int64
	modified int64 // ns since 1970
	mode     fs.FileMode
	device   uint64
	inode    uint64
	changed  int64 // ns since 1970
}

func statOf(info fs.FileInfo) stat {
	s := stat{size: info.Size(), modified: nanoseconds(info.ModTime()), mode: info.Mode()}
	s.device, s.inode, s.changed = system(info)
	return s
}

// The times that fit nanoseconds since 1970.
var (
	earliest = time.Unix(0, -1<<63)
	latest   = time.Unix(0, 1<<63-1)
)

// nanoseconds keeps times before 1678 and after 2262 at these limits.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return -1 << 63
	case t.After(latest):
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// row returns the row of the file or directory at path with state s.
func (s stat) row(path string, hash Hash, checked time.Time) Row {
	e := Entry{Path: path, Kind: KindFile, Size: s.size, Modified: time.Unix(0, s.modified).UTC(), Mode: s.mode.Perm(), Hash: hash}
	if s.mode.IsDir() {
		e.Kind, e.Size = KindDir, 0
	}
	return Row{Entry: e, Inode: s.inode, Changed: s.changed, Checked: nanoseconds(checked)}
}

// same reports whether r describes state s. It says nothing about racy files.
func (r *Row) same(s stat) bool {
	return r.Kind == KindFile && s.mode.IsRegular() && r.Size == s.size && nanoseconds(r.Modified) == s.modified &&
		r.Mode == s.mode.Perm() && r.Inode == s.inode && r.Changed == s.changed
}

// racyWithin is the coarsest time stamp of a file system in use (FAT: 2 s).
const racyWithin = 2 * time.Second

// skewWithin is how far a file server's clock may be ahead. A time stamp beyond
// was set by somebody; who changes the file replaces it.
const skewWithin = 24 * time.Hour

// racy reports whether the file could have changed after its content was read
// without its time stamps showing it, as in git's "racily clean" entries.
func (r *Row) racy() bool {
	near := func(stamp int64) bool {
		return stamp > r.Checked-int64(racyWithin) && stamp < r.Checked+int64(skewWithin)
	}
	return near(nanoseconds(r.Modified)) || near(r.Changed)
}

// tree is a folder's directory, held open: whatever is renamed, it stays the
// directory that was opened.
type tree struct {
	root *os.Root
	stat stat
}

// openTree opens the directory at path, an absolute one without symbolic links.
func openTree(path string) (*tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &tree{root: root, stat: statOf(info)}, nil
}

func (t *tree) close() error { return t.root.Close() }

// dir opens a directory by its path; "" is the folder itself.
func (t *tree) dir(path string) (*os.Root, error) {
	at, err := t.root.OpenRoot(".")
	if err != nil || path == "" {
		return at, err
	}
	for name := range strings.SplitSeq(path, "/") {
		below, err := t.enter(at, name)
		err = errors.Join(err, at.Close())
		if err != nil {
			return nil, fmt.Errorf("open %.100q: %w", path, err)
		}
		at = below
	}
	return at, nil
}

// enter opens the directory name in at, unless it is not really there.
//
// os.Root follows links that stay inside, so what was opened is compared with
// what Lstat saw: a directory, hence no link. If it was exchanged in between, the
// two differ, because both inodes are in use at the time of the comparison.
func (t *tree) enter(at *os.Root, name string) (*os.Root, error) {
	seen, err := at.Lstat(name)
	if err != nil {
		return nil, err
	}
	if seen.Mode()&fs.ModeSymlink != 0 {
		return nil, errLink
	}
	if !seen.IsDir() {
		return nil, errKind
	}
	// With the dot, name is opened as a directory: a pipe that has taken its place
	// does not block.
	below, err := at.OpenRoot(name + "/.")
	if err != nil {
		return nil, err
	}
	is, err := below.Stat(".")
	if err == nil && !os.SameFile(seen, is) {
		err = errSwapped
	}
	if err == nil && (statOf(is).device != t.stat.device || isMountPoint(below)) {
		err = errMount
	}
	if err != nil {
		return nil, errors.Join(err, below.Close())
	}
	return below, nil
}

// openFile opens the regular file name in at for reading, with the same proof as
// enter.
func openFile(at *os.Root, name string) (*os.File, stat, error) {
	seen, err := at.Lstat(name)
	if err != nil {
		return nil, stat{}, err
	}
	if seen.Mode()&fs.ModeSymlink != 0 {
		return nil, stat{}, errLink
	}
	if !seen.Mode().IsRegular() {
		return nil, stat{}, errSpecial
	}
	f, err := at.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, stat{}, err
	}
	is, err := f.Stat()
	if err == nil && !os.SameFile(seen, is) {
		err = errSwapped
	}
	if err != nil {
		return nil, stat{}, errors.Join(err, f.Close())
	}
	return f, statOf(is), nil
}

// rules returns what decides in dir, and whether dir itself, or a directory above
// it, is left out.
func (t *tree) rules(dir string) (g *Ignore, ignored bool, err error) {
	g, err = Defaults().enter(t.root, "")
	if err != nil || dir == "" {
		return g, false, err
	}
	for end := 0; end < len(dir); {
		end++
		if i := strings.IndexByte(dir[end:], '/'); i >= 0 {
			end += i
		} else {
			end = len(dir)
		}
		at := dir[:end]
		if g.Match(at, true) {
			return g, true, nil
		}
		root, err := t.dir(at)
		if err != nil {
			return nil, false, err
		}
		g, err = g.enter(root, at)
		if err := errors.Join(err, root.Close()); err != nil {
			return nil, false, err
		}
	}
	return g, false, nil
}
