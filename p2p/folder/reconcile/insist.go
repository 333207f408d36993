package reconcile

import "slices"

// Insisting is what a person says of a path: that what is there is meant.
type Insisting struct {
	Path  string
	Place bool // that it is there; else what it is
}

// Insist makes versions of what is at paths that supersede whatever else is known
// of the same: contents that replaced or deleted it, names and moves that lost. So a
// person refuses what others have done, or confirms what a rule has decided. Paths
// that have no row are left out. The plan has no steps; Conflicts and Problems are
// not filled in.
func Insist(base Base, disk Disk, global Global, o Options, what []Insisting) Plan {
	r := newRecorder(base, disk, global, o.Author)
	for p, row := range base {
		r.rows[p] = row
	}
	for _, w := range what {
		row, ok := r.rows[w.Path]
		if !ok || len(row.Refs) == 0 {
			continue
		}
		if w.Place {
			row.Refs = r.move(row, w.Path, r.spot(w.Path))
		} else {
			row = r.insist(row, w.Path)
		}
		r.rows[w.Path] = row
	}
	plan := Plan{Entries: r.entries(), Author: r.author}
	plan.Unset, plan.Set = difference(base, r.rows)
	return plan
}

// insist makes a content of what row says that supersedes, besides what row has
// seen, all that descends from it, and all tombstones. What is concurrent with it is
// somebody else's work, and shown elsewhere.
func (r *recorder) insist(row Row, q string) Row {
	row.Refs = slices.Clone(row.Refs)
	seen := mergeAll(row.Refs[0].Contents)
	vectors := slices.Clone(row.Refs[0].Contents)
	for _, c := range r.g[row.Refs[0].ID].Contents {
		if c.Deleted || c.Vector.Covers(seen) {
			vectors = append(vectors, c.Vector)
		}
	}
	row.Refs[0].Contents = vectors
	item := row.Item
	row = r.edit(row, q, item)
	row.Item = item
	return row
}
