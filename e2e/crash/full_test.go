//go:build linux

package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestFull: the disk of a node's folder is full, then that of its data. The folder says
// so, other folders and nodes go on, and all is well when there is room again.
func TestFull(t *testing.T) {
	dir, r := begin(t)
	data, root := newDisk(t, dir, "data-B", 64), newDisk(t, dir, "disk-B", 320)
	w := newWorld(t, dir, place{}, place{data: filepath.Join(data.at, "data"), root: filepath.Join(root.at, "folder")}, place{})
	other := w.other()
	a := w.writer(0, r)
	a.small = true
	stop := w.person()
	defer stop()
	for i := range times(1, 4) {
		for _, d := range []*disk{root, data} {
			a.work(30)
			w.settle(2 * time.Minute)
			leave := int64(0) // a database grows by little
			if d == root {
				leave = 1 << 20
			}
			ballast := d.fill(leave)
			large := w.large(fmt.Sprintf("large-%d-%s", i, filepath.Base(d.at)), a, 12)
			w.says(w.nodes[1], `no (space|room)|full`, 60*time.Second)
			if d == root {
				other(fmt.Sprintf("while-full-%d", i))
			}
			w.eventually(time.Minute, "C gets what B has no room for", func() error { return w.sameOn(2, large) })
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			w.settle(3 * time.Minute)
		}
	}
}

// large makes a directory of large files on the disk of the first node, and returns its
// path.
func (w *world) large(name string, a *writer, mib int) string {
	w.t.Helper()
	if err := os.Mkdir(a.abs(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	b := make([]byte, 1<<20)
	for i := range mib {
		for j := 0; j < len(b); j += 8 {
			b[j] = byte(a.r.Uint32())
		}
		if err := os.WriteFile(a.abs(fmt.Sprintf("%s/%02d.bin", name, i)), b, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	return name
}

// sameOn reports whether node i has in a directory what the first node has there.
func (w *world) sameOn(i int, path string) error {
	x, err := tree(filepath.Join(w.roots[0], path))
	if err != nil {
		return err
	}
	y, err := tree(filepath.Join(w.roots[i], path))
	if err != nil {
		return err
	}
	if d := difference(x, y); d != "" {
		return fmt.Errorf("%s", d)
	}
	return nil
}

// says waits until a node's folder is in error, or warns, in words like these.
func (w *world) says(n *node, words string, limit time.Duration) {
	w.t.Helper()
	re := regexp.MustCompile(words)
	w.eventually(limit, n.name+" says "+words, func() error {
		s, err := w.state(n)
		if err != nil {
			return err
		}
		if text := s.Error + s.Warning; !re.MatchString(text) {
			return fmt.Errorf("it says %s %q %q", s.State, s.Error, s.Warning)
		}
		w.t.Logf("%s says: %s: %.300s", n.name, s.State, strings.TrimSpace(s.Error+" "+s.Warning))
		return nil
	})
}

// other makes a second folder, kept by the first two nodes on disks that are well, and
// returns what checks that it goes on.
func (w *world) other() (check func(name string)) {
	w.t.Helper()
	var f struct{ ID string }
	roots := []string{filepath.Join(w.dir, "other-A"), filepath.Join(w.dir, "other-B")}
	for _, root := range roots {
		if err := os.Mkdir(root, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	w.nodes[0].must("POST", "/api/folders", map[string]string{"path": roots[0], "label": "other"}, &f)
	w.eventually(30*time.Second, "B joins the other folder", func() error {
		return w.nodes[1].call("POST", "/api/folders", map[string]string{"id": f.ID, "path": roots[1]}, nil)
	})
	return func(name string) {
		w.t.Helper()
		if err := os.WriteFile(filepath.Join(roots[0], name), []byte(name), 0o644); err != nil {
			w.t.Fatal(err)
		}
		w.eventually(30*time.Second, "the other folder goes on", func() error {
			if !sameBytes(filepath.Join(roots[1], name), []byte(name)) {
				return fmt.Errorf("%s is not there", name)
			}
			return nil
		})
	}
}
