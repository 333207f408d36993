package folder

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is mounted in a folder is not part of it, and what it hides is not lost.
func TestMountPoints(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "disk/under=1", "bound/under=2", "plain/x=3")
	other := newTree(t, "secret=4", "under=6")
	id := b.add(dir).ID
	want := []string{"bound/", "bound/under=2", "disk/", "disk/under=1", "plain/", "plain/x=3"}
	b.wantHas(want...)
	for target, mount := range map[string]func(string) error{
		"disk":  func(at string) error { return syscall.Mount("none", at, "tmpfs", 0, "size=64k") },
		"bound": func(at string) error { return syscall.Mount(other, at, "", syscall.MS_BIND, "") },
	} {
		at := filepath.Join(dir, target)
		if err := mount(at); err != nil {
			t.Skipf("mounting is not permitted here: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	build(t, dir, "disk/new=5")
	b.rescan(id)
	b.wantHas(want...)
	skips, err := b.Skipped(id)
	if diff := cmp.Diff([]Skipped{{"bound", ReasonMount}, {"disk", ReasonMount}}, skips.Items); err != nil || diff != "" {
		t.Errorf("skipped: %v (-want +got):\n%s", err, diff)
	}
	for _, p := range []string{"disk/new", "disk/under", "bound/under", "bound/secret"} {
		if _, err := b.OpenFile(id, p); err == nil {
			t.Errorf("%s is served", p)
		}
	}
	// A folder that a mount hides is not there.
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	if f := b.rescan(id); f.State != StateError || f.Files != 3 {
		t.Errorf("hidden: %+v", f)
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	b.untilState(id, StateIdle)
	b.wantHas(want...)
}
