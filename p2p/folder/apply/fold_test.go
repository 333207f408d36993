package apply_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// lowering is a disk that gives files names in small letters.
type lowering struct{ apply.FS }

func (l lowering) Names(path string) ([]string, error) {
	names, err := l.FS.Names(path)
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	return names, err
}

func TestFold(t *testing.T) {
	ascii := func(name string) string {
		return strings.Map(func(r rune) rune {
			if r < 0x80 {
				return []rune(strings.ToLower(string(r)))[0]
			}
			return r
		}, name)
	}
	for _, test := range []struct {
		name string
		by   func(string) string
		same [][2]string
		not  [][2]string
	}{
		{"bytes", nil, nil, [][2]string{{"a", "A"}}},
		{"case", reconcile.FoldCase, [][2]string{{"a", "A"}, {"É", "é"}}, [][2]string{{"a", "b"}, {"é", "e\u0301"}}},
		{"case of ASCII", ascii, [][2]string{{"a", "A"}}, [][2]string{{"É", "é"}}},
	} {
		fsys := applytest.NewMem()
		fsys.SetFold(test.by)
		if err := apply.Prepare(fsys); err != nil {
			t.Fatal(err)
		}
		fold, err := apply.Fold(fsys)
		if err != nil {
			t.Fatal(err)
		}
		if (fold == nil) != (test.by == nil) {
			t.Errorf("%s: fold is nil: %v", test.name, fold == nil)
			continue
		}
		for _, p := range test.same {
			if fold(p[0]) != fold(p[1]) {
				t.Errorf("%s: %q and %q differ", test.name, p[0], p[1])
			}
		}
		for _, p := range test.not {
			if fold != nil && fold(p[0]) == fold(p[1]) {
				t.Errorf("%s: %q and %q are one", test.name, p[0], p[1])
			}
		}
		if names, err := fsys.Names(apply.Private); err != nil || len(names) != 3 {
			t.Errorf("%s: it leaves %v, %v", test.name, names, err)
		}
		if _, err := apply.Fold(lowering{fsys}); !errors.Is(err, apply.ErrNames) {
			t.Errorf("%s: where names do not stay: %v", test.name, err)
		}
	}
}

func TestSpelled(t *testing.T) {
	fsys := applytest.NewMem()
	fsys.SetFold(reconcile.FoldCase)
	if err := errors.Join(fsys.MkdirAll("Dir"), fsys.WriteFile("Dir/file", "")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"Dir": true, "dir": false, "Dir/file": true, "dir/file": false, "Dir/File": false} {
		if got := apply.Spelled(fsys, path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
