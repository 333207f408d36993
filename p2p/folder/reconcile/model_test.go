package reconcile

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
)

// dice draws a number from 0 to n-1: rapid's, which can shrink, or a seed's.
type dice func(n int) int

// failer is what both *testing.T and *rapid.T can do.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// world is a model of some nodes with disks, and of everything that was ever
// written on one of them.
type world struct {
	t        failer
	roll     dice
	nodes    []*modelNode
	seq      int
	recorded map[Hash]string // contents that a plan has recorded: where
	consumed map[Hash]bool   // contents that a person has replaced or deleted
	log      []func() string // made into text only when a game is lost
	twice    bool            // make every plan twice and compare
}

// modelNode is a computer: what is on its disk, and what is in its database.
type modelNode struct {
	w      *world
	name   string
	author Author
	base   Base
	global Global
	disk   Disk
	trash  map[Hash]bool
	inbox  []Entry
	clean  bool // nothing came since everything was done
	torn   bool // a step was done and its row was lost, and there was no scan since

	inode uint64
	freed []uint64
}

func memberOf(name string) p2p.ID { return sha256.Sum256([]byte("member " + name)) }

func hashOf(content string) Hash { return sha256.Sum256([]byte(content)) }

func newWorld(t failer, roll dice, nodes int) *world {
	w := &world{t: t, roll: roll, recorded: map[Hash]string{}, consumed: map[Hash]bool{}}
	for i := range nodes {
		name := string(rune('A' + i))
		w.nodes = append(w.nodes, &modelNode{
			w: w, name: name, author: Author{Member: memberOf(name), Incarnation: 1},
			base: Base{}, global: Global{}, disk: Disk{}, trash: map[Hash]bool{},
		})
	}
	return w
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, func() string { return fmt.Sprintf(format, args...) })
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.log {
		w.t.Logf("%s", line())
	}
	for _, n := range w.nodes {
		w.t.Logf("%s has %v", n.name, n.tree())
	}
	w.t.Fatalf(format, args...)
}

// tree is what a person sees.
func (n *modelNode) tree() map[string]string {
	out := map[string]string{}
	for p, it := range n.disk {
		if !inAside(p) {
			out[p] = fmt.Sprintf("%s %.4s %o", it.Kind, it.Hash, it.Mode)
		}
	}
	return out
}

// What the program does.

// reconcile makes a plan and carries it out, up to the step after which it
// crashes; without the row of that step if lose. -1: before the commit.
func (n *modelNode) reconcile(crash int, lose bool) Plan {
	plan := Reconcile(n.base, n.disk, n.global, Options{Author: n.author})
	n.w.note("%s: reconcile crash=%d lose=%v\n%s", n.name, crash, lose, plan)
	if n.w.twice {
		n.again(plan)
	}
	if n.clean && slices.ContainsFunc(plan.Steps, func(s Step) bool { return s.Do != DoNote }) {
		n.w.fail("%s: what only a person did here makes steps", n.name)
	}
	if crash < 0 {
		return plan
	}
	n.commit(plan)
	n.clean, n.torn = len(plan.Problems) == 0, false
	for i, s := range plan.Steps {
		if i == crash && !lose {
			n.clean = false
			return plan
		}
		if !n.act(s) {
			n.clean = false
			continue
		}
		if i == crash {
			n.clean, n.torn = false, true
			return plan
		}
		n.row(s)
	}
	return plan
}

// again makes the plan once more, of maps that were filled in another order.
func (n *modelNode) again(plan Plan) {
	base, disk, global := maps.Clone(n.base), maps.Clone(n.disk), Global{}
	for _, e := range n.global {
		global.Merge(e)
		global.Merge(e)
	}
	other := Reconcile(base, disk, global, Options{Author: n.author})
	if diff := cmp.Diff(plan, other); diff != "" {
		n.w.fail("%s: not the same plan: %s", n.name, diff)
	}
	if !maps.Equal(disk, n.disk) || len(global) != len(n.global) {
		n.w.fail("%s: planning changed its arguments", n.name)
	}
}

func (n *modelNode) commit(plan Plan) {
	for _, e := range plan.Entries {
		if err := e.Check(Rules{}); err != nil {
			n.w.fail("%s made what others refuse: %v", n.name, err)
		}
		n.global.Merge(e)
	}
	n.author = plan.Author
	for _, p := range plan.Unset {
		delete(n.base, p)
	}
	for _, s := range plan.Set {
		n.base[s.Path] = s.Row
	}
	for p, it := range n.disk {
		if it.Kind == KindFile {
			n.w.recorded[it.Hash] = n.name + ":" + p
		}
	}
	for _, e := range plan.Entries {
		for _, to := range n.w.nodes {
			if to != n {
				to.inbox = append(to.inbox, e)
			}
		}
	}
}

// act does a step as a careful shell does: not at all if anything is not as
// expected, which never is the case here. It reports false if the content cannot be
// had, because somebody has replaced it and not noticed yet.
func (n *modelNode) act(s Step) bool {
	check := func(ok bool, what string) {
		if !ok {
			n.w.fail("%s: step %v: %s", n.name, s, what)
		}
	}
	at, exists := n.disk[s.Path]
	_, hasParent := n.disk[parent(s.Path)]
	check(parent(s.Path) == "" || parent(s.Path) == Aside || hasParent, "no directory")
	switch s.Do {
	case DoTrash:
		check(exists && at == s.Expect, "not what is expected")
		check(at.Kind == KindFile || len(n.below(s.Path)) == 1, "not empty")
		n.discard(s)
		delete(n.disk, s.Path)
	case DoMove:
		check(!exists && n.disk[s.From] == s.Expect, "not what is expected")
		n.shift(s.From, s.Path)
	case DoMkdir:
		check(!exists, "exists")
		n.disk[s.Path] = Item{Kind: KindDir, Mode: s.Row.Mode, Inode: n.newInode()}
	case DoCopy, DoFetch:
		check(!exists, "exists")
		if s.Do == DoCopy {
			check(n.disk[s.From] == s.Expect && s.Expect.Hash == s.Row.Hash, "not what is expected")
		}
		return n.install(s)
	case DoReplace:
		check(exists && at == s.Expect, "not what is expected")
		if !n.available(s.Row.Hash) {
			return false
		}
		n.discard(s)
		return n.install(s)
	case DoMeta:
		check(exists && at == s.Expect, "not what is expected")
		at.Mode, at.Modified = s.Row.Mode, s.Row.Modified
		n.disk[s.Path] = at
	case DoNote:
		check(exists && at == s.Expect, "not what is expected")
	}
	return true
}

// discard puts what is at a path into the trash. What was not recorded must never
// be.
func (n *modelNode) discard(s Step) {
	it := n.disk[s.Path]
	n.freed = append(n.freed, it.Inode)
	if it.Kind != KindFile {
		return
	}
	if _, ok := n.w.recorded[it.Hash]; !ok {
		n.w.fail("%s: step %v destroys what was not recorded", n.name, s)
	}
	n.trash[it.Hash] = true
}

// available reports whether h is on a disk or in a trash. What nobody has consumed
// always must be.
func (n *modelNode) available(h Hash) bool {
	for _, m := range n.w.nodes {
		if m.trash[h] {
			return true
		}
		for _, it := range m.disk {
			if it.Kind == KindFile && it.Hash == h {
				return true
			}
		}
	}
	if !n.w.consumed[h] {
		n.w.fail("%s: nobody has content %.4s", n.name, h)
	}
	return false
}

func (n *modelNode) install(s Step) bool {
	if !n.available(s.Row.Hash) {
		return false
	}
	it := s.Row.Item
	it.Inode = n.newInode()
	n.disk[s.Path] = it
	return true
}

// row commits the row of a step that was done.
func (n *modelNode) row(s Step) {
	if s.Do == DoMove {
		for _, p := range slices.Sorted(maps.Keys(n.base)) {
			if strings.HasPrefix(p, s.From+"/") {
				n.base[s.Path+strings.TrimPrefix(p, s.From)] = n.base[p]
				delete(n.base, p)
			}
		}
		delete(n.base, s.From)
	}
	if s.Do == DoTrash {
		delete(n.base, s.Path)
		return
	}
	row := s.Row
	row.Item = n.disk[s.Path]
	n.base[s.Path] = row
}

// receive merges a message.
func (n *modelNode) receive(e Entry) {
	if n.torn { // see Plan
		n.reconcile(1<<30, false)
	}
	if n.global.Merge(e) {
		n.clean = false
	}
}

// loseState is what happens when a database is gone: everything but the disk. What
// was announced can still be had afterwards: it goes to the trash of the model,
// for if somebody replaces the last copy of a content while the node does not know
// that it ever announced it, nobody can know. And somebody has heard everything:
// exchange is in order, so that there are no files in directories that nobody
// knows, which would wait for ever.
func (n *modelNode) loseState() {
	n.reconcile(0, false)
	for _, it := range n.disk {
		n.trash[it.Hash] = true
	}
	to := n.w.nodes[(slices.Index(n.w.nodes, n)+1)%len(n.w.nodes)]
	for _, e := range n.global {
		to.receive(e)
	}
	n.w.note("%s: loses its state", n.name)
	defer func() { n.reconcile(n.w.roll(4), true) }()
	n.base, n.global, n.inbox, n.clean = Base{}, Global{}, nil, false
	n.author = Author{Member: n.author.Member, Incarnation: n.author.Incarnation + 1}
}

// calm lets everybody hear of everything until nothing happens any more.
func (w *world) calm() {
	w.note("calm")
	for range 6 {
		busy := false
		for _, to := range w.nodes {
			if to.torn {
				to.reconcile(1<<30, false)
			}
			to.inbox = nil
			for _, from := range w.nodes {
				for _, e := range from.global {
					if to.global.Merge(e) {
						busy, to.clean = true, false
					}
				}
			}
		}
		for _, n := range w.nodes {
			plan := n.reconcile(1<<30, false)
			busy = busy || len(plan.Entries)+len(plan.Steps)+len(plan.Set)+len(plan.Unset) > 0
		}
		if !busy {
			w.check()
			return
		}
	}
	w.fail("does not come to rest")
}

// check holds what must be true when all is calm.
func (w *world) check() {
	first := w.nodes[0].tree()
	for _, n := range w.nodes[1:] {
		if tree := n.tree(); !maps.Equal(first, tree) {
			w.fail("%s and %s differ:\n%v\n%v", w.nodes[0].name, n.name, first, tree)
		}
	}
	for _, n := range w.nodes {
		if len(n.tree()) != len(n.disk) {
			w.fail("%s: something is left aside", n.name)
		}
	}
	view := w.nodes[0].global.View()
	for p, shown := range view.At {
		for _, ref := range shown.Refs {
			if view.Where[ref.ID] != p {
				w.fail("entry %v is at %q and at %q", ref.ID, p, view.Where[ref.ID])
			}
		}
	}
	there := map[Hash]bool{}
	for _, it := range w.nodes[0].disk {
		there[it.Hash] = true
	}
	for h, where := range w.recorded {
		if !there[h] && !w.consumed[h] {
			w.fail("content %.4s, once at %s, is gone and nobody replaced or deleted it", h, where)
		}
	}
}

// String makes plans readable in logs and tables.
func (p Plan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "    * %s %s %s\n", c.Kind, c.From, c.Path)
	}
	for _, e := range p.Entries {
		fmt.Fprintf(&b, "    # %v %s\n", e.ID, e.Kind)
		for _, x := range e.Places {
			fmt.Fprintf(&b, "        at %v %q %v auto=%v\n", x.Parent, x.Name, x.Vector, x.Auto)
		}
		for _, x := range e.Contents {
			fmt.Fprintf(&b, "        is %.4s deleted=%v %v seen %v made %v\n", x.Hash, x.Deleted, x.Vector, x.Seen, x.Made)
		}
	}
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "    > %v\n", s)
	}
	for _, x := range p.Problems {
		fmt.Fprintf(&b, "    ! %s: %s\n", x.Path, x.Why)
	}
	return b.String()
}

func (s Step) String() string {
	from := ""
	if s.From != "" {
		from = s.From + " "
	}
	return fmt.Sprintf("%s %s%s", s.Do, from, s.Path)
}

var _ failer = (*testing.T)(nil)
