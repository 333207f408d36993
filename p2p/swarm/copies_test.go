package swarm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// copied waits until no copy of a seed is wanted any more.
func (h *seat) copied(st Status) []Copy {
	h.class.t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		now, err := h.Service.Get(st.Seed.ID())
		if err != nil {
			h.class.t.Fatal(err)
		}
		if now.State == StateSeeding && !slices.ContainsFunc(now.Copies, func(c Copy) bool { return c.Path == "" }) {
			return now.Copies
		}
		if time.Since(began) > time.Minute {
			h.class.t.Fatalf("%s, copies %+v", now.State, now.Copies)
		}
	}
}

// TestTwoPlaces: who wants one file in several directories, at once or later, also when the node ends in between, has it in
// all of them, and its bytes come once.
func TestTwoPlaces(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(80, 8<<20+1)
	s := ada.share("film.mkv", data)
	ada.limits.Set(link.Rates{Up: 4 << 20})
	var dirs []string
	for range 4 {
		dirs = append(dirs, t.TempDir())
	}
	mine := filepath.Join(dirs[1], "film.mkv")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	same(t, mine, []byte("mine"))
	var wg sync.WaitGroup
	for _, dir := range dirs[:3] {
		wg.Go(func() {
			st, err := ben.Download(t.Context(), GetOptions{Seed: s, Dir: dir})
			if err != nil || filepath.Dir(st.Path) != dir {
				t.Errorf("%s for %s: %v", st.Path, dir, err)
			}
		})
	}
	wg.Wait()
	time.Sleep(300 * time.Millisecond)
	ben.end()
	ben = c.again(1)
	st := ben.until(s.ID(), StateSeeding)
	ben.copied(st)
	if _, err := ben.Download(t.Context(), GetOptions{Seed: s, Dir: dirs[3]}); err != nil {
		t.Fatal(err)
	}
	if copies := ben.copied(st); len(copies) != 3 || copies[2] != (Copy{dirs[3], filepath.Join(dirs[3], "film.mkv")}) {
		t.Errorf("%+v", copies)
	}
	for i, dir := range dirs {
		name := "film.mkv"
		if i == 1 {
			same(t, mine, []byte("mine"))
			name = "film (2).mkv"
		}
		same(t, filepath.Join(dir, name), data)
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1+strings.Count(name, "2") {
			t.Errorf("in %s: %v, %v", dir, files, err)
		}
	}
	if over := st.Wire - int64(len(data)); over > 1<<20 {
		t.Errorf("%d bytes came more than the file has", over)
	}
	// Each is a file of its own: one that a person changes does not change the others.
	if err := os.WriteFile(filepath.Join(dirs[3], "film.mkv"), []byte("edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	same(t, st.Path, data)
	if _, err := ben.Download(t.Context(), GetOptions{Seed: s, Dir: filepath.Join(dirs[3], "none")}); !errors.Is(err, ErrUnusable) {
		t.Errorf("into no directory: %v", err)
	}
	rows, err := ben.store.Rows(t.Context())
	if err != nil || len(rows) != 1 || len(rows[0].Also) != 0 {
		t.Errorf("kept: %+v, %v", rows, err)
	}
}

// TestCopyTwice: who asks again for a copy that has got another name, since its own was taken, gets no further one.
func TestCopyTwice(t *testing.T) {
	ben := newClass(t, 1, sim.Options{}).seats[0]
	data := noise(81, 1<<20)
	s := ben.share("film.mkv", data)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "film.mkv"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		st, err := ben.Download(t.Context(), GetOptions{Seed: s, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if copies := ben.copied(st); len(copies) != 1 || copies[0].Path != filepath.Join(dir, "film (2).mkv") {
			t.Errorf("%+v", copies)
		}
	}
	same(t, filepath.Join(dir, "film.mkv"), []byte("mine"))
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
}

// TestCopyLater: a copy that is wanted while nothing is shared, or while the file is still coming, is made also when that
// goes on by another way: the person resumes it, or has the file elsewhere.
func TestCopyLater(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(82, 1<<20)
	s := ben.share("film", data)
	if _, err := ben.Withhold(t.Context()); err != nil {
		t.Fatal(err)
	}
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	st, err := ben.Download(t.Context(), GetOptions{Seed: s, Dir: dirs[0]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ben.Resume(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	ben.copied(st)
	same(t, filepath.Join(dirs[0], "film"), data)

	// Nobody has it until ada finds it on her own disk.
	ben.end()
	for _, dir := range dirs[1:] {
		if st, err = ada.Download(t.Context(), GetOptions{Seed: s, Dir: dir}); err != nil {
			t.Fatal(err)
		}
	}
	ada.share("mine", data)
	if copies := ada.copied(st); len(copies) != 1 || copies[0].Dir != dirs[2] {
		t.Errorf("%+v", copies)
	} else {
		same(t, copies[0].Path, data)
	}
}
