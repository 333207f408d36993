package folder

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// interposedStore calls a function once, when a scan asks what is known in a directory: it has been
// listed then, and nothing in it was read.
type interposedStore struct {
	Store
	dir  string
	call atomic.Pointer[func()]
}

func (s *interposedStore) Children(ctx context.Context, id, dir string) ([]Row, error) {
	if dir == s.dir {
		if call := s.call.Swap(nil); call != nil {
			(*call)()
		}
	}
	return s.Store.Children(ctx, id, dir)
}

// A directory above one that a scan has listed is away when the scan reads what is new in it, and is back
// before the next one. That is read all the same, without a complete scan: the file system tells only
// that the one above has another name, and has its own again.
func TestAwayAndBack(t *testing.T) {
	store := &interposedStore{Store: NewMemory(), dir: "d/e"}
	b := newBench(t, Options{Store: store, Quiet: 100 * time.Millisecond}).start()
	dir := newTree(t, "d/e/first=1")
	b.add(dir)
	away := func() {
		rename(t, dir, "d", "x")
		time.AfterFunc(30*time.Millisecond, func() { rename(t, dir, "x", "d") })
	}
	store.call.Store(&away)
	build(t, dir, "d/e/second=2")
	b.untilHas("d/", "d/e/", "d/e/first=1", "d/e/second=2")
	if store.call.Load() != nil {
		t.Error("it was not away")
	}
	if n := len(events[Scanned](b)); n != 1 {
		t.Errorf("%d complete scans, want only the first", n)
	}
}
