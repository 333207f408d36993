package applytest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
)

// badPaths are no paths, for no method.
func badPaths() []string {
	bad := []string{
		"..", ".", "/", "/etc", "/etc/passwd", "a/..", "../a", "a/../b", "a/./b", "./a", "a/", "a//b", "//a", "a/b/",
		"a\x00b", "\x00", "a/\x00", ".shoal/", ".shoal/..", ".shoal/tmp/..", ".shoal/tmp/../id", ".SHOAL", ".Shoal/tmp/x",
		"a/.shoal", "a/.shoal/tmp/x", ".shoal/tmp/.shoal", ".shoal/.shoal/tmp/x", strings.Repeat("../", 50) + "etc",
	}
	for _, s := range slices.Clone(bad) {
		bad = append(bad, "dir/"+s, ".shoal/tmp/"+s)
	}
	return slices.DeleteFunc(bad, func(s string) bool { return s == "dir/" || s == ".shoal/tmp/" })
}

// testPaths: whoever has a wrong path is told so, and nothing happens.
func testPaths(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	must(t, fsys.Mkdir("dir", 0o755))
	put(t, fsys, "good", "text")
	for _, p := range badPaths() {
		refused(t, fsys, p)
	}
	for _, p := range []string{"", apply.Private, apply.TempDir, apply.TrashDir, apply.AsideDir, apply.Private + "/id"} {
		wants(t, fsys.Rename(p, "x"), apply.ErrPath)
		wants(t, fsys.Rename("good", p), apply.ErrPath)
		wants(t, fsys.Exchange(p, "good"), apply.ErrPath)
		wants(t, fsys.Rmdir(p), apply.ErrPath)
		wants(t, fsys.Remove(p), apply.ErrPath)
		_, err := fsys.Create(p)
		wants(t, err, apply.ErrPath)
		_, err = fsys.SetMeta(p, 0o777, at)
		wants(t, err, apply.ErrPath)
	}
	shows(t, fsys, "good", "text")
}

// refused checks that no method takes p.
func refused(t *testing.T, fsys apply.FS, p string) {
	t.Helper()
	calls := map[string]func() error{
		"Lstat":       func() error { _, err := fsys.Lstat(p); return err },
		"Open":        func() error { _, err := fsys.Open(p); return err },
		"Create":      func() error { _, err := fsys.Create(p); return err },
		"Names":       func() error { _, err := fsys.Names(p); return err },
		"Mkdir":       func() error { return fsys.Mkdir(p, 0o755) },
		"Rmdir":       func() error { return fsys.Rmdir(p) },
		"Remove":      func() error { return fsys.Remove(p) },
		"Rename from": func() error { return fsys.Rename(p, "free") },
		"Rename to":   func() error { return fsys.Rename("good", p) },
		"Exchange":    func() error { return fsys.Exchange("good", p) },
		"Exchange 2":  func() error { return fsys.Exchange(p, "good") },
		"SetMeta":     func() error { _, err := fsys.SetMeta(p, 0o644, at); return err },
		"SyncFile":    func() error { return fsys.SyncFile(p) },
		"SyncDir":     func() error { return fsys.SyncDir(p) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, apply.ErrPath) {
			t.Errorf("%s of %q: got error %v, want %v", name, p, err, apply.ErrPath)
		}
	}
}
