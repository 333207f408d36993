package folder

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// With complete scans an hour apart, what is told here was told by the watcher.
func TestWatch(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a=1", "d/e/f=2")
	b.add(dir)
	b.wantHas("a=1", "d/", "d/e/", "d/e/f=2")

	build(t, dir, "a=changed", "d/e/f=longer", "d/new=3")
	b.untilHas("a=changed", "d/", "d/e/", "d/e/f=longer", "d/new=3")

	build(t, dir, "x/y/z/deep=4") // directories made faster than they can be watched
	b.untilHas("a=changed", "d/", "d/e/", "d/e/f=longer", "d/new=3", "x/", "x/y/", "x/y/z/", "x/y/z/deep=4")
	build(t, dir, "x/y/z/deep=5")
	b.untilHas("a=changed", "d/", "d/e/", "d/e/f=longer", "d/new=3", "x/", "x/y/", "x/y/z/", "x/y/z/deep=5")

	remove(t, dir, "x", "a")
	b.untilHas("d/", "d/e/", "d/e/f=longer", "d/new=3")

	build(t, dir, "x/y=again")
	b.untilHas("d/", "d/e/", "d/e/f=longer", "d/new=3", "x/", "x/y=again")
	if got := len(events[Scanned](b)); got != 1 {
		t.Errorf("%d complete scans, want only the first", got)
	}
}

// What happens in directories inside a moved one is told under the new path.
func TestWatchMovedDirectories(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a/in/f=1", "b/in/f=2")
	b.add(dir)

	rename(t, dir, "a", "moved")
	b.untilHas("b/", "b/in/", "b/in/f=2", "moved/", "moved/in/", "moved/in/f=1")
	build(t, dir, "moved/in/f=3")
	b.untilHas("b/", "b/in/", "b/in/f=2", "moved/", "moved/in/", "moved/in/f=3")

	// Away and back, before anybody can look.
	rename(t, dir, "b", "tmp")
	rename(t, dir, "tmp", "b")
	build(t, dir, "b/g=4", "b/in/f=5")
	b.untilHas("b/", "b/g=4", "b/in/", "b/in/f=5", "moved/", "moved/in/", "moved/in/f=3")
	build(t, dir, "b/g=6", "b/in/f=7")
	b.untilHas("b/", "b/g=6", "b/in/", "b/in/f=7", "moved/", "moved/in/", "moved/in/f=3")

	// The names exchanged.
	rename(t, dir, "b", "tmp")
	rename(t, dir, "moved", "b")
	rename(t, dir, "tmp", "moved")
	b.untilHas("b/", "b/in/", "b/in/f=3", "moved/", "moved/g=6", "moved/in/", "moved/in/f=7")
	build(t, dir, "b/in/f=8", "moved/in/f=9", "moved/g=0")
	b.untilHas("b/", "b/in/", "b/in/f=8", "moved/", "moved/g=0", "moved/in/", "moved/in/f=9")

	// Out of the folder, changed there, and in again.
	out := newTree(t)
	if err := os.Rename(filepath.Join(dir, "b"), filepath.Join(out, "b")); err != nil {
		t.Fatal(err)
	}
	b.untilHas("moved/", "moved/g=0", "moved/in/", "moved/in/f=9")
	build(t, out, "b/in/f=out")
	if err := os.Rename(filepath.Join(out, "b"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	b.untilHas("b/", "b/in/", "b/in/f=out", "moved/", "moved/g=0", "moved/in/", "moved/in/f=9")
	build(t, dir, "b/in/f=in")
	b.untilHas("b/", "b/in/", "b/in/f=in", "moved/", "moved/g=0", "moved/in/", "moved/in/f=9")
}

func TestWatchAtomicReplace(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "doc=v1")
	b.add(dir)
	for _, text := range []string{"v2", "v3", "v4"} { // as editors save
		build(t, dir, ".doc.swp=x", "doc.tmp="+text)
		rename(t, dir, "doc.tmp", "doc")
		remove(t, dir, ".doc.swp")
		b.untilHas("doc=" + text)
	}
}

func TestWatchIgnoreFile(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "d/a.log=1", "d/e/b.log=2", "c.log=3")
	b.add(dir)
	build(t, dir, "d/.shoalignore=*.log\n")
	b.untilHas("c.log=3", "d/", "d/e/")
	remove(t, dir, "d/.shoalignore")
	b.untilHas("c.log=3", "d/", "d/a.log=1", "d/e/", "d/e/b.log=2")
}

func TestWatchKinds(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "x=file", "y/in=1")
	b.add(dir)
	remove(t, dir, "x", "y")
	build(t, dir, "x/in=2", "y=file", "z => y")
	b.untilHas("x/", "x/in=2", "y=file")
	remove(t, dir, "x", "y")
	build(t, dir, "x => /etc", "y => x")
	b.untilHas()
}

// fake is a notifier under the test's control.
type fake struct {
	mu     sync.Mutex // guards all following fields
	fail   error
	events chan fsnotify.Event
	errs   chan error
}

func (f *fake) Add(string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail
}
func (f *fake) Remove(string) error { return nil }
func (f *fake) Close() error        { return nil }

func (f *fake) failing(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func fakeWatch(b *bench) *fake {
	f := &fake{events: make(chan fsnotify.Event), errs: make(chan error)}
	b.watch = func(root string) (*watcher, error) { return watcherOn(root, f, f.events, f.errs), nil }
	return f
}

func TestWatchLimit(t *testing.T) {
	b := newBench(t, Options{Unwatched: 5 * time.Millisecond})
	f := fakeWatch(b)
	f.failing(&os.PathError{Op: "inotify_add_watch", Err: syscall.ENOSPC})
	b.start()
	dir := newTree(t, "a=1", "d/b=2")
	got := b.add(dir)
	if got.State != StateIdle || got.Warning == "" {
		t.Errorf("at the limit: %+v", got)
	}
	build(t, dir, "d/b=3") // no event comes
	b.untilHas("a=1", "d/", "d/b=3")
	f.failing(nil)
	b.until("no warning", func() bool { f, err := b.Get(got.ID); return err == nil && f.Warning == "" })
}

func TestNoWatcherAtAll(t *testing.T) {
	b := newBench(t, Options{Unwatched: 5 * time.Millisecond})
	b.watch = func(string) (*watcher, error) { return nil, syscall.EMFILE }
	b.start()
	dir := newTree(t, "a=1")
	if got := b.add(dir); got.State != StateIdle || got.Warning == "" {
		t.Errorf("without a watcher: %+v", got)
	}
	build(t, dir, "a=2")
	b.untilHas("a=2")
}

func TestWatchOverflow(t *testing.T) {
	b := newBench(t, Options{})
	f := fakeWatch(b)
	b.start()
	dir := newTree(t, "a=1")
	b.add(dir)
	build(t, dir, "d/e/f=2")
	f.errs <- fsnotify.ErrEventOverflow
	b.untilHas("a=1", "d/", "d/e/", "d/e/f=2")
}

// More places than can be remembered: everything is looked at.
func TestWatchManyHints(t *testing.T) {
	b := newBench(t, Options{Quiet: time.Hour}) // nobody takes the hints
	f := fakeWatch(b)
	w, err := b.watch("/root")
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxHints + 10 {
		w.heard(fsnotify.Event{Name: "/root/" + string(rune('a'+i%26)) + "/" + string(rune(0x4e00+i)), Op: fsnotify.Write})
	}
	hints, lost := w.take()
	if len(hints) != 0 || !lost {
		t.Errorf("%d hints, lost %v", len(hints), lost)
	}
	for _, e := range []string{"", "/", "/elsewhere/x", "/root/.shoal/id", "/root/d/.SHOAL/x"} {
		w.heard(fsnotify.Event{Name: e, Op: fsnotify.Write})
	}
	if hints, lost := w.take(); len(hints) != 0 || lost {
		t.Errorf("hints of nothing: %v, %v", hints, lost)
	}
	_ = f
}

func TestWatcherErrors(t *testing.T) {
	w := watcherOn("/root", blind{errors.New("out of order")}, nil, nil)
	w.add("d", 1, false)
	if w.warning() == "" {
		t.Error("no warning")
	}
	w.unlimited()
	if w.warning() != "" {
		t.Error("a warning of before")
	}
	gone := watcherOn("/root", blind{syscall.ENOENT}, nil, nil)
	gone.add("d", 1, false)
	if gone.warning() != "" {
		t.Error("a directory that is gone is no limit")
	}
}

func event(path string) fsnotify.Event { return fsnotify.Event{Name: path, Op: fsnotify.Create} }
