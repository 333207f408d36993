package apply

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
)

// Move renames what is at from, a file or a directory with all in it, and returns
// what is at to then. Errors: ErrUnexpected, fs.ErrExist, ErrInTheWay if the directory
// of to is not there.
func Move(fsys FS, from, to string, want Expect) (Stat, error) {
	if _, err := check(fsys, from, want); err != nil {
		return Stat{}, err
	}
	fault.Point("apply.checked")
	if err := fsys.Rename(from, to); err != nil {
		return Stat{}, notMoved(fsys, from, to, err)
	}
	fault.Point("apply.moved")
	st, err := state(fsys, to)
	if err != nil {
		return Stat{}, err
	}
	if want.same(st) {
		return st, nil
	}
	if err := moveBack(fsys, from, to); err != nil {
		return Stat{}, err
	}
	return Stat{}, unexpected(from, "%s", difference(want, st))
}

// notMoved says why a rename failed: which of the two names is missing.
func notMoved(fsys FS, from, to string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("apply: move %s to %s: %w", from, to, err)
	}
	if st, lookErr := state(fsys, from); lookErr == nil && st.Kind == "" {
		return unexpected(from, "it was taken away")
	}
	return fmt.Errorf("apply: move %s to %s: %w: %w", from, to, ErrInTheWay, err)
}

// moveBack undoes a move of something that is somebody's. If its name was taken in
// the meantime, it stays where it is, if people see it there.
func moveBack(fsys FS, from, to string) error {
	if below(to, Private) {
		return putBack(fsys, to, from)
	}
	err := fsys.Rename(to, from)
	switch {
	case err == nil:
		fault.Point("apply.put-back")
	case errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay):
	default:
		return fmt.Errorf("apply: put back what was at %s: %w", from, err)
	}
	return nil
}
