//go:build linux

package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMoveCutShort: a directory is moved away and another one made in its place, and who is told
// of it is killed when it has noted that, and has not begun. It does not take the old one for the new
// one, which would undo the move for everybody; and it goes on by itself, with nobody to remind it.
func TestMoveCutShort(t *testing.T) {
	dir, r := begin(t)
	w := newWorld(t, dir, place{}, place{})
	a, b := w.nodes[0], w.nodes[1]
	who := w.writer(0, r)
	at := func(i int, path string) string { return filepath.Join(w.roots[i], filepath.FromSlash(path)) }
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(os.Mkdir(at(0, "all"), 0o755))
	ok(who.create("all/x.txt"))
	w.settle(time.Minute)

	a.stop()
	b.stop()
	ok(who.rename("all", "old"))
	ok(os.Mkdir(at(0, "all"), 0o700))
	b.start("SHOAL_FAULT=replica.journal-written:1")
	a.start()
	if !b.ended(time.Minute) {
		t.Fatal("B has not come to the move")
	}
	a.stop()
	if _, err := os.Stat(at(1, "old")); err == nil {
		t.Fatal("B has died after the move, not before")
	}
	b.start()
	w.eventually(30*time.Second, "B goes on alone", func() error {
		if _, err := os.Stat(at(1, "old/x.txt")); err != nil {
			return err
		}
		if st, err := os.Stat(at(1, "all")); err != nil || st.Mode().Perm() != 0o700 {
			return fmt.Errorf("all is %v, %v", st, err)
		}
		return nil
	})
	a.start()
	w.settle(time.Minute)
	if _, err := os.Stat(at(0, "old/x.txt")); err != nil {
		t.Errorf("what A has moved: %v", err)
	}
}
