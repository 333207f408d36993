package apply_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// TestReadOnly installs read-only files, and in read-only directories, as a user whom
// that would hold back.
func TestReadOnly(t *testing.T) {
	if !applytest.Unprivileged(t) {
		return
	}
	dir := t.TempDir()
	r := openRoot(t, dir)
	must(t, apply.Prepare(r))
	_, err := apply.Mkdir(r, "d", 0o755)
	must(t, err)
	_, err = apply.Mkdir(r, "d/sub", 0o555)
	must(t, err)
	must(t, os.Chmod(filepath.Join(dir, "d"), 0o555))
	t.Cleanup(func() { must(t, os.Chmod(filepath.Join(dir, "d"), 0o755)) })

	temp := func(n byte, mode fs.FileMode) string {
		t.Helper()
		path := apply.TempName(reconcile.Hash{n})
		f, err := r.Create(path)
		must(t, err)
		_, err = f.WriteAt([]byte{n}, 0)
		must(t, err)
		_, err = f.SetMeta(mode, modified)
		must(t, err)
		must(t, f.Close())
		must(t, apply.SyncFiles(r, []string{path}))
		return path
	}
	st, err := apply.Install(r, temp(1, 0o444), "d/f")
	must(t, err)
	st, err = apply.Replace(r, temp(2, 0o400), "d/f", expectOf(st), apply.TrashDir+"/1-f")
	must(t, err)
	st, err = apply.Move(r, "d/f", "d/sub/g", expectOf(st))
	must(t, err)
	sub, err := r.Lstat("d/sub")
	must(t, err)
	_, err = apply.Move(r, "d/sub", "e", expectOf(sub)) // it gets another directory above it
	must(t, err)
	must(t, apply.Discard(r, "e/g", expectOf(st), apply.TrashDir+"/2-g"))
	_, err = apply.Mkdir(r, "d/made", 0o700)
	must(t, err)
	made, err := r.Lstat("d/made")
	must(t, err)
	must(t, apply.Discard(r, "d/made", expectOf(made), ""))

	for path, want := range map[string]fs.FileMode{"d": 0o555, "e": 0o555} {
		if st, err := r.Lstat(path); err != nil || st.Mode != want {
			t.Errorf("%s has the mode %o, %v", path, st.Mode, err)
		}
	}
	// A file that has its last mode already can be written once more, and synced.
	f, err := r.Create(temp(3, 0o400))
	must(t, err)
	_, err = f.WriteAt([]byte("again"), 0)
	must(t, err)
	must(t, f.Close())
}
