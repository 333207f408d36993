package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAddIsIdempotent(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "x/a=1", "link => x")
	first := b.add(filepath.Join(dir, "x"))
	if first.Label != "x" || first.Access != AccessWrite || first.Path != filepath.Join(dir, "x") || !IsID(first.ID) {
		t.Errorf("added: %+v", first)
	}
	for _, spelling := range []string{"x", "x/", "./x/../x", "link", "link/."} {
		again, err := b.Add(t.Context(), AddOptions{Path: filepath.Join(dir, "x", "..") + "/" + spelling, Label: "other", Access: AccessRead})
		if err != nil || again.ID != first.ID || again.Label != "x" || again.Access != AccessWrite {
			t.Errorf("%s: %+v, %v", spelling, again, err)
		}
	}
	if n := len(b.List()); n != 1 {
		t.Errorf("%d folders", n)
	}
	if told := events[Added](b); len(told) != 1 || told[0] != (Added{ID: first.ID, Label: "x", Path: first.Path}) {
		t.Errorf("events: %+v", told)
	}
	t.Chdir(dir) // that of the program is nothing a person thinks of
	if again, err := b.Add(t.Context(), AddOptions{Path: "x"}); !errors.Is(err, ErrUnusable) {
		t.Errorf("relative path: %+v, %v", again, err)
	}
}

func TestOverlap(t *testing.T) {
	dir := newTree(t, "data/state.db=", "shared/sub/", "sharedmore/", "up/data => ../data", "toshared => shared", "tosub => shared/sub", "other/in => ../shared")
	b := newBench(t, Options{DataDir: filepath.Join(dir, "up", "data")}) // by way of a link
	if _, err := b.Add(t.Context(), AddOptions{Path: filepath.Join(dir, "shared")}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"shared/sub":    ErrOverlap,
		"tosub":         ErrOverlap,
		"toshared/sub":  ErrOverlap,
		".":             ErrOverlap,
		"data":          ErrOverlap,
		"up/data":       ErrOverlap,
		"shared":        nil,
		"toshared":      nil,
		"other/in":      nil, // is shared itself
		"sharedmore":    nil,
		"up":            nil, // a link in it to the data directory is not followed
		"shared/.shoal": ErrUnusable,
	} {
		if _, err := b.Add(t.Context(), AddOptions{Path: filepath.Join(dir, path)}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if n := len(b.List()); n != 3 {
		t.Errorf("%d folders, want 3", n)
	}
}

func TestRelate(t *testing.T) {
	dir := newTree(t, "a/b/c/", "ab/")
	at := func(p string) string { return filepath.Join(dir, p) }
	for _, c := range []struct {
		a, b string
		want relation
	}{
		{"a", "a", equal},
		{"a/b", "a", inside},
		{"a", "a/b/c", around},
		{"a", "ab", apart},
		{"ab", "a", apart},
		{"a/missing", "a", inside},
		{"a", "a/missing/deep", around},
		{"missing", "missing2", apart},
		{"missing", "missing", equal},
	} {
		if got := relate(at(c.a), at(c.b)); got != c.want {
			t.Errorf("%s to %s: %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if got := relate("/", at("a")); got != around {
		t.Errorf("the root to a directory: %v", got)
	}
}

func TestUnusable(t *testing.T) {
	dir := newTree(t, "file=1", "loop => loop", "dangling => nowhere", "locked/")
	b := newBench(t, Options{})
	for path, why := range map[string]string{
		"":                             "not the path",
		"a\x00b":                       "not the path",
		filepath.Join(dir, "missing"):  "create it first",
		filepath.Join(dir, "file"):     "not a directory",
		filepath.Join(dir, "file/x"):   "not a directory",
		filepath.Join(dir, "loop"):     "too many links",
		filepath.Join(dir, "dangling"): "create it first",
	} {
		_, err := b.Add(t.Context(), AddOptions{Path: path})
		if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want one that says %q", path, err, why)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "locked"), 0); err != nil {
		t.Fatal(err)
	}
	asNobody(t, []string{dir}, func() {
		if _, err := b.Add(t.Context(), AddOptions{Path: filepath.Join(dir, "locked")}); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "allow its user") {
			t.Errorf("unreadable: %v", err)
		}
	})
	for _, o := range []AddOptions{{Label: "a\nb"}, {Label: strings.Repeat("x", MaxLabel+1)}, {Label: "\xff"}, {Access: "admin"}} {
		o.Path = dir
		if _, err := b.Add(t.Context(), o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".shoal")); err == nil {
		t.Error("a refused directory was marked")
	}
}

func TestDefaultLabel(t *testing.T) {
	for path, want := range map[string]string{
		"/home/docs": "docs", "/x/a\nb": "a_b", "/x/\xff": "_", "/x/" + strings.Repeat("é", 100): strings.Repeat("é", 64), "/": "/",
	} {
		if got := defaultLabel(path); got != want || checkLabel(got) != nil {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func markerIn(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, ".shoal", "id"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func TestRemoveLeavesTheFiles(t *testing.T) {
	store := NewMemory()
	b := newBench(t, Options{Store: store}).start()
	dir := newTree(t, "a=1", ".shoal/mine=keep")
	f := b.add(dir)
	if got := markerIn(t, dir); got != f.ID {
		t.Errorf("marker %q, want %q", got, f.ID)
	}
	if err := b.Remove(t.Context(), f.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), f.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if got := markerIn(t, dir); got != f.ID {
		t.Errorf("marker after the removal: %q, want %q", got, f.ID)
	}
	for _, kept := range []string{"a", ".shoal/mine"} {
		if _, err := os.Stat(filepath.Join(dir, kept)); err != nil {
			t.Error(err)
		}
	}
	if rows, err := store.Under(t.Context(), f.ID, "", "", 10); err != nil || len(rows) != 0 {
		t.Errorf("rows: %v, %v", rows, err)
	}
	if again := b.add(dir); again.ID != f.ID {
		t.Errorf("added again as %s, was %s", again.ID, f.ID)
	}
}

// Nobody wants to share the keys of a node, whosever they are, or what the system
// makes up.
func TestForbidden(t *testing.T) {
	dir := newTree(t, "node/state.db=s", "node/index.db=i", "node/lock=", "node/token=secret", "node/d/", "also/state.db=1", "also/a=2")
	b := newBench(t, Options{}).start()
	for _, path := range []string{filepath.Join(dir, "node"), filepath.Join(dir, "node", "d"), "/proc", "/sys/kernel", "/dev", "relative", "~nobody"} {
		if runtime.GOOS != "linux" && path[0] == '/' && !strings.HasPrefix(path, dir) {
			continue
		}
		if _, err := b.Add(t.Context(), AddOptions{Path: path}); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", path, err)
		}
	}
	f := b.add(dir)
	b.wait(f.ID)
	want := []string{"also/", "also/a=2", "also/state.db=1", "node/"}
	if diff := cmp.Diff(want, b.sink.has()); diff != "" {
		t.Error(diff)
	}
	skips, err := b.Skipped(f.ID)
	if err != nil || skips.Counts[ReasonNode] != 1 {
		t.Errorf("skipped %+v, %v", skips, err)
	}
}

func TestHome(t *testing.T) {
	home := newTree(t, "docs/a=1")
	t.Setenv("HOME", home)
	b := newBench(t, Options{})
	f, err := b.Add(t.Context(), AddOptions{Path: "~/docs"})
	if err != nil || f.Path != filepath.Join(home, "docs") {
		t.Errorf("~/docs: %+v, %v", f, err)
	}
}

func TestMarkerOfALostNode(t *testing.T) {
	dir := newTree(t, "x/a=1")
	x := filepath.Join(dir, "x")
	first := newBench(t, Options{})
	f, err := first.Add(t.Context(), AddOptions{Path: x})
	if err != nil {
		t.Fatal(err)
	}
	second := newBench(t, Options{})
	again, err := second.Add(t.Context(), AddOptions{Path: x})
	if err != nil || again.ID != f.ID {
		t.Errorf("after the data was lost: %+v, %v, want ID %s", again, err, f.ID)
	}
	// A copy is a folder of its own; the original at another place is not.
	if err := os.CopyFS(filepath.Join(dir, "copy"), os.DirFS(x)); err != nil {
		t.Fatal(err)
	}
	c, err := second.Add(t.Context(), AddOptions{Path: filepath.Join(dir, "copy")})
	if err != nil || c.ID == f.ID || markerIn(t, filepath.Join(dir, "copy")) != c.ID || markerIn(t, x) != f.ID {
		t.Errorf("copy: %+v, %v", c, err)
	}
	if err := os.Rename(x, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Add(t.Context(), AddOptions{Path: filepath.Join(dir, "moved")}); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("moved: %v", err)
	}
}

func TestMarkerIsNoLink(t *testing.T) {
	outside := newTree(t, "id="+strings.Repeat("a", 26))
	b := newBench(t, Options{})
	if _, err := b.Add(t.Context(), AddOptions{Path: newTree(t, ".shoal => "+outside)}); !errors.Is(err, ErrUnusable) {
		t.Errorf("linked directory: %v", err)
	}
	dir := newTree(t, ".shoal/id => "+filepath.Join(outside, "id"))
	f, err := b.Add(t.Context(), AddOptions{Path: dir})
	if err != nil || f.ID == strings.Repeat("a", 26) || markerIn(t, dir) != f.ID || markerIn(t, filepath.Dir(outside)) == f.ID {
		t.Errorf("linked file: %+v, %v", f, err)
	}
	if text, err := os.ReadFile(filepath.Join(outside, "id")); err != nil || string(text) != strings.Repeat("a", 26) {
		t.Errorf("outside: %q, %v", text, err)
	}
}

func TestVanishAndReturn(t *testing.T) {
	base := newTree(t, "x/a=1", "x/d/b=2")
	x, away := filepath.Join(base, "x"), filepath.Join(base, "away")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct{ lose, find func() }{
		"the directory":     {func() { move(x, away) }, func() { move(away, x) }},
		"an empty in place": {func() { move(x, away); build(t, base, "x/") }, func() { remove(t, base, "x"); move(away, x) }},
		"the marker": {
			func() { move(filepath.Join(x, ".shoal"), away) },
			func() { move(away, filepath.Join(x, ".shoal")) },
		},
		"another marker": {
			func() {
				move(filepath.Join(x, ".shoal"), away)
				build(t, x, ".shoal/id="+strings.Repeat("a", 26))
			},
			func() { remove(t, x, ".shoal"); move(away, filepath.Join(x, ".shoal")) },
		},
		"a damaged marker": {
			func() { move(filepath.Join(x, ".shoal"), away); build(t, x, ".shoal/id=\x00") },
			func() { remove(t, x, ".shoal"); move(away, filepath.Join(x, ".shoal")) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, Options{}).start()
			id := b.add(x).ID
			b.wantHas("a=1", "d/", "d/b=2")
			c.lose()
			f := b.rescan(id)
			if f.State != StateError || f.Error == "" || f.Files != 2 {
				t.Errorf("lost: %+v", f)
			}
			b.wantHas("a=1", "d/", "d/b=2")
			if _, err := b.OpenFile(id, "a"); !errors.Is(err, ErrUnavailable) {
				t.Errorf("open: %v", err)
			}
			b.sink.takePuts()
			c.find()
			b.untilState(id, StateIdle)
			b.wantPuts()
			build(t, x, "new=3") // it is watched again
			b.untilHas("a=1", "d/", "d/b=2", "new=3")
			if err := os.Remove(filepath.Join(x, "new")); err != nil {
				t.Fatal(err)
			}
			b.untilHas("a=1", "d/", "d/b=2")
			if err := b.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// after is a store that calls a function after a change.
type after struct {
	*Memory
	call atomic.Pointer[func()]
}

func (s *after) Apply(ctx context.Context, folder string, d Diff) (Delta, error) {
	delta, err := s.Memory.Apply(ctx, folder, d)
	if call := s.call.Swap(nil); call != nil {
		(*call)()
	}
	return delta, err
}

// When the marker goes while a scan finds files missing, what was found until then
// is all that is forgotten.
func TestVanishDuringAScan(t *testing.T) {
	store := &after{Memory: NewMemory()}
	b := newBench(t, Options{Store: store, Retry: time.Hour}).start()
	dir := newTree(t)
	for i := range 2*maxBatch + 10 {
		build(t, dir, fmt.Sprintf("%d=", i))
	}
	id := b.add(dir).ID
	b.pause(id)
	for i := range 2*maxBatch + 10 {
		remove(t, dir, fmt.Sprint(i))
	}
	vanish := func() {
		if err := os.RemoveAll(filepath.Join(dir, ".shoal")); err != nil {
			t.Error(err)
		}
	}
	store.call.Store(&vanish)
	b.resume(id)
	f, err := b.Get(id)
	if err != nil || f.State != StateError || f.Files != maxBatch+10 {
		t.Errorf("%+v, %v", f, err)
	}
	if err := b.WaitTold(t.Context(), id); err != nil || len(b.sink.has()) != f.Files {
		t.Errorf("the sink has %d: %v", len(b.sink.has()), err)
	}
}

// On media that cannot be written the directory itself is remembered.
func TestReadOnlyFolder(t *testing.T) {
	base := newTree(t, "x/a=1")
	x := filepath.Join(base, "x")
	if err := os.Chmod(x, 0o555); err != nil {
		t.Fatal(err)
	}
	asNobody(t, []string{x}, func() {
		b := newBench(t, Options{}).start()
		f := b.add(x)
		b.wantHas("a=1")
		if markerIn(t, x) != "" {
			t.Error("a marker in a read-only directory")
		}
		if err := errors.Join(os.Rename(x, x+"2"), os.Mkdir(x, 0o755)); err != nil {
			t.Fatal(err)
		}
		if got := b.rescan(f.ID); got.State != StateError || got.Files != 1 {
			t.Errorf("another directory: %+v", got)
		}
		b.wantHas("a=1")
		if err := errors.Join(os.Remove(x), os.Rename(x+"2", x)); err != nil {
			t.Fatal(err)
		}
		b.untilState(f.ID, StateIdle)
		if err := errors.Join(b.Remove(t.Context(), f.ID), os.Chmod(x, 0o755)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUpdate(t *testing.T) {
	store := NewMemory()
	b := newBench(t, Options{Store: store}).start()
	dir := newTree(t, "a=1")
	f := b.add(dir)
	label, access := "Papers", AccessRead
	got, err := b.Update(t.Context(), f.ID, Changes{Label: &label, Access: &access})
	if err != nil || got.Label != label || got.Access != access || got.State != StateIdle {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "a\x00b"} {
		if _, err := b.Update(t.Context(), f.ID, Changes{Label: &bad}); !errors.Is(err, ErrInvalid) {
			t.Errorf("label %q: %v", bad, err)
		}
		if _, err := b.Update(t.Context(), f.ID, Changes{Access: &bad}); !errors.Is(err, ErrInvalid) {
			t.Errorf("access %q: %v", bad, err)
		}
	}
	b.pause(f.ID)
	build(t, dir, "b=2")
	if got := b.rescan(f.ID); got.State != StatePaused {
		t.Errorf("paused: %+v", got)
	}
	b.wantHas("a=1")
	if file, err := b.OpenFile(f.ID, "a"); err != nil {
		t.Errorf("a paused folder is served: %v", err)
	} else if err := file.Close(); err != nil {
		t.Error(err)
	}

	// All of it survives a restart, the pause too.
	next := newBench(t, Options{Store: store}).start()
	got, err = next.Get(f.ID)
	if err != nil || got.Label != label || got.Access != access || got.State != StatePaused || got.Files != 1 {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
	next.resume(f.ID)
	next.wantHas("b=2") // a is known to the store already
}

func TestIndexLost(t *testing.T) {
	store := NewMemory()
	dir := newTree(t, "a=1", "d/b=2")
	first := newBench(t, Options{Store: store})
	if _, err := first.Add(t.Context(), AddOptions{Path: dir}); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Options{Store: store}).start()
	id := b.List()[0].ID
	b.wait(id)
	b.wantHas("a=1", "d/", "d/b=2")
}

func TestUnknownFolder(t *testing.T) {
	b := newBench(t, Options{})
	for what, err := range map[string]error{
		"get":     second(b.Get("x")),
		"update":  second(b.Update(t.Context(), "x", Changes{})),
		"scan":    b.Scan("x"),
		"wait":    b.Wait(t.Context(), "x"),
		"skipped": second(b.Skipped("x")),
		"open":    second(b.OpenFile("x", "a")),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := b.Entries(t.Context(), "x", "", "", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("entries: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestEntriesInPages(t *testing.T) {
	b := newBench(t, Options{}).start()
	id := b.add(newTree(t, "a/1=", "a/2=", "ab=", "b=", "c/d/e=")).ID
	all := func(prefix string, limit int) (paths []string) {
		for cursor := ""; ; {
			entries, next, err := b.Entries(t.Context(), id, prefix, cursor, limit)
			if err != nil || len(entries) > limit {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			for _, e := range entries {
				paths = append(paths, e.Path)
			}
			if cursor = next; next == "" {
				return paths
			}
		}
	}
	for prefix, want := range map[string][]string{
		"":     {"a", "a/1", "a/2", "ab", "b", "c", "c/d", "c/d/e"},
		"a":    {"a", "a/1", "a/2", "ab"},
		"a/":   {"a/1", "a/2"},
		"none": nil,
	} {
		for limit := 1; limit < 10; limit++ {
			if diff := cmp.Diff(want, all(prefix, limit)); diff != "" {
				t.Errorf("prefix %q by %d (-want +got):\n%s", prefix, limit, diff)
			}
		}
	}
}

func TestRunTwice(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a=1")
	b.add(dir) // so that Run is under way
	if err := b.Run(t.Context()); err == nil {
		t.Error("a second Run was accepted")
	}
	c := newBench(t, Options{})
	f, err := c.Add(t.Context(), AddOptions{Path: newTree(t, "a=1")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		c.wait(f.ID)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
