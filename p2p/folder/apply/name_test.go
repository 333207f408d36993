package apply_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
)

func TestTrashName(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.FixedZone("", 3600))
	for base, want := range map[string]string{
		"a.txt":  ".shoal/trash/20260304T040607.089-0000abcd-a.txt",
		"":       ".shoal/trash/20260304T040607.089-0000abcd-",
		"a/b":    ".shoal/trash/20260304T040607.089-0000abcd-a_b",
		"a\xffb": ".shoal/trash/20260304T040607.089-0000abcd-a\uFFFDb",
		"a\x00":  ".shoal/trash/20260304T040607.089-0000abcd-a_",
	} {
		if got := apply.TrashName(at, 0xabcd, base); got != want {
			t.Errorf("%q gives %q, want %q", base, got, want)
		}
	}
	for n := range 300 {
		got := apply.TrashName(at, 1<<60+7, strings.Repeat("é", n))
		if name := strings.TrimPrefix(got, apply.TrashDir+"/"); len(name) > 255 || !utf8.ValidString(name) {
			t.Errorf("%d letters give %d bytes: %q", n, len(name), name)
		}
		if err := apply.CheckPath(apply.UseOwn, got); err != nil {
			t.Error(err)
		}
	}
}

// FuzzCheckPath: a path that passes is local, clean and in one form.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"", "a", "a/b", "../a", "/a", "a/", "a//b", ".shoal/tmp/x", ".Shoal", "a\x00", ".", "a/.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		change, own := apply.CheckPath(apply.UseChange, path) == nil, apply.CheckPath(apply.UseOwn, path) == nil
		if own && !change {
			t.Errorf("%q may be overwritten and not changed", path)
		}
		if apply.CheckPath(apply.UseLook, path) != nil {
			if change {
				t.Errorf("%q may be changed and not looked at", path)
			}
			return
		}
		for _, name := range strings.Split(path, "/") {
			if path != "" && (name == "" || name == "." || name == ".." || strings.Contains(name, "\x00")) {
				t.Errorf("%q passes", path)
			}
		}
		if own && !strings.HasPrefix(path, ".shoal/") {
			t.Errorf("%q may be overwritten", path)
		}
	})
}
