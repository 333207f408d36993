package reconcile

import (
	"maps"
	"slices"
	"strings"
)

// node is something on the disk, in a model of the disk on which the steps of a
// plan are tried.
type node struct {
	name   string
	parent *node
	kids   map[string]*node // by folded name
	item   Item
	row    Row
	held   bool   // stays in its directory, under its name
	want   string // the path that it will have; "" none
	aside  bool   // was put aside
}

// layout finds the steps from the disk to the view.
type layout struct {
	view   View
	fold   func(string) string
	root   *node
	asides *node
	nodes  []*node          // all, directories before what is in them
	wanted map[string]Shown // what can be shown here
	paths  []string         // of wanted, sorted
	has    map[string]*node // what will be at a wanted path

	steps    []Step
	problems []Problem
}

func newLayout(disk Disk, rows Base, view View, fold func(string) string) *layout {
	if fold == nil {
		fold = func(name string) string { return name }
	}
	l := &layout{
		view: view, fold: fold, wanted: maps.Clone(view.At), has: map[string]*node{},
		root:   &node{kids: map[string]*node{}, item: Item{Kind: KindDir}},
		asides: &node{kids: map[string]*node{}, item: Item{Kind: KindDir}},
	}
	waiting := map[EntryID]bool{}
	for _, id := range view.Waiting {
		waiting[id] = true
	}
	at := map[string]*node{"": l.root, Aside: l.asides}
	for _, p := range slices.Sorted(maps.Keys(disk)) {
		dir := at[parent(p)]
		if dir == nil {
			continue
		}
		row, known := rows[p]
		n := &node{name: lastName(p), item: disk[p], row: row, aside: isAside(p)}
		n.held = !known || n.item.Kind == KindOther || len(row.Refs) > 0 && waiting[row.Refs[0].ID]
		if n.item.Kind == KindDir {
			n.kids = map[string]*node{}
		}
		at[p] = n
		l.nodes = append(l.nodes, n)
		l.put(dir, n)
	}
	l.paths = slices.Sorted(maps.Keys(l.wanted))
	l.removeTwins()
	return l
}

func (l *layout) put(dir, n *node) {
	n.parent = dir
	dir.kids[l.fold(n.name)] = n
}

func (l *layout) take(n *node) {
	delete(n.parent.kids, l.fold(n.name))
	n.parent = nil
}

// path returns where n is now.
func (l *layout) path(n *node) string {
	switch n.parent {
	case l.root:
		return n.name
	case l.asides:
		return join(Aside, n.name)
	}
	return join(l.path(n.parent), n.name)
}

// final returns where n would come to be if it is not moved itself; false if its
// directory goes.
func (l *layout) final(n *node) (string, bool) {
	switch d := n.parent; {
	case d == l.root:
		return n.name, true
	case d == l.asides:
		return "", false
	case d.want != "":
		return join(d.want, n.name), true
	case d.held:
		at, ok := l.final(d)
		return join(at, n.name), ok
	}
	return "", false
}

// removeTwins leaves out what cannot be beside something else: of several names
// that the file system takes for one the one that is there already stays, or else
// the first. It is a matter of this disk only, the state has all of them.
func (l *layout) removeTwins() {
	for _, group := range (View{At: l.wanted}).Twins(l.fold) {
		// What is below a twin directory went with it.
		group = slices.DeleteFunc(group, func(p string) bool { _, still := l.wanted[p]; return !still })
		keep := strings.Join(group[:min(1, len(group))], "")
		for _, p := range group {
			if n := l.lookup(p); n != nil && l.path(n) == p && l.shows(n, p) {
				keep = p
			}
		}
		for _, p := range group {
			if p != keep {
				l.refuse(p, "cannot be beside "+keep+" on this file system")
			}
		}
	}
}

// lookup returns what is at p now.
func (l *layout) lookup(p string) *node {
	n := l.root
	for name := range strings.SplitSeq(p, "/") {
		if n = n.kids[l.fold(name)]; n == nil {
			return nil
		}
	}
	return n
}

// shows reports whether the view shows n at p.
func (l *layout) shows(n *node, p string) bool {
	return slices.ContainsFunc(n.row.Refs, func(ref Ref) bool { return l.view.Where[ref.ID] == p })
}

// refuse gives up p and all below. What would have been there stays where it is, unless
// it was only to serve there for something else: what is dead goes.
func (l *layout) refuse(p, why string) {
	l.problems = append(l.problems, Problem{Path: p, Why: why})
	for _, q := range l.paths {
		if q != p && !strings.HasPrefix(q, p+"/") {
			continue
		}
		if n := l.has[q]; n != nil {
			n.want, n.held = "", alive(l.view, n.row)
		}
		delete(l.has, q)
		delete(l.wanted, q)
	}
}

// assign decides for everything on the disk which wanted path it will have, if
// any.
func (l *layout) assign() {
	l.assignDirectories()
	l.assignFiles()
}

// give lets n have path q.
func (l *layout) give(n *node, q string) { n.want, l.has[q] = q, n }

// open reports whether q wants something of n's kind and nothing has it.
func (l *layout) open(n *node, q string) bool {
	shown, ok := l.wanted[q]
	return ok && l.has[q] == nil && shown.Kind == n.item.Kind
}

// all calls f for every node of a kind that has no path yet.
func (l *layout) all(kind Kind, f func(n *node)) {
	for _, n := range l.nodes {
		if n.item.Kind == kind && !n.held && n.want == "" {
			f(n)
		}
	}
}

// stays gives n the path that it has in its directory, if fit.
func (l *layout) stays(n *node, fit func(q string) bool) {
	if q, ok := l.final(n); ok && l.open(n, q) && fit(q) {
		l.give(n, q)
	}
}

// assignDirectories: what is in its place stays; then what belongs elsewhere goes
// there; then what belongs nowhere serves for another directory of its name.
func (l *layout) assignDirectories() {
	l.all(KindDir, func(n *node) { l.stays(n, func(q string) bool { return l.shows(n, q) }) })
	l.all(KindDir, func(n *node) {
		l.stays(n, func(q string) bool { return l.shows(n, q) })
		for _, ref := range n.row.Refs {
			if q, ok := l.view.Where[ref.ID]; ok && n.want == "" && l.open(n, q) {
				l.give(n, q)
			}
		}
	})
	l.all(KindDir, func(n *node) { l.stays(n, func(string) bool { return true }) })
	l.all(KindDir, l.hold)
}

// hold keeps n if it belongs to a path that was refused.
func (l *layout) hold(n *node) {
	for _, ref := range n.row.Refs {
		if q, ok := l.view.Where[ref.ID]; ok {
			_, wanted := l.wanted[q]
			n.held = n.held || !wanted
		}
	}
}

// assignFiles: what is right stays; then what is right goes where it belongs; then
// what is of the right entry stays or goes, to be replaced there; then the files of
// dead entries serve for others, by path or by content. Files of living entries
// never serve for others: if the step's row were lost, it would look as if a person
// had made one of the other.
func (l *layout) assignFiles() {
	equal := func(n *node, q string) bool { return l.wanted[q].Hash == n.item.Hash }
	byID := func(n *node, fit func(q string) bool) {
		for _, ref := range n.row.Refs {
			if q, ok := l.view.Where[ref.ID]; ok && n.want == "" && l.open(n, q) && fit(q) {
				l.give(n, q)
			}
		}
	}
	dead := func(n *node) bool { return !alive(l.view, n.row) }
	l.all(KindFile, func(n *node) {
		l.stays(n, func(q string) bool { return equal(n, q) && (l.shows(n, q) || dead(n)) })
	})
	l.all(KindFile, func(n *node) { byID(n, func(q string) bool { return equal(n, q) }) })
	l.all(KindFile, func(n *node) { l.stays(n, func(q string) bool { return l.shows(n, q) }) })
	l.all(KindFile, func(n *node) { byID(n, func(string) bool { return true }) })
	l.all(KindFile, func(n *node) {
		l.stays(n, func(string) bool { return dead(n) })
	})
	need := map[Hash][]string{}
	for _, q := range l.paths {
		if shown, ok := l.wanted[q]; ok && shown.Kind == KindFile && l.has[q] == nil {
			need[shown.Hash] = append(need[shown.Hash], q)
		}
	}
	l.all(KindFile, func(n *node) {
		if qs := need[n.item.Hash]; len(qs) > 0 && dead(n) {
			l.give(n, qs[0])
			need[n.item.Hash] = qs[1:]
		}
	})
	l.all(KindFile, l.hold)
}

// settle finds what must stay: directories that go, but hold something that
// stays, and whatever wants a path that something else does not leave.
func (l *layout) settle() {
	for changed := true; changed; {
		changed = l.holdAround() || l.refuseBlocked()
	}
}

// goes reports whether n is to go from the disk.
func (n *node) goes() bool { return n.want == "" && !n.held }

// holdAround keeps the directories around what is held.
func (l *layout) holdAround() (changed bool) {
	for _, n := range slices.Backward(l.nodes) {
		if dir := n.parent; n.held && dir != l.root && dir != l.asides && dir.goes() {
			dir.held, changed = true, true
			l.problems = append(l.problems, Problem{Path: l.path(dir), Why: "not removed: " + n.name + " in it is not shared"})
		}
	}
	return changed
}

// refuseBlocked refuses what would be where something stays, or below it.
func (l *layout) refuseBlocked() (changed bool) {
	for _, n := range l.nodes {
		q, ok := l.final(n)
		if !n.held || !ok {
			continue
		}
		shown, wanted := l.wanted[q]
		if !wanted {
			continue
		}
		if n.item.Kind == KindDir && shown.Kind == KindDir && l.has[q] == nil && len(n.row.Refs) > 0 {
			n.held = false
			l.give(n, q)
		} else {
			l.refuse(q, "something that is not shared is in the way")
		}
		changed = true
	}
	return changed
}
