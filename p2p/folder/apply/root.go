package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Root is the FS of a directory on a disk. It may be used by several goroutines.
type Root struct {
	top    *dir
	device uint64
	plain  bool // as if the system could only rename and link

	mu    sync.Mutex // guards all following fields
	kept  []*dir     // opened directories, the last used first; see enter
	moves uint64     // how often this program has put something elsewhere
}

// NewRoot returns the FS of the directory r, which belongs to it from now on, and
// is closed if there is an error.
func NewRoot(r *os.Root) (*Root, error) {
	top, err := newDir(nil, "", r)
	if err != nil {
		return nil, fmt.Errorf("apply: open the folder: %w", errors.Join(err, r.Close()))
	}
	return &Root{top: top, device: statOf(top.info).device}, nil
}

// Close closes the directory. Files that are open stay open.
func (r *Root) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, d := range r.kept {
		errs = append(errs, r.drop(d))
	}
	r.kept = nil
	return errors.Join(append(errs, r.drop(r.top))...)
}

// dir is a directory held open.
type dir struct {
	up    *dir // nil for the folder itself; held as long as this one
	name  string
	root  *os.Root
	file  *os.File // the same directory, for its descriptor
	info  fs.FileInfo
	users int       // with Root.mu
	seen  time.Time // when it was at its place, with Root.mu
}

// newDir returns the directory that is open as root, with one user.
func newDir(up *dir, name string, root *os.Root) (*dir, error) {
	file, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &dir{up: up, name: name, root: root, file: file, info: info, users: 1}, nil
}

// open opens a directory by its path; "" is the folder itself. It must be released.
func (r *Root) open(path string) (*dir, error) {
	at := r.top
	r.mu.Lock()
	at.users++
	r.mu.Unlock()
	for start := 0; start < len(path); {
		end := start
		for end < len(path) && path[end] != '/' {
			end++
		}
		below, err := r.enter(at, path[start:end])
		r.release(at)
		if err != nil {
			return nil, err
		}
		at, start = below, end+1
	}
	return at, nil
}

// enter opens the directory name in at, unless it is not really there.
//
// os.Root follows links that stay inside, so what was opened is compared with what
// Lstat saw: a directory, hence no link. If it was exchanged in between, the two
// differ, because both inodes are in use at the time of the comparison. For the same
// reason a directory that is still open needs no opening: Lstat saw the very same.
//
// What was at its place a moment ago is taken to be there still. Whatever was done to
// that name meanwhile might as well have been done right after the looking, and it is the
// directory itself that is worked in then, never what has taken its place.
func (r *Root) enter(at *dir, name string) (*dir, error) {
	d, look := r.recent(at, name)
	if d != nil {
		return d, nil
	}
	seen, err := at.root.Lstat(name)
	if err != nil {
		return nil, inTheWay(err)
	}
	if !seen.IsDir() {
		return nil, fmt.Errorf("%w: %s is not a directory", ErrInTheWay, name)
	}
	if d := r.known(at, name, seen, look); d != nil {
		return d, nil
	}
	// With the dot, name is opened as a directory: a pipe that has taken its place
	// does not block.
	root, err := at.root.OpenRoot(name + "/.")
	if err != nil {
		return nil, inTheWay(err)
	}
	if d, err = newDir(at, name, root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	r.mu.Lock()
	at.users++
	r.mu.Unlock()
	switch {
	case !os.SameFile(seen, d.info):
		err = fmt.Errorf("%w: %s was replaced while it was opened", ErrInTheWay, name)
	case statOf(d.info).device != r.device || isMountPoint(d.file):
		err = fmt.Errorf("%w: %s is another file system", ErrInTheWay, name)
	}
	if err != nil {
		r.release(d)
		return nil, err
	}
	return d, r.keep(d, look)
}

// look is when a directory was looked at.
type look struct {
	at    time.Time
	moves uint64
}

// since returns from when on what a look has shown is taken for granted: never, if
// something was put elsewhere since it began. r.mu is held.
func (r *Root) since(l look) time.Time {
	if l.moves != r.moves {
		return time.Time{}
	}
	return l.at
}

// moment is how long a directory is taken to be where it was seen. It is of the order of
// what the system can let pass between two calls of a program anyway.
const moment = 2 * time.Millisecond

// recent returns the directory name in at if it is held open, and was there a moment ago;
// else nil, and a look that begins now.
func (r *Root) recent(at *dir, name string) (*dir, look) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := look{at: time.Now(), moves: r.moves}
	for i, d := range r.kept {
		if d.up == at && d.name == name {
			if now.at.Sub(d.seen) > moment {
				break
			}
			copy(r.kept[1:i+1], r.kept[:i])
			r.kept[0] = d
			d.users++
			return d, now
		}
	}
	return nil, now
}

// distrust has every directory looked at again.
func (r *Root) distrust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moves++
	for _, d := range r.kept {
		d.seen = time.Time{}
	}
}

// left notes that this program has taken away, or put elsewhere, what name was in at.
func (r *Root) left(at *dir, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moves++
	for _, d := range r.kept {
		if d.up == at && d.name == name {
			d.seen = time.Time{}
		}
	}
}

// known returns the directory name in at if it is held open, and is what was seen.
func (r *Root) known(at *dir, name string, seen fs.FileInfo, l look) *dir {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, d := range r.kept {
		if d.up == at && d.name == name && os.SameFile(d.info, seen) {
			copy(r.kept[1:i+1], r.kept[:i])
			r.kept[0] = d
			d.users++
			d.seen = r.since(l)
			return d
		}
	}
	return nil
}

// keep holds d open for the next call, instead of what was not used for longest.
func (r *Root) keep(d *dir, l look) error {
	if keepOpen == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if last := len(r.kept) - 1; last+1 == keepOpen {
		err = r.drop(r.kept[last])
		r.kept = r.kept[:last]
	}
	d.users++
	d.seen = r.since(l)
	r.kept = slices.Insert(r.kept, 0, d)
	if err != nil {
		return errors.Join(err, r.drop(d))
	}
	return nil
}

func (r *Root) release(d *dir) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Nothing is written through the descriptors of a directory, and its names are
	// synced by a call that reports errors itself.
	_ = r.drop(d)
}

// drop ends one use of d, and closes it after the last. r.mu is held.
func (r *Root) drop(d *dir) error {
	var errs []error
	for ; d != nil; d = d.up {
		if d.users--; d.users > 0 {
			break
		}
		errs = append(errs, d.file.Close(), d.root.Close())
	}
	return errors.Join(errs...)
}

// place opens the directory of path, and returns it with the name there.
func (r *Root) place(use Use, path string) (*dir, string, error) {
	if err := CheckPath(use, path); err != nil {
		return nil, "", err
	}
	in, name := split(path)
	d, err := r.open(in)
	if err != nil {
		return nil, "", fmt.Errorf("apply: open the directory of %s: %w", path, err)
	}
	return d, name, nil
}

// escapes reports whether os.Root has met a link that leads out of the folder, between
// two looks. It has no error of its own for that which others can name.
func escapes(err error) bool {
	var e *fs.PathError
	return errors.As(err, &e) && e.Err.Error() == "path escapes from parent"
}

// inTheWay makes errors of the system that mean it ErrInTheWay.
func inTheWay(err error) error {
	if isInTheWay(err) || escapes(err) {
		return fmt.Errorf("%w: %w", ErrInTheWay, err)
	}
	return err
}

// system is what only the operating system's own form of a state has.
type system struct {
	device, inode, links uint64
	changed              int64
}

// stat returns info as a Stat. Where something is mounted, or what is not known to be
// a file or directory, is of another kind.
func (r *Root) stat(info fs.FileInfo) Stat {
	sys := statOf(info)
	s := Stat{
		Kind: reconcile.KindOther, Modified: nanoseconds(info.ModTime()), Mode: info.Mode().Perm(),
		Inode: sys.inode, Changed: sys.changed,
	}
	switch {
	case info.Mode().IsRegular():
		s.Kind, s.Size = reconcile.KindFile, info.Size()
	case info.IsDir() && sys.device == r.device:
		s.Kind = reconcile.KindDir
	}
	return s
}
