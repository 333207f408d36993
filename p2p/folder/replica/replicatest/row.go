package replicatest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

func listingIn(t *testing.T, r replica.Reader, dir string) []string {
	t.Helper()
	var out []string
	for _, p := range must(r.RowsIn(dir, 0))(t) {
		line := p.Path
		if len(p.Row.Refs) > 0 {
			line = fmt.Sprintf("%s %d", p.Path, p.Row.Refs[0].ID.Counter)
			if !slices.Contains(must(r.RowsOf(p.Row.Refs[0].ID))(t), p.Path) {
				t.Fatalf("%s is not found by the entry that it names", p.Path)
			}
		}
		got, found, err := r.Row(p.Path)
		if !found || err != nil {
			t.Fatalf("row %q: %v, %v", p.Path, found, err)
		}
		equal(t, "row of "+p.Path, got, p.Row)
		out = append(append(out, line), listingIn(t, r, p.Path)...)
	}
	return out
}

func testRows(t *testing.T, f fixture) {
	rows := tree("b", "d/", "d/x", "d/e/", "d/e/y", "a", reconcile.Aside+"/m d/", reconcile.Aside+"/m d/z")
	f.both(t, func(w replica.Writer) error { return w.Set(rows) }, func(r replica.Reader) {
		equal(t, "all", listing(t, r), []string{
			"a 6", "b 1", "d 2", "d/e 4", "d/e/y 5", "d/x 3",
			reconcile.Aside + "/m d 7", reconcile.Aside + "/m d/z 8",
		})
		equal(t, "files", must(r.CountRows())(t), 5)
		for _, p := range rows {
			got, found, err := r.Row(p.Path)
			if !found || err != nil {
				t.Fatalf("row %q: %v, %v", p.Path, found, err)
			}
			equal(t, p.Path, got, p.Row)
		}
		equal(t, "the first", must(r.RowsIn("", 2))(t), []reconcile.Placed{rows[5], rows[0]})
		for _, path := range []string{"x", "d/", "/d", "d//x", "d/x/y", ".shoal", "aside"} {
			if _, found, err := r.Row(path); found || err != nil {
				t.Fatalf("row %q: %v, %v", path, found, err)
			}
		}
	})
	// Replaced: what is in it stays.
	f.both(t, func(w replica.Writer) error {
		return w.Set([]reconcile.Placed{placed("d/", 20), placed("a", 21), placed("b/", 22), placed("b/n", 23)})
	}, func(r replica.Reader) {
		equal(t, "replaced", listing(t, r)[:8], []string{"a 21", "b 22", "b/n 23", "d 20", "d/e 4", "d/e/y 5", "d/x 3", reconcile.Aside + "/m d 7"})
		equal(t, "files", must(r.CountRows())(t), 5)
		equal(t, "rows of the old entry", len(must(r.RowsOf(id(2)))(t)), 0)
	})
	for _, path := range []string{"no/x", "d/no/x", "no", "", reconcile.Aside, reconcile.Aside + "/no/x", "/x", "d//x", "d/"} {
		err := f.Write(t.Context(), f.folder, func(w replica.Writer) error {
			return w.Set([]reconcile.Placed{placed("c", 30), {Path: path, Row: rows[0].Row}})
		})
		if (err == nil) != (path == "no") {
			t.Fatalf("set %q: %v", path, err)
		}
	}
}

// testNames: names are bytes.
func testNames(t *testing.T, f fixture) {
	names := []string{
		strings.Repeat("n", 255), strings.Repeat("ü", 127), `'";--`, "%_*?[", "ä", "a\u0308", "A", "a", " ", "\t\n", "\u202e\U0001F41F", `\`, "\xef\xbf\xbf", "-1", "0",
	}
	slices.Sort(names)
	var rows []reconcile.Placed
	for i, name := range names {
		rows = append(rows, placed(name+"/", uint64(2*i+1)), placed(name+"/"+name, uint64(2*i+2)))
	}
	var want []string
	for i, name := range names {
		want = append(want, fmt.Sprintf("%s %d", name, 2*i+1), fmt.Sprintf("%s/%s %d", name, name, 2*i+2))
	}
	f.both(t, func(w replica.Writer) error {
		for i, name := range names {
			if err := w.PutEntry(file(id(uint64(i+1)), reconcile.EntryID{}, name), false, 0); err != nil {
				return err
			}
		}
		return w.Set(rows)
	}, func(r replica.Reader) {
		equal(t, "rows", listing(t, r), want)
		for i, name := range names {
			equal(t, "at "+name, must(r.At(reconcile.Spot{Name: name}))(t), []reconcile.EntryID{id(uint64(i + 1))})
		}
	})
	f.both(t, func(w replica.Writer) error { return w.Unset([]string{"%_*?[", "a"}) }, func(r replica.Reader) {
		equal(t, "rows left", len(listing(t, r)), len(want)-4)
	})
}

func testUnset(t *testing.T, f fixture) {
	f.write(t, func(w replica.Writer) error {
		return w.Set(tree("d/", "d/e/", "d/e/f/", "d/e/f/x", "d/y", "dx", "z", reconcile.Aside+"/q/", reconcile.Aside+"/q/r"))
	})
	f.both(t, func(w replica.Writer) error {
		return w.Unset([]string{"d/e", "d/e/f/x", "no", "no/no", "z/no", reconcile.Aside + "/q"})
	}, func(r replica.Reader) {
		equal(t, "left", listing(t, r), []string{"d 1", "d/y 5", "dx 6", "z 7"})
		equal(t, "files", must(r.CountRows())(t), 3)
		equal(t, "rows of what is gone", len(must(r.RowsOf(id(4)))(t)), 0)
	})
	// What comes again is empty.
	f.both(t, func(w replica.Writer) error {
		return w.Set([]reconcile.Placed{placed("d/e/", 20), placed("d/e/n", 21)})
	}, func(r replica.Reader) {
		equal(t, "again", listing(t, r), []string{"d 1", "d/e 20", "d/e/n 21", "d/y 5", "dx 6", "z 7"})
	})
	for _, path := range []string{"", reconcile.Aside, "d/"} {
		if err := f.Write(t.Context(), f.folder, func(w replica.Writer) error { return w.Unset([]string{path}) }); err == nil {
			t.Fatalf("unset %q", path)
		}
	}
	f.both(t, func(w replica.Writer) error { return w.UnsetAll() }, func(r replica.Reader) {
		equal(t, "nothing", len(listing(t, r)), 0)
		equal(t, "no files", must(r.CountRows())(t), 0)
		equal(t, "rows of nothing", len(must(r.RowsOf(id(1)))(t)), 0)
	})
	f.both(t, func(w replica.Writer) error { return w.Set(tree("d/", "d/x", reconcile.Aside+"/q")) }, func(r replica.Reader) {
		equal(t, "from new", listing(t, r), []string{"d 1", "d/x 2", reconcile.Aside + "/q 3"})
	})
}

// moveCases start from d (d/x (d/x/1), d/2) and e (e/3) and f, a file, with the
// numbers of their entries.
var moveStart = tree("d/", "d/x/", "d/x/1", "d/2", "e/", "e/3", "f")

type moveCase struct {
	name  string
	moves []replica.Move
	want  []string
}

func moveCases() []moveCase {
	aside := reconcile.Aside
	return []moveCase{
		{"nothing", nil, []string{"d 1", "d/2 4", "d/x 2", "d/x/1 3", "e 5", "e/3 6", "f 7"}},
		{"plain", []replica.Move{{From: "d", To: "g"}}, []string{"e 5", "e/3 6", "f 7", "g 1", "g/2 4", "g/x 2", "g/x/1 3"}},
		{"to itself", []replica.Move{{From: "d", To: "d"}}, []string{"d 1", "d/2 4", "d/x 2", "d/x/1 3", "e 5", "e/3 6", "f 7"}},
		{"a file", []replica.Move{{From: "f", To: "d/x/f"}}, []string{"d 1", "d/2 4", "d/x 2", "d/x/1 3", "d/x/f 7", "e 5", "e/3 6"}},
		{"swap", []replica.Move{{From: "d", To: "e"}, {From: "e", To: "d"}}, []string{"d 5", "d/3 6", "e 1", "e/2 4", "e/x 2", "e/x/1 3", "f 7"}},
		{"in the way", []replica.Move{{From: "d", To: "e"}}, []string{"e 1", "e/2 4", "e/x 2", "e/x/1 3", "f 7"}},
		{"a file in the way", []replica.Move{{From: "e", To: "f"}}, []string{"d 1", "d/2 4", "d/x 2", "d/x/1 3", "f 5", "f/3 6"}},
		{"nested", []replica.Move{{From: "d", To: "e"}, {From: "d/x", To: "y"}}, []string{"e 1", "e/2 4", "f 7", "y 2", "y/1 3"}},
		{"nested, the other order", []replica.Move{{From: "d/x", To: "y"}, {From: "d", To: "e"}}, []string{"e 1", "e/2 4", "f 7", "y 2", "y/1 3"}},
		{"into what moves", []replica.Move{{From: "e", To: "g/e"}, {From: "d", To: "g"}}, []string{"f 7", "g 1", "g/2 4", "g/e 5", "g/e/3 6", "g/x 2", "g/x/1 3"}},
		{"over what came along", []replica.Move{{From: "d", To: "g"}, {From: "e", To: "g/x"}}, []string{"f 7", "g 1", "g/2 4", "g/x 5", "g/x/3 6"}},
		{"inside out", []replica.Move{{From: "d/x", To: "d"}, {From: "d", To: "d/x"}}, []string{"d 2", "d/1 3", "d/x 1", "d/x/2 4", "e 5", "e/3 6", "f 7"}},
		{"round", []replica.Move{{From: "d", To: "e"}, {From: "e", To: "f"}, {From: "f", To: "d"}}, []string{"d 7", "e 1", "e/2 4", "e/x 2", "e/x/1 3", "f 5", "f/3 6"}},
		{"aside", []replica.Move{{From: "d", To: aside + "/m d"}}, []string{"e 5", "e/3 6", "f 7", aside + "/m d 1", aside + "/m d/2 4", aside + "/m d/x 2", aside + "/m d/x/1 3"}},
		{"not there", []replica.Move{{From: "no", To: "d/x"}, {From: "no/no", To: "no/d"}}, []string{"d 1", "d/2 4", "e 5", "e/3 6", "f 7"}},
		{"out of what is in the way", []replica.Move{{From: "d", To: "e"}, {From: "e/3", To: "g"}}, []string{"e 1", "e/2 4", "e/x 2", "e/x/1 3", "f 7", "g 6"}},
		{"deep, again named", []replica.Move{{From: "d", To: "g"}, {From: "d/x", To: "g/x"}}, []string{"e 5", "e/3 6", "f 7", "g 1", "g/2 4", "g/x 2", "g/x/1 3"}},
	}
}

func testMove(t *testing.T, f fixture) {
	for _, c := range moveCases() {
		t.Run(c.name, func(t *testing.T) {
			f := fixture{f.Store, t.Name()}
			f.write(t, func(w replica.Writer) error { return w.Set(moveStart) })
			f.both(t, func(w replica.Writer) error {
				listing(t, w) // what is remembered of it is not true afterwards
				return w.MoveRows(c.moves)
			}, func(r replica.Reader) {
				equal(t, "rows", listing(t, r), c.want)
				equal(t, "by the model", listing(t, r), modelOf(moveStart).move(c.moves).listing())
				files := 0
				for _, line := range c.want {
					if strings.ContainsAny(line[len(line)-1:], "3467") {
						files++
					}
				}
				equal(t, "files", must(r.CountRows())(t), files)
			})
		})
	}
	t.Run("back from aside", func(t *testing.T) {
		f := fixture{f.Store, t.Name()}
		f.write(t, func(w replica.Writer) error { return w.Set(moveStart) })
		f.write(t, func(w replica.Writer) error {
			return w.MoveRows([]replica.Move{{From: "d", To: reconcile.Aside + "/m"}})
		})
		f.both(t, func(w replica.Writer) error {
			return w.MoveRows([]replica.Move{{From: reconcile.Aside + "/m", To: "e/d"}})
		}, func(r replica.Reader) {
			equal(t, "rows", listing(t, r), []string{"e 5", "e/3 6", "e/d 1", "e/d/2 4", "e/d/x 2", "e/d/x/1 3", "f 7"})
		})
	})
}

func testMoveWrongly(t *testing.T, f fixture) {
	f.write(t, func(w replica.Writer) error { return w.Set(moveStart) })
	for _, moves := range [][]replica.Move{
		{{From: "d", To: "no/d"}},
		{{From: "d", To: "d/x/d"}},
		{{From: "d", To: "e/d"}, {From: "e", To: "d/e"}},
		{{From: "d", To: "g"}, {From: "d", To: "h"}},
		{{From: "d", To: "g"}, {From: "e", To: "g"}},
		{{From: "d", To: ""}},
		{{From: "", To: "g"}},
		{{From: reconcile.Aside, To: "g"}},
		{{From: "d", To: reconcile.Aside}},
		{{From: "d", To: "e/"}},
	} {
		if err := f.Write(t.Context(), f.folder, func(w replica.Writer) error { return w.MoveRows(moves) }); err == nil {
			t.Fatalf("moved %v", moves)
		}
		f.read(t, func(r replica.Reader) {
			equal(t, fmt.Sprint(moves), listing(t, r), moveCases()[0].want)
			equal(t, "files", must(r.CountRows())(t), 4)
		})
	}
}

func testRowsOf(t *testing.T, f fixture) {
	twin := placed("d/t", 10)
	twin.Row.Refs = append(twin.Row.Refs, reconcile.Ref{ID: id(11)}, reconcile.Ref{ID: id(12), Of: id(13)}, reconcile.Ref{ID: id(10), Of: id(13)})
	again := placed("a", 12)
	dir := placed("d/", 1)
	dir.Row.Refs = append(dir.Row.Refs, reconcile.Ref{ID: id(13)})
	none := reconcile.Placed{Path: "none", Row: reconcile.Row{Item: twin.Row.Item}}
	paths := func(r replica.Reader) (out [][]string) {
		for _, n := range []uint64{1, 10, 11, 12, 13} {
			out = append(out, must(r.RowsOf(id(n)))(t))
		}
		equal(t, "rows of the folder", len(must(r.RowsOf(reconcile.EntryID{}))(t)), 0)
		return out
	}
	f.both(t, func(w replica.Writer) error { return w.Set([]reconcile.Placed{dir, twin, again, none}) }, func(r replica.Reader) {
		equal(t, "paths", paths(r), [][]string{{"d"}, {"d/t"}, {"d/t"}, {"a", "d/t"}, {"d", "d/t"}})
	})
	f.both(t, func(w replica.Writer) error {
		return w.MoveRows([]replica.Move{{From: "d", To: reconcile.Aside + "/e"}})
	}, func(r replica.Reader) {
		e, in := reconcile.Aside+"/e", reconcile.Aside+"/e/t"
		equal(t, "moved", paths(r), [][]string{{e}, {in}, {in}, {in, "a"}, {e, in}})
	})
	f.both(t, func(w replica.Writer) error {
		return w.Set([]reconcile.Placed{placed(reconcile.Aside+"/e/t", 11)})
	}, func(r replica.Reader) {
		e, in := reconcile.Aside+"/e", reconcile.Aside+"/e/t"
		equal(t, "replaced", paths(r), [][]string{{e}, nil, {in}, {"a"}, {e}})
	})
	f.both(t, func(w replica.Writer) error { return w.Unset([]string{reconcile.Aside + "/e"}) }, func(r replica.Reader) {
		equal(t, "unset", paths(r), [][]string{nil, nil, nil, {"a"}, nil})
	})
}
