package swarm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestOrphans: what a crash has interrupted while it was taken in is gone after the next start, and nothing else is: not
// what is shared, not a download that goes on, not what nobody can account for.
func TestOrphans(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	kept := filepath.Join(ben.dir, "kept")
	data := noise(50, 300<<10)
	dropped, err := ben.MakeFrom(t.Context(), "dropped", bytes.NewReader(data), -1)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob(kept + "/*" + newSuffix); err != nil || len(files) != 0 {
		t.Errorf("after a drop: %v, %v", files, err)
	}
	// The crash came just after the row was durable.
	if err := os.WriteFile(filepath.Dir(dropped.Path)+newSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	large := noise(51, 8<<20)
	s := ada.share("large", large)
	ada.limits.Set(link.Rates{Up: 2 << 20})
	if _, err := ben.Download(t.Context(), GetOptions{Seed: s, Keep: true}); err != nil {
		t.Fatal(err)
	}
	for st := (Status{}); st.Here < 10; time.Sleep(time.Millisecond) {
		if st, err = ben.Service.Get(s.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ben.Pause(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(kept, inPrefix+"AAAAAAAAAAAAAAAA")
	if err := os.MkdirAll(ours, 0o700); err != nil {
		t.Fatal(err)
	}
	// Half of a drop is there when the node is looked at: as it is on the disk then, it is after a crash.
	pr, pw := io.Pipe()
	over := make(chan error)
	go func() {
		_, err := ben.MakeFrom(t.Context(), "half", pr, -1)
		over <- err
	}()
	if _, err := pw.Write(data); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "node")
	if err := os.CopyFS(crashed, os.DirFS(ben.dir)); err != nil {
		t.Fatal(err)
	}
	_ = pw.CloseWithError(errors.New("enough")) // never fails (io.Pipe)
	if err := <-over; err == nil {
		t.Fatal("half of a file was shared")
	}
	ben.end()
	if err := os.RemoveAll(ben.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(crashed, ben.dir); err != nil {
		t.Fatal(err)
	}
	again := c.again(1)
	entries, err := os.ReadDir(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if p := filepath.Join(kept, e.Name()); p != ours && p != filepath.Dir(dropped.Path) && e.Name() != s.ID().String()[:24] {
			t.Errorf("%s is left", e.Name())
		}
	}
	if len(entries) != 3 {
		t.Errorf("%v", entries)
	}
	same(t, dropped.Path, data)
	if _, err := again.Resume(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	st := again.until(s.ID(), StateSeeding)
	same(t, st.Path, large)
	if st.Resumed == 0 {
		t.Error("the download began anew")
	}
}

// TestKeptBehindLink: what was dropped stays when the place where it is kept is reached by another path: when the person
// shares it from there with more said of it, and when the node is started there after a crash.
func TestKeptBehindLink(t *testing.T) {
	c := newClass(t, 1, sim.Options{})
	ada := c.seats[0]
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(ada.dir, "kept")); err != nil {
		t.Skip(err) // a system without links
	}
	data := noise(52, 300<<10)
	st, err := ada.MakeFrom(t.Context(), "dropped", bytes.NewReader(data), -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(st.Path)+newSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := st.Path
	ada.end()
	moved := filepath.Join(t.TempDir(), "node")
	if err := os.Symlink(ada.dir, moved); err != nil {
		t.Fatal(err)
	}
	again := c.sit(ada.identity, moved, ada.store)
	same(t, path, data)
	if st, err = again.Make(t.Context(), path, MakeOptions{Web: []string{"https://example.org/dropped"}}); err != nil {
		t.Fatal(err)
	}
	same(t, st.Path, data)
}
