package folder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
)

func TestTree(t *testing.T) {
	b := newBench(t, Options{})
	f, err := b.Add(t.Context(), AddOptions{Path: newTree(t, "a=1")})
	if err != nil {
		t.Fatal(err)
	}
	root, done, err := b.Tree(f.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := root.ReadFile("a"); err != nil || string(text) != "1" {
		t.Errorf("%q, %v", text, err)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if _, _, err := b.Tree("unknown"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

// rowOf makes the row of what is at a path, as the one who has put it there would.
func rowOf(t *testing.T, dir, path string, hash Hash) Row {
	t.Helper()
	info, err := os.Lstat(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return statOf(info).row(path, hash, time.Now())
}

// What was recorded is found by nobody again: neither by the events about it nor by
// the next look. Search hears of it.
func TestRecord(t *testing.T) {
	var h hook
	b := newBench(t, Options{Changed: h.changed, Quiet: 100 * time.Millisecond})
	w := fakeWatch(b)
	b.start()
	dir := newTree(t, "old=1", "d/a=2", "d/e/b=3", "kept=4")
	id := b.add(dir).ID
	h.take()
	kept, err := b.Row(t.Context(), id, "kept")
	if err != nil {
		t.Fatal(err)
	}
	remove(t, dir, "old")
	rename(t, dir, "d", "g")
	build(t, dir, "new/file=4")
	put := []Row{rowOf(t, dir, "new", Hash{}), rowOf(t, dir, "new/file", kept.Hash)}
	if err := b.Record(t.Context(), id, []string{"old"}, []Move{{"d", "g"}}, put); err != nil {
		t.Fatal(err)
	}
	if f, err := b.Get(id); err != nil || f.Files != 4 || f.Bytes != 4 {
		t.Errorf("counted %+v, %v", f, err)
	}
	if err := b.WaitTold(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b.wantHas("g/", "g/a=2", "g/e/", "g/e/b=3", "kept=4", "new/", "new/file=4")
	// The events come, and one about a person's change after them.
	if path, found := b.ByHash(t.Context(), id, kept.Hash); !found || path != "kept" {
		t.Errorf("by hash: %q, %v", path, found)
	}
	sh, err := b.share(id)
	if err != nil {
		t.Fatal(err)
	}
	build(t, dir, "person=5")
	for _, name := range []string{"old", "d", "g", "new", "new/file", "person"} {
		w.events <- event(filepath.Join(dir, name))
	}
	b.until("the person's", func() bool { _, err := b.Row(t.Context(), id, "person"); return err == nil })
	b.untilHook(&h)
	b.wantDirty(&h, Dirty{Paths: []string{"person"}})
	row, err := b.Row(t.Context(), id, "new/file")
	if diff := cmp.Diff(put[1], row); err != nil || diff != "" {
		t.Errorf("read again: %v\n%s", err, diff)
	}
	if !sh.isOwn("new/file", statAt(t, dir, "new/file")) || sh.isOwn("kept", statAt(t, dir, "kept")) {
		t.Error("own writes")
	}
	// A complete scan reads it, as all that is young.
	b.pause(id)
	b.resume(id)
	b.wantDirty(&h, Dirty{All: true})
	if row, err := b.Row(t.Context(), id, "new/file"); err != nil || row.Checked == put[1].Checked {
		t.Errorf("not read: %+v, %v", row, err)
	}
	if rows, err := b.Children(t.Context(), id, "g"); err != nil || len(rows) != 2 {
		t.Errorf("children: %v, %v", rows, err)
	}
	if err := b.Record(t.Context(), "unknown", nil, nil, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func statAt(t *testing.T, dir, path string) stat {
	t.Helper()
	info, err := os.Lstat(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return statOf(info)
}

// Directories that were made, or moved, and recorded are watched like all others.
func TestRecordedDirectoriesAreWatched(t *testing.T) {
	b := newBench(t, Options{Quiet: 100 * time.Millisecond}).start()
	dir := newTree(t, "d/e/b=1")
	id := b.add(dir).ID
	rename(t, dir, "d", "g")
	build(t, dir, "new/deep/")
	err := b.Record(t.Context(), id, nil, []Move{{"d", "g"}}, []Row{rowOf(t, dir, "new", Hash{}), rowOf(t, dir, "new/deep", Hash{})})
	if err != nil {
		t.Fatal(err)
	}
	b.untilHas("g/", "g/e/", "g/e/b=1", "new/", "new/deep/")
	build(t, dir, "g/e/b=edited", "new/deep/x=2")
	b.untilHas("g/", "g/e/", "g/e/b=edited", "new/", "new/deep/", "new/deep/x=2")
}

// What is recorded while a scan runs is newer than what the scan has seen.
func TestRecordOvertakesAScan(t *testing.T) {
	o := overtaken{scanning: true, paths: map[string]struct{}{}}
	d := Diff{Drop: []string{"a", "b", "d/x"}, Left: []string{"l"}, Put: []Row{{Entry: Entry{Path: "p"}}, {Entry: Entry{Path: "q"}}}, Same: []Row{{Entry: Entry{Path: "s"}}}, Moved: []Move{{"m", "n"}, {"o", "r"}}}
	if again := o.filter(&d); again != nil || len(d.Drop) != 3 {
		t.Errorf("nothing was recorded: %v", again)
	}
	o.add([]string{"b", "m/deep"}, []Move{{"d", "e"}}, []Row{{Entry: Entry{Path: "p"}}, {Entry: Entry{Path: "s"}}, {Entry: Entry{Path: "l"}}})
	again := o.filter(&d)
	if diff := cmp.Diff([]string{"b", "d/x", "l", "p", "s"}, again); diff != "" {
		t.Error(diff)
	}
	want := Diff{Drop: []string{"a"}, Left: []string{}, Put: []Row{{Entry: Entry{Path: "q"}}}, Same: []Row{}, Moved: []Move{{"o", "r"}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		dir  string
		want bool
	}{{"m", true}, {"m/deep/er", false}, {"e/in", true}, {"d", true}, {"mm", false}} {
		if got := o.touches(c.dir); got != c.want {
			t.Errorf("touches %s: %v", c.dir, got)
		}
	}

	// In a scan: after its first batch, a file that it has seen missing is back.
	store := &after{Memory: NewMemory()}
	b := newBench(t, Options{Store: store}).start()
	dir := newTree(t, "a=1", "z=2")
	id := b.add(dir).ID
	b.pause(id)
	row, err := b.Row(t.Context(), id, "a")
	if err != nil {
		t.Fatal(err)
	}
	remove(t, dir, "a")
	sh, err := b.share(id)
	if err != nil {
		t.Fatal(err)
	}
	sh.scanning(true)
	build(t, dir, "a=1")
	row = rowOf(t, dir, "a", row.Hash)
	if err := b.Record(t.Context(), id, nil, nil, []Row{row}); err != nil {
		t.Fatal(err)
	}
	if _, err := sh.found(t.Context(), Diff{Drop: []string{"a"}}, true); err != nil {
		t.Fatal(err)
	}
	sh.scanning(false)
	if got, err := b.Row(t.Context(), id, "a"); err != nil || got.Inode != row.Inode {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOwnIsBounded(t *testing.T) {
	var o own
	for i := range 5 * maxOwn {
		o.add(Row{Entry: Entry{Path: strings.Repeat("x", i%7) + string(rune(i))}, Inode: uint64(i)})
	}
	if n := len(o.newer) + len(o.older); n > 2*maxOwn || n < maxOwn {
		t.Errorf("%d remembered", n)
	}
}

func TestHint(t *testing.T) {
	b := newBench(t, Options{})
	fakeWatch(b)
	b.start()
	dir := newTree(t, "d/a=1")
	id := b.add(dir).ID
	build(t, dir, "d/b=2")
	b.Hint(id, "d/b", "../x")
	b.untilHas("d/", "d/a=1", "d/b=2")
	b.Hint("unknown", "d/b")
}

func TestJoin(t *testing.T) {
	dir := newTree(t, "empty/", "full/a=1", "file=1", "other/")
	at := func(name string) string { return filepath.Join(dir, name) }
	home := at("home")
	build(t, dir, "home/")
	t.Setenv("HOME", home)
	store := NewMemory()
	b := newBench(t, Options{Store: store, DataDir: at("data")})
	id, creator := strings.Repeat("a", 26), p2p.ID{7}
	other, err := b.Add(t.Context(), AddOptions{Path: at("other")})
	if err != nil {
		t.Fatal(err)
	}
	f, err := b.Add(t.Context(), AddOptions{Path: at("full"), ID: id, Creator: creator, Access: AccessRead, Label: "theirs"})
	if err != nil || f.ID != id || f.Creator != creator || f.Label != "theirs" || markerIn(t, at("full")) != id {
		t.Fatalf("%+v, %v", f, err)
	}
	for what, o := range map[string]AddOptions{
		"the same again": {Path: at("full"), ID: id},
		"without an ID":  {Path: at("full")},
		"created again":  {Path: at("full"), ID: id, Create: true},
	} {
		if again, err := b.Add(t.Context(), o); err != nil || again.ID != id || again.Creator != creator {
			t.Errorf("%s: %+v, %v", what, again, err)
		}
	}
	for what, c := range map[string]struct {
		o   AddOptions
		err error
		why string
	}{
		"at two places":      {AddOptions{Path: at("empty"), ID: id}, ErrUnusable, "already"},
		"another folder":     {AddOptions{Path: at("other"), ID: strings.Repeat("b", 25) + "a"}, ErrUnusable, `folder "other" already`},
		"no ID":              {AddOptions{Path: at("empty"), ID: "x"}, ErrInvalid, "not the ID"},
		"missing":            {AddOptions{Path: at("missing"), ID: strings.Repeat("b", 25) + "a"}, ErrUnusable, "create it first"},
		"two missing":        {AddOptions{Path: at("missing/deep"), ID: strings.Repeat("b", 25) + "a", Create: true}, ErrUnusable, "connect it"},
		"in a folder":        {AddOptions{Path: at("other/new"), ID: strings.Repeat("b", 25) + "a", Create: true}, ErrOverlap, "it is in"},
		"in the data":        {AddOptions{Path: at("data"), ID: strings.Repeat("b", 25) + "a", Create: true}, ErrOverlap, "data directory"},
		"the program's own":  {AddOptions{Path: at(".shoal"), ID: strings.Repeat("b", 25) + "a", Create: true}, ErrUnusable, "own directory"},
		"a file":             {AddOptions{Path: at("file"), ID: strings.Repeat("b", 25) + "a", Create: true}, ErrUnusable, "not a directory"},
		"below a file":       {AddOptions{Path: at("file/x"), ID: strings.Repeat("b", 25) + "a", Create: true}, ErrUnusable, "not a directory"},
		"with a wrong label": {AddOptions{Path: at("missing"), ID: strings.Repeat("b", 25) + "a", Create: true, Label: "\n"}, ErrInvalid, "control"},
		"a relative path":    {AddOptions{Path: "x", ID: strings.Repeat("b", 25) + "a", Create: true}, ErrUnusable, "whole path"},
	} {
		if _, err := b.Add(t.Context(), c.o); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want one that says %q", what, err, c.why)
		}
	}
	for _, name := range []string{"missing", "other/new", "data", ".shoal"} {
		if _, err := os.Lstat(at(name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	// A directory that carries another marker is refused, one of the same ID is not.
	if err := b.Remove(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(t.Context(), AddOptions{Path: at("other"), ID: strings.Repeat("b", 25) + "a"}); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "marker of another folder") {
		t.Errorf("another marker: %v", err)
	}
	if f, err := b.Add(t.Context(), AddOptions{Path: at("other"), ID: other.ID, Creator: creator}); err != nil || f.ID != other.ID {
		t.Errorf("its own marker: %+v, %v", f, err)
	}
	made, err := b.Add(t.Context(), AddOptions{Path: "~/shoal/docs", ID: strings.Repeat("c", 25) + "a", Creator: creator, Create: true})
	if err != nil || made.Path != filepath.Join(home, "shoal", "docs") || made.Label != "docs" || markerIn(t, made.Path) != made.ID {
		t.Fatalf("%+v, %v", made, err)
	}
	if info, err := os.Stat(made.Path); err != nil || info.Mode().Perm()&0o700 != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if made, err := b.Add(t.Context(), AddOptions{Path: at("single"), Create: true}); err != nil || made.Creator != (p2p.ID{}) {
		t.Errorf("%+v, %v", made, err)
	}
	again := newBench(t, Options{Store: store})
	if got, err := again.Get(id); err != nil || got.Creator != creator || got.Access != AccessRead {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
}

// A folder of others has to be written to.
func TestJoinReadOnly(t *testing.T) {
	dir := newTree(t, "x/")
	x := filepath.Join(dir, "x")
	if err := os.Chmod(x, 0o555); err != nil {
		t.Fatal(err)
	}
	asNobody(t, []string{x}, func() {
		b := newBench(t, Options{})
		if _, err := b.Add(t.Context(), AddOptions{Path: x, ID: strings.Repeat("a", 26)}); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "cannot be written") {
			t.Errorf("read-only: %v", err)
		}
	})
	if err := os.Chmod(x, 0o755); err != nil {
		t.Fatal(err)
	}
}
