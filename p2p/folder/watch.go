package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// maxHints is how many places are looked at one by one; with more, the whole
// folder is.
const maxHints = 16384

// watches is what a scan tells a watcher of the directories it has met.
type watches interface {
	// add is called before a directory is listed. Again: also if it is watched.
	add(dir string, inode uint64, again bool)
	remove(dir string)
	// has reports whether the directory is watched under this path, or cannot be.
	has(dir string, inode uint64) bool
}

// notifier is what is used of fsnotify.Watcher.
type notifier interface {
	Add(path string) error
	Remove(path string) error
	Close() error
}

// watcher gathers file system events of one folder as hints. Events only say
// where to look, so it does no harm that a path may lead elsewhere by the time it
// is watched.
//
// The kernel watches inodes, and fsnotify keeps the path under which it first met
// one; after a directory was moved, what happens in the directories inside it
// would be told under the old path. So it is remembered which inode is watched
// under which path, and an inode met under another path is watched anew.
type watcher struct {
	root   string
	system notifier
	events <-chan fsnotify.Event
	errors <-chan error
	ready  chan struct{} // capacity 1: there is something to take
	dead   bool          // it can watch nothing

	op sync.Mutex // serialises calls of system's Add and Remove; before mu

	// mu guards all following fields. It is not held during a call of system, which
	// may wait for run to take an error.
	mu     sync.Mutex
	inodes map[string]uint64
	paths  map[uint64]string
	stale  map[string]struct{} // directories whose watch may have ended
	hints  map[hint]struct{}
	lost   bool  // events were lost: everything has to be looked at
	limit  error // why some directories are not watched
}

// newWatcher returns a watcher of the folder at root that watches nothing yet.
func newWatcher(root string) (*watcher, error) {
	f, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return watcherOn(root, f, f.Events, f.Errors), nil
}

func watcherOn(root string, system notifier, events <-chan fsnotify.Event, errs <-chan error) *watcher {
	return &watcher{
		root: root, system: system, events: events, errors: errs,
		ready:  make(chan struct{}, 1),
		inodes: make(map[string]uint64), paths: make(map[uint64]string),
		stale: make(map[string]struct{}), hints: make(map[hint]struct{}),
	}
}

// unwatchable returns a watcher that watches nothing, because of err.
func unwatchable(root string, err error) *watcher {
	w := watcherOn(root, blind{err}, nil, nil)
	w.dead = true
	return w
}

// blind is a notifier that does not work.
type blind struct{ err error }

func (b blind) Add(string) error    { return b.err }
func (b blind) Remove(string) error { return b.err }
func (b blind) Close() error        { return nil }

// run gathers events until ctx ends, and closes the watcher. It never waits for
// anybody, so that the kernel's queue stays short.
func (w *watcher) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return w.system.Close()
		case e, open := <-w.events:
			if !open {
				return nil
			}
			w.heard(e)
		case err, open := <-w.errors:
			if !open {
				return nil
			}
			w.failed(err)
		}
	}
}

// heard makes hints of an event.
func (w *watcher) heard(e fsnotify.Event) {
	rel, err := filepath.Rel(w.root, e.Name)
	if e.Name == "" || err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return
	}
	path := filepath.ToSlash(rel)
	if path == "." {
		path = ""
	}
	for name := range strings.SplitSeq(path, "/") {
		if isReserved(name) {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, watched := w.inodes[path]; watched && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
		// The kernel or fsnotify has given this watch up. If another directory has
		// the name already, or the same one again, it is watched when looked at.
		w.stale[path] = struct{}{}
		w.tell(hint{dir: path, path: path})
	}
	switch {
	case path == "":
		w.tell(hint{})
	case base(path) == IgnoreFile:
		w.tell(hint{dir: parent(path), path: path, deep: true})
	default:
		w.tell(hint{dir: parent(path), path: path})
	}
}

// tell notes a hint. The caller holds w.mu.
func (w *watcher) tell(h hint) {
	if len(w.hints) >= maxHints {
		w.lost = true
		clear(w.hints)
	}
	if !w.lost {
		w.hints[h] = struct{}{}
	}
	w.wake()
}

func (w *watcher) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// failed notes that events were lost, or may have been.
func (w *watcher) failed(error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = true
	clear(w.hints)
	w.wake()
}

// take returns what was gathered. lost: look at everything instead.
func (w *watcher) take() (hints []hint, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h := range w.hints {
		hints = append(hints, h)
	}
	clear(w.hints)
	lost, w.lost = w.lost, false
	return hints, lost
}

// add implements watches.
func (w *watcher) add(dir string, inode uint64, again bool) {
	w.op.Lock()
	defer w.op.Unlock()
	first, needed := w.prepare(dir, inode, again)
	if !needed {
		return
	}
	for _, d := range first {
		w.unwatch(d)
	}
	err := w.system.Add(w.abs(dir))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		// Of one that has just gone, the directory above tells.
		if !isGone(err) {
			w.limit = err
		}
		return
	}
	w.inodes[dir] = inode
	if inode != 0 {
		w.paths[inode] = dir
	}
}

// prepare forgets the watches that stand in the way of one for dir, and returns
// whose they are; needed is false if there is nothing to do.
func (w *watcher) prepare(dir string, inode uint64, again bool) (first []string, needed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, watched := w.inodes[dir]
	_, stale := w.stale[dir]
	if watched && was == inode && !again && !stale {
		return nil, false
	}
	delete(w.stale, dir)
	// Also if it seems to be the same: when a watched path leads to another watched
	// directory by now, adding it again leaves fsnotify 1.10 in a state in which its
	// next removal panics. What happens in between is met when it is listed.
	if watched {
		w.forget(dir)
		first = append(first, dir)
	}
	if other, moved := w.paths[inode]; moved && inode != 0 && other != dir {
		w.forget(other)
		first = append(first, other)
	}
	return first, true
}

// remove implements watches.
func (w *watcher) remove(dir string) {
	w.op.Lock()
	defer w.op.Unlock()
	w.mu.Lock()
	_, watched := w.inodes[dir]
	w.forget(dir)
	w.mu.Unlock()
	if watched {
		w.unwatch(dir)
	}
}

// has implements watches.
func (w *watcher) has(dir string, inode uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, watched := w.inodes[dir]
	_, stale := w.stale[dir]
	return watched && was == inode && !stale || w.dead || w.limit != nil
}

// forget drops what is known of a watch. The caller holds w.mu.
func (w *watcher) forget(dir string) {
	if inode := w.inodes[dir]; w.paths[inode] == dir {
		delete(w.paths, inode)
	}
	delete(w.inodes, dir)
	delete(w.stale, dir)
}

// unwatch ends a watch. The caller holds w.op.
func (w *watcher) unwatch(dir string) {
	if err := w.system.Remove(w.abs(dir)); err != nil {
		return // the kernel was faster: it has ended by itself
	}
}

func (w *watcher) abs(dir string) string { return filepath.Join(w.root, filepath.FromSlash(dir)) }

// unlimited forgets that there was a limit, because all is about to be tried
// again.
func (w *watcher) unlimited() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = nil
}

// warning says that not everything is watched, and what to do.
func (w *watcher) warning() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.limit == nil:
		return ""
	case isNoSpace(w.limit):
		return "This system's limit of watched directories is reached (on Linux: sysctl fs.inotify.max_user_watches), so changes are noticed within a minute instead of at once."
	}
	return fmt.Sprintf("Not every directory can be watched (%v), so changes are noticed within a minute instead of at once.", w.limit)
}

// isGone reports that a directory is not there any more, or is none.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// isNoSpace reports that the system watches as much as it may.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
