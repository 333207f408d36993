package apply

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Install gives the file temp the name path, where nothing may be, and returns what
// was installed. Errors: fs.ErrExist, ErrInTheWay; fs.ErrNotExist if temp, or the
// directory of path, is not there. After an error nothing has happened.
func Install(fsys FS, temp, path string) (Stat, error) {
	put, err := ready(fsys, temp)
	if err != nil {
		return Stat{}, err
	}
	return install(fsys, temp, path, put)
}

// install is Install of a file that was looked at.
func install(fsys FS, temp, path string, put Stat) (Stat, error) {
	if err := fsys.Rename(temp, path); err != nil {
		return Stat{}, fmt.Errorf("apply: install %s: %w", path, err)
	}
	fault.Point("apply.renamed")
	return arrived(fsys, path, put), nil
}

// ready looks whether temp is a file that can be installed.
func ready(fsys FS, temp string) (Stat, error) {
	if !below(temp, Private) {
		return Stat{}, fmt.Errorf("apply: install %.300q: %w: not in %s", temp, ErrPath, Private)
	}
	st, err := fsys.Lstat(temp)
	if err == nil && st.Kind != reconcile.KindFile {
		err = ErrInTheWay
	}
	if err != nil {
		return Stat{}, fmt.Errorf("apply: install %s: %w", temp, err)
	}
	return st, nil
}

// arrived returns the state of what was put at path.
//
// If somebody has changed or replaced it already, it is the state that it had, so
// that the change is found by comparing with it.
func arrived(fsys FS, path string, put Stat) Stat {
	st, err := fsys.Lstat(path)
	if err == nil && expectation(put).same(st) {
		return st
	}
	put.Changed = 0
	return put
}

// Mkdir makes a directory with a mode, whatever the system's mask is. Errors:
// fs.ErrExist, ErrInTheWay, ErrUnexpected.
func Mkdir(fsys FS, path string, mode fs.FileMode) (Stat, error) {
	if err := fsys.Mkdir(path, mode); err != nil {
		return Stat{}, fmt.Errorf("apply: make %s: %w", path, err)
	}
	fault.Point("apply.made")
	st, err := state(fsys, path)
	if err != nil {
		return Stat{}, err
	}
	return withMode(fsys, path, mode, st)
}

// withMode sets the mode of the directory at path, which has the state st.
func withMode(fsys FS, path string, mode fs.FileMode, st Stat) (Stat, error) {
	if st.Kind != reconcile.KindDir {
		return Stat{}, unexpected(path, "somebody has replaced the directory")
	}
	if st.Mode == mode.Perm() {
		return st, nil
	}
	return SetMeta(fsys, path, mode, 0, Expect{Item: reconcile.Item{Kind: reconcile.KindDir, Inode: st.Inode}})
}

// SetMeta sets the permission bits of what is at path, and of a file the time of
// modification (ns since 1970). Errors: ErrUnexpected, where the mode or time of
// something else may have been set, but no content is touched.
//
// Setting the time hides whether somebody has written into the file meanwhile. So
// where the time was set the Stat has no Changed: the content has to be looked at.
func SetMeta(fsys FS, path string, mode fs.FileMode, modified int64, want Expect) (Stat, error) {
	if _, err := check(fsys, path, want); err != nil {
		return Stat{}, err
	}
	fault.Point("apply.checked")
	st, err := fsys.SetMeta(path, mode, modified)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay) {
		return Stat{}, unexpected(path, "it was taken away")
	}
	if err != nil {
		return Stat{}, fmt.Errorf("apply: set the mode and time of %s: %w", path, err)
	}
	fault.Point("apply.meta")
	hidden := st.Kind == reconcile.KindFile && modified != want.Item.Modified
	want.Item.Mode = st.Mode
	if hidden {
		want.Item.Modified, st.Changed = st.Modified, 0
	}
	if !want.same(st) {
		return Stat{}, unexpected(path, "%s", difference(want, st))
	}
	return st, nil
}
