package apply

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Op is a change of the disk, as it stands in a journal.
type Op struct {
	Do        reconcile.Action
	Path      string
	From      string // move
	Temp      string // copy, fetch, replace: the file to install, below TempDir; nobody else uses it
	Trash     string // trash of a file, replace: where the old one goes; no other op has the same
	TempInode uint64 // of Temp; 0: not known
	Want      Expect // move: at From. trash, replace, meta: at Path
	Kept      string // trash of a file, note: where its content stays; "": nowhere in particular
	As        Expect // at Kept
	// Mode and Modified (ns since 1970) are to be set by mkdir and meta. Of copy, fetch
	// and replace they are those of Temp, as its SetMeta has returned them: not every disk
	// keeps every mode and time.
	Mode     fs.FileMode
	Modified int64
}

// Run does it and returns what Install, Replace, Move, Mkdir or SetMeta return. After
// an error that is not ErrUnexpected, fs.ErrExist or ErrInTheWay, it must be settled.
func (o Op) Run(fsys FS) (Stat, error) {
	switch o.Do {
	case reconcile.DoCopy, reconcile.DoFetch:
		put, err := o.checkTemp(fsys)
		if err != nil {
			return Stat{}, err
		}
		return install(fsys, o.Temp, o.Path, put)
	case reconcile.DoReplace:
		put, err := o.checkTemp(fsys)
		if err != nil {
			return Stat{}, err
		}
		return replace(fsys, o.Temp, o.Path, o.Want, o.Trash, put)
	case reconcile.DoTrash:
		if err := o.checkKept(fsys); err != nil {
			return Stat{}, err
		}
		return Stat{}, Discard(fsys, o.Path, o.Want, o.Trash)
	case reconcile.DoMove:
		return Move(fsys, o.From, o.Path, o.Want)
	case reconcile.DoMkdir:
		return Mkdir(fsys, o.Path, o.Mode)
	case reconcile.DoMeta:
		return SetMeta(fsys, o.Path, o.Mode, o.Modified, o.Want)
	case reconcile.DoNote:
		return Stat{}, o.checkKept(fsys)
	}
	return Stat{}, fmt.Errorf("apply: %s: unknown action %q", o.Path, o.Do)
}

// checkKept looks whether the content that goes is where it stays.
func (o Op) checkKept(fsys FS) error {
	if o.Kept == "" {
		return nil
	}
	_, err := check(fsys, o.Kept, o.As)
	return err
}

// checkTemp looks whether the temporary file is the one that was written down,
// because Settle tells by that what happened.
func (o Op) checkTemp(fsys FS) (Stat, error) {
	st, err := ready(fsys, o.Temp)
	if err == nil && o.TempInode != 0 && st.Inode != 0 && st.Inode != o.TempInode {
		err = unexpected(o.Temp, "it is not the file of this operation")
	}
	return st, err
}

// installs reports whether s is the state of the file that o installs.
func (o Op) installs(s Stat) bool {
	return s.Kind == reconcile.KindFile && (o.TempInode == 0 || s.Inode == 0 || s.Inode == o.TempInode) &&
		s.Mode == o.Mode.Perm() && s.Modified == o.Modified
}

// Dirs returns the directories whose names o changes, sorted: what SyncDirs must sync
// before its success is committed.
func (o Op) Dirs() []string {
	var dirs []string
	switch o.Do {
	case reconcile.DoNote, reconcile.DoMeta:
		return nil
	case reconcile.DoMkdir:
		dirs = []string{parent(o.Path)}
	case reconcile.DoMove:
		dirs = []string{parent(o.From), parent(o.Path)}
	case reconcile.DoTrash:
		dirs = []string{parent(o.Path)}
		if o.Want.Item.Kind != reconcile.KindDir {
			dirs = append(dirs, parent(o.Trash))
		}
	default:
		dirs = []string{parent(o.Path), parent(o.Temp)}
		if o.Trash != "" {
			dirs = append(dirs, parent(o.Trash))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
