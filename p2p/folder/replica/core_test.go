package replica

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
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
	n.core.Arrived(h)
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
