//go:build linux

package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// nobody is a user without rights.
const nobody = 65534

// TestDenied: node B may not write into a directory of its folder. What is in it stays
// as it is, with a message; the rest goes on, and this too when it may again.
func TestDenied(t *testing.T) {
	dir, r := begin(t)
	if os.Getuid() != 0 {
		t.Skip("only root can start a node as another user")
	}
	w := deniedWorld(t, dir)
	stop := w.person()
	defer stop()
	a := w.writer(0, r)
	a.filled = true // an empty file that is replaced by an empty one has another time, nothing more
	for _, p := range []string{"locked/old.txt", "locked/replaced.txt", "locked/deleted.txt", "locked/moved.txt", "locked/mode.txt", "open/old.txt"} {
		w.put(a, p)
	}
	w.settle(2 * time.Minute)
	changes := []struct {
		what string
		do   func() error
	}{
		{"a new file", func() error { return a.create("locked/new.txt") }},
		{"a replaced file", func() error { return a.save("locked/replaced.txt") }},
		{"a deleted file", func() error { return a.remove("locked/deleted.txt") }},
		{"a moved file", func() error { return a.rename("locked/moved.txt", "open/moved.txt") }},
		{"a file moved in", func() error { return a.rename("open/moved.txt", "locked/in.txt") }},
		{"a new mode", func() error { return os.Chmod(a.abs("locked/mode.txt"), 0o755) }},
		{"a new directory", func() error { return os.Mkdir(a.abs("locked/dir"), 0o755) }},
		{"a removed directory", func() error { return os.Remove(a.abs("locked/dir")) }},
	}
	for _, change := range changes[:min(times(3, len(changes)), len(changes))] {
		w.denied(a, change.what, change.do)
	}
}

// deniedWorld is two nodes, of which the second belongs to nobody.
func deniedWorld(t *testing.T, dir string) *world {
	t.Helper()
	for _, p := range []string{dir, filepath.Dir(binary)} {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(home, "folder")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(root, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return newWorld(t, dir, place{}, place{data: filepath.Join(home, "data"), root: root, user: nobody})
}

// put makes a file, with the directories above.
func (w *world) put(a *writer, path string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(a.abs(path)), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := a.create(path); err != nil {
		w.t.Fatal(err)
	}
}

// denied does something in a directory into which B may not write for a while.
func (w *world) denied(a *writer, what string, do func() error) {
	w.t.Helper()
	locked := filepath.Join(w.roots[1], "locked")
	if err := os.Chown(locked, 0, 0); err != nil {
		w.t.Fatal(err)
	}
	before := w.tree(1)
	if err := do(); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	if !allowed(what) {
		w.says(w.nodes[1], `permission denied|may not`, 30*time.Second)
	}
	name := fmt.Sprintf("open/beside %s", what)
	w.put(a, name)
	err := w.await(20*time.Second, func() error {
		if _, err := os.Lstat(filepath.Join(w.roots[1], name)); err != nil {
			return err
		}
		s, err := w.state(w.nodes[1])
		if err == nil && s.Error != "" {
			err = fmt.Errorf("the folder is in error: %s", s.Error)
		}
		return err
	})
	if err != nil {
		w.t.Errorf("%s is not allowed: the rest of the folder does not go on: %v", what, err)
	}
	for p, it := range before {
		if now, ok := w.tree(1)[p]; filepath.Dir(p) == "locked" && (!ok || now.hash != it.hash) {
			w.t.Errorf("%s: %s has changed", what, p)
		}
	}
	if err := os.Chown(locked, nobody, nobody); err != nil {
		w.t.Fatal(err)
	}
	w.settle(2 * time.Minute)
	err = w.await(20*time.Second, func() error {
		s, err := w.state(w.nodes[1])
		if err == nil && s.Warning != "" {
			err = fmt.Errorf("B still says %s", s.Warning)
		}
		return err
	})
	if err != nil {
		w.t.Errorf("%s is allowed again, and is as it should be: %v", what, err)
	}
}

// allowed: to change the mode of an own file, its directory need not be writable.
func allowed(what string) bool { return what == "a new mode" }

// as has a command run as another user.
func as(user int) *syscall.SysProcAttr {
	if user == 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
}
