package apply

import (
	"errors"
	"io/fs"
)

// changeDir are the bits that a directory needs so that names in it can be changed.
const changeDir = 0o300

// permitted calls fn, which changes names in directories. Of those that are read-only,
// and this user's own, the mode is another one for that moment: what a member has put
// into them belongs there.
//
// A scan that sees such a mode looks again. If the computer stops in that moment the
// directory stays writable, which then is told as somebody's change of its mode.
func permitted(dirs []*dir, fn func() error) (err error) {
	if err = fn(); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	lent := false
	for _, d := range dirs {
		info, e := d.file.Stat()
		if e != nil {
			return errors.Join(err, e)
		}
		mode := info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
		if mode&changeDir == changeDir || d.file.Chmod(mode|changeDir) != nil {
			continue
		}
		lent = true
		defer func() { err = errors.Join(err, d.file.Chmod(mode)) }()
	}
	if !lent {
		return err
	}
	return fn()
}

// permitTwo is permitted for a rename. A directory that goes elsewhere is changed
// itself: it has another one above it.
func (r *Root) permitTwo(a, b spot, fn func(a, b spot) error) error {
	dirs := []*dir{a.dir}
	if b.dir != a.dir {
		dirs = append(dirs, b.dir)
		if moved, err := r.enter(a.dir, a.name); err == nil {
			defer r.release(moved)
			dirs = append(dirs, moved)
		}
	}
	return permitted(dirs, func() error { return fn(a, b) })
}
