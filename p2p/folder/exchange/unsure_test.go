package exchange

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What is another state of a file for a moment, and then none that anybody is told of, is
// recorded once a scan has seen it.
func TestLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newTown()
	a := w.keep(t, nil, Times{})
	b := w.keep(t, a, Times{})
	a.meet(b)
	a.write("before.txt", "before")
	b.await("a file", b.has("before.txt", "before"))
	r, err := a.s.runner(a.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	err = r.do(t.Context(), func(ctx context.Context) error { // as a turn, it has the runner for itself
		a.write("new.txt", "new")
		a.await("that a scan sees it", func() bool { _, err := a.folders.Row(ctx, a.folder.ID, "new.txt"); return err == nil })
		time.Sleep(30 * time.Millisecond) // what it has seen is told
		return os.Chmod(filepath.Join(a.dir, "new.txt"), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	b.await("the new file", b.has("new.txt", "new"))
}
