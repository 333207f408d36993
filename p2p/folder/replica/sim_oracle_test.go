package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// committed is called when a transaction is durable.
func (n *simNode) committed(put []reconcile.Entry, discarded []Discarded) {
	for _, e := range put {
		for _, p := range e.Places {
			n.uses(p.Dot, fmt.Sprintf("place of %v: %v %s", e.ID, p.Parent, p.Name))
		}
		for _, c := range e.Contents {
			// What this node has told before comes back with what others add to the entry.
			first := n.uses(c.Dot, fmt.Sprintf("content of %v: %v %v", e.ID, c.Hash, c.Deleted))
			if first && c.Deleted && c.Dot.Member == n.id && e.Kind == reconcile.KindFile && !n.took[c.Hash] && !n.shows(c.Hash) {
				n.w.fail("%s: tells that a person has deleted %.4s, %s, which nobody has here", n.name, c.Hash, nameOf(e))
			}
			if !c.Deleted && c.Dot.Member == n.id && e.Kind == reconcile.KindFile {
				n.w.acked[c.Hash] = fmt.Sprintf("%s: %s", n.name, nameOf(e))
			}
		}
	}
	for _, d := range discarded {
		if d.Name != "" {
			n.discards(d)
			// Who has just brought a file may go on working on it.
			if d.Deleted || !slices.Contains(n.w.authors[d.Hash], d.Member) {
				n.checkBrake(d)
			}
		}
	}
}

// shows reports whether people here see a content.
func (n *simNode) shows(h reconcile.Hash) (is bool) {
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		is = is || st.Kind == reconcile.KindFile && !applytest.Hidden(path) && n.w.hash(string(content)) == h
	})
	return is
}

// uses checks that an event of this node means one thing, and reports whether it is new.
func (n *simNode) uses(d reconcile.Dot, what string) (first bool) {
	if d.Member != n.id {
		return false
	}
	kind, _, _ := strings.Cut(what, " ")
	key := fmt.Sprintf("%s %x %d", kind, d.Incarnation, d.Counter)
	old, known := n.made[key]
	if known && old != what && !rescued(old, what) {
		n.w.fail("%s: event %v is used twice:\n%s\n%s", n.name, d, old, what)
	}
	n.made[key] = what
	if n.reader {
		n.w.fail("%s: may only read, and makes %s", n.name, what)
	}
	return !known
}

// rescued reports whether the same content has an entry of its own now.
func rescued(a, b string) bool {
	_, a, _ = strings.Cut(a, ":")
	_, b, _ = strings.Cut(b, ":")
	return a == b
}

// discards checks that what was taken away is in the trash.
func (n *simNode) discards(d Discarded) {
	content, err := n.mem.ReadFile(apply.TrashDir + "/" + d.Name)
	switch {
	case err != nil:
		n.w.fail("%s: what was at %s is not in the trash: %v", n.name, d.Path, err)
	case n.w.hash(content) != d.Hash:
		n.w.fail("%s: something else is in the trash (%s) than what was at %s: %.20q %.4s, not %.4s", n.name, d.Name, d.Path, content, n.w.hash(content), d.Hash)
	case d.Member.IsZero():
		n.w.fail("%s: nobody has deleted or replaced %s", n.name, d.Path)
	case !d.Time.Equal(n.w.time().Truncate(1e6)):
		n.w.fail("%s: %s was discarded at %v, it is %v", n.name, d.Path, d.Time, n.w.time())
	}
}

// simLet is a file that somebody was let delete or replace.
type simLet struct {
	path string
	at   int64
	gone bool
}

// checkBrake checks that nobody has had more deleted and replaced than is let
// through.
func (n *simNode) checkBrake(d Discarded) {
	by := d.Member
	if by == n.id || n.core == nil || len(n.core.brake.holds[by].Released) > 0 {
		return
	}
	// A file that is replaced again and again is one.
	same := slices.IndexFunc(n.let[by], func(x simLet) bool { return x.path == d.Path && !x.gone })
	if same < 0 {
		same = len(n.let[by])
		n.let[by] = append(n.let[by], simLet{path: d.Path})
	}
	n.let[by][same].at, n.let[by][same].gone = n.w.now, d.Deleted
	sum := 0
	for _, x := range n.let[by] {
		if n.w.now-x.at <= int64(brakeWithin) {
			sum++
		}
	}
	if files := n.w.mostFiles(n); sum > max(n.w.brakeFiles, files/brakePart) {
		n.w.fail("%s: %s has deleted and replaced %d files", n.name, n.w.nameOf(by), sum)
	}
}

// trees returns all of a node's trees, without looking at parts.
func (n *simNode) trees() (base reconcile.Base, disk reconcile.Disk, global reconcile.Global) {
	base, disk, global = reconcile.Base{}, reconcile.Disk{}, reconcile.Global{}
	err := n.store.Read(context.Background(), simFolder, func(r Reader) error {
		dirs := []string{"", reconcile.Aside}
		for len(dirs) > 0 {
			dir := dirs[0]
			dirs = dirs[1:]
			rows, err := r.RowsIn(dir, 0)
			if err != nil {
				return err
			}
			for _, p := range rows {
				base[p.Path] = p.Row
				dirs = append(dirs, p.Path)
			}
		}
		all, err := r.Since(0, 1<<30)
		for _, s := range all {
			global[s.Entry.ID] = s.Entry
		}
		return err
	})
	if err != nil {
		n.w.fail("%s: read: %v", n.name, err)
	}
	for p, s := range n.disk.rows {
		disk[p] = s.Item
	}
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if below(path, reconcile.Aside) && path != reconcile.Aside {
			disk[path] = n.w.seen(path, st, content).Item
		}
	})
	return base, disk, global
}

// checkDone checks, if the program says that it has nothing left to do and the scan
// knows what is on the disk, that there is nothing left to do.
func (n *simNode) checkDone() {
	c := n.core
	if n.reader || len(c.dirty)+len(c.moved)+len(c.again)+len(c.unsure) > 0 || c.all || !n.disk.current() {
		if n.w.calming && !n.reader {
			n.w.fail("%s: is not done: dirty %v again %v unsure %v current %v", n.name, c.dirty, c.again, c.unsure, n.disk.current())
		}
		return
	}
	base, disk, global := n.trees()
	plan := reconcile.Reconcile(base, disk, global, reconcile.Options{Author: c.author, Fold: c.fold})
	if len(plan.Entries)+len(plan.Steps)+len(plan.Set)+len(plan.Unset) > 0 {
		n.w.fail("%s: has said that all is done, and there is left:%s%s", n.name, describePlan(plan), n.about(aboutStep(plan)))
	}
}

// aboutStep is the first path that a plan is about.
func aboutStep(plan reconcile.Plan) string {
	if len(plan.Steps) == 0 {
		return ""
	}
	return plan.Steps[0].Path
}

func describePlan(plan reconcile.Plan) string {
	var b strings.Builder
	for _, x := range plan.Changes {
		fmt.Fprintf(&b, "\n    * %s %s %s", x.Kind, x.From, x.Path)
	}
	for _, e := range plan.Entries {
		fmt.Fprintf(&b, "\n    # %v %s", e.ID, e.Kind)
		for _, p := range e.Places {
			fmt.Fprintf(&b, "\n        at %v %q %v auto=%v", p.Parent, p.Name, p.Vector, p.Auto)
		}
		for _, c := range e.Contents {
			fmt.Fprintf(&b, "\n        is %.4s deleted=%v %v seen %v made %v", c.Hash, c.Deleted, c.Vector, c.Seen, c.Made)
		}
	}
	for _, p := range plan.Unset {
		fmt.Fprintf(&b, "\n    - %s", p)
	}
	for _, p := range plan.Set {
		fmt.Fprintf(&b, "\n    + %s %v", p.Path, p.Row.Refs)
	}
	for _, s := range plan.Steps {
		fmt.Fprintf(&b, "\n    > %s %s %s", s.Do, s.From, s.Path)
	}
	for _, x := range plan.Problems {
		fmt.Fprintf(&b, "\n    ! %s: %s", x.Path, x.Why)
	}
	return b.String()
}

// check holds what must be true when all is calm.
func (w *simWorld) check() {
	w.checkKnown()
	var first *simNode
	for _, n := range w.nodes {
		n.checkTidy()
		if n.reader {
			continue
		}
		n.checkDone()
		if first == nil {
			first = n
		} else if a, b := first.tree(), n.tree(); !maps.Equal(a, b) {
			w.fail("%s and %s differ:\n%s%s", first.name, n.name, differences(a, b), first.describe(a, b)+n.describe(a, b))
		}
	}
	tree := first.tree()
	w.checkReader(tree)
	there := map[reconcile.Hash]bool{}
	first.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if _, seen := tree[path]; seen && st.Kind == reconcile.KindFile {
			there[w.hash(string(content))] = true
		}
	})
	for h, where := range w.acked {
		if !there[h] && !w.consumed[h] {
			w.fail("content %.4s, once at %s, is gone and nobody replaced or deleted it", h, where)
		}
	}
}

// checkKnown checks that all know the same.
func (w *simWorld) checkKnown() {
	first := w.nodes[0]
	_, _, known := first.trees()
	for _, n := range w.nodes {
		_, _, other := n.trees()
		for id, e := range other {
			if !same(e, known[id]) {
				w.fail("%s and %s know different things of %v: %v, %v", first.name, n.name, id, known[id], e)
			}
		}
	}
}

// describe tells what a node thinks of the paths at which two trees differ.
func (n *simNode) describe(a, b map[string]string) string {
	var out strings.Builder
	base, _, global := n.trees()
	view := global.View()
	for _, p := range slices.Sorted(maps.Keys(view.At)) {
		if a[p] != b[p] {
			fmt.Fprintf(&out, "    %s: at %s should be %v mode %o by %v, row mode %o by %v\n", n.name, p, view.At[p].Kind, view.At[p].Mode, view.At[p].Dot, base[p].Mode, base[p].Dot)
		}
	}
	for _, x := range n.core.Problems() {
		fmt.Fprintf(&out, "    %s: %s: %s\n", n.name, x.Path, x.Why)
	}
	return out.String()
}

func differences(a, b map[string]string) string {
	var out strings.Builder
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if a[p] != b[p] {
			fmt.Fprintf(&out, "    %s: %q %q\n", p, a[p], b[p])
		}
	}
	return out.String()
}

// checkTidy checks that nothing is left of what was under way.
func (n *simNode) checkTidy() {
	left := ""
	n.mem.Walk(func(path string, _ apply.Stat, _ []byte) {
		hidden := below(path, reconcile.Aside) && path != reconcile.Aside ||
			below(path, apply.TempDir) && path != apply.TempDir && !strings.HasSuffix(path, partial)
		if hidden {
			left = path
		}
	})
	if left != "" {
		n.w.fail("%s: %s is left over", n.name, left)
	}
	var journal []byte
	var pending []Stored
	err := n.store.Read(context.Background(), simFolder, func(r Reader) (err error) {
		if journal, err = r.Journal(); err != nil {
			return err
		}
		pending, err = r.Pending(0, 10)
		return err
	})
	if err != nil {
		n.w.fail("%s: read: %v", n.name, err)
	}
	if len(journal) > 0 || len(pending) > 0 && !n.reader {
		n.w.fail("%s: a journal of %d bytes and pending entries are left: %v parked: %v", n.name, len(journal), pending, n.core.parked)
	}
}

// checkReader checks what is on the disk of who may only read: all that is shared,
// except where its person has something else, and all that its person has made.
func (w *simWorld) checkReader(tree map[string]string) {
	for _, n := range w.nodes {
		if !n.reader {
			continue
		}
		mine := n.tree()
		all := maps.Clone(tree)
		maps.Copy(all, mine)
		for _, p := range slices.Sorted(maps.Keys(all)) {
			// The modes of directories are what its person makes of them.
			dirs := strings.HasPrefix(tree[p], "dir ") && strings.HasPrefix(mine[p], "dir ")
			if tree[p] != mine[p] && !dirs && !n.explained(p) {
				w.fail("%s: has %q at %s, the others %q; %s", n.name, mine[p], p, tree[p], n.about(p))
			}
		}
		now := n.contents()
		for content := range w.own {
			if !now[content] && !w.consumed[w.hash(content)] {
				w.fail("%s: its own %.20q is gone", n.name, content)
			}
		}
	}
}

// about tells what a node knows of a path.
func (n *simNode) about(p string) string {
	base, disk, global := n.trees()
	view := global.View()
	var b strings.Builder
	fmt.Fprintf(&b, "shown %+v\nrow %+v\non the disk %+v\nlocal %v problems %v parked %v\n", view.At[p], base[p], disk[p], n.core.Locals(), n.core.Problems(), n.core.parked)
	for _, ref := range base[p].Refs {
		fmt.Fprintf(&b, "%v is shown at %q: %+v\n", ref.ID, view.Where[ref.ID], global[ref.ID])
	}
	return b.String()
}

// explained reports whether p is, or is around or in, something that was changed here
// only, or that is said to be a problem.
func (n *simNode) explained(p string) bool {
	base, disk, global := n.trees()
	around := func(q string) bool { return below(q, p) || below(p, q) }
	for q, item := range disk {
		if item.Kind == reconcile.KindDir && base[q].Kind != reconcile.KindDir && around(q) {
			return true
		}
	}
	if slices.ContainsFunc(n.core.Locals(), func(c Changed) bool { return around(c.Path) }) {
		return true
	}
	if slices.ContainsFunc(n.core.Problems(), func(x reconcile.Problem) bool { return around(x.Path) }) {
		return true
	}
	view := global.View() // what cannot go where it belongs stays
	return slices.ContainsFunc(base[p].Refs, func(ref reconcile.Ref) bool {
		at, shown := view.Where[ref.ID]
		return shown && at != p && n.explained(at)
	})
}
