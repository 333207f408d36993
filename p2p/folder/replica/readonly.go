package replica

import (
	"maps"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// keepToMyself makes a scope of a folder that is read-only here: what a person has
// changed stays where it is, is told to nobody, and is listed; what is missing comes
// again.
func (c *Core) keepToMyself(sc *scope) {
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
		case wanted && !shown.Deleted && shown.Kind == item.Kind && (item.Kind == reconcile.KindDir || shown.Hash == item.Hash) && !elsewhere(shown, p):
			delete(sc.base, p) // it is found, not changed
		default:
			what := "new"
			if known {
				what = "edited"
			}
			if item.Kind == reconcile.KindFile {
				c.locals[p] = Changed{Path: p, What: what, Size: item.Size}
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
}

// unedited reports whether what is there is what was committed, apart from what no
// person sees.
func unedited(row, item reconcile.Item) bool {
	return row.Kind == item.Kind && row.Hash == item.Hash && row.Mode == item.Mode &&
		(row.Kind == reconcile.KindDir || row.Modified == item.Modified)
}

// Locals returns what was changed here in a folder that is read-only here.
func (c *Core) Locals() []Changed {
	out := make([]Changed, 0, len(c.locals))
	for _, p := range slices.Sorted(maps.Keys(c.locals)) {
		out = append(out, c.locals[p])
	}
	return out
}
