package replica

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// scope is a part of the three trees that can be planned by itself.
type scope struct {
	base   reconcile.Base
	disk   reconcile.Disk
	global reconcile.Global
	// changed are the change times of what is on the disk, by path.
	changed map[string]int64
	pending map[reconcile.EntryID]bool
	looked  map[string]bool // paths that were looked at
	unsure  []string        // with something on the disk that is not known (yet)
}

// seeds is what a plan is about.
type seeds struct {
	paths   []string
	moved   []Move // directories that a person has moved
	entries []reconcile.EntryID
}

// gatherer collects a scope. The rules by which it grows are proven by what the
// planner looks at:
//
//   - An entry brings its rows, its versions that may be entries of their own, the
//     directories it is or was in, and all that has a place at the same spot: they
//     contest its name.
//   - A path brings its row, what is on the disk, the directory above, and what is
//     shown there.
//   - A directory that is not, or not any more, where it was committed brings all that
//     was committed in it: otherwise what went with it would look as if it had never been.
//     If a scan knows where it is now, what is in it there comes too, whether or not
//     anybody has told of the move: otherwise what went with it would look as if it was
//     deleted.
//   - So does one that was committed with the inode of another: what is there is one of them.
//   - A path brings the entry that keeps the version there, if it had to be kept from another
//     version: it has no path until there is a copy.
//   - A directory that has a tombstone, and directories that share a spot or a row,
//     bring all that is in them: whether a dead directory is shown depends on that, and
//     each thing in united ones contests names and is moved by itself.
//   - Where the file system takes several names for one, all of these are one path and
//     one spot.
//
// Directories that are just moved bring nothing: one step moves them, whatever is in
// them.
type gatherer struct {
	ctx  context.Context
	r    Reader
	d    Disk
	fold func(name string) string // nil: names are what their bytes are
	move translation              // what was told
	scope

	entries  map[reconcile.EntryID]bool
	spots    map[reconcile.Spot]bool
	expanded map[reconcile.EntryID]bool
	bereft   map[string]bool                                   // directories all of whose rows are loaded
	found    translation                                       // where these are now
	afresh   bool                                              // found is more than what is related yet
	names    map[string]map[string][]string                    // by directory and folded name: paths
	taken    map[reconcile.EntryID]map[string][]reconcile.Spot // the same of the places in a directory
	queue    []func() error
}

// gather returns the scope of s.
func gather(ctx context.Context, r Reader, d Disk, fold func(name string) string, s seeds) (scope, error) {
	g := &gatherer{
		ctx: ctx, r: r, d: d, fold: fold, move: translate(s.moved),
		scope: scope{
			base: reconcile.Base{}, disk: reconcile.Disk{}, global: reconcile.Global{},
			changed: map[string]int64{}, pending: map[reconcile.EntryID]bool{},
			looked: map[string]bool{},
		},
		entries: map[reconcile.EntryID]bool{}, spots: map[reconcile.Spot]bool{}, expanded: map[reconcile.EntryID]bool{},
		bereft: map[string]bool{}, found: translate(nil), names: map[string]map[string][]string{}, taken: map[reconcile.EntryID]map[string][]reconcile.Spot{},
	}
	for _, m := range s.moved {
		g.path(m.From)
		g.path(m.To)
		g.sample(m.From)
	}
	for _, p := range s.paths {
		g.path(p)
	}
	for _, id := range s.entries {
		g.entry(id)
	}
	for {
		if err := g.drain(); err != nil {
			return scope{}, err
		}
		g.bereave()
		g.relate()
		g.unite()
		g.follow()
		if len(g.queue) == 0 {
			g.prune()
			return g.scope, nil
		}
	}
}

// prune leaves out what is in something that is no directory. What was last seen in a
// directory is taken for granted, and the directory may have gone since.
//
// What is in something that is not known for sure is not known either.
func (g *gatherer) prune() {
	for _, p := range sorted(g.looked) {
		for dir := parent(p); dir != ""; dir = parent(dir) {
			if g.disk[dir].Kind == reconcile.KindOther {
				g.unsure = append(g.unsure, p)
				break
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(g.disk)) {
		dir := parent(p)
		if dir != "" && dir != reconcile.Aside && g.disk[dir].Kind != reconcile.KindDir {
			delete(g.disk, p)
			delete(g.changed, p)
		}
	}
}

func (g *gatherer) drain() error {
	for len(g.queue) > 0 {
		next := g.queue[len(g.queue)-1]
		g.queue = g.queue[:len(g.queue)-1]
		if err := next(); err != nil {
			return err
		}
	}
	return g.ctx.Err()
}

func (g *gatherer) later(f func() error) { g.queue = append(g.queue, f) }

// entry has an entry loaded.
func (g *gatherer) entry(id reconcile.EntryID) {
	if id.IsZero() || g.entries[id] {
		return
	}
	g.entries[id] = true
	g.later(func() error {
		rows, err := g.r.RowsOf(id)
		if err != nil {
			return err
		}
		for _, p := range rows {
			g.path(p)
		}
		s, found, err := g.r.Entry(id)
		if err != nil || !found {
			return err
		}
		e := s.Entry
		g.global[id] = e
		g.pending[id] = s.Pending
		for _, p := range e.Places {
			for _, at := range []reconcile.Spot{p.Spot, p.Was} {
				if at.Name == "" {
					continue
				}
				g.entry(at.Parent)
				g.spot(at)
				// It may have begun as a conflict copy, a version of what is there.
				g.spot(reconcile.Spot{Parent: at.Parent, Name: uncontested(at.Name)})
			}
		}
		dead := false
		for _, c := range e.Contents {
			if len(e.Contents) > 1 {
				g.entry(reconcile.EntryID(c.Dot))
			}
			dead = dead || c.Deleted
		}
		if dead && e.Kind == reconcile.KindDir {
			g.expand(id)
		}
		return nil
	})
}

// spot has all that is at a spot loaded.
func (g *gatherer) spot(s reconcile.Spot) {
	if g.spots[s] {
		return
	}
	g.spots[s] = true
	g.later(func() error {
		ids, err := g.r.At(s)
		for _, id := range ids {
			g.entry(id)
		}
		if err == nil && g.fold != nil {
			err = g.twinSpots(s)
		}
		return err
	})
}

// expand has all that is in a directory loaded.
func (g *gatherer) expand(id reconcile.EntryID) {
	if g.expanded[id] {
		return
	}
	g.expanded[id] = true
	g.later(func() error {
		ids, err := g.r.In(id)
		if err != nil {
			return err
		}
		for _, child := range ids {
			g.entry(child)
		}
		rows, err := g.r.RowsOf(id)
		if err != nil {
			return err
		}
		for _, p := range rows {
			if err := g.within(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// within has all that is committed, and all that was seen, in a directory loaded.
func (g *gatherer) within(dir string) error {
	rows, err := g.r.RowsIn(dir, 0)
	if err != nil {
		return err
	}
	for _, row := range rows {
		g.path(row.Path)
		if row.Row.Kind == reconcile.KindDir {
			g.later(func() error { return g.within(row.Path) })
		}
	}
	for _, at := range append(g.related(dir), dir) {
		seen, err := g.d.Children(g.ctx, at)
		if err != nil {
			return err
		}
		for _, s := range seen {
			g.path(s.Path)
		}
	}
	return nil
}

// samples is how many things in a moved directory are loaded, by which it is known
// to be the same.
const samples = 8

// sample has some of what is committed in a directory loaded.
func (g *gatherer) sample(dir string) {
	g.later(func() error {
		rows, err := g.r.RowsIn(dir, samples)
		for _, row := range rows {
			g.path(row.Path)
		}
		return err
	})
}

// now returns where what was at p is since directories were moved; was is the
// inverse.
func (g *gatherer) now(p string) string { return first(g.move.to, p) }

func (g *gatherer) was(p string) string { return first(g.move.from, p) }

// translation is moves of directories, by where they were from and by where they went.
type translation struct {
	moves    int
	to, from map[string][]string
}

func translate(moves []Move) translation {
	t := translation{to: map[string][]string{}, from: map[string][]string{}}
	for _, m := range moves {
		t.add(m)
	}
	return t
}

func (t *translation) add(m Move) {
	t.moves++
	t.to[m.From] = append(t.to[m.From], m.To)
	t.from[m.To] = append(t.from[m.To], m.From)
}

// first returns p as it is after the first move of the lowest directory above it, or of
// itself, that by has; p if there is none.
func first(by map[string][]string, p string) string {
	if len(by) == 0 {
		return p
	}
	for dir := p; dir != ""; dir = parent(dir) {
		if other := by[dir]; len(other) > 0 {
			return other[0] + p[len(dir):]
		}
	}
	return p
}

// across returns where what was at p is after any of the moves, and where what is at p was
// before.
func (t *translation) across(p string) (all []string) {
	if t.moves == 0 {
		return nil
	}
	for dir := p; dir != ""; dir = parent(dir) {
		for _, by := range []map[string][]string{t.to, t.from} {
			for _, other := range by[dir] {
				if len(other)+len(p)-len(dir) <= reconcile.MaxPath {
					all = append(all, other+p[len(dir):])
				}
			}
		}
	}
	return all
}

// below reports whether p is dir or in it.
func below(p, dir string) bool {
	return len(p) >= len(dir) && p[:len(dir)] == dir && (len(p) == len(dir) || p[len(dir)] == '/')
}

// path has what is committed and what is on the disk at p loaded, and, because what
// was at p may be elsewhere now, there too.
func (g *gatherer) path(p string) {
	g.load(p)
	for _, q := range g.related(p) {
		g.load(q)
	}
}

// related returns where what was at p can be since directories were moved, and where
// what is at p can have been. Moves can follow on each other, each at most once: a
// directory that was moved into its successor would have no end of paths otherwise.
func (g *gatherer) related(p string) (all []string) {
	for _, step := range []func(string) string{g.now, g.was} {
		q := p
		for range g.move.moves {
			next := step(q)
			if next == q || next == p || len(next) > reconcile.MaxPath {
				break
			}
			all = append(all, next)
			q = next
		}
	}
	return append(all, g.found.across(p)...)
}

// relate has loaded, after directories were found elsewhere, what is or was there of all that
// was looked at before.
func (g *gatherer) relate() {
	if !g.afresh {
		return
	}
	g.afresh = false
	for _, p := range slices.Collect(maps.Keys(g.looked)) {
		for _, q := range g.found.across(p) {
			g.load(q)
		}
	}
}

func (g *gatherer) load(p string) {
	if p == "" || p == reconcile.Aside || p == private || g.looked[p] {
		return
	}
	g.looked[p] = true
	g.load(parent(p))
	g.later(func() error { return g.look(p) })
}

func (g *gatherer) look(p string) error {
	if g.fold != nil {
		if err := g.twinPaths(p); err != nil {
			return err
		}
	}
	row, known, err := g.r.Row(p)
	if err != nil {
		return err
	}
	if known {
		g.base[p] = row
		if row.Kind == reconcile.KindFile {
			g.entry(reconcile.EntryID(row.Made)) // of what was rescued, if this was
		}
		for _, ref := range row.Refs {
			g.entry(ref.ID)
			g.entry(ref.Of)
			if row.Kind == reconcile.KindDir && len(row.Refs) > 1 {
				g.expand(ref.ID)
			}
		}
	}
	if parent(p) == "" {
		g.spot(reconcile.Spot{Name: p})
	}
	seen, found, err := g.d.Row(g.ctx, p)
	if err != nil {
		return err
	}
	// What is as it was committed is taken for granted: steps look before they act.
	// What would be a person's work is looked at, for it will be told to others.
	if !found || !known || seen.Item != row.Item {
		var state Observed
		seen, state, err = g.d.Observe(g.ctx, p, seen)
		if err != nil {
			return err
		}
		switch {
		case state == Other:
			g.disk[p] = reconcile.Item{Kind: reconcile.KindOther}
			g.unsure = append(g.unsure, p)
			return nil
		case state != Current:
			if found {
				g.unsure = append(g.unsure, p) // it may be elsewhere, which the scan does not know yet
			}
			return g.gone(p, row)
		}
	}
	if row.Kind == reconcile.KindDir && seen.Kind != reconcile.KindDir {
		if err := g.gone(p, row); err != nil {
			return err
		}
	}
	g.disk[p], g.changed[p] = seen.Item, seen.Changed
	return nil
}

// bereave brings what was committed in directories that are not where they were.
func (g *gatherer) bereave() {
	twins := map[uint64]int{}
	for _, row := range g.base {
		if row.Kind == reconcile.KindDir && row.Inode != 0 {
			twins[row.Inode]++
		}
	}
	var bereft []string
	for p, row := range g.base {
		if row.Kind != reconcile.KindDir || g.bereft[p] {
			continue
		}
		item, there := g.disk[g.now(p)]
		same := there && item.Kind == reconcile.KindDir && (item.Inode == row.Inode || item.Inode == 0 || row.Inode == 0)
		if (!same || twins[row.Inode] > 1) && !(there && item.Kind == reconcile.KindOther) {
			g.bereft[p] = true
			bereft = append(bereft, p)
		}
	}
	// The queue begins with what came last: directories before those in them.
	slices.Sort(bereft)
	for _, p := range slices.Backward(bereft) {
		g.later(func() error { return g.within(p) })
	}
	for _, p := range slices.Backward(bereft) {
		g.later(func() error { return g.find(p, g.base[p]) })
	}
}

// find has loaded what is in the directory of row, which was at p, if it is known where it
// is now.
func (g *gatherer) find(p string, row reconcile.Row) error {
	if row.Inode == 0 {
		return nil
	}
	q, known, err := g.d.ByInode(g.ctx, row.Inode)
	if err != nil || !known || slices.Contains(g.related(p), q) || q == p {
		return err
	}
	g.found.add(Move{From: p, To: q})
	g.afresh = true
	g.path(q)
	return nil
}

// gone has all that is committed in a directory loaded that is not there any more:
// its row goes with all below. If it is known where it was moved, they go along.
func (g *gatherer) gone(p string, row reconcile.Row) error {
	if row.Kind != reconcile.KindDir || g.now(p) != p {
		return nil
	}
	return g.within(p)
}

// unite expands directories that are one, or may be: those that share a spot, where
// the directories that they are in may be one too.
func (g *gatherer) unite() {
	type spot struct {
		group reconcile.EntryID
		name  string
	}
	group := map[reconcile.EntryID]reconcile.EntryID{}
	of := func(id reconcile.EntryID) reconcile.EntryID {
		for {
			up, ok := group[id]
			if !ok {
				return id
			}
			id = up
		}
	}
	for again := true; again; {
		again = false
		first := map[spot]reconcile.EntryID{}
		for id, e := range g.global {
			if e.Kind != reconcile.KindDir {
				continue
			}
			for _, p := range e.Places {
				at := spot{of(p.Parent), p.Name}
				other, taken := first[at]
				if !taken {
					first[at] = id
					continue
				}
				a, b := of(id), of(other)
				if a == b {
					continue
				}
				if a.Compare(b) < 0 {
					a, b = b, a
				}
				group[a] = b
				g.expand(id)
				g.expand(other)
				again = true
			}
		}
	}
}

// follow loads what the tree that people will see depends on: what is at its paths
// now, and what else wants the names of conflict copies, or of what is new on the disk.
func (g *gatherer) follow() {
	view := g.global.View()
	for p, shown := range view.At {
		g.path(p)
		g.rival(view, p)
		if shown.Kind == reconcile.KindDir && len(shown.Refs) > 1 {
			for _, ref := range shown.Refs {
				g.expand(ref.ID)
			}
		}
	}
	for p := range g.disk {
		g.rival(view, p)
	}
}

// rival loads what has a place at the spot of p, and what would be shown there as a
// conflict copy if nothing else was.
func (g *gatherer) rival(view reconcile.View, p string) {
	dirs := []reconcile.Ref{{}}
	if dir := parent(p); dir != "" {
		dirs = view.At[dir].Refs
	}
	for _, name := range []string{lastName(p), uncontested(lastName(p))} {
		for _, ref := range dirs {
			g.spot(reconcile.Spot{Parent: ref.ID, Name: name})
		}
	}
}

// uncontested returns the name of which name is that of a conflict copy, or else name.
func uncontested(name string) string {
	begin := strings.LastIndex(name, " (conflict ")
	if begin <= 0 {
		return name
	}
	end := strings.IndexByte(name[begin:], ')')
	if end < 0 {
		return name
	}
	return name[:begin] + name[begin+end+1:]
}

// sorted returns the keys of a set.
func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for p := range set {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

const private = ".shoal"

func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

func lastName(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
