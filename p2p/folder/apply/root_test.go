package apply_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

func openRoot(t testing.TB, dir string) *apply.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := apply.NewRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestRoot(t *testing.T) {
	applytest.Run(t, func(t *testing.T) apply.FS { return openRoot(t, t.TempDir()) })
}

// TestPlainRoot: where the system has nothing better than link and rename.
func TestPlainRoot(t *testing.T) {
	applytest.Run(t, func(t *testing.T) apply.FS {
		r := openRoot(t, t.TempDir())
		r.Plain()
		return r
	})
}

// TestLinks: no method goes through a symbolic link, wherever it points, nor opens
// what is not a regular file.
func TestLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege there")
	}
	dir, outside := t.TempDir(), t.TempDir()
	r := openRoot(t, dir)
	must(t, apply.Prepare(r))
	must(t, os.MkdirAll(filepath.Join(dir, "real"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "real", "f"), []byte("inside"), 0o644))
	must(t, os.WriteFile(filepath.Join(outside, "f"), []byte("outside"), 0o644))
	must(t, os.Symlink("real", filepath.Join(dir, "in")))
	must(t, os.Symlink(outside, filepath.Join(dir, "out")))
	must(t, os.Symlink("real/f", filepath.Join(dir, "file")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, ".shoal", "tmp", "dangling")))
	for _, p := range []string{"in", "out"} {
		for name, err := range map[string]error{
			"Lstat":  func() error { _, err := r.Lstat(p + "/f"); return err }(),
			"Open":   func() error { _, err := r.Open(p + "/f"); return err }(),
			"Names":  func() error { _, err := r.Names(p); return err }(),
			"Mkdir":  r.Mkdir(p+"/d", 0o755),
			"Rmdir":  r.Rmdir(p),
			"Rename": r.Rename(p+"/f", "g"),
			"Into":   r.Rename("real/f", p+"/g"),
			"Meta":   func() error { _, err := r.SetMeta(p+"/f", 0o600, 0); return err }(),
			"Meta 2": func() error { _, err := r.SetMeta(p, 0o600, 0); return err }(),
		} {
			if !errors.Is(err, apply.ErrInTheWay) {
				t.Errorf("%s in %s: got error %v, want %v", name, p, err, apply.ErrInTheWay)
			}
		}
	}
	if st, err := r.Lstat("file"); err != nil || st.Kind != reconcile.KindOther {
		t.Errorf("a link is %+v: %v", st, err)
	}
	for _, call := range []func() error{
		func() error { _, err := r.Open("file"); return err },
		func() error { _, err := r.SetMeta("file", 0o777, 0); return err },
		func() error { _, err := r.Create(apply.TempDir + "/dangling"); return err },
	} {
		if err := call(); !errors.Is(err, apply.ErrInTheWay) {
			t.Errorf("got error %v, want %v", err, apply.ErrInTheWay)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "real", "f")); err != nil || string(b) != "inside" {
		t.Errorf("the file inside is %q: %v", b, err)
	}
}

// TestSecondName: a temporary file that is also another file is not written.
func TestSecondName(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir)
	must(t, apply.Prepare(r))
	must(t, os.WriteFile(filepath.Join(dir, "precious"), []byte("x"), 0o600))
	if err := os.Link(filepath.Join(dir, "precious"), filepath.Join(dir, ".shoal", "tmp", "x")); err != nil {
		t.Skipf("no hard links here: %v", err)
	}
	if _, err := r.Create(apply.TempDir + "/x"); !errors.Is(err, apply.ErrInTheWay) && runtime.GOOS != "windows" {
		t.Errorf("got error %v, want %v", err, apply.ErrInTheWay)
	}
}

// TestPrepareRefuses: what the program needs is a link, or a file.
func TestPrepareRefuses(t *testing.T) {
	for _, path := range []string{apply.Private, apply.TempDir, apply.TrashDir, apply.AsideDir} {
		for kind, make := range map[string]func(path string) error{
			"file": func(path string) error { return os.WriteFile(path, nil, 0o644) },
			"link": func(path string) error { return os.Symlink(t.TempDir(), path) },
		} {
			dir := t.TempDir()
			full := filepath.Join(dir, filepath.FromSlash(path))
			must(t, os.MkdirAll(filepath.Dir(full), 0o755))
			if err := make(full); err != nil {
				t.Logf("no %s here: %v", kind, err)
				continue
			}
			if err := apply.Prepare(openRoot(t, dir)); !errors.Is(err, apply.ErrInTheWay) {
				t.Errorf("%s is a %s: got error %v, want %v", path, kind, err, apply.ErrInTheWay)
			}
		}
	}
}

// TestManyDirectories: more directories than are kept open, replaced under their names.
func TestManyDirectories(t *testing.T) {
	dir := t.TempDir()
	r := openRoot(t, dir)
	for round := range 3 {
		for i := range 50 {
			must(t, r.Mkdir(fmt.Sprintf("d%d", i), 0o755))
			must(t, r.Mkdir(fmt.Sprintf("d%d/e", i), 0o755))
			must(t, r.Mkdir(fmt.Sprintf("d%d/e/f%d", i, round), 0o755))
		}
		for i := range 50 {
			names, err := r.Names(fmt.Sprintf("d%d/e", i))
			if err != nil || len(names) != 1 || names[0] != fmt.Sprint("f", round) {
				t.Fatalf("round %d: names %q: %v", round, names, err)
			}
		}
		for i := range 50 {
			must(t, os.Rename(filepath.Join(dir, fmt.Sprintf("d%d", i)), filepath.Join(dir, fmt.Sprintf("old%d-%d", round, i))))
		}
		if _, err := r.Names("d1/e"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a directory that is gone: %v", err)
		}
	}
}
