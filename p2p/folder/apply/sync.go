package apply

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
)

// many is from when on syncing the whole file system costs less than file by file.
const many = 64

// Parallel is an FS that is faster when several syncs run at the same time. Any other
// is asked for one after the other.
type Parallel interface {
	FS
	// Parallel returns how many syncs are good at the same time.
	Parallel() int
}

// SyncTemps makes the content of files durable. After an error none of them may be
// used: what was not written may look as if it had been.
func SyncTemps(fsys FS, temps []Temp) error {
	err := together(fsys, len(temps), func(i int) error { return temps[i].Sync() })
	if err != nil {
		return fmt.Errorf("apply: sync %d new files: %w", len(temps), err)
	}
	fault.Point("apply.temp-synced")
	return nil
}

// SyncFiles is SyncTemps for files that are not open.
func SyncFiles(fsys FS, paths []string) error {
	err := together(fsys, len(paths), func(i int) error { return fsys.SyncFile(paths[i]) })
	if err != nil {
		return fmt.Errorf("apply: sync %d new files: %w", len(paths), err)
	}
	fault.Point("apply.temp-synced")
	return nil
}

// SyncDirs makes the names in directories durable. One that is gone needs no syncing,
// but that above it does.
func SyncDirs(fsys FS, dirs []string) error {
	err := together(fsys, len(dirs), func(i int) error { return syncThere(fsys, dirs[i]) })
	if err != nil {
		return fmt.Errorf("apply: sync %d directories: %w", len(dirs), err)
	}
	fault.Point("apply.dirs-synced")
	return nil
}

// syncThere syncs dir or, if it was removed or moved by now, the next one above.
func syncThere(fsys FS, dir string) error {
	for {
		st, err := state(fsys, dir)
		if err != nil {
			return err
		}
		if st.Kind != "" {
			err := fsys.SyncDir(dir)
			if err == nil || dir == "" {
				return err
			}
			if st, lookErr := state(fsys, dir); lookErr != nil || st.Kind != "" {
				return errors.Join(err, lookErr)
			}
		}
		dir = parent(dir)
	}
}

// together syncs n things: by SyncAll where they are many, else a few at a time.
func together(fsys FS, n int, one func(i int) error) error {
	if n > many {
		if err := fsys.SyncAll(); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	abreast := 1
	if p, ok := fsys.(Parallel); ok {
		abreast = min(n, p.Parallel())
	}
	errs := make([]error, n)
	if abreast <= 1 {
		for i := range n {
			errs[i] = one(i)
		}
		return first(errs)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range abreast {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = one(i)
			}
		})
	}
	wg.Wait()
	return first(errs)
}

// first returns the first error, and how many more there are: a disk that does not work
// says the same of each file.
func first(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}
