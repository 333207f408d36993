package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Limits of shown paths; what would be longer is not shown.
const (
	MaxPath  = 4096 // bytes
	MaxDepth = 128  // components
)

// View is the tree that a state means, the same for all who have the same state.
type View struct {
	At        map[string]Shown   // by path
	Where     map[EntryID]string // where an entry is shown; many entries can be at one path
	Waiting   []EntryID          // alive, but not shown: the directory is not known yet, or the path too long
	Conflicts []Conflict         // sorted by path
}

// Shown is what there is at a path. The first Ref is the entry that has the path;
// the others share it because they say the same.
type Shown struct {
	Kind Kind
	Content
	Refs []Ref
}

// made returns the contents of files that are shown, by what made them.
func (v View) made() map[Dot]map[Hash]bool {
	out := map[Dot]map[Hash]bool{}
	for _, shown := range v.At {
		if shown.Kind != KindFile || shown.Deleted || shown.Made.IsZero() {
			continue
		}
		if out[shown.Made] == nil {
			out[shown.Made] = map[Hash]bool{}
		}
		out[shown.Made][shown.Hash] = true
	}
	return out
}

// Ref says which versions of an entry a path shows.
type Ref struct {
	ID EntryID
	// Of is the entry of which this one is a losing version; zero for entries of
	// their own. Who changes a losing version makes it an entry.
	Of       EntryID
	Place    Vector   // of all its places
	Contents []Vector // of its contents that are shown here, tombstones included
}

// Conflict is something that was resolved by rule and that a person may want to
// resolve otherwise.
type Conflict struct {
	Kind   ConflictKind
	Path   string
	Others []string // paths of conflict copies, or other names; sorted
}

// ConflictKind says what happened.
type ConflictKind string

// The kinds of conflict.
const (
	ConflictContent ConflictKind = "content" // several contents want one path; Others: the copies
	ConflictName    ConflictKind = "name"    // renamed to several names at once; Others: the names not taken
	ConflictDelete  ConflictKind = "delete"  // deleted while it was changed or renamed: kept
	ConflictInside  ConflictKind = "inside"  // a directory deleted while something in it changed: kept for that
	ConflictMove    ConflictKind = "move"    // moved in a cycle: the move is undone
)

// candidate is something that wants a name in a directory.
type candidate struct {
	kind Kind
	name string
	best Content
	refs []Ref // the first is the entry of best
}

type viewer struct {
	g      Global
	spots  map[EntryID]Spot // where entries are, without cycles
	undone map[EntryID]bool // moves
	kids   map[EntryID][]candidate
	shown  map[EntryID]bool // directories that are alive or lead to something alive
	above  []EntryID        // directories that are alive or hold something alive
	lives  []EntryID        // candidates
	view   View
}

// View returns the tree that g means.
func (g Global) View() View {
	v := &viewer{g: g, kids: map[EntryID][]candidate{}, shown: map[EntryID]bool{}}
	v.view = View{At: make(map[string]Shown, len(g)), Where: make(map[EntryID]string, len(g))}
	v.spots, v.undone = spots(g)
	for id, e := range g {
		if _, placed := v.spots[id]; placed {
			v.collect(e)
		}
	}
	v.keepAbove()
	v.show("", []EntryID{{}}, 1)
	v.finish()
	return v.view
}

// collect makes candidates of e.
func (v *viewer) collect(e Entry) {
	spot := v.spots[e.ID]
	for _, c := range alternatives(v.g, e) {
		c.name = spot.Name
		v.kids[spot.Parent] = append(v.kids[spot.Parent], c)
		switch {
		case c.best.Deleted:
			continue
		case c.kind == KindDir:
			v.above = append(v.above, e.ID)
		default:
			v.above = append(v.above, spot.Parent)
		}
		v.lives = append(v.lives, c.refs[0].ID)
	}
}

// keepAbove marks v.above and all directories above them. Whatever is marked has
// everything above it marked, so that each is marked once.
func (v *viewer) keepAbove() {
	for _, id := range v.above {
		for !id.IsZero() && !v.shown[id] {
			v.shown[id] = true
			id = v.spots[id].Parent
		}
	}
}

// show gives names to what is in the directories ids, which are one at path.
func (v *viewer) show(path string, ids []EntryID, depth int) {
	byName := map[string][]candidate{}
	for _, id := range ids {
		for _, c := range v.kids[id] {
			if c.kind == KindFile || v.shown[c.refs[0].ID] {
				byName[c.name] = append(byName[c.name], c)
			}
		}
	}
	if depth > MaxDepth {
		return
	}
	n := naming{taken: map[string]candidate{}, copies: map[string][]string{}}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		n.contest(name, byName[name])
	}
	n.nameLosers()
	for _, name := range slices.Sorted(maps.Keys(n.taken)) {
		c, at := n.taken[name], join(path, name)
		if len(at) > MaxPath {
			continue
		}
		v.put(at, c)
		if others := n.copies[name]; len(others) > 0 {
			v.conflict(ConflictContent, at, under(path, others))
		}
		if c.kind == KindDir {
			v.show(at, refIDs(c.refs), depth+1)
		}
	}
}

// put shows c at path.
func (v *viewer) put(path string, c candidate) {
	v.view.At[path] = Shown{Kind: c.kind, Content: c.best, Refs: c.refs}
	for _, r := range c.refs {
		v.view.Where[r.ID] = path
		v.report(path, r, c.kind)
	}
}

// report tells what was decided about the entry of r.
func (v *viewer) report(path string, r Ref, kind Kind) {
	e, ok := v.g[r.ID]
	if !ok {
		return
	}
	if v.undone[e.ID] {
		v.conflict(ConflictMove, path, nil)
	}
	var names []string
	chosen := place(e)
	for _, p := range e.Places {
		if p.Spot != chosen.Spot && !p.Auto {
			names = append(names, p.Name)
		}
	}
	if len(names) > 0 {
		v.conflict(ConflictName, path, names)
	}
	live, dead := split(e.Contents)
	switch {
	case len(dead) > 0 && len(live) > 0 || len(live) == 0 && revived(e):
		v.conflict(ConflictDelete, path, nil)
	case len(live) == 0 && kind == KindDir:
		v.conflict(ConflictInside, path, nil)
	}
}

func (v *viewer) conflict(kind ConflictKind, path string, others []string) {
	slices.Sort(others)
	v.view.Conflicts = append(v.view.Conflicts, Conflict{Kind: kind, Path: path, Others: slices.Compact(others)})
}

func (v *viewer) finish() {
	slices.SortFunc(v.view.Conflicts, func(a, b Conflict) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(string(a.Kind), string(b.Kind)), slices.Compare(a.Others, b.Others))
	})
	for _, id := range v.lives {
		if _, ok := v.view.Where[id]; !ok {
			v.view.Waiting = append(v.view.Waiting, id)
		}
	}
	for id, e := range v.g {
		live, _ := split(e.Contents)
		if _, placed := v.spots[id]; !placed && len(live) > 0 {
			v.view.Waiting = append(v.view.Waiting, id)
		}
	}
	slices.SortFunc(v.view.Waiting, EntryID.Compare)
}

func refIDs(refs []Ref) []EntryID {
	ids := make([]EntryID, len(refs))
	for i, r := range refs {
		ids[i] = r.ID
	}
	return ids
}

func under(dir string, names []string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = join(dir, name)
	}
	return paths
}

// join is path.Join for a directory that may be the folder itself, "".
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// parent returns the directory of p; "" is the folder itself.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// lastName returns the last component of p.
func lastName(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
