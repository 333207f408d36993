package folder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hook gathers what Options.Changed was told.
type hook struct {
	mu   sync.Mutex // guards all following fields
	told []Dirty
	b    *bench // gets to know when there is something; may be nil
}

func (h *hook) changed(_ string, d Dirty) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(d.Paths)+len(d.Moved) == 0 && !d.All {
		return // files were read again: when that is the clock decides
	}
	h.told = append(h.told, d)
	if h.b != nil {
		h.b.wake()
	}
}

// untilHook waits until the hook has been called.
func (b *bench) untilHook(h *hook) {
	b.t.Helper()
	b.until("the hook", func() bool { h.mu.Lock(); defer h.mu.Unlock(); h.b = b; return len(h.told) > 0 })
}

func (h *hook) take() []Dirty {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := h.told
	h.told = nil
	return told
}

// calm makes rows look as if their files had been read long after their last change.
func calm(t *testing.T, s Store, id string) {
	t.Helper()
	rows, err := s.Under(t.Context(), id, "", "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i].Checked = rows[i].Changed + int64(time.Minute)
	}
	if _, err := s.Apply(t.Context(), id, Diff{Same: rows}); err != nil {
		t.Fatal(err)
	}
}

// read returns how many bytes all complete scans have read.
func (b *bench) read() (sum int64) {
	for _, e := range events[Scanning](b) {
		if e.Done {
			sum += e.Read
		}
	}
	return sum
}

func (b *bench) wantDirty(h *hook, want ...Dirty) {
	b.t.Helper()
	if diff := cmp.Diff(want, h.take()); diff != "" {
		b.t.Errorf("hook (-want +got):\n%s", diff)
	}
}

// While the folder is paused files are moved; the scan that finds it reads nothing.
func TestMovesAreNotReadAgain(t *testing.T) {
	for what, c := range map[string]struct {
		tree []string
		do   func(t *testing.T, dir string)
		has  []string
		want Dirty
		read int64 // bytes
	}{
		"a directory": {
			tree: []string{"d/a=one", "d/e/b=two", "p/"},
			do:   func(t *testing.T, dir string) { rename(t, dir, "d", "p/q") },
			has:  []string{"p/", "p/q/", "p/q/a=one", "p/q/e/", "p/q/e/b=two"},
			want: Dirty{Moved: []Move{{"d", "p/q"}}},
		},
		"a directory and what is in it": {
			tree: []string{"d/a=one", "d/e/b=two"},
			do:   func(t *testing.T, dir string) { rename(t, dir, "d", "g"); rename(t, dir, "g/e", "h") },
			has:  []string{"g/", "g/a=one", "h/", "h/b=two"},
			want: Dirty{Moved: []Move{{"d", "g"}, {"d/e", "h"}}},
		},
		"out of a directory that is gone": {
			tree: []string{"d/a=one", "d/e/b=two"},
			do:   func(t *testing.T, dir string) { rename(t, dir, "d/e", "h"); remove(t, dir, "d") },
			has:  []string{"h/", "h/b=two"},
			want: Dirty{Paths: []string{"d", "d/a"}, Moved: []Move{{"d/e", "h"}}},
		},
		"a swap": {
			tree: []string{"d/a=one", "e/b=two"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "d", "t")
				rename(t, dir, "e", "d")
				rename(t, dir, "t", "e")
			},
			has:  []string{"d/", "d/b=two", "e/", "e/a=one"},
			want: Dirty{Moved: []Move{{"e", "d"}, {"d", "e"}}},
		},
		"another in its place": {
			tree: []string{"d/a=one"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "d", "old")
				build(t, dir, "d/a=new")
			},
			has:  []string{"d/", "d/a=new", "old/", "old/a=one"},
			want: Dirty{Paths: []string{"d", "d/a"}, Moved: []Move{{"d", "old"}}},
			read: 3,
		},
		"into its successor": {
			tree: []string{"d/a=one", "d/e/b=two"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "d", "t")
				build(t, dir, "d/a=new", "d/z=new")
				rename(t, dir, "t", "d/c")
			},
			has:  []string{"d/", "d/a=new", "d/c/", "d/c/a=one", "d/c/e/", "d/c/e/b=two", "d/z=new"},
			want: Dirty{Paths: []string{"d", "d/a", "d/c", "d/z"}, Moved: []Move{{"d", "d/c"}}},
			read: 6,
		},
		"a file in its place": {
			tree: []string{"d/a=one"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "d", "old")
				build(t, dir, "d=new")
			},
			has:  []string{"d=new", "old/", "old/a=one"},
			want: Dirty{Paths: []string{"d"}, Moved: []Move{{"d", "old"}}},
			read: 3,
		},
		"into the place of the one above": {
			tree: []string{"d/e/b=two"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "d/e", "t")
				remove(t, dir, "d")
				rename(t, dir, "t", "d")
			},
			has:  []string{"d/", "d/b=two"},
			want: Dirty{Moved: []Move{{"d/e", "d"}}},
		},
		"an empty one": {
			tree: []string{"d/"},
			do:   func(t *testing.T, dir string) { rename(t, dir, "d", "e") },
			has:  []string{"e/"},
			want: Dirty{Moved: []Move{{"d", "e"}}},
		},
		"moved and changed": {
			tree: []string{"d/a=one", "d/b=two"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "d", "e")
				build(t, dir, "e/a=more", "e/c=new")
			},
			has:  []string{"e/", "e/a=more", "e/b=two", "e/c=new"},
			want: Dirty{Paths: []string{"e/a", "e/c"}, Moved: []Move{{"d", "e"}}},
			read: 7,
		},
		"a file": {
			tree: []string{"a=one", "p/"},
			do:   func(t *testing.T, dir string) { rename(t, dir, "a", "p/b") },
			has:  []string{"p/", "p/b=one"},
			want: Dirty{Paths: []string{"a", "p/b"}},
		},
		"a file over another": {
			tree: []string{"a=one", "b=other"},
			do:   func(t *testing.T, dir string) { rename(t, dir, "a", "b") },
			has:  []string{"b=one"},
			want: Dirty{Paths: []string{"a", "b"}},
		},
		"two files swapped": {
			tree: []string{"a=one", "b=two"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "a", "t")
				rename(t, dir, "b", "a")
				rename(t, dir, "t", "b")
			},
			has:  []string{"a=two", "b=one"},
			want: Dirty{Paths: []string{"a", "b"}},
		},
		"a file out of a directory that a file replaces": {
			tree: []string{"d/a=one"},
			do: func(t *testing.T, dir string) {
				rename(t, dir, "d/a", "t")
				remove(t, dir, "d")
				rename(t, dir, "t", "d")
			},
			has:  []string{"d=one"},
			want: Dirty{Paths: []string{"d", "d/a"}},
			read: 3, // it was in a directory that was not looked into
		},
	} {
		t.Run(what, func(t *testing.T) {
			var h hook
			store := NewMemory()
			b := newBench(t, Options{Store: store, Changed: h.changed}).start()
			dir := newTree(t, c.tree...)
			id := b.add(dir).ID
			b.pause(id)
			old := time.Unix(1_700_000_000, 0)
			if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				if err == nil {
					err = os.Chtimes(path, old, old)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			b.resume(id)
			b.pause(id)
			calm(t, store, id)
			h.take()
			before := b.read()
			c.do(t, dir)
			b.resume(id)
			b.until("read", func() bool { return len(events[Scanned](b)) == 3 })
			if got := b.read() - before; got != c.read {
				t.Errorf("%d bytes were read, want %d", got, c.read)
			}
			b.wantHas(c.has...)
			want := []Dirty{{Paths: c.want.Paths, All: true}}
			if len(c.want.Moved) > 0 { // told before anything can be looked up where it is now
				want = append([]Dirty{{Moved: c.want.Moved}}, want...)
			}
			b.wantDirty(&h, want...)
			// All is known now.
			b.rescan(id)
			b.wantDirty(&h, Dirty{All: true})
			files := 0
			for _, line := range c.has {
				if line[len(line)-1] != '/' {
					files++
				}
			}
			if f, err := b.Get(id); err != nil || f.Files != files {
				t.Errorf("counted %+v, %v", f, err)
			}
		})
	}
}

// A file whose time stamps could hide a change is read again after a rename.
func TestRacyFileIsReadAfterARename(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a=one")
	id := b.add(dir).ID
	b.pause(id)
	before := b.read()
	rename(t, dir, "a", "b")
	b.resume(id)
	b.wantHas("b=one")
	if got := b.read() - before; got != 3 {
		t.Errorf("%d bytes were read", got)
	}
}

// The number of an inode is used again: what is in the directory is another thing.
func TestInodeIsUsedAgain(t *testing.T) {
	var h hook
	store := NewMemory()
	b := newBench(t, Options{Store: store, Changed: h.changed}).start()
	dir := newTree(t, "d/a=one")
	id := b.add(dir).ID
	b.pause(id)
	h.take()
	remove(t, dir, "d")
	build(t, dir, "e/b=two")
	info, err := os.Lstat(filepath.Join(dir, "e"))
	if err != nil {
		t.Fatal(err)
	}
	row, err := store.Row(t.Context(), id, "d")
	if err != nil {
		t.Fatal(err)
	}
	row.Inode = statOf(info).inode
	if _, err := store.Apply(t.Context(), id, Diff{Same: []Row{row}}); err != nil {
		t.Fatal(err)
	}
	b.resume(id)
	b.wantDirty(&h, Dirty{Paths: []string{"d", "d/a", "e", "e/b"}, All: true})
	b.wantHas("e/", "e/b=two")
}

// By hints both ends of a rename are in one call, and nothing is read.
func TestHookOfAWatchedMove(t *testing.T) {
	var h hook
	b := newBench(t, Options{Changed: h.changed, Quiet: 50 * time.Millisecond}).start()
	dir := newTree(t, "d/a=one", "d/e/b=two", "p/", "f=three")
	b.add(dir)
	b.wantDirty(&h, Dirty{Paths: []string{"d", "d/a", "d/e", "d/e/b", "f", "p"}, All: true})
	rename(t, dir, "d", "p/q")
	b.untilHas("f=three", "p/", "p/q/", "p/q/a=one", "p/q/e/", "p/q/e/b=two")
	b.untilHook(&h)
	b.wantDirty(&h, Dirty{Moved: []Move{{"d", "p/q"}}})
	build(t, dir, "p/q/e/b=edited") // it is watched under its new path
	b.untilHas("f=three", "p/", "p/q/", "p/q/a=one", "p/q/e/", "p/q/e/b=edited")
	b.untilHook(&h)
	b.wantDirty(&h, Dirty{Paths: []string{"p/q/e/b"}})
	rename(t, dir, "f", "g")
	b.untilHas("g=three", "p/", "p/q/", "p/q/a=one", "p/q/e/", "p/q/e/b=edited")
	b.untilHook(&h)
	b.wantDirty(&h, Dirty{Paths: []string{"f", "g"}})
}

// What a scan that failed has found is told after the next.
func TestHookAfterAFailedScan(t *testing.T) {
	var h hook
	store := &after{Memory: NewMemory()}
	b := newBench(t, Options{Store: store, Changed: h.changed, Retry: time.Hour}).start()
	dir := newTree(t)
	var all []string
	for i := range 2 * maxBatch {
		build(t, dir, fmt.Sprintf("%04d=", i))
		all = append(all, fmt.Sprintf("%04d", i))
	}
	id := b.add(dir).ID
	b.pause(id)
	h.take()
	for _, name := range all {
		remove(t, dir, name)
	}
	vanish := func() { rename(t, dir, ".shoal", ".away") }
	store.call.Store(&vanish)
	b.resume(id)
	b.wantDirty(&h)
	rename(t, dir, ".away", ".shoal")
	b.rescan(id)
	b.wantDirty(&h, Dirty{Paths: all, All: true})
}

func TestDirtyOfManyPaths(t *testing.T) {
	d := dirty{paths: slices.Repeat([]string{"a"}, 2*maxDirty)}
	if got, _ := d.take(true); len(got.Paths) != 1 || !got.All {
		t.Errorf("%d paths", len(got.Paths))
	}
	for i := range maxDirty + 1 {
		d.paths = append(d.paths, fmt.Sprint(i))
	}
	if got, any := d.take(true); got.Paths != nil || !got.All || !any {
		t.Errorf("%d paths", len(got.Paths))
	}
	if _, any := d.take(false); any {
		t.Error("told twice")
	}
}
