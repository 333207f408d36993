// Package foldertest says, as a test, what a [folder.Store] must do.
package foldertest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
)

// Run tests the stores that open returns, each of which is new and empty.
func Run(t *testing.T, open func(t *testing.T) folder.Store) {
	for name, test := range map[string]func(*testing.T, folder.Store){
		"registry":            testRegistry,
		"row":                 testRow,
		"children":            testChildren,
		"under":               testUnder,
		"apply":               testApply,
		"count":               testCount,
		"delta":               testDelta,
		"inode and hash":      testFind,
		"move":                testMove,
		"moves at once":       testMoves,
		"untold":              testUntold,
		"untold in pages":     testUntoldPages,
		"told of another":     testToldAnother,
		"kinds that ended":    testEnded,
		"folders are apart":   testApart,
		"delete":              testDelete,
		"concurrent":          testConcurrent,
		"cancelled is no-op":  testCancelled,
		"names of every kind": testNames,
		"manifest":            testManifest,
		"similar":             testSimilar,
		"sweep":               testSweep,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// file returns a row whose fields are all of the path.
func file(path string) folder.Row {
	n := int64(len(path))
	r := folder.Row{
		Entry: folder.Entry{
			Path: path, Kind: folder.KindFile, Size: n, Mode: 0o640,
			Modified: time.Unix(1_700_000_000+n, n).UTC(),
		},
		Inode: uint64(n) << 40, Changed: -n, Checked: n << 30,
	}
	copy(r.Hash[:], path)
	return r
}

func dir(path string) folder.Row {
	r := file(path)
	r.Kind, r.Size, r.Hash, r.Mode = folder.KindDir, 0, folder.Hash{}, 0o750
	return r
}

func apply(t *testing.T, s folder.Store, id string, drop []string, put ...folder.Row) {
	t.Helper()
	if _, err := s.Apply(t.Context(), id, folder.Diff{Drop: drop, Put: put}); err != nil {
		t.Fatal(err)
	}
}

func wantRows(t *testing.T, what string, got []folder.Row, err error, want ...folder.Row) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testRegistry(t *testing.T, s folder.Store) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	second := folder.Record{ID: "bbb", Label: "B", Path: "/b", Access: folder.AccessRead, Created: at(2000), Paused: true, Marked: true, Inode: math.MaxUint64}
	first := folder.Record{
		ID: "ccc", Label: "C\u202e", Path: "/c\nd", Access: folder.AccessWrite, Created: at(1000), Creator: p2p.ID{1, 31: 2},
		Grants: p2p.Grants{{Member: p2p.ID{3}, Access: p2p.AccessRead}, {Member: p2p.ID{4}, Access: p2p.AccessNone}},
	}
	for _, r := range []folder.Record{second, first, second} {
		if err := s.SaveFolder(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...folder.Record) {
		t.Helper()
		got, err := s.Folders(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("folders (-want +got):\n%s", diff)
		}
	}
	check(first, second)
	second.Label, second.Paused, second.Access = "Bücher", false, folder.AccessNone
	second.Grants = p2p.Grants{{Member: p2p.ID{5}, Access: p2p.AccessWrite}}
	if err := s.SaveFolder(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	check(first, second)
	if err := s.DeleteFolder(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	check(second)
	if err := s.DeleteFolder(t.Context(), "unknown"); err != nil {
		t.Errorf("deleting an unknown folder: %v", err)
	}
}

func testRow(t *testing.T, s folder.Store) {
	want := file("a/b")
	want.Modified = time.Unix(0, math.MinInt64).UTC()
	want.Inode, want.Changed, want.Checked, want.Size = math.MaxUint64, math.MaxInt64, math.MinInt64, math.MaxInt64
	apply(t, s, "f", nil, want, dir("a"))
	got, err := s.Row(t.Context(), "f", "a/b")
	wantRows(t, "extreme values", []folder.Row{got}, err, want)
	got, err = s.Row(t.Context(), "f", "a")
	wantRows(t, "directory", []folder.Row{got}, err, dir("a"))
	for _, missing := range []string{"", "b", "a/", "A", "a/b/c"} {
		if _, err := s.Row(t.Context(), "f", missing); !errors.Is(err, folder.ErrNotFound) {
			t.Errorf("row %q: %v, want %v", missing, err, folder.ErrNotFound)
		}
	}
}

func testChildren(t *testing.T, s folder.Store) {
	apply(t, s, "f", nil, file("z"), dir("a"), file("a/y"), file("a/x"), dir("a/b"), file("a/b/c"), file("ab"))
	for at, want := range map[string][]folder.Row{
		"":       {dir("a"), file("ab"), file("z")},
		"a":      {dir("a/b"), file("a/x"), file("a/y")},
		"a/b":    {file("a/b/c")},
		"a/":     nil,
		"z":      nil,
		"absent": nil,
	} {
		got, err := s.Children(t.Context(), "f", at)
		wantRows(t, fmt.Sprintf("children of %q", at), got, err, want...)
	}
}

func testUnder(t *testing.T, s folder.Store) {
	all := []folder.Row{dir("a"), file("a b"), file("a/1"), file("a/2"), file("ab"), file("b"), file("é"), file("\U0010ffff")}
	apply(t, s, "f", nil, all...)
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []folder.Row
	}{
		{"", "", 100, all},
		{"", "", 2, all[:2]},
		{"", "a b", 2, all[2:4]},
		{"a/", "", 100, all[2:4]},
		{"a/", "a/1", 100, all[3:4]},
		{"a", "", 100, all[:5]},
		{"a", "zz", 100, nil},
		{"é", "", 100, all[6:7]},
		{"\U0010ffff", "", 100, all[7:]},
		{"\xff", "", 100, nil},
		{"A", "", 100, nil},
		{"%", "", 100, nil},
		{"a_", "", 100, nil},
	} {
		got, err := s.Under(t.Context(), "f", c.prefix, c.after, c.limit)
		wantRows(t, fmt.Sprintf("under %q after %q", c.prefix, c.after), got, err, c.want...)
	}
}

func testApply(t *testing.T, s folder.Store) {
	apply(t, s, "f", nil, file("a"), file("b"))
	grown := file("a")
	grown.Size = 99
	apply(t, s, "f", []string{"b", "unknown"}, grown, file("c"))
	got, err := s.Children(t.Context(), "f", "")
	wantRows(t, "replaced, dropped, added", got, err, grown, file("c"))
	// A file becomes a directory: the end of one comes before the start of the other.
	apply(t, s, "f", []string{"a"}, dir("a"), file("a/x"))
	got, err = s.Under(t.Context(), "f", "", "", 10)
	wantRows(t, "another kind", got, err, dir("a"), file("a/x"), file("c"))
	apply(t, s, "f", nil)
}

func testCount(t *testing.T, s folder.Store) {
	count := func(wantFiles int, wantBytes int64) {
		t.Helper()
		files, bytes, err := s.Count(t.Context(), "f")
		if err != nil || files != wantFiles || bytes != wantBytes {
			t.Errorf("%d files, %d bytes, %v, want %d, %d", files, bytes, err, wantFiles, wantBytes)
		}
	}
	count(0, 0)
	apply(t, s, "f", nil, file("a"), file("d/bb"), dir("d"))
	count(2, 5)
	apply(t, s, "f", []string{"a"})
	count(1, 4)
}

func testApart(t *testing.T, s folder.Store) {
	apply(t, s, "f", nil, file("a"))
	apply(t, s, "g", nil, file("a"), file("b"))
	apply(t, s, "g", []string{"a"})
	got, err := s.Children(t.Context(), "f", "")
	wantRows(t, "f", got, err, file("a"))
	got, err = s.Under(t.Context(), "g", "", "", 10)
	wantRows(t, "g", got, err, file("b"))
	got, err = s.Children(t.Context(), "h", "")
	wantRows(t, "unknown folder", got, err)
}

func testDelete(t *testing.T, s folder.Store) {
	r := folder.Record{ID: "f", Label: "f", Path: "/f", Access: folder.AccessRead, Created: time.UnixMilli(1).UTC()}
	if err := s.SaveFolder(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	apply(t, s, "f", nil, file("a"), dir("d"), file("d/a"))
	apply(t, s, "g", nil, file("a"))
	if err := s.DeleteFolder(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Under(t.Context(), "f", "", "", 10)
	wantRows(t, "of the deleted", got, err)
	got, err = s.Under(t.Context(), "g", "", "", 10)
	wantRows(t, "of the other", got, err, file("a"))
	apply(t, s, "f", nil, file("new"))
	got, err = s.Under(t.Context(), "f", "", "", 10)
	wantRows(t, "of a new one of the same ID", got, err, file("new"))
}

func testConcurrent(t *testing.T, s folder.Store) {
	const writers, each = 4, 20
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := range each {
				_, put := s.Apply(t.Context(), "f", folder.Diff{Put: []folder.Row{file(fmt.Sprintf("%d/%02d", w, i))}})
				_, read := s.Children(t.Context(), "f", "0")
				err = errors.Join(err, put, read)
			}
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if files, _, err := s.Count(t.Context(), "f"); err != nil || files != writers*each {
		t.Errorf("%d files, %v, want %d", files, err, writers*each)
	}
}

// A cancelled Apply may have happened or not, but never by half.
func testCancelled(t *testing.T, s folder.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Apply(ctx, "f", folder.Diff{Put: []folder.Row{file("a"), file("b")}})
	files, _, countErr := s.Count(t.Context(), "f")
	if countErr != nil || files == 1 || err == nil && files != 2 {
		t.Errorf("%d files (%v) after %v", files, countErr, err)
	}
}

// Names is a list of file names that are legal and unpleasant.
var Names = []string{
	" ", "  x  ", "-rf", "*", "?", "[a]", "a\nb", "a\tb", "\x01\x7f", "'; DROP TABLE file; --", `"`, "%00", "%s%n",
	"con", "NUL.txt", "a:b", "~", "$HOME", "`id`", "<script>alert(1)</script>", "..x", "...", ".x", "x.", "\u202egpj.exe",
	"\u200b", "e\u0301", "é", "ﬁ", "İ", "ß", "日本語", "🐟", "\U0010ffff", "\ufeff", strings.Repeat("n", 255), strings.Repeat("é", 127),
}

func testNames(t *testing.T, s folder.Store) {
	rows := []folder.Row{dir("d")}
	for _, name := range Names {
		rows = append(rows, file(name), file("d/"+name))
	}
	apply(t, s, "f", nil, rows...)
	slices.SortFunc(rows, func(a, b folder.Row) int { return strings.Compare(a.Path, b.Path) })
	got, err := s.Under(t.Context(), "f", "", "", 1000)
	wantRows(t, "all", got, err, rows...)
	for _, r := range rows {
		got, err := s.Row(t.Context(), "f", r.Path)
		wantRows(t, "one", []folder.Row{got}, err, r)
		if r.Mode&fs.ModePerm == 0 {
			t.Errorf("%q: no mode", r.Path)
		}
	}
	for _, r := range rows {
		apply(t, s, "f", []string{r.Path})
	}
	if files, bytes, err := s.Count(t.Context(), "f"); err != nil || files != 0 || bytes != 0 {
		t.Errorf("after dropping all: %d files, %d bytes, %v", files, bytes, err)
	}
}
