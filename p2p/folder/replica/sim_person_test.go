package replica

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// What persons do, with other programs, directly on the disk of a node.

// paths returns what a person sees: files and directories, sorted.
func (n *simNode) paths() (files, dirs []string) {
	n.mem.Walk(func(path string, st apply.Stat, _ []byte) {
		switch {
		case applytest.Hidden(path):
		case st.Kind == reconcile.KindFile:
			files = append(files, path)
		case st.Kind == reconcile.KindDir:
			dirs = append(dirs, path)
		}
	})
	return files, dirs
}

func (w *simWorld) pick(all []string) (string, bool) {
	if len(all) == 0 {
		return "", false
	}
	return all[w.roll(len(all))], true
}

// fresh returns a path in one of dirs, or in the folder itself.
func (w *simWorld) fresh(dirs []string) string {
	dir := ""
	if k := w.roll(len(dirs) + 1); k > 0 {
		dir = dirs[k-1]
	}
	names := []string{"a.txt", "b.txt", "c", "d", "e", "f"}
	name := names[w.roll(len(names))]
	if w.folds && w.roll(3) == 0 {
		name = strings.ToUpper(name)
	}
	return join(dir, name)
}

// content returns bytes to be written: most are new, some are many nodes' own, some
// are empty, some are of more than a page.
func (w *simWorld) content() string {
	w.seq++
	switch w.roll(12) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("same %d", w.roll(3))
	case 2:
		return strings.Repeat(fmt.Sprintf("long %d ", w.seq), 700)
	}
	return fmt.Sprintf("content %d", w.seq)
}

// act does one thing that a person can do.
func (n *simNode) act() {
	w := n.w
	files, dirs := n.paths()
	file, hasFile := w.pick(files)
	dir, hasDir := w.pick(dirs)
	any, hasAny := w.pick(append(slices.Clone(files), dirs...))
	switch k := w.roll(20); {
	case k < 3 || !hasAny:
		n.write(w.fresh(dirs), w.content())
	case k < 4 || !hasFile:
		n.mkdir(w.fresh(dirs))
	case k < 7:
		n.write(file, w.content())
	case k < 9:
		n.save(file, w.content())
	case k < 11:
		n.remove(file)
	case k == 11:
		n.remove(any)
	case k < 14:
		n.rename(any, w.fresh(dirs))
	case k == 14 && hasDir:
		n.rename(dir, w.fresh(dirs))
	case k == 15:
		other, _ := w.pick(files)
		n.swap(file, other)
	case k == 16 && hasDir:
		other, _ := w.pick(dirs)
		n.swap(dir, other)
	case k == 17:
		n.chmod(any)
	case k == 18:
		n.touch(file)
	default:
		n.copy(file, w.fresh(dirs))
	}
}

// meddle is what a person does while the program is at work at paths: often just there.
func (n *simNode) meddle(paths []string) {
	w := n.w
	at, ok := w.pick(slices.DeleteFunc(slices.Clone(paths), applytest.Hidden))
	if !ok || w.roll(4) == 0 {
		n.act()
		return
	}
	switch kind := n.kind(at); {
	case kind == "" && (parent(at) == "" || n.kind(parent(at)) == reconcile.KindDir):
		n.write(at, w.content())
	case kind == "":
		n.act()
	case kind == reconcile.KindFile && w.roll(3) > 0:
		n.write(at, w.content())
	case kind == reconcile.KindFile && w.roll(2) > 0:
		n.save(at, w.content())
	case w.roll(2) > 0:
		n.remove(at)
	default:
		n.rename(at, w.fresh(nil))
	}
}

func (n *simNode) did(hints []string, format string, args ...any) {
	n.w.note("%s: "+format, append([]any{n.name}, args...)...)
	if n.w.roll(5) > 0 {
		n.disk.Hint(hints...)
	}
	if n.core != nil && !n.busy && !n.core.torn {
		n.must = n.contents()
	}
}

// consume notes that a person replaces or deletes what is at a path.
func (n *simNode) consume(p string) {
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if st.Kind == reconcile.KindFile && below(n.w.key(path), n.w.key(p)) {
			delete(n.must, string(content))
			n.take(n.w.hash(string(content)))
		}
	})
}

// takeBelow is take of all that is at a path.
func (n *simNode) takeBelow(p string) {
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if st.Kind == reconcile.KindFile && below(path, p) {
			n.take(n.w.hash(string(content)))
		}
	})
}

// take notes that a person here replaces or deletes a content.
func (n *simNode) take(h reconcile.Hash) {
	n.took[h], n.w.consumed[h] = true, true
}

func (n *simNode) kind(p string) reconcile.Kind {
	st, err := n.mem.Lstat(p)
	if err != nil {
		return ""
	}
	return st.Kind
}

func (n *simNode) write(p, content string) {
	if n.kind(p) == reconcile.KindDir {
		return
	}
	n.consume(p)
	n.personal(n.mem.WriteFile(p, content))
	n.wrote(content)
	n.did([]string{p}, "writes %s %.20q %.4s", p, content, n.w.hash(content))
}

// personal fails if a person could not do something.
func (n *simNode) personal(err error) {
	if err != nil {
		n.w.fail("%s: person: %v", n.name, err)
	}
}

func (n *simNode) wrote(content string) {
	if n.reader {
		n.w.own[content] = true
	}
	n.must[content] = true
	h := n.w.hash(content)
	if !slices.Contains(n.w.authors[h], n.id) {
		n.w.authors[h] = append(n.w.authors[h], n.id)
	}
}

// save replaces a file as editors do.
func (n *simNode) save(p, content string) {
	temp := join(parent(p), "save~")
	n.personal(n.mem.WriteFile(temp, content))
	n.consume(p)
	n.personal(n.mem.RenamePath(temp, p))
	n.wrote(content)
	n.did([]string{p}, "saves %s %.20q %.4s", p, content, n.w.hash(content))
}

func (n *simNode) mkdir(p string) {
	if n.kind(p) == "" {
		n.personal(n.mem.MkdirAll(p))
		n.did([]string{p}, "mkdir %s", p)
	}
}

func (n *simNode) remove(p string) {
	n.consume(p)
	n.personal(n.mem.RemoveAll(p))
	n.did([]string{p}, "removes %s", p)
}

func (n *simNode) rename(from, to string) {
	if below(n.w.key(to), n.w.key(from)) || below(n.w.key(from), n.w.key(to)) {
		return
	}
	if k := n.kind(to); k != "" {
		if k != reconcile.KindFile || n.kind(from) != reconcile.KindFile {
			return
		}
		n.consumeUnless(to, from)
	}
	// If the scan does not see both ends at once, or what has the name now is taken for the
	// file that had it.
	n.mayGo(from)
	n.mayGo(to)
	n.personal(n.mem.RenamePath(from, to))
	n.did([]string{from, to}, "renames %s %s", from, to)
}

// mayGo notes that what a person does can look like the deletion of what is at a path.
func (n *simNode) mayGo(p string) {
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if st.Kind == reconcile.KindFile && below(n.w.key(path), n.w.key(p)) {
			n.took[n.w.hash(string(content))] = true
		}
	})
}

// consumeUnless is consume, if what is at other has not the same content.
func (n *simNode) consumeUnless(p, other string) {
	a, _ := n.mem.ReadFile(p)
	if b, err := n.mem.ReadFile(other); err != nil || a != b {
		n.consume(p)
	}
}

func (n *simNode) swap(a, b string) {
	if below(n.w.key(a), n.w.key(b)) || below(n.w.key(b), n.w.key(a)) {
		return
	}
	n.mayGo(a)
	n.mayGo(b)
	n.personal(n.mem.RenamePath(a, "swap~"))
	n.personal(n.mem.RenamePath(b, a))
	n.personal(n.mem.RenamePath("swap~", b))
	n.did([]string{a, b}, "swaps %s %s", a, b)
}

func (n *simNode) chmod(p string) {
	st, err := n.mem.Lstat(p)
	n.personal(err)
	mode := []fs.FileMode{0o644, 0o600, 0o755, 0o700}[n.w.roll(4)]
	if st.Mode != mode {
		n.personal(n.mem.Chmod(p, mode))
		n.did([]string{p}, "chmod %s %o", p, mode)
	}
}

// touch gives a file a new time.
func (n *simNode) touch(p string) {
	content, err := n.mem.ReadFile(p)
	n.personal(err)
	n.personal(n.mem.WriteFile(p, content))
	n.did([]string{p}, "touches %s", p)
}

func (n *simNode) copy(from, to string) {
	if n.kind(to) != "" {
		return
	}
	content, err := n.mem.ReadFile(from)
	n.personal(err)
	n.personal(n.mem.WriteFile(to, content))
	n.wrote(content)
	n.did([]string{to}, "copies %s %s", from, to)
}

// restore copies something out of the trash.
func (n *simNode) restore() {
	var contents []string
	n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if st.Kind == reconcile.KindFile && below(path, apply.TrashDir) {
			contents = append(contents, string(content))
		}
	})
	_, dirs := n.paths()
	content, ok := n.w.pick(contents)
	p := n.w.fresh(dirs)
	if ok && n.kind(p) == "" {
		n.write(p, content)
	}
}

// resolve resolves a conflict, through the program.
func (n *simNode) resolve() {
	if n.core == nil {
		return
	}
	ctx := context.Background()
	all, err := n.core.Conflicts(ctx)
	if err != nil {
		n.forgive("conflicts", err)
	}
	if len(all) == 0 {
		return
	}
	c := all[n.w.roll(len(all))]
	keep := []string{KeepOurs, KeepTheirs, KeepBoth}[n.w.roll(3)]
	n.w.note("%s: resolves %s %s %s: %s", n.name, c.Kind, c.Path, c.Theirs.Path, keep)
	switch {
	case keep == KeepOurs && c.Kind == reconcile.ConflictContent:
		n.take(c.Theirs.Hash)
		n.takeBelow(c.Theirs.Path)
	case keep == KeepTheirs && c.Kind == reconcile.ConflictContent:
		n.take(c.Ours.Hash)
		n.takeBelow(c.Path)
	case keep == KeepTheirs && c.Kind != reconcile.ConflictName:
		n.takeBelow(c.Path)
	}
	if !n.running(func() { _, err = n.core.Resolve(ctx, []uint64{c.N}, keep) }) {
		n.crash()
		return
	}
	if err != nil {
		n.halfway = true
		n.w.note("%s: resolving: error", n.name) // it may be gone, or not be here yet
	}
}

// decide says what happens to what the brake holds.
func (n *simNode) decide(release bool) {
	if n.core == nil || len(n.core.Holds()) == 0 {
		return
	}
	n.w.note("%s: decides what is held: release=%v", n.name, release)
	if !release {
		for _, h := range n.core.Holds() {
			n.w.refuse(h.Member)
		}
	}
	var err error
	if !n.running(func() { err = n.core.Decide(context.Background(), n.core.Holds()[0].Member, release) }) {
		n.crash()
		return
	}
	if err != nil && !(n.reader && !release) {
		n.forgive("decide", err)
	}
}
