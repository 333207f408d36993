//go:build linux

package crash

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestUnmounted: the disk that is a node's folder is taken away, while the node runs and
// while it does not. Nothing is deleted anywhere, nothing is written below the bare
// mount point, and all is well when the disk is back.
func TestUnmounted(t *testing.T) {
	dir, r := begin(t)
	d := newDisk(t, dir, "disk-B", 256)
	w := newWorld(t, dir, place{}, place{root: d.at}, place{})
	a := w.writer(0, r)
	stop := w.person()
	defer stop()
	for i := range times(2, 10) {
		a.work(40)
		w.settle(2 * time.Minute)
		before := w.tree(0)
		began := time.Now()
		if err := d.unmount(3 * time.Second); err != nil {
			t.Fatalf("with node B at rest: %v", err)
		}
		t.Logf("unmounted within %v", time.Since(began).Round(time.Millisecond))
		if i%2 == 1 { // it can also be away when the node starts
			w.nodes[1].stop()
			w.nodes[1].start()
			w.linked(w.nodes[1])
		}
		w.away(d, i)
		now := w.tree(0)
		delete(now, fmt.Sprintf("while-away-%d", i))
		if diff := difference(before, now); diff != "" {
			t.Fatalf("while the disk of B was away, A has changed: %s", diff)
		}
		d.mount()
		w.settle(2 * time.Minute)
		if got, want := w.tree(1), len(before)+1; len(got) != want {
			t.Fatalf("B has %d items, want %d", len(got), want)
		}
	}
}

// away checks what B says and does while its disk is away.
func (w *world) away(d *disk, i int) {
	w.t.Helper()
	name := fmt.Sprintf("while-away-%d", i)
	content := []byte(name)
	if err := os.WriteFile(w.roots[0]+"/"+name, content, 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.says(w.nodes[1], `marker`, 30*time.Second)
	w.eventually(30*time.Second, "C goes on", func() error {
		if !sameBytes(w.roots[2]+"/"+name, content) {
			return fmt.Errorf("%s is not there", name)
		}
		return nil
	})
	// Time enough for B to try again.
	w.nodes[1].ended(3 * time.Second)
	list, err := os.ReadDir(d.at)
	if err != nil || len(list) > 0 {
		w.t.Fatalf("below the bare mount point there is %v %v", list, err)
	}
	if s, err := w.state(w.nodes[1]); err != nil || s.State != "error" {
		w.t.Fatalf("B says %+v %v while its disk is away", s, err)
	}
	if diff := difference(w.tree(0), w.tree(2)); diff != "" {
		w.t.Fatalf("A and C differ: %s", diff)
	}
}

func (w *world) tree(i int) map[string]item {
	w.t.Helper()
	items, err := tree(w.roots[i])
	if err != nil {
		w.t.Fatal(err)
	}
	return items
}
