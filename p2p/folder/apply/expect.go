package apply

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Expect is what must be at a path. Of a directory only the kind and the inode are
// compared; inodes that are not known are not compared.
type Expect struct {
	Item    reconcile.Item
	Changed int64 // the inode's change time, ns since 1970; 0: it is not compared
}

// same reports whether s is what was expected, whatever its change time: renaming
// changes that.
func (e Expect) same(s Stat) bool {
	it := e.Item
	if s.Kind != it.Kind || it.Inode != 0 && s.Inode != 0 && s.Inode != it.Inode {
		return false
	}
	return it.Kind == reconcile.KindDir ||
		it.Kind == reconcile.KindFile && s.Size == it.Size && s.Modified == it.Modified && s.Mode == it.Mode.Perm()
}

// untouched reports whether s is what was expected, and was not renamed either.
func (e Expect) untouched(s Stat) bool {
	return e.same(s) && (e.Item.Kind == reconcile.KindDir || e.Changed == 0 || s.Changed == 0 || s.Changed == e.Changed)
}

// expectation is to find s again.
func expectation(s Stat) Expect {
	return Expect{
		Item:    reconcile.Item{Kind: s.Kind, Size: s.Size, Modified: s.Modified, Mode: s.Mode, Inode: s.Inode},
		Changed: s.Changed,
	}
}

// check looks whether what is expected is at path. Errors: ErrUnexpected.
func check(fsys FS, path string, want Expect) (Stat, error) {
	st, err := fsys.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Stat{}, unexpected(path, "nothing is there")
	case err != nil:
		return Stat{}, fmt.Errorf("apply: look at %s: %w", path, err)
	case !want.untouched(st):
		return Stat{}, unexpected(path, "%s", difference(want, st))
	}
	return st, nil
}

// difference says, for people, how s is not what was expected.
func difference(e Expect, s Stat) string {
	it := e.Item
	switch {
	case s.Kind != it.Kind:
		return fmt.Sprintf("it is of kind %s, not %s", s.Kind, it.Kind)
	case s.Inode != it.Inode && s.Inode != 0 && it.Inode != 0:
		return "it was replaced"
	case s.Size != it.Size:
		return fmt.Sprintf("it has %d bytes, not %d", s.Size, it.Size)
	case s.Modified != it.Modified:
		return "it was modified"
	case s.Mode != it.Mode.Perm():
		return fmt.Sprintf("it has mode %o, not %o", s.Mode, it.Mode.Perm())
	}
	return "it was changed"
}

// state is like Lstat; nothing is a Stat without Kind. Where a parent is missing, or
// is no directory, nothing is there either.
func state(fsys FS, path string) (Stat, error) {
	st, err := fsys.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay) {
		return Stat{}, nil
	}
	if err != nil {
		return Stat{}, fmt.Errorf("apply: look at %s: %w", path, err)
	}
	return st, nil
}
