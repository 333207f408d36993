package apply

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"strconv"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Discard moves the file at path to trash, a path below TrashDir where nothing is; a
// directory, which must be empty, it removes. Errors: ErrUnexpected; fs.ErrPermission and
// syscall.ENOTEMPTY, after which nothing has happened. After any other error what was at
// path may be in the trash, until Op.Settle was called.
func Discard(fsys FS, path string, want Expect, trash string) error {
	if want.Item.Kind != reconcile.KindDir {
		if err := inTrash(trash); err != nil {
			return err
		}
	}
	if _, err := check(fsys, path, want); err != nil {
		return err
	}
	fault.Point("apply.checked")
	if want.Item.Kind != reconcile.KindDir {
		return discard(fsys, path, want, trash)
	}
	err := fsys.Rmdir(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay) {
		return unexpected(path, "it was taken away")
	}
	if err != nil {
		return fmt.Errorf("apply: remove the directory %s: %w", path, err)
	}
	fault.Point("apply.trashed")
	return nil
}

// discard moves the file at path to trash, and looks whether that was the one.
func discard(fsys FS, path string, want Expect, trash string) error {
	err := fsys.Rename(path, trash)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay) {
		return unexpected(path, "it was taken away")
	}
	if err != nil {
		return fmt.Errorf("apply: move %s to the trash: %w", path, err)
	}
	fault.Point("apply.trashed")
	out, err := fsys.Lstat(trash)
	if err != nil {
		return unclear(fmt.Errorf("apply: look at what was at %s: %w", path, err))
	}
	if want.same(out) {
		return nil
	}
	if err := putBack(fsys, trash, path); err != nil {
		return unclear(err)
	}
	return unexpected(path, "%s", difference(want, out))
}

// putBack gives what is at from, which is somebody's, the name path, or one beside if
// that is taken.
func putBack(fsys FS, from, path string) error {
	err := fsys.Rename(from, path)
	switch {
	case err == nil:
		fault.Point("apply.put-back")
		return nil
	case errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay):
		return keep(fsys, from, path)
	}
	return fmt.Errorf("apply: put back what was at %s: %w", path, err)
}

// keep gives what is at from, which is somebody's, a name beside path: in its
// directory or, if that is gone, in the next one above. If nothing is at from, nothing
// has to be done.
func keep(fsys FS, from, path string) error {
	st, err := fsys.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("apply: look at what was at %s: %w", path, err)
	}
	dir, name := split(path)
	for try := uint32(0); ; {
		if dir == Private || below(dir, Private) {
			dir = "" // nobody sees it there
		}
		err := fsys.Rename(from, join(dir, conflictName(name, mark(path, st, try))))
		switch {
		case err == nil:
			fault.Point("apply.kept")
			return nil
		case errors.Is(err, fs.ErrExist) && try < 1000:
			try++
		case (errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay)) && dir != "":
			dir = parent(dir)
		default:
			return fmt.Errorf("apply: keep what was at %s: %w", path, err)
		}
	}
}

// mark returns a number for a conflict name. It is made of what makes the file another
// one, so that a run can be repeated in a test; that it is free is found by trying.
func mark(path string, st Stat, try uint32) uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%s\x00%d %d %d %d %d", path, st.Inode, st.Size, st.Modified, st.Changed, try))
}

// leftover returns a free path in the trash for a second name of a file.
func leftover() string { return TrashDir + "/link-" + strconv.FormatUint(rand.Uint64(), 16) }

func inTrash(path string) error {
	if !below(path, TrashDir) {
		return fmt.Errorf("apply: move to %.300q: %w: not in %s", path, ErrPath, TrashDir)
	}
	return nil
}
