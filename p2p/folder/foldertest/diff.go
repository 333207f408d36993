package foldertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/folder"
)

// change applies d, and checks that Delta is what it does to Count.
func change(t *testing.T, s folder.Store, id string, d folder.Diff) {
	t.Helper()
	files, bytes, err := s.Count(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	delta, err := s.Apply(t.Context(), id, d)
	if err != nil {
		t.Fatal(err)
	}
	nowFiles, nowBytes, err := s.Count(t.Context(), id)
	if err != nil || nowFiles != files+delta.Files || nowBytes != bytes+delta.Bytes {
		t.Errorf("%d files, %d bytes and %+v are not %d, %d (%v)", files, bytes, delta, nowFiles, nowBytes, err)
	}
}

func moved(r folder.Row, to string) folder.Row {
	r.Path = to
	return r
}

func wantAll(t *testing.T, s folder.Store, id string, want ...folder.Row) {
	t.Helper()
	got, err := s.Under(t.Context(), id, "", "", 1000)
	wantRows(t, "all", got, err, want...)
}

// lines says what is untold in the order in which it would be told: "-a:file" for
// what has ended, "a:dir" for what is there; with "!" it is gone because ignored.
func lines(us []folder.Untold) (all []string) {
	for _, u := range us {
		for _, k := range u.Ended {
			line := "-" + u.Path + ":" + string(k)
			if u.Ignored {
				line += "!"
			}
			all = append(all, line)
		}
		if u.Kind != "" {
			all = append(all, u.Path+":"+string(u.Kind))
		}
	}
	return all
}

// outbox returns all that is untold.
func outbox(t *testing.T, s folder.Store, id string) []folder.Untold {
	t.Helper()
	gone, err := s.Untold(t.Context(), id, true, "", 1000)
	there, err2 := s.Untold(t.Context(), id, false, "", 1000)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return append(gone, there...)
}

func wantUntold(t *testing.T, s folder.Store, id string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, lines(outbox(t, s, id))); diff != "" {
		t.Errorf("untold (-want +got):\n%s", diff)
	}
}

// tell notes everything as told.
func tell(t *testing.T, s folder.Store, id string) {
	t.Helper()
	if err := s.Told(t.Context(), id, outbox(t, s, id)); err != nil {
		t.Fatal(err)
	}
	wantUntold(t, s, id)
}

func testDelta(t *testing.T, s folder.Store) {
	change(t, s, "f", folder.Diff{Put: []folder.Row{file("a"), dir("d"), file("d/x"), file("d/yy")}})
	change(t, s, "f", folder.Diff{Drop: []string{"a", "unknown", "d"}, Put: []folder.Row{file("d"), file("a")}})
	change(t, s, "f", folder.Diff{Same: []folder.Row{file("a"), file("new")}, Put: []folder.Row{dir("d")}})
	change(t, s, "f", folder.Diff{Drop: []string{"a"}, Left: []string{"new", "a"}})
	change(t, s, "f", folder.Diff{Put: []folder.Row{dir("e"), file("e/in the way")}})
	change(t, s, "f", folder.Diff{Moved: []folder.Move{{From: "d", To: "e"}}})
	wantAll(t, s, "f", moved(dir("d"), "e"), moved(file("d/x"), "e/x"), moved(file("d/yy"), "e/yy"))
}

func testFind(t *testing.T, s folder.Store) {
	one, other := file("b"), moved(file("b"), "c/b")
	apply(t, s, "f", nil, one, other, dir("dir"))
	apply(t, s, "g", nil, dir("other folder"))
	byInode := func(inode uint64) string {
		r, err := s.DirByInode(t.Context(), "f", inode)
		if err != nil && !errors.Is(err, folder.ErrNotFound) {
			t.Error(err)
		}
		return r.Path
	}
	byHash := func(h folder.Hash) string {
		r, err := s.ByHash(t.Context(), "f", h)
		if err != nil && !errors.Is(err, folder.ErrNotFound) {
			t.Error(err)
		}
		return r.Path
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("a directory", byInode(dir("dir").Inode), "dir")
	want("a file's inode", byInode(one.Inode), "")
	want("of another folder", byInode(dir("other folder").Inode), "")
	want("two with this content", byHash(one.Hash), "b")
	apply(t, s, "f", []string{"b"})
	want("one is gone", byHash(one.Hash), "c/b")
	edited := other
	edited.Hash = folder.Hash{9}
	apply(t, s, "f", []string{"dir"}, edited)
	want("another content", byHash(one.Hash), "")
	want("the new content", byHash(folder.Hash{9}), "c/b")
	want("the directory is gone", byInode(dir("dir").Inode), "")
}

func testMove(t *testing.T, s folder.Store) {
	apply(t, s, "f", nil, dir("d"), file("d/a"), dir("d/é"), file("d/é/b"), file("d b"), file("d0"), dir("p"))
	tell(t, s, "f")
	change(t, s, "f", folder.Diff{Moved: []folder.Move{{From: "d", To: "p/ü"}}})
	wantAll(t, s, "f", file("d b"), file("d0"), dir("p"),
		moved(dir("d"), "p/ü"), moved(file("d/a"), "p/ü/a"), moved(dir("d/é"), "p/ü/é"), moved(file("d/é/b"), "p/ü/é/b"))
	wantUntold(t, s, "f", "-d/é/b:file", "-d/é:dir", "-d/a:file", "-d:dir", "p/ü:dir", "p/ü/a:file", "p/ü/é:dir", "p/ü/é/b:file")
	for dir, want := range map[string]int{"": 3, "d": 0, "d/é": 0, "p": 1, "p/ü": 2, "p/ü/é": 1} {
		if rows, err := s.Children(t.Context(), "f", dir); err != nil || len(rows) != want {
			t.Errorf("%d children of %q, want %d: %v", len(rows), dir, want, err)
		}
	}
	// And back, before anybody is told: what was never there ends too, for nobody
	// knows whether the sink was told of it before a crash.
	change(t, s, "f", folder.Diff{Moved: []folder.Move{{From: "p/ü", To: "d"}}})
	wantUntold(t, s, "f", "-p/ü/é/b:file", "-p/ü/é:dir", "-p/ü/a:file", "-p/ü:dir", "d:dir", "d/a:file", "d/é:dir", "d/é/b:file")
	tell(t, s, "f")
	change(t, s, "f", folder.Diff{Moved: []folder.Move{{From: "unknown", To: "x"}}})
	wantUntold(t, s, "f")
	// Up into the place of the directory that it was in.
	change(t, s, "f", folder.Diff{Moved: []folder.Move{{From: "d/é", To: "d"}}})
	wantAll(t, s, "f", moved(dir("d/é"), "d"), file("d b"), moved(file("d/é/b"), "d/b"), file("d0"), dir("p"))
	tell(t, s, "f")
	// Others have rows of the same paths.
	apply(t, s, "g", nil, dir("p"), file("p/a"))
	change(t, s, "f", folder.Diff{Moved: []folder.Move{{From: "d", To: "p/in"}}})
	wantAll(t, s, "g", dir("p"), file("p/a"))
}

func testMoves(t *testing.T, s folder.Store) {
	d, dx, dxf, e, ef := dir("d"), dir("d/x"), file("d/x/f"), dir("e"), file("e/f")
	reset := func() {
		apply(t, s, "f", nil, d, dx, dxf, e, ef)
		tell(t, s, "f")
	}
	drop := func() {
		rows, err := s.Under(t.Context(), "f", "", "", 100)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, r := range rows {
			paths = append(paths, r.Path)
		}
		apply(t, s, "f", paths)
		tell(t, s, "f")
	}
	for _, c := range []struct {
		what  string
		moves []folder.Move
		want  []folder.Row
	}{
		{
			"swap",
			[]folder.Move{{From: "d", To: "e"}, {From: "e", To: "d"}},
			[]folder.Row{moved(e, "d"), moved(ef, "d/f"), moved(d, "e"), moved(dx, "e/x"), moved(dxf, "e/x/f")},
		},
		{
			"out of a moved one",
			[]folder.Move{{From: "d", To: "g"}, {From: "d/x", To: "y"}},
			[]folder.Row{e, ef, moved(d, "g"), moved(dx, "y"), moved(dxf, "y/f")},
		},
		{
			"into a moved one",
			[]folder.Move{{From: "e", To: "g/e"}, {From: "d", To: "g"}},
			[]folder.Row{moved(d, "g"), moved(e, "g/e"), moved(ef, "g/e/f"), moved(dx, "g/x"), moved(dxf, "g/x/f")},
		},
		{
			"in a ring",
			[]folder.Move{{From: "d/x", To: "d"}, {From: "d", To: "e"}, {From: "e", To: "d/x"}},
			[]folder.Row{moved(dx, "d"), moved(dxf, "d/f"), moved(e, "d/x"), moved(ef, "d/x/f"), moved(d, "e")},
		},
	} {
		reset()
		change(t, s, "f", folder.Diff{Moved: c.moves})
		got, err := s.Under(t.Context(), "f", "", "", 100)
		wantRows(t, c.what, got, err, c.want...)
		drop()
	}
}

func testUntold(t *testing.T, s folder.Store) {
	wantUntold(t, s, "f")
	apply(t, s, "f", nil, file("a"), dir("d"), file("d/x"))
	apply(t, s, "g", nil, file("other"))
	us := outbox(t, s, "f")
	wantUntold(t, s, "f", "a:file", "d:dir", "d/x:file")
	var rows []folder.Row
	for _, u := range us {
		rows = append(rows, u.Row)
	}
	wantRows(t, "rows", rows, nil, file("a"), dir("d"), file("d/x"))
	tell(t, s, "f")
	wantUntold(t, s, "g", "other:file")

	touched := file("a")
	touched.Changed++
	change(t, s, "f", folder.Diff{Same: []folder.Row{touched}})
	wantUntold(t, s, "f")
	got, err := s.Row(t.Context(), "f", "a")
	wantRows(t, "touched", []folder.Row{got}, err, touched)
	edited := touched
	edited.Size++
	apply(t, s, "f", nil, edited)
	change(t, s, "f", folder.Diff{Same: []folder.Row{edited}})
	wantUntold(t, s, "f", "a:file")
	// What is gone is not listed, and is what it last was.
	change(t, s, "f", folder.Diff{Drop: []string{"a", "d/x"}, Left: []string{"d"}})
	wantAll(t, s, "f")
	wantUntold(t, s, "f", "-d/x:file", "-d:dir!", "-a:file")
	gone := outbox(t, s, "f")[2]
	if gone.Kind != "" || gone.Size != edited.Size || gone.Hash != edited.Hash || !gone.Modified.Equal(edited.Modified) {
		t.Errorf("gone: %+v", gone)
	}
	apply(t, s, "f", []string{"a"})
	wantUntold(t, s, "f", "-d/x:file", "-d:dir!", "-a:file")
	// And there again.
	apply(t, s, "f", nil, file("a"), dir("d"))
	wantUntold(t, s, "f", "-d/x:file", "a:file", "d:dir")
	tell(t, s, "f")
	if err := s.DeleteFolder(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	wantUntold(t, s, "f")
}

func testUntoldPages(t *testing.T, s folder.Store) {
	var want []string
	for i := range 25 {
		apply(t, s, "f", nil, file(fmt.Sprintf("%02d", i)), file(fmt.Sprintf("gone %02d", i)))
		apply(t, s, "f", []string{fmt.Sprintf("gone %02d", i)})
		want = append(want, fmt.Sprintf("%02d:file", i))
	}
	for _, gone := range []bool{false, true} {
		var got []string
		for after := ""; ; {
			us, err := s.Untold(t.Context(), "f", gone, after, 10)
			if err != nil || len(us) > 10 {
				t.Fatalf("%d: %v", len(us), err)
			}
			if len(us) == 0 {
				break
			}
			got = append(got, lines(us)...)
			after = us[len(us)-1].Path
		}
		if gone {
			slices.Reverse(got)
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], "-gone ")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("gone %v (-want +got):\n%s", gone, diff)
		}
	}
}

// What has changed since it was read is not told.
func testToldAnother(t *testing.T, s folder.Store) {
	apply(t, s, "f", nil, file("a"), file("b"), file("c"), dir("d"))
	apply(t, s, "f", []string{"c"})
	us := outbox(t, s, "f")
	edited := file("a")
	edited.Size++
	apply(t, s, "f", []string{"b"}, edited, file("c"))
	change(t, s, "f", folder.Diff{Moved: []folder.Move{{From: "d", To: "e"}}})
	if err := s.Told(t.Context(), "f", us); err != nil {
		t.Fatal(err)
	}
	wantUntold(t, s, "f", "-d:dir", "-b:file", "a:file", "c:file", "e:dir")
	wantAll(t, s, "f", edited, file("c"), moved(dir("d"), "e"))
}

func testEnded(t *testing.T, s folder.Store) {
	apply(t, s, "f", nil, file("a"), dir("b"))
	tell(t, s, "f")
	apply(t, s, "f", nil, dir("a"), file("a/x"), file("b"))
	wantUntold(t, s, "f", "-a:file", "a:dir", "a/x:file", "-b:dir", "b:file")
	change(t, s, "f", folder.Diff{Same: []folder.Row{dir("a")}})
	wantUntold(t, s, "f", "-a:file", "a:dir", "a/x:file", "-b:dir", "b:file")
	us := outbox(t, s, "f")
	apply(t, s, "f", []string{"a/x"}, file("a"))
	if err := s.Told(t.Context(), "f", us); err != nil {
		t.Fatal(err)
	}
	// The sink may know both: what was told, and what is told by now.
	wantUntold(t, s, "f", "-a/x:file", "-a:dir", "a:file")
	tell(t, s, "f")
	change(t, s, "f", folder.Diff{Same: []folder.Row{dir("b")}})
	wantUntold(t, s, "f", "-b:file", "b:dir")
}
