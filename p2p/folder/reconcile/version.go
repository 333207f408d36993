package reconcile

import (
	"maps"
	"slices"
)

// move makes places of row's entries for its new path q and returns its refs. Of
// several files that were one at the old path one is left at the new path.
func (r *recorder) move(row Row, q string, was Spot) []Ref {
	var refs []Ref
	for i, ref := range row.Refs {
		if i > 0 && row.Kind == KindFile {
			r.bury(ref, row, was)
			continue
		}
		if i > 0 && r.above(ref.ID, q) {
			continue // it is there, too, and comes from there to where it belongs
		}
		ref = r.own(ref, row, was)
		d := r.author.next()
		ref.Place = ref.Place.Bump(d)
		// What is dead and is there only for what is in it comes along, and stays dead.
		live, _ := split(r.g[ref.ID].Contents)
		r.merge(Entry{ID: ref.ID, Kind: row.Kind, Places: []Place{{
			Dot: d, Vector: ref.Place, Spot: r.spot(q), Was: was, Had: row.Hash, Auto: i > 0 && len(live) == 0,
		}}})
		refs = append(refs, ref)
	}
	return refs
}

// edit makes a content of what is now at q and returns the row with it. It
// supersedes what the row has seen. Of several files that were one, one is left.
func (r *recorder) edit(row Row, q string, item Item) Row {
	ref := r.own(row.Refs[0], row, r.spot(q))
	c := content(item)
	c.Dot = r.author.next()
	c.Vector = mergeAll(ref.Contents).Bump(c.Dot)
	c.Made, c.Parent = row.Made, row.Parent
	if item.Hash != row.Hash || !c.Vector.Has(row.Made) || row.Made.IsZero() {
		c.Made, c.Parent = c.Dot, row.Hash
	}
	r.rescue(ref, c.Vector, r.spot(q))
	r.merge(Entry{ID: ref.ID, Kind: row.Kind, Contents: []Content{c}})
	ref.Contents = []Vector{c.Vector}
	rest := row.Refs[1:]
	row.Dot, row.Made, row.Parent, row.Refs = c.Dot, c.Made, c.Parent, []Ref{ref}
	for _, other := range rest {
		if row.Kind == KindDir {
			row.Refs = append(row.Refs, other)
		} else {
			r.bury(other, row, r.spot(q))
		}
	}
	return row
}

// bury makes a tombstone of an entry that was shown as row at spot.
func (r *recorder) bury(ref Ref, row Row, spot Spot) {
	ref = r.own(ref, row, spot)
	c := content(row.Item)
	c.Dot = r.author.next()
	c.Vector = mergeAll(ref.Contents).Bump(c.Dot)
	c.Made, c.Deleted, c.Seen = c.Dot, true, ref.Place
	if c.Vector.Has(row.Made) && !row.Made.IsZero() {
		c.Made = row.Made
	}
	r.rescue(ref, c.Vector, spot)
	r.merge(Entry{ID: ref.ID, Kind: row.Kind, Contents: []Content{c}})
}

// own makes sure that the entry of ref exists, with a place. It does not if it is
// a losing version of another entry.
//
// The new entry has the ID, and first of all the content, that it has on every
// node on which this happens, so that it is one entry though several make it.
func (r *recorder) own(ref Ref, row Row, spot Spot) Ref {
	e, ok := r.g[ref.ID]
	if !ok {
		r.merge(Entry{ID: ref.ID, Kind: row.Kind, Contents: []Content{r.losing(ref, row)}})
	}
	if len(e.Places) == 0 {
		ref.Place = r.autoPlace(ref.ID, row.Kind, nil, spot)
	}
	ref.Of = EntryID{}
	return ref
}

// losing returns the version that ref stands for. If the state has it no more it
// is made up from the row; it is superseded at once anyway.
func (r *recorder) losing(ref Ref, row Row) Content {
	for _, c := range r.g[ref.Of].Contents {
		if EntryID(c.Dot) == ref.ID {
			return c
		}
	}
	c := content(row.Item)
	c.Dot, c.Made, c.Parent = Dot(ref.ID), Dot(ref.ID), row.Parent
	c.Vector = mergeAll(ref.Contents).Bump(c.Dot)
	return c
}

// autoPlace makes a place that keeps an entry where it is shown.
func (r *recorder) autoPlace(id EntryID, kind Kind, seen Vector, spot Spot) Vector {
	d := r.author.next()
	v := seen.Bump(d)
	r.merge(Entry{ID: id, Kind: kind, Places: []Place{{Dot: d, Vector: v, Spot: spot, Was: spot, Auto: true}}})
	return v
}

// rescue gives an entry of its own to every content of ref's entry that a new
// vector v covers though its author, who saw ref at spot, did not see it.
//
// A vector has no gaps: with this node's new event it has all earlier ones of this
// node, also the one that made a sibling which lost and is shown elsewhere. To
// supersede what was seen only, the vector would need an exception; instead the
// sibling leaves the entry. It is enough to do this here, where an event is made:
// entries travel whole, so that whoever merges two vectors into a new one has, for
// all events in both, what their authors knew; what they knew and had not
// superseded on purpose is here, or has an entry already.
func (r *recorder) rescue(ref Ref, v Vector, spot Spot) {
	for _, c := range r.g[ref.ID].Contents {
		id := EntryID(c.Dot)
		seen := func(u Vector) bool { return u.Covers(c.Vector) || u.Has(c.Made) }
		if _, own := r.g[id]; own || c.Deleted || !v.Has(c.Made) || slices.ContainsFunc(ref.Contents, seen) {
			continue
		}
		r.merge(Entry{ID: id, Kind: KindFile, Contents: []Content{c}})
		r.autoPlace(id, KindFile, nil, Spot{Parent: spot.Parent, Name: conflictName(spot.Name, c, 0)})
		r.rescued = append(r.rescued, id)
	}
}

// maxPins bounds the passes of pin, each of which makes a view.
const maxPins = MaxSiblings

// pin makes versions until nothing but what a person has touched changes its
// path: conflict copies that would get the name of what was renamed or deleted,
// directories that are there only for what is in them. It returns the view with
// them.
//
// Only what was in its place before can be pinned, if it is gone or its directory
// is in its place. A pass can free a name for which the next in line is pinned in
// the next pass, so that as many are needed as one name has contents; what is left
// after maxPins is moved, not lost.
func (r *recorder) pin() View {
	view := r.g.View()
	for range maxPins {
		if !r.pinOnce(view) {
			break
		}
		view = r.g.View()
	}
	return view
}

func (r *recorder) pinOnce(view View) (any bool) {
	for _, q := range slices.Sorted(maps.Keys(r.rows)) {
		p, old := r.from[q]
		if !old || r.held[p] || r.placed[q] || inAside(q) {
			continue
		}
		row := r.rows[q]
		var refs []Ref
		for _, ref := range row.Refs {
			at, shown := view.Where[ref.ID]
			switch {
			case r.before.Where[ref.ID] != p || at == q || shown && !r.inPlace(view, parent(q)):
				refs = append(refs, ref)
				continue
			case !ref.Of.IsZero() && r.losing(ref, row).Hash != row.Hash:
				r.bury(ref, row, r.spot(q)) // an older content, of which what is here descends
			default:
				refs = append(refs, r.pinned(ref, row, q, view))
			}
			any = true
		}
		row.Refs = refs
		r.rows[q] = row
	}
	return any
}

// inPlace reports whether the directory dir of the disk is shown as it is.
func (r *recorder) inPlace(view View, dir string) bool {
	return dir == "" || len(r.rows[dir].Refs) > 0 && view.Where[r.rows[dir].Refs[0].ID] == dir
}

// pinned makes versions that keep ref at q: of its existence, unless that is
// certain, and of its place.
func (r *recorder) pinned(ref Ref, row Row, q string, view View) Ref {
	if live, _ := split(r.g[ref.ID].Contents); len(live) == 0 {
		if kept, ok := r.refuge(row, q); ok {
			return kept
		}
	}
	had := len(r.g[ref.ID].Places) > 0
	ref = r.own(ref, row, r.spot(q))
	if live, _ := split(r.g[ref.ID].Contents); len(live) == 0 {
		c := content(row.Item)
		c.Dot = r.author.next()
		c.Vector = mergeAll(ref.Contents).Bump(c.Dot)
		c.Made, c.Parent = c.Dot, row.Parent
		r.merge(Entry{ID: ref.ID, Kind: row.Kind, Contents: []Content{c}})
		ref.Contents = []Vector{c.Vector}
	}
	if had && view.Where[ref.ID] != "" {
		ref.Place = r.autoPlace(ref.ID, row.Kind, ref.Place, r.spot(q))
	}
	return ref
}

// refuge gives what row says the place q, if it was just given an entry of its own: it is
// that, and not a second one.
func (r *recorder) refuge(row Row, q string) (ref Ref, ok bool) {
	id := EntryID(row.Made)
	e := r.g[id]
	if len(row.Refs) != 1 || !slices.Contains(r.rescued, id) || len(e.Contents) != 1 || e.Contents[0].Deleted || e.Contents[0].Hash != row.Hash {
		return Ref{}, false
	}
	return Ref{ID: id, Place: r.autoPlace(id, row.Kind, e.placed(), r.spot(q)), Contents: []Vector{e.Contents[0].Vector}}, true
}
