package reconcile

import (
	"maps"
	"slices"
)

// recorder makes versions of what a person did.
type recorder struct {
	*observer
	g         Global // with the new versions
	before    View   // of the state without them
	author    Author
	rows      Base                 // by the paths of the disk
	known     map[EntryID][]string // paths of base that have, or had, to do with an entry
	placed    map[string]bool      // disk paths at which a person has put something
	stepped   map[string]bool      // paths of base at which a step was done that its row does not tell
	touched   []EntryID            // in g, in order
	isTouched map[EntryID]bool
	rescued   []EntryID // those that keep a content which another new version covers
	changes   []Change
	problems  []Problem
}

func newRecorder(base Base, disk Disk, global Global, author Author) *recorder {
	r := &recorder{
		observer: observe(base, disk), g: maps.Clone(global), before: global.View(), author: author,
		rows: make(Base, len(disk)), known: make(map[EntryID][]string, len(base)), placed: map[string]bool{}, stepped: map[string]bool{},
		isTouched: map[EntryID]bool{},
	}
	if r.g == nil {
		r.g = Global{}
	}
	for p, row := range base {
		for _, ref := range row.Refs {
			r.known[ref.ID] = append(r.known[ref.ID], p)
			if !ref.Of.IsZero() {
				r.known[ref.Of] = append(r.known[ref.Of], p)
			}
		}
	}
	return r
}

// record finds all changes, makes versions of them, and returns the view with
// them.
func (r *recorder) record() View {
	for _, p := range r.paths {
		if q := r.at[p]; r.held[p] {
			r.rows[q] = r.base[p]
		}
	}
	for _, q := range slices.Sorted(maps.Keys(r.disk)) {
		p, old := r.from[q]
		switch {
		case old && r.held[p] || r.disk[q].Kind == KindOther:
		case old:
			r.again(p, q)
		case isAside(q) && checkName(asideName(q)) == "":
			r.create(q, Spot{Name: asideName(q)})
		case isAside(q):
			r.problems = append(r.problems, Problem{Path: q, Why: "left over from a step that nobody knows"})
		case r.hasDirectory(q):
			r.found(q)
		}
	}
	for _, p := range r.paths {
		if _, there := r.at[p]; !there {
			r.gone(p)
		}
	}
	r.release()
	if len(r.touched) == 0 {
		return r.before
	}
	return r.pin()
}

// hasDirectory reports whether the directory of q is known, as in all disks that
// are consistent.
func (r *recorder) hasDirectory(q string) bool {
	dir := parent(q)
	row, ok := r.rows[dir]
	return dir == "" || ok && row.Kind == KindDir && len(row.Refs) > 0
}

// spot returns what path q, whose directory is on the disk, means in the state.
func (r *recorder) spot(q string) Spot { return spotIn(r.rows, q) }

func spotIn(rows Base, q string) Spot {
	s := Spot{Name: lastName(q)}
	if row, ok := rows[parent(q)]; ok {
		s.Parent = row.Refs[0].ID
	}
	return s
}

// again looks at what was known as p and is at q.
func (r *recorder) again(p, q string) {
	row, item := r.base[p], r.disk[q]
	moved := r.moved(p, q)
	edited := row.Kind == KindFile && (row.Hash != item.Hash || row.Modified != item.Modified) || row.Mode != item.Mode
	shown, ok := r.before.At[q]
	switch {
	case len(row.Refs) == 0 && (edited || moved):
		r.found(q)
		return
	case ok && (moved || edited) && r.alreadySo(p, shown, item):
		r.rows[q] = rowOf(item, shown)
		r.stepped[p] = true
		return
	case ok && moved && r.before.Where[row.Refs[0].ID] == q:
		row.Refs = halfway(row, shown)
	case moved && r.inItself(row, q):
		r.create(q, r.spot(q))
		return
	case moved:
		r.changes = append(r.changes, Change{Kind: ChangeMove, Path: q, From: p})
		row.Refs = r.move(row, q, spotIn(r.base, p))
		r.placed[q] = true
	}
	if edited {
		r.changes = append(r.changes, Change{Kind: ChangeEdit, Path: q})
		row = r.edit(row, q, item)
	}
	row.Item = item
	r.rows[q] = row
}

// alreadySo reports whether the state says already that row's entry is what and
// where item is: a step was done and its row was not committed, or somebody else
// did the same. If the entry is not alive any more, item can be any other; if it
// is, what row has seen must be superseded by what is shown, or else it would be
// forgotten that the person here has replaced it.
func (r *recorder) alreadySo(p string, shown Shown, item Item) bool {
	row := r.base[p]
	if !agrees(shown, item) || r.elsewhere(shown, p) {
		return false
	}
	return !alive(r.before, row) || row.Refs[0].ID == shown.Refs[0].ID &&
		mergeAll(shown.Refs[0].Contents).Covers(mergeAll(row.Refs[0].Contents))
}

// elsewhere reports whether base has an entry that is shown, or a losing version
// of it, at another path than p. Then its being here is a person's work: perhaps
// the next change of that other path takes the version away.
func (r *recorder) elsewhere(shown Shown, p string) bool {
	return slices.ContainsFunc(shown.Refs, func(ref Ref) bool {
		return slices.ContainsFunc(r.known[ref.ID], func(q string) bool { return q != p })
	})
}

// alive reports whether an entry of row is shown somewhere, or will be.
func alive(v View, row Row) bool {
	return slices.ContainsFunc(row.Refs, func(ref Ref) bool {
		_, shown := v.Where[ref.ID]
		_, waits := slices.BinarySearchFunc(v.Waiting, ref.ID, EntryID.Compare)
		return shown || waits
	})
}

// inItself reports whether row's entry is also the one of a directory above q. That
// is so if two directories became one and a crash left something of both.
func (r *recorder) inItself(row Row, q string) bool { return r.above(row.Refs[0].ID, q) }

// above reports whether an entry is the one of a directory above q.
func (r *recorder) above(id EntryID, q string) bool {
	for dir := parent(q); dir != "" && dir != Aside; dir = parent(dir) {
		if slices.ContainsFunc(r.rows[dir].Refs, func(ref Ref) bool { return ref.ID == id }) {
			return true
		}
	}
	return false
}

// agrees reports whether item is all that shown is.
func agrees(shown Shown, item Item) bool {
	return shown.Kind == item.Kind && shown.Hash == item.Hash && shown.Mode == item.Mode &&
		(shown.Kind == KindDir || shown.Modified == item.Modified)
}

// rowOf is the row of item that is all that shown says.
func rowOf(item Item, shown Shown) Row {
	return Row{Item: item, Dot: shown.Dot, Made: shown.Made, Parent: shown.Parent, Refs: shown.Refs}
}

// unseen returns refs without the contents: the place is taken, but what is there
// is not yet, or not known to be, what they say.
func unseen(refs []Ref) []Ref {
	out := slices.Clone(refs)
	for i := range out {
		out[i].Contents = nil
	}
	return out
}

// halfway returns the refs of an entry that is where shown says and has, of the
// contents that shown says, only those that row has seen.
func halfway(row Row, shown Shown) []Ref {
	refs := unseen(shown.Refs)
	for i := range refs {
		for _, old := range row.Refs {
			if old.ID == refs[i].ID {
				refs[i].Contents = old.Contents
			}
		}
	}
	return refs
}

// found looks at q, of which nothing was known. If the state has it already, it is
// that, so that a folder that is joined twice, or whose state was lost, is not
// full of conflicts. Also an older version is that.
func (r *recorder) found(q string) {
	item := r.disk[q]
	shown, ok := r.before.At[q]
	fits := ok && shown.Kind == item.Kind && !shown.Deleted && (item.Kind == KindDir || shown.Hash == item.Hash || shown.Content.Parent == item.Hash)
	if fits && !r.elsewhere(shown, "") {
		row := rowOf(item, shown)
		if !agrees(shown, item) {
			row = Row{Item: item, Refs: unseen(shown.Refs)}
		}
		r.rows[q] = row
		return
	}
	r.create(q, r.spot(q))
}

// create makes an entry of q at spot. That is where it is, except for what was
// left aside when a state was lost: it comes into the folder itself.
func (r *recorder) create(q string, spot Spot) {
	item := r.disk[q]
	r.changes = append(r.changes, Change{Kind: ChangeCreate, Path: q})
	r.placed[q] = true
	d := r.author.next()
	v := Vector{d}
	c := content(item)
	c.Dot, c.Vector, c.Made = d, v, d
	r.merge(Entry{ID: EntryID(d), Kind: item.Kind, Contents: []Content{c}, Places: []Place{{Dot: d, Vector: v, Spot: spot}}})
	r.rows[q] = Row{Item: item, Dot: d, Made: d, Refs: []Ref{{ID: EntryID(d), Place: v, Contents: []Vector{v}}}}
}

// gone looks at p, which is nowhere.
func (r *recorder) gone(p string) {
	row := r.base[p]
	if !alive(r.before, row) {
		return // the others have deleted it too
	}
	r.changes = append(r.changes, Change{Kind: ChangeDelete, Path: p})
	spot := spotIn(r.base, p)
	for _, ref := range row.Refs {
		r.bury(ref, row, spot)
	}
}

// release buries what was rescued of the contents that a person has deleted, or replaced,
// where they were shown: they were to be kept from a version that covers them, not from the
// person. That may be in the same moment, or before there was a copy at the place of what was
// rescued. Whatever else anybody has done to it since keeps it.
func (r *recorder) release() {
	for _, id := range r.homeless() {
		c := r.g[id].Contents[0]
		var gone []string
		kept := false
		for _, p := range r.paths {
			if row := r.base[p]; row.Made != c.Made || row.Hash != c.Hash || r.stepped[p] {
				continue
			}
			if q, there := r.at[p]; there && (r.held[p] || r.disk[q].Hash == c.Hash) {
				kept = true
			} else {
				gone = append(gone, p)
			}
		}
		if kept || len(gone) == 0 {
			continue
		}
		ref := Ref{ID: id, Place: r.g[id].placed(), Contents: []Vector{c.Vector}}
		r.bury(ref, r.base[gone[0]], spotIn(r.base, gone[0]))
	}
}

// homeless returns the entries of what was rescued, now or before, that are as they were then,
// and nowhere on this disk by themselves.
func (r *recorder) homeless() (ids []EntryID) {
	here := map[EntryID]bool{}
	for _, row := range r.rows {
		for _, ref := range row.Refs {
			here[ref.ID] = true
		}
	}
	add := func(id EntryID) {
		e, known := r.g[id]
		untouched := known && e.Kind == KindFile && len(e.Contents) == 1 && !e.Contents[0].Deleted &&
			e.Contents[0].Dot == Dot(id) && e.Contents[0].Made == Dot(id) &&
			!slices.ContainsFunc(e.Places, func(p Place) bool { return !p.Auto })
		if untouched && !here[id] && len(r.known[id]) == 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range r.rescued {
		add(id)
	}
	for _, p := range r.paths {
		add(EntryID(r.base[p].Made))
	}
	return ids
}

// content describes item as a version.
func content(item Item) Content {
	c := Content{Hash: item.Hash, Size: item.Size, Mode: item.Mode}
	if item.Kind == KindFile {
		c.Modified = item.Modified
	}
	return c
}

// merge adds a new version to the state.
func (r *recorder) merge(e Entry) {
	if !r.isTouched[e.ID] {
		r.isTouched[e.ID] = true
		r.touched = append(r.touched, e.ID)
	}
	r.g.Merge(e)
}

// entries returns the new state of all that was touched. What keeps a content
// comes first, so that there is no moment in which nothing has it.
func (r *recorder) entries() []Entry {
	var out []Entry
	for _, id := range r.rescued {
		out = append(out, r.g[id])
	}
	for _, id := range r.touched {
		if !slices.Contains(r.rescued, id) {
			out = append(out, r.g[id])
		}
	}
	return out
}
