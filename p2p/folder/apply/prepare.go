package apply

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Prepare makes what the program needs for itself in a folder. Errors: ErrInTheWay if
// something else has one of the names.
func Prepare(fsys FS) error {
	dirs := []struct {
		path string
		mode fs.FileMode
	}{{Private, 0o755}, {TempDir, 0o700}, {TrashDir, 0o700}, {AsideDir, 0o700}}
	for _, d := range dirs {
		err := fsys.Mkdir(d.path, d.mode)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("apply: prepare the folder: %w", err)
		}
		st, err := fsys.Lstat(d.path)
		if err != nil {
			return fmt.Errorf("apply: prepare the folder: %w", err)
		}
		if st.Kind != reconcile.KindDir {
			return fmt.Errorf("apply: prepare the folder: %w: %s is not a directory", ErrInTheWay, d.path)
		}
	}
	if err := SyncDirs(fsys, []string{"", Private}); err != nil {
		return fmt.Errorf("apply: prepare the folder: %w", err)
	}
	return nil
}
