package folder

import (
	"errors"
	"testing"
)

// A row whose directory has none is not saved, for nobody would look at it again; with its
// directory it is, whichever of the two comes first.
func TestRowsHaveDirectories(t *testing.T) {
	b := newBench(t, Options{}).start()
	id := b.add(newTree(t, "d/a=1")).ID
	b.rescan(id)
	sh, err := b.share(id)
	if err != nil {
		t.Fatal(err)
	}
	b.pause(id) // no scan takes away what is not on the disk
	row := func(kind Kind, path string) Row { return Row{Entry: Entry{Path: path, Kind: kind}} }
	for _, d := range []Diff{
		{Put: []Row{row(KindFile, "gone/x")}},
		{Same: []Row{row(KindFile, "gone/x")}},
		{Put: []Row{row(KindFile, "gone/in/x"), row(KindDir, "gone/in")}},
		{Drop: []string{"d/a", "d"}, Put: []Row{row(KindFile, "d/b")}},
		{Put: []Row{row(KindFile, "d/a/x")}}, // below a file
	} {
		if _, err := sh.found(t.Context(), d, false); err != nil {
			t.Fatal(err)
		}
		for _, r := range append(d.Put, d.Same...) {
			if got, err := b.Row(t.Context(), id, r.Path); !errors.Is(err, ErrNotFound) {
				t.Errorf("%+v: there is %+v, %v", d, got, err)
			}
		}
	}
	whole := Diff{Put: []Row{row(KindFile, "new/in/x"), row(KindDir, "new/in")}, Same: []Row{row(KindDir, "new")}}
	if err := sh.recorded(t.Context(), nil, nil, append(whole.Put, whole.Same...)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"new", "new/in", "new/in/x"} {
		if _, err := b.Row(t.Context(), id, p); err != nil {
			t.Error(err)
		}
	}
}
