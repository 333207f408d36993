package replica

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// keepToMyself makes a scope of a folder that is read-only here: what a person has
// changed stays where it is, is told to nobody, and is listed; what is missing comes
// again. It returns the files in whose place the folder has something newer.
func (c *Core) keepToMyself(sc *scope) (all []late) {
	view := sc.global.View()
	for p := range sc.looked {
		delete(c.locals, p)
	}
	at := map[reconcile.EntryID][]string{}
	for p, row := range sc.base {
		if _, there := sc.disk[p]; !there {
			delete(sc.base, p)
			continue
		}
		for _, ref := range row.Refs {
			at[ref.ID] = append(at[ref.ID], p)
		}
	}
	// What is here of the same entry under another name makes it a copy.
	elsewhere := func(shown reconcile.Shown, p string) bool {
		return slices.ContainsFunc(shown.Refs, func(ref reconcile.Ref) bool {
			return slices.ContainsFunc(at[ref.ID], func(q string) bool { return q != p })
		})
	}
	for _, p := range slices.Sorted(maps.Keys(sc.disk)) {
		item := sc.disk[p]
		row, known := sc.base[p]
		shown, wanted := view.At[p]
		switch {
		case item.Kind == reconcile.KindOther:
		case known && unedited(row.Item, item):
			row.Inode = item.Inode // whatever was moved and moved back
			sc.base[p] = row
			item.Mode = row.Mode // the mode of a directory is nothing that anybody has to keep
			sc.disk[p] = item
		case known && wanted && item.Kind == reconcile.KindFile && row.Kind == item.Kind && item.Hash == row.Hash && shown.Hash != row.Hash:
			row.Item = item // its time or mode is another one, and it is not what is wanted
			sc.base[p] = row
		case wanted && !shown.Deleted && shown.Kind == item.Kind && (item.Kind == reconcile.KindDir || shown.Hash == item.Hash) && !elsewhere(shown, p):
			delete(sc.base, p) // it is found, not changed
		default:
			what := "new"
			if known {
				what = "edited"
			}
			if item.Kind == reconcile.KindFile {
				c.locals[p] = Changed{Path: p, What: what, Size: item.Size}
				if wanted && overtaken(shown, row, item) {
					all = append(all, late{Seen{Path: p, Item: item, Changed: sc.changed[p]}, shown})
				}
			}
			sc.disk[p] = reconcile.Item{Kind: reconcile.KindOther}
		}
	}
	// What is in a directory that counts as not shared is not seen.
	for p := range sc.disk {
		for dir := parent(p); dir != ""; dir = parent(dir) {
			if sc.disk[dir].Kind == reconcile.KindOther {
				delete(sc.disk, p)
				delete(sc.base, p)
				break
			}
		}
	}
	return all
}

// overtaken reports whether a file that a person has changed, or made, where the folder
// is read-only has to make room: the folder has a file there by now that is neither that
// nor the one that was changed.
func overtaken(shown reconcile.Shown, row reconcile.Row, item reconcile.Item) bool {
	return !shown.Deleted && shown.Kind == reconcile.KindFile && shown.Hash != item.Hash &&
		(row.Kind != reconcile.KindFile || shown.Hash != row.Hash)
}

// late is a file that has to make room for the content that the folder has there.
type late struct {
	Seen
	shown reconcile.Shown
}

// makeRoom gives late files another name beside theirs, as soon as what is to be there
// has come, and reports whether it has given any: what others have is read here, and what a
// person here has written stays. What cannot be moved is in the way, and listed.
func (c *Core) makeRoom(ctx context.Context, all []late) (any bool, err error) {
	var gone []string
	for _, l := range all {
		if !c.contents.has(l.shown.Hash) && l.shown.Size > 0 {
			c.wantFor(l)
			continue
		}
		moved, e := c.stepAside(l.Seen)
		if moved {
			gone = append(gone, l.Path)
		}
		if err = e; err != nil {
			break
		}
	}
	if len(gone) == 0 {
		return false, err
	}
	// Their rows go with them: otherwise they would have been renamed, should the folder not
	// be read-only here one day.
	return true, errors.Join(err, c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error { return w.Unset(gone) }))
}

// stepAside gives a file another name beside its own, if that can be done. Errors: those
// of the disk.
func (c *Core) stepAside(s Seen) (moved bool, err error) {
	var to string
	for i := 1; i <= 1000; i++ {
		to = besides(s.Path, "mine", i)
		_, err = apply.Move(c.o.FS, s.Path, to, apply.Expect{Item: s.Item, Changed: s.Changed})
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	c.o.Disk.Hint(s.Path)
	if moved = err == nil; moved {
		c.o.Disk.Hint(to)
		delete(c.locals, s.Path)
		c.Dirty([]string{s.Path, to}, nil, false)
	}
	if !hinders(err) {
		err = nil // somebody is at work in it
	}
	// It may have been moved, and back.
	if e := apply.SyncDirs(c.o.FS, []string{parent(s.Path)}); e != nil {
		c.torn, c.unsynced = true, append(c.unsynced, parent(s.Path))
		err = errors.Join(err, e)
	}
	return moved, err
}

// wantFor has the content for which a file has to make room brought first.
func (c *Core) wantFor(l late) {
	w := Want{
		Hash: l.shown.Hash, Size: l.shown.Size, Path: l.Path, Mode: l.shown.Mode, Modified: l.shown.Modified, Made: l.shown.Made.Member,
	}
	if c.contents.want(w) {
		c.ahead = append(c.ahead, w)
	}
	if !slices.Contains(c.late[w.Hash], l.Path) {
		c.late[w.Hash] = append(c.late[w.Hash], l.Path)
	}
}

// unedited reports whether what is there is what was committed, apart from what no
// person sees.
func unedited(row, item reconcile.Item) bool {
	return row.Kind == item.Kind && row.Hash == item.Hash &&
		(row.Kind == reconcile.KindDir || row.Mode == item.Mode && row.Modified == item.Modified)
}

// Locals returns what was changed here in a folder that is read-only here.
func (c *Core) Locals() []Changed {
	out := make([]Changed, 0, len(c.locals))
	for _, p := range slices.Sorted(maps.Keys(c.locals)) {
		out = append(out, c.locals[p])
	}
	return out
}
