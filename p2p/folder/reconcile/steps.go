package reconcile

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// run makes the steps, in this order: files that are not needed go to the trash;
// the tree of directories, and what is moved, gets its shape; missing files come;
// files are replaced; modes and times; rows without any action.
func (l *layout) run() {
	l.trashFiles()
	l.shape()
	l.makeFiles()
	l.replaceFiles()
	l.finish()
}

func (l *layout) do(s Step) { l.steps = append(l.steps, s) }

// trashFiles trashes what has no path.
//
// If its entry is alive, because several files became one, or its content is shown elsewhere now,
// because it has won a name, the row is emptied first: were it lost after the file went, it would
// look as if a person had deleted the entry, or the content.
func (l *layout) trashFiles() {
	made := sync.OnceValue(l.view.made)
	for _, n := range l.nodes {
		if n.item.Kind != KindFile || !n.goes() {
			continue
		}
		gone := Step{Do: DoTrash, Path: l.path(n), Expect: n.item}
		if twin := l.twin(n); twin != nil {
			gone.Kept, gone.As = l.path(twin), twin.item
		}
		if alive(l.view, n.row) || made()[n.row.Made][n.row.Hash] {
			note := gone
			note.Do, note.Row = DoNote, Row{Item: n.item}
			l.do(note)
		}
		l.do(gone)
		l.take(n)
	}
}

// twin returns the file for which n goes: that has the content, where n's entry is shown; or of what
// was without an entry, or has lost it because it was to go, anywhere.
func (l *layout) twin(n *node) *node {
	same := func(t *node) bool {
		return t != nil && t != n && t.parent != nil && t.item.Kind == KindFile && t.item.Hash == n.item.Hash
	}
	for _, ref := range n.row.Refs {
		if t := l.has[l.view.Where[ref.ID]]; same(t) {
			return t
		}
	}
	if len(n.row.Refs) > 0 {
		return nil
	}
	for _, q := range l.paths {
		if t := l.has[q]; same(t) {
			return t
		}
	}
	return nil
}

// shape moves what is moved, makes directories, and removes those that go.
//
// A target is ready when its directory is final: it and all above have the paths
// that they will have. Targets are tried from the top down, until nothing more can
// be done; then what stands in the way is put aside, and it goes on. It ends,
// because every round does a step, and everything is put aside once at most. What
// is aside is in nobody's way, so that the topmost target that is not done yet has
// a ready directory, and either it is free, or what occupies it is something that
// goes, or that can be put aside, or is held; the last was refused in settle.
func (l *layout) shape() {
	targets := l.targets()
	for {
		progress := l.removeEmpty()
		left := targets[:0]
		for _, q := range targets {
			if l.reach(q) {
				progress = true
			} else {
				left = append(left, q)
			}
		}
		targets = left
		if len(targets) == 0 && !progress {
			return
		}
		if !progress && !l.makeRoom(targets) {
			for _, q := range targets {
				l.problems = append(l.problems, Problem{Path: q, Why: "nothing makes room for it"})
			}
			return
		}
	}
}

// targets returns the paths that something must move to, or that a directory must
// be made at, from the top down.
func (l *layout) targets() []string {
	var out []string
	for _, q := range l.paths {
		shown, ok := l.wanted[q]
		if !ok {
			continue
		}
		n := l.has[q]
		if n == nil {
			if shown.Kind == KindDir {
				out = append(out, q)
			}
			continue
		}
		// What is in its place can still be in a directory that leaves with it.
		if end, ok := l.final(n); !ok || end != q || l.path(n) != q {
			out = append(out, q)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")) })
	return out
}

// ready returns the directory at dir if it is final.
func (l *layout) ready(dir string) *node {
	n := l.root
	if dir == "" {
		return n
	}
	for name := range strings.SplitSeq(dir, "/") {
		n = n.kids[l.fold(name)]
		if n == nil || n.item.Kind != KindDir || n.want == "" || n.want != l.path(n) {
			return nil
		}
	}
	return n
}

// reach does the step for target q, if that is possible now. It reports whether
// q is reached.
func (l *layout) reach(q string) bool {
	dir, n, shown := l.ready(parent(q)), l.has[q], l.wanted[q]
	if dir == nil {
		return false
	}
	occupant := dir.kids[l.fold(lastName(q))]
	switch {
	case n != nil && occupant == n && n.name == lastName(q):
		return true // its directory was moved with it
	case occupant != nil:
		return false
	case n == nil:
		item := Item{Kind: KindDir, Mode: shown.Mode}
		made := &node{name: lastName(q), item: item, kids: map[string]*node{}, row: rowOf(item, shown), want: q}
		l.do(Step{Do: DoMkdir, Path: q, Row: made.row})
		l.put(dir, made)
		l.nodes = append(l.nodes, made)
		l.has[q] = made
		return true
	}
	row := rowOf(n.item, shown)
	if !agrees(shown, n.item) {
		row.Dot, row.Made, row.Parent, row.Refs = n.row.Dot, n.row.Made, n.row.Parent, halfway(n.row, shown)
	}
	l.relocate(n, dir, lastName(q), row)
	return true
}

// relocate moves n.
func (l *layout) relocate(n, dir *node, name string, row Row) {
	from := l.path(n)
	l.take(n)
	n.name, n.row = name, row
	l.put(dir, n)
	l.do(Step{Do: DoMove, Path: l.path(n), From: from, Expect: n.item, Row: row})
}

// removeEmpty removes directories that go, from the bottom up.
func (l *layout) removeEmpty() (any bool) {
	for _, n := range slices.Backward(l.nodes) {
		if n.item.Kind != KindDir || !n.goes() || n.parent == nil || len(n.kids) > 0 {
			continue
		}
		l.do(Step{Do: DoTrash, Path: l.path(n), Expect: n.item})
		l.take(n)
		any = true
	}
	return any
}

// makeRoom puts aside what stands in the way of the first target that is ready but
// for that.
func (l *layout) makeRoom(targets []string) bool {
	for _, q := range targets {
		dir := l.ready(parent(q))
		if dir == nil {
			continue
		}
		if n := l.mover(dir.kids[l.fold(lastName(q))]); n != nil {
			n.aside = true
			l.relocate(n, l.asides, lastName(asideOf(n.row.Refs[0].ID, n.name)), n.row)
			return true
		}
	}
	return false
}

// mover returns what must leave so that n can go: n itself, or if it goes for good
// something in it.
func (l *layout) mover(n *node) *node {
	switch {
	case n == nil || n.aside:
		return nil
	case n.want != "" && len(n.row.Refs) > 0:
		return n
	}
	for _, n := range sortedKids(n) {
		if m := l.mover(n); m != nil {
			return m
		}
	}
	return nil
}

func sortedKids(n *node) []*node {
	kids := make([]*node, 0, len(n.kids))
	for _, k := range n.kids {
		kids = append(kids, k)
	}
	slices.SortFunc(kids, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	return kids
}

// makeFiles makes the files that are missing: of a file that has the content, if
// there is one (which is how most conflict copies come about), or of what others
// have.
func (l *layout) makeFiles() {
	local := map[Hash]*node{}
	for _, n := range l.nodes {
		if _, ok := local[n.item.Hash]; !ok && n.item.Kind == KindFile && n.parent != nil {
			local[n.item.Hash] = n
		}
	}
	for _, q := range l.paths {
		shown, ok := l.wanted[q]
		if !ok || shown.Kind != KindFile || l.has[q] != nil || l.ready(parent(q)) == nil {
			continue
		}
		s := Step{Do: DoFetch, Path: q, Row: rowOf(itemOf(shown), shown)}
		if n := local[shown.Hash]; n != nil {
			s.Do, s.From, s.Expect = DoCopy, l.path(n), n.item
		}
		l.do(s)
	}
}

// itemOf is what a file will be once it is as shown.
func itemOf(shown Shown) Item {
	return Item{Kind: shown.Kind, Size: shown.Size, Modified: shown.Modified, Mode: shown.Mode, Hash: shown.Hash}
}

// replaceFiles brings the files that have their path up to date. It comes after
// makeFiles, which may need what they have now.
func (l *layout) replaceFiles() {
	for _, q := range l.paths {
		shown, n := l.wanted[q], l.has[q]
		if n == nil || n.item.Kind != KindFile || n.item.Hash == shown.Hash || l.path(n) != q {
			continue
		}
		l.do(Step{Do: DoReplace, Path: q, Expect: n.item, Row: rowOf(itemOf(shown), shown)})
	}
}

// finish sets modes and times and commits what needs no action. What was
// set once is not set again, for not every file system can keep every mode and
// time.
func (l *layout) finish() {
	for _, q := range l.paths {
		shown, n := l.wanted[q], l.has[q]
		if n == nil || n.item.Hash != shown.Hash || l.path(n) != q {
			continue
		}
		row := rowOf(n.item, shown)
		switch {
		case sameRows(n.row, row):
		case agrees(shown, n.item) || n.row.Dot == shown.Dot:
			l.do(Step{Do: DoNote, Path: q, Expect: n.item, Row: row})
		default:
			item := n.item
			item.Mode = shown.Mode
			if item.Kind == KindFile {
				item.Modified = shown.Modified
			}
			row.Item = item
			l.do(Step{Do: DoMeta, Path: q, Expect: n.item, Row: row})
		}
	}
}
