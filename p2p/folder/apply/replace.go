package apply

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
)

// Replace puts the file temp in the place of the file at path, which goes to trash, a
// path below TrashDir where nothing is. It returns what was installed.
//
// Errors: ErrUnexpected if there is something else at path, which keeps its name or,
// if that was taken meanwhile, has one beside. After ErrPath and fs.ErrPermission nothing
// has happened. After any other error what was at path may be at temp, until Op.Settle
// was called: temp must not be removed.
func Replace(fsys FS, temp, path string, want Expect, trash string) (Stat, error) {
	put, err := ready(fsys, temp)
	if err != nil {
		return Stat{}, err
	}
	return replace(fsys, temp, path, want, trash, put)
}

// replace is Replace by a file that was looked at.
func replace(fsys FS, temp, path string, want Expect, trash string, put Stat) (Stat, error) {
	if err := inTrash(trash); err != nil {
		return Stat{}, err
	}
	if _, err := check(fsys, path, want); err != nil {
		return Stat{}, err
	}
	fault.Point("apply.checked")
	err := fsys.Exchange(temp, path)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return replaceByRename(fsys, temp, path, want, trash, put)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay):
		return Stat{}, unexpected(path, "it was taken away")
	case err != nil:
		return Stat{}, fmt.Errorf("apply: replace %s: %w", path, err)
	}
	fault.Point("apply.exchanged")
	if err := settleOut(fsys, temp, path, want, trash, put); err != nil {
		return Stat{}, err
	}
	return arrived(fsys, path, put), nil
}

// settleOut moves what was swapped out to trash if it was expected, and back if not.
func settleOut(fsys FS, temp, path string, want Expect, trash string, put Stat) error {
	out, err := fsys.Lstat(temp)
	if err != nil {
		return unclear(fmt.Errorf("apply: look at what was at %s: %w", path, err))
	}
	if !want.same(out) {
		if err := swapBack(fsys, temp, path, expectation(put)); err != nil {
			return unclear(err)
		}
		return unexpected(path, "%s", difference(want, out))
	}
	if err := fsys.Rename(temp, trash); err != nil {
		err = fmt.Errorf("apply: move what was at %s to the trash: %w", path, err)
		if back := swapBack(fsys, temp, path, expectation(put)); back != nil {
			return unclear(errors.Join(err, back))
		}
		return err
	}
	fault.Point("apply.trashed")
	return nil
}

// unclear returns an error after which it is not known what has happened, so that it is
// none of those after which nothing has.
func unclear(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("apply: begun and not ended: %v", err)
	}
	return err
}

// swapBack undoes an exchange: what is at temp is not the program's, and put is at
// path. Nothing but put is at temp afterwards.
func swapBack(fsys FS, temp, path string, put Expect) error {
	at, err := state(fsys, path)
	if err != nil {
		return err
	}
	if !put.same(at) {
		return putBack(fsys, temp, path) // it was changed or replaced, and has the name by right
	}
	err = fsys.Exchange(temp, path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay) {
		return putBack(fsys, temp, path)
	}
	if err != nil {
		return fmt.Errorf("apply: put back what was at %s: %w", path, err)
	}
	fault.Point("apply.put-back")
	out, err := fsys.Lstat(temp)
	if err != nil {
		return fmt.Errorf("apply: look at what was at %s: %w", path, err)
	}
	if put.same(out) {
		return nil
	}
	return keep(fsys, temp, path)
}

// replaceByRename is Replace where names cannot be exchanged: for a moment nothing is
// at path.
func replaceByRename(fsys FS, temp, path string, want Expect, trash string, put Stat) (Stat, error) {
	if err := discard(fsys, path, want, trash); err != nil {
		return Stat{}, err
	}
	err := fsys.Rename(temp, path)
	if err == nil {
		fault.Point("apply.renamed")
		return arrived(fsys, path, put), nil
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, ErrInTheWay) || errors.Is(err, fs.ErrNotExist) {
		return Stat{}, unexpected(path, "somebody has made something there; what was there is in the trash")
	}
	err = fmt.Errorf("apply: replace %s: %w", path, err)
	back := fsys.Rename(trash, path)
	if errors.Is(back, fs.ErrExist) {
		back = nil // somebody's; the old one is where it was to go
	}
	if back != nil {
		return Stat{}, unclear(errors.Join(err, back))
	}
	return Stat{}, err
}
