package apply_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// TestFlip does everything in a directory that somebody replaces by a link to a
// directory outside, and back, as fast as the system can. There things have the same names,
// so that whatever followed the link would find something to do.
func TestFlip(t *testing.T) {
	flips := int64(100_000)
	if testing.Short() {
		flips = 5_000
	}
	dir, outside := t.TempDir(), t.TempDir()
	canary(t, outside)
	before := snapshot(t, outside)
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	must(t, os.Symlink(outside, filepath.Join(dir, "link")))
	r := openRoot(t, dir)
	must(t, apply.Prepare(r))

	var flipped atomic.Int64
	var stop atomic.Bool
	ended := make(chan error, 1)
	go func() {
		d, link := filepath.Join(dir, "d"), filepath.Join(dir, "link")
		var err error
		for err == nil && !stop.Load() {
			err = unix.Renameat2(unix.AT_FDCWD, d, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
			flipped.Add(1)
		}
		ended <- err
	}()
	w := flipWriter{t: t, r: r, done: map[string]int{}, refused: map[string]int{}}
	// On a busy machine who flips is seldom in the middle of something.
	for i, end := 0, time.Now().Add(30*time.Second); flipped.Load() < flips || w.unproven() != "" && time.Now().Before(end); i++ {
		w.round(i)
	}
	stop.Store(true)
	must(t, <-ended)

	t.Logf("%d flips; done: %v; refused: %v", flipped.Load(), w.done, w.refused)
	if what := w.unproven(); what != "" {
		t.Errorf("%s: %d times done and %d times refused, so nothing was proven", what, w.done[what], w.refused[what])
	}
	for path, want := range before {
		if got := snapshot(t, outside)[path]; got != want {
			t.Errorf("outside, %q was %s and is %s", path, want, got)
		}
	}
	if n := len(snapshot(t, outside)); n != len(before) {
		t.Errorf("outside, %d things became %d", len(before), n)
	}
}

// unproven returns something that was not both done and refused.
func (w *flipWriter) unproven() string {
	for _, what := range []string{"install", "replace", "trash", "move", "meta", "mkdir", "rmdir"} {
		if w.done[what] == 0 || w.refused[what] == 0 {
			return what
		}
	}
	return ""
}

const flipFiles = 4

// canary fills a directory with what a writer would touch.
func canary(t *testing.T, dir string) {
	t.Helper()
	for i := range flipFiles {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), []byte(newText), 0o640))
	}
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "sub", "f"), []byte("canary"), 0o600))
}

// snapshot returns everything in a directory, with all that a change would change.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var sum [32]byte
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = sha256.Sum256(b)
		}
		st := info.Sys().(*syscall.Stat_t)
		out[path] = fmt.Sprintf("%v %d bytes %x, inode %d, %d names, %v %v", info.Mode(), st.Size, sum[:4], st.Ino, st.Nlink, st.Mtim, st.Ctim)
		return nil
	}))
	return out
}

// flipWriter works in the directory d.
type flipWriter struct {
	t             *testing.T
	r             *apply.Root
	done, refused map[string]int
}

// note counts how something ended. An op may fail as when somebody meddles, and not
// otherwise.
func (w *flipWriter) note(what string, err error) {
	w.t.Helper()
	switch {
	case err == nil:
		w.done[what]++
	case errors.Is(err, apply.ErrUnexpected), errors.Is(err, apply.ErrInTheWay), errors.Is(err, fs.ErrNotExist):
		w.refused[what]++
	case errors.Is(err, fs.ErrExist):
	default:
		w.t.Errorf("%s: %v", what, err)
	}
}

func (w *flipWriter) round(i int) {
	path := fmt.Sprint("d/f", i%flipFiles)
	trash := fmt.Sprintf("%s/%d-", apply.TrashDir, i)
	st, err := apply.Install(w.r, w.temp(i), path)
	w.note("install", err)
	if err != nil {
		if st, err = w.r.Lstat(path); err != nil {
			return
		}
	}
	next, err := apply.Replace(w.r, w.temp(i), path, expectOf(st), trash+"replaced")
	w.note("replace", err)
	if err == nil {
		st = next
	}
	next, err = apply.SetMeta(w.r, path, 0o600, int64(i), expectOf(st))
	w.note("meta", err)
	if err == nil {
		st = next
	}
	_, err = apply.Mkdir(w.r, "d/made", 0o711)
	w.note("mkdir", err)
	if dir, err := w.r.Lstat("d/made"); err == nil {
		if i%4 == 0 { // until where d is has to be looked at again
			time.Sleep(3 * time.Millisecond)
		}
		w.note("rmdir", apply.Discard(w.r, "d/made", expectOf(dir), ""))
	}
	_, err = apply.Move(w.r, path, path+"-moved", expectOf(st))
	w.note("move", err)
	if err == nil {
		path += "-moved"
	}
	w.note("trash", apply.Discard(w.r, path, expectOf(st), trash+"trashed"))
	if i%64 == 0 {
		w.empty()
	}
}

// temp makes a temporary file, or returns the one that is left.
func (w *flipWriter) temp(i int) string {
	path := apply.TempName(reconcile.Hash{1})
	f, err := w.r.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(newText), 0)
	_, metaErr := f.SetMeta(0o644, int64(i))
	if err := errors.Join(err, metaErr, f.Close()); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// empty empties the trash.
func (w *flipWriter) empty() {
	names, err := w.r.Names(apply.TrashDir)
	for _, name := range names {
		err = errors.Join(err, w.r.Remove(apply.TrashDir+"/"+name))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func expectOf(st apply.Stat) apply.Expect {
	return apply.Expect{Item: reconcile.Item{Kind: st.Kind, Size: st.Size, Modified: st.Modified, Mode: st.Mode, Inode: st.Inode}}
}
