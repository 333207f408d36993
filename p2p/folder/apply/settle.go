package apply

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Settle finds out after a crash, or after an error of Run, whether o was done, and ends
// what was done by half. If it was done, it returns the state that Run would have; if
// not, Temp, if it is there, can be used again or removed. It can be called any number
// of times, and after crashes of its own. Ops are settled in the order in which they
// were run. One whose result a later op has taken away, as when something is moved
// twice, looks undone: a journal should not hold two such ops.
//
// What tells is the inode, which stays the same under all names. What a person has
// changed since then counts as not done: then what is at Path is the person's.
func (o Op) Settle(fsys FS) (done bool, st Stat, err error) {
	switch o.Do {
	case reconcile.DoCopy, reconcile.DoFetch:
		return o.settleInstall(fsys)
	case reconcile.DoReplace:
		return o.settleReplace(fsys)
	case reconcile.DoTrash:
		done, err := o.settleTrash(fsys)
		return done, Stat{}, err
	case reconcile.DoMove:
		return o.settleMove(fsys)
	case reconcile.DoMkdir:
		st, err := state(fsys, o.Path)
		if err != nil || st.Kind != reconcile.KindDir {
			return false, Stat{}, err
		}
		return settled(withMode(fsys, o.Path, o.Mode, st))
	case reconcile.DoMeta:
		return o.settleMeta(fsys)
	case reconcile.DoNote:
		return true, Stat{}, nil
	}
	return false, Stat{}, fmt.Errorf("apply: %s: unknown action %q", o.Path, o.Do)
}

// settled turns the result of what was tried again into that of Settle.
func settled(st Stat, err error) (bool, Stat, error) {
	switch {
	case err == nil:
		return true, st, nil
	case errors.Is(err, ErrUnexpected) || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInTheWay):
		return false, Stat{}, nil
	}
	return false, Stat{}, err
}

func (o Op) settleInstall(fsys FS) (bool, Stat, error) {
	at, err := state(fsys, o.Path)
	if err != nil || !o.installs(at) {
		return false, Stat{}, err
	}
	temp, err := state(fsys, o.Temp)
	if err != nil {
		return false, Stat{}, err
	}
	return o.installed(fsys, at, temp)
}

// installed ends an installation: what o installs is at Path. Where Rename makes a
// second link first, it can have both names.
func (o Op) installed(fsys FS, at, temp Stat) (bool, Stat, error) {
	if temp.Kind == "" {
		return true, at, nil
	}
	if at.Inode == 0 || temp.Inode != at.Inode {
		return false, Stat{}, nil // inodes are not known, and at is like temp by chance
	}
	if err := fsys.Remove(o.Temp); err != nil {
		return false, Stat{}, fmt.Errorf("apply: remove the second name of %s: %w", o.Path, err)
	}
	return true, arrived(fsys, o.Path, at), nil
}

// settleReplace: what is at Temp or in the trash, and is not the file that was
// expected, is somebody's, and was to be put back.
func (o Op) settleReplace(fsys FS) (bool, Stat, error) {
	at, err1 := state(fsys, o.Path)
	temp, err2 := state(fsys, o.Temp)
	trash, err3 := state(fsys, o.Trash)
	if err := errors.Join(err1, err2, err3); err != nil {
		return false, Stat{}, err
	}
	if trash.Kind != "" && !o.Want.same(trash) {
		if err := putBack(fsys, o.Trash, o.Path); err != nil {
			return false, Stat{}, err
		}
		return o.settleReplace(fsys)
	}
	switch {
	case o.installs(at):
		return o.settleExchanged(fsys, at, temp)
	case o.Want.same(at):
		return false, Stat{}, nil
	case temp.Kind != "" && o.Want.same(temp):
		// The old one is out, and what replaced it was changed or taken away since.
		return false, Stat{}, toTrash(fsys, o)
	case temp.Kind != "" && !o.installs(temp):
		return false, Stat{}, putBack(fsys, o.Temp, o.Path)
	case at.Kind == "" && trash.Kind != "" && temp.Kind != "":
		if err := fsys.Rename(o.Temp, o.Path); err != nil {
			return settled(Stat{}, fmt.Errorf("apply: replace %s: %w", o.Path, err))
		}
		fault.Point("apply.renamed")
		return true, arrived(fsys, o.Path, temp), nil
	case at.Kind == "" && trash.Kind != "":
		// There is no telling whether the new one was lost before it was installed, or
		// deleted after. A file that is there once more does no harm.
		return false, Stat{}, putBack(fsys, o.Trash, o.Path)
	}
	return false, Stat{}, nil
}

// settleExchanged: the new one is at Path.
func (o Op) settleExchanged(fsys FS, at, temp Stat) (bool, Stat, error) {
	switch {
	case temp.Kind == "" || o.installs(temp):
		return o.installed(fsys, at, temp)
	case o.Want.same(temp):
		if err := toTrash(fsys, o); err != nil {
			return false, Stat{}, err
		}
		return true, arrived(fsys, o.Path, at), nil
	}
	return false, Stat{}, swapBack(fsys, o.Temp, o.Path, expectation(at))
}

// toTrash moves the old one from Temp to the trash.
func toTrash(fsys FS, o Op) error {
	err := fsys.Rename(o.Temp, o.Trash)
	if errors.Is(err, fs.ErrExist) {
		return keep(fsys, o.Temp, o.Path) // another of the same look is there
	}
	if err != nil {
		return fmt.Errorf("apply: move what was at %s to the trash: %w", o.Path, err)
	}
	fault.Point("apply.trashed")
	return nil
}

func (o Op) settleTrash(fsys FS) (bool, error) {
	if o.Want.Item.Kind == reconcile.KindDir {
		at, err := state(fsys, o.Path)
		return err == nil && at.Kind == "", err
	}
	trash, err := state(fsys, o.Trash)
	switch {
	case err != nil || trash.Kind == "":
		return false, err
	case o.Want.same(trash):
		return true, nil
	}
	return false, putBack(fsys, o.Trash, o.Path)
}

func (o Op) settleMove(fsys FS) (bool, Stat, error) {
	at, err := state(fsys, o.Path)
	if err != nil {
		return false, Stat{}, err
	}
	from, err := state(fsys, o.From)
	if err != nil {
		return false, Stat{}, err
	}
	switch {
	case at.Kind == "":
		return false, Stat{}, nil
	case !o.Want.same(at):
		if from.Kind == "" && below(o.Path, Private) {
			return false, Stat{}, putBack(fsys, o.Path, o.From) // somebody's, moved out of sight
		}
		return false, Stat{}, nil
	case o.Want.same(from):
		return o.settleLinked(fsys, at, from)
	}
	return true, at, nil
}

// settleLinked: the file has both names, if Rename made a second link first.
func (o Op) settleLinked(fsys FS, at, from Stat) (bool, Stat, error) {
	if at.Kind != reconcile.KindFile || at.Inode == 0 || at.Inode != from.Inode {
		return false, Stat{}, nil
	}
	out := leftover()
	if err := fsys.Rename(o.From, out); err != nil {
		return settled(Stat{}, fmt.Errorf("apply: remove the second name of %s: %w", o.Path, err))
	}
	// If it is another one by now, it is somebody's.
	st, err := fsys.Lstat(out)
	if err != nil {
		return false, Stat{}, fmt.Errorf("apply: look at what was at %s: %w", o.From, err)
	}
	if st.Inode != at.Inode {
		if err := putBack(fsys, out, o.From); err != nil {
			return false, Stat{}, err
		}
	}
	return true, arrived(fsys, o.Path, at), nil
}

func (o Op) settleMeta(fsys FS) (bool, Stat, error) {
	at, err := state(fsys, o.Path)
	if err != nil {
		return false, Stat{}, err
	}
	// Of mode and time, each can have been set, or not.
	want := o.Want
	want.Changed = 0
	if at.Mode == o.Mode.Perm() {
		want.Item.Mode = at.Mode
	}
	if at.Modified == o.Modified {
		want.Item.Modified = at.Modified
	}
	done, st, err := settled(SetMeta(fsys, o.Path, o.Mode, o.Modified, want))
	if st.Kind == reconcile.KindFile && o.Modified != o.Want.Item.Modified {
		st.Changed = 0
	}
	return done, st, err
}
