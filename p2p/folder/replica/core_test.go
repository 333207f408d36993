package replica

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// oneNode returns a running node that is alone, and whose scan misses nothing.
func oneNode(t *testing.T) *simNode {
	t.Helper()
	w := newSimWorld(t, 1)
	n := newSimNode(w, 0)
	w.nodes, w.links, w.calming = []*simNode{n}, nil, true
	n.start()
	n.turns(10)
	return n
}

func (n *simNode) settleDown() {
	n.scan(-1)
	n.turns(10)
	n.checkDone()
}

// A directory comes into a new one that has the name it had.
func TestMoveIntoSuccessor(t *testing.T) {
	n := oneNode(t)
	n.mkdir("c")
	n.write("c/x", "one")
	n.settleDown()
	n.rename("c", "aside")
	n.mkdir("c")
	n.rename("aside", "c/d")
	n.settleDown()
	if base, _, _ := n.trees(); len(base) != 3 || base["c/d/x"].Kind != reconcile.KindFile {
		t.Errorf("the rows are %v", base)
	}
}

// A directory comes into a new one that has the name it had, and what the scan knows comes
// in pieces: first that it was moved, then what is in its place.
func TestMoveToldEarly(t *testing.T) {
	n := oneNode(t)
	for _, dir := range []string{"c", "c/e"} {
		n.mkdir(dir)
	}
	n.write("c/e/x", "one")
	n.write("c/y", "two")
	n.settleDown()
	n.rename("c", "aside")
	n.mkdir("c")
	n.rename("aside", "c/d")
	n.write("c/d/e/z", "three")
	move := Move{From: "c", To: "c/d"}
	n.disk.move(move)
	n.core.Dirty(nil, []Move{move}, false)
	n.turns(10)
	paths, moved := n.disk.scan(-1)
	n.core.Dirty(paths, moved, false)
	n.turns(10)
	n.checkDone()
	if base, _, _ := n.trees(); len(base) != 6 || base["c/d/e/x"].Kind != reconcile.KindFile {
		t.Errorf("the rows are %v", base)
	}
}

// What stays below a path keeps its row when a directory is moved onto that path.
func TestMoveOntoDirectory(t *testing.T) {
	n := oneNode(t)
	for _, dir := range []string{"b", "f", "f/d"} {
		n.mkdir(dir)
	}
	n.write("b/x", "one")
	n.settleDown()
	n.rename("f", "old")
	n.rename("b", "f")
	n.rename("old/d", "f/d")
	n.mkdir("f/d/e")
	n.settleDown()
}

// A directory was moved elsewhere and another one was made in its place. Who is told of both, and
// crashes before it does either, does not take the old one for the new one.
func TestCrashBeforeMove(t *testing.T) {
	w := newSimWorld(t, 1)
	a, b := newSimNode(w, 0), newSimNode(w, 1)
	w.nodes = []*simNode{a, b}
	w.links = []*simLink{{from: a, to: b}, {from: b, to: a}}
	a.mkdir("all")
	a.write("all/x", "one")
	w.calm()
	a.rename("all", "old")
	a.mkdir("all")
	a.chmod("all")
	a.scan(-1)
	a.turns(10)
	for _, l := range w.links {
		l.connect()
		l.send(1000)
		l.deliver(true)
	}
	b.fuse, b.fuseOn = 1, "rename"
	b.turns(10)
	if b.core != nil || b.kind("old") != "" {
		t.Fatal("it has not ended before the move")
	}
	before := b.tree()["all"]
	b.start()
	if after := b.tree()["all"]; after != before {
		t.Errorf("the old directory is %s, and was %s", after, before)
	}
	b.turns(10)
	w.calm()
	want := map[string]string{"all": a.tree()["all"], "old": before, "old/x": a.tree()["old/x"]}
	for _, n := range w.nodes {
		if got := n.tree(); !maps.Equal(got, want) {
			t.Errorf("%s has %v, want %v", n.name, got, want)
		}
	}
}

// A database that was copied and put back during one run goes on with new numbers.
func TestRestoredCounter(t *testing.T) {
	n := oneNode(t)
	n.write("a", "one")
	n.settleDown()
	copied := n.store.Clone()
	n.write("a", "two")
	n.settleDown()
	used := n.core.author.Counter
	n.kill()
	n.store = copied
	n.start()
	if got := n.core.author.Counter; got < used {
		t.Errorf("events go on from %d, and %d were made", got, used)
	}
}

// A content that was thought to be here, and is not, is not made of nothing.
func TestTakeVanished(t *testing.T) {
	n := oneNode(t)
	h := n.w.hash("one")
	n.core.Arrived(h, apply.TempName(h), apply.Stat{})
	item := reconcile.Item{Kind: reconcile.KindFile, Size: 3, Mode: 0o644, Hash: h}
	_, ok, err := n.core.contents.take(n.core.o.FS, item, map[reconcile.Hash]bool{}, n.random.Uint64)
	if ok || err != nil {
		t.Errorf("it is taken: %v, %v", ok, err)
	}
	if n.kind(apply.TempName(h)) != "" {
		t.Error("an empty file was made")
	}
}

// What is at a path while it is planned, and gone before a scan looks, is planned again.
func TestUnsure(t *testing.T) {
	n := oneNode(t)
	n.write("a", "one")
	n.settleDown()
	n.remove("a")
	paths, moved := n.disk.scan(-1)
	n.write("a", "two")
	n.core.Dirty(paths, moved, false)
	n.turns(10)
	n.remove("a")
	n.core.Dirty(nil, nil, false) // a scan that has seen nothing new
	n.turns(10)
	n.checkDone()
}

// Names that one of two disks takes for one: what it cannot have beside something waits
// and is named, and everything else goes on on both.
func TestTwins(t *testing.T) {
	w := newSimWorld(t, 1)
	plain, folding := newSimNode(w, 0), newSimNode(w, 1)
	folding.mem.SetFold(reconcile.FoldCase)
	w.brakeFiles = 1000
	w.nodes = []*simNode{plain, folding}
	w.links = []*simLink{{from: plain, to: folding}, {from: folding, to: plain}}
	w.calm()
	expect := func(what, want, problems string) {
		t.Helper()
		w.calm()
		var has []string
		folding.mem.Walk(func(path string, st apply.Stat, content []byte) {
			if !applytest.Hidden(path) {
				has = append(has, strings.TrimSuffix(path+"="+string(content), "="))
			}
		})
		var told []string
		for _, p := range folding.core.Problems() {
			told = append(told, p.Path+": "+p.Why)
		}
		if got := strings.Join(has, " "); got != want {
			t.Errorf("%s: there is %s, want %s", what, got, want)
		}
		if got := strings.Join(told, ", "); got != problems {
			t.Errorf("%s: problems %q, want %q", what, got, problems)
		}
	}
	plain.write("a", "lower")
	plain.write("o", "other")
	expect("two files", "a=lower o=other", "")
	plain.write("A", "UPPER")
	expect("a twin", "a=lower o=other", "A: cannot be beside a on this file system")
	plain.write("a", "edited")
	plain.write("new", "1")
	expect("an edit", "a=edited new=1 o=other", "A: cannot be beside a on this file system")
	folding.write("a", "back")
	expect("an edit there", "a=back new=1 o=other", "A: cannot be beside a on this file system")
	plain.rename("o", "O")
	expect("a rename", "O=other a=back new=1", "A: cannot be beside a on this file system")
	plain.remove("a")
	expect("the first is deleted", "A=UPPER O=other new=1", "")
	folding.rename("O", "between")
	folding.rename("between", "o")
	expect("a rename there", "A=UPPER new=1 o=other", "")
	if plain.kind("o") == "" || plain.kind("O") != "" {
		t.Error("the rename did not come back")
	}
	for _, dir := range []string{"d", "D"} {
		plain.mkdir(dir)
		plain.write(dir+"/in", "in "+dir)
	}
	expect("directories", "A=UPPER D D/in=in D new=1 o=other", "d: cannot be beside D on this file system")
	plain.rename("D", "e")
	expect("a directory is renamed", "A=UPPER d d/in=in d e e/in=in D new=1 o=other", "")
	plain.write("x", "of plain")
	folding.write("X", "of folding")
	expect("both at once", "A=UPPER X=of folding d d/in=in d e e/in=in D new=1 o=other", "x: cannot be beside X on this file system")
	if plain.kind("x") == "" || plain.kind("X") == "" {
		t.Error("the other has not both")
	}
}

// What could not be installed, because something was in its place, is tried as soon as
// that has changed, however often it was tried in vain.
func TestUnpark(t *testing.T) {
	c := oneNode(t).core
	id := reconcile.EntryID{Member: c.o.Self, Incarnation: 1, Counter: 1}
	c.parked[id] = parking{path: "d/x", why: "something is in the way", tries: 12}
	c.Dirty([]string{"d/y"}, nil, false)
	if c.again[id] {
		t.Error("it is tried again though nothing has changed there")
	}
	c.Dirty([]string{"d/x"}, nil, false)
	if !c.again[id] {
		t.Error("it is not tried again")
	}
}

// What is not known for sure is looked at later each time; what is new among it does not wait for what
// has been there for long.
func TestDoubt(t *testing.T) {
	n := oneNode(t)
	c := n.core
	look := func(paths ...string) {
		t.Helper()
		c.doubt(paths)
		if at := c.Doubt(); at.After(n.w.time()) {
			n.w.now = at.UnixNano()
		}
		if !c.lookSometimes() {
			t.Fatal("it is not looked at when it is said to be")
		}
	}
	for range 8 {
		look("old")
	}
	c.doubt([]string{"old"})
	if wait := c.Doubt().Sub(n.w.time()); wait < time.Minute {
		t.Errorf("what was looked at in vain eight times is looked at again after %v", wait)
	}
	c.doubt([]string{"new"})
	if at := c.Doubt(); at.After(n.w.time()) {
		t.Errorf("what is new waits for %v", at.Sub(n.w.time()))
	}
	look("old", "new")
	if !c.dirty["old"] || !c.dirty["new"] || !c.Doubt().IsZero() {
		t.Errorf("looked at: %v, and not: %v", c.dirty, c.unsure)
	}
}

// failingStore is one whose disk does not work.
type failingStore struct {
	Store
	err error
}

func (s *failingStore) Write(ctx context.Context, folder string, fn func(Writer) error) error {
	return s.Store.Write(ctx, folder, func(w Writer) error { return errors.Join(fn(w), s.err) })
}

// An entry that waits for its content goes on waiting if a newer version of it could not be committed:
// who has told that may be gone, and the content comes.
func TestFailedMerge(t *testing.T) {
	c := oneNode(t).core
	store := &failingStore{Store: c.o.Store}
	c.o.Store = store
	version := func(counter uint64, text string) Batch {
		first := reconcile.Dot{Member: p2p.ID{9}, Incarnation: 1, Counter: 1}
		d := first
		d.Counter = counter
		e := reconcile.Entry{
			ID: reconcile.EntryID(first), Kind: reconcile.KindFile,
			Places:   []reconcile.Place{{Dot: first, Vector: reconcile.Vector{first}, Spot: reconcile.Spot{Name: "a"}}},
			Contents: []reconcile.Content{{Dot: d, Vector: reconcile.Vector{d}, Made: d, Hash: blake3.Sum256([]byte(text)), Size: int64(len(text)), Mode: 0o644}},
		}
		return Batch{Claims: []Claim{{Dot: d, Sig: sign(d)}}, Entries: []reconcile.Entry{e}, Incarnation: 1, Upto: counter}
	}
	one, two := version(1, "one"), version(2, "two")
	if refused, err := c.Merge(t.Context(), p2p.ID{9}, one); err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	for range 3 {
		if _, err := c.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waits := func() bool {
		_, parked := c.parked[one.Entries[0].ID]
		return parked && slices.Contains(c.waiting[one.Entries[0].Contents[0].Hash], one.Entries[0].ID)
	}
	if !waits() {
		t.Fatal("it does not wait for its content")
	}
	store.err = syscall.EIO
	if _, err := c.Merge(t.Context(), p2p.ID{9}, two); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if !waits() {
		t.Error("nobody would notice that its content has come")
	}
}
