package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// Dirty says what a scan has found to be different, so that whoever keeps folders
// in sync need not look at the rest.
type Dirty struct {
	// Paths are those whose row is new, different or gone, sorted. One that differs
	// only in times that say nothing about the content is not among them, unless it
	// is another inode.
	Paths []string
	// Moved are directories that have another path now, with the rows below them,
	// which are in Paths only if they are different as well.
	Moved []Move
	// All: the whole folder was looked at. With more than 10,000 different paths,
	// Paths is empty then.
	All bool
}

// Move is a directory that has another path now, with everything in it.
type Move struct{ From, To string }

// Observed says how what is on the disk relates to the row of its path.
type Observed int

// What Observe finds.
const (
	// ObservedAbsent: nothing is at the path.
	ObservedAbsent Observed = iota
	// ObservedKnown: the row describes exactly what is there.
	ObservedKnown
	// ObservedOther: something is there that is not shared, or that is not known in
	// this state, or it cannot be told what is there.
	ObservedOther
)

// Status is what keeps a folder in sync tells about its work on it.
type Status struct {
	State     State // StateSyncing, StateHeld or empty
	NeedFiles int   // entries that are not yet as they should be
	NeedBytes int64 // that are still to come for that
	Conflicts int   // files beside others because of concurrent changes
	Error     string
	Warning   string
}

// Tree opens the directory of a folder after a check that it is there and is the
// one that was added. close must be called in the end. Errors: ErrNotFound,
// ErrUnavailable.
func (s *Service) Tree(id string) (root *os.Root, close func() error, err error) {
	sh, err := s.share(id)
	if err != nil {
		return nil, nil, err
	}
	t, err := sh.open()
	if err != nil {
		return nil, nil, fmt.Errorf("folder: open %.30q: %w", id, err)
	}
	return t.root, t.close, nil
}

// Row returns the row of a path. Errors: ErrNotFound.
func (s *Service) Row(ctx context.Context, id, path string) (Row, error) {
	return s.store.Row(ctx, id, path)
}

// Children returns the rows directly in a directory ("": the folder), by path.
func (s *Service) Children(ctx context.Context, id, dir string) ([]Row, error) {
	return s.store.Children(ctx, id, dir)
}

// Observe looks at what is at path on the disk now, and compares it with the row.
//
// The row is that of the store for ObservedKnown. For ObservedOther of a file or
// directory it describes what is there, without a hash; of anything else it has no
// Kind. Of a file or directory that should be shared, the folder's runner gets a
// hint to look at it. Where a directory above is missing, or is a file, nothing is
// at path; where one is a link or another file system, ObservedOther is there.
// Errors: ErrBadPath, ErrNotFound (the folder), ErrUnavailable.
func (s *Service) Observe(ctx context.Context, id, path string) (Row, Observed, error) {
	row, state, err := s.observe(ctx, id, path)
	if err != nil {
		return Row{}, ObservedOther, fmt.Errorf("folder: observe %.100q in %.30q: %w", path, id, err)
	}
	return row, state, nil
}

func (s *Service) observe(ctx context.Context, id, path string) (Row, Observed, error) {
	if err := CheckPath(path); err != nil {
		return Row{}, ObservedOther, err
	}
	sh, err := s.share(id)
	if err != nil {
		return Row{}, ObservedOther, err
	}
	t, err := sh.open()
	if err != nil {
		return Row{}, ObservedOther, err
	}
	defer t.close() // nothing was written
	at, err := t.dir(parent(path))
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errKind):
		return Row{}, ObservedAbsent, nil
	case err != nil:
		return Row{}, ObservedOther, nil
	}
	defer at.Close() // nothing was written
	info, err := at.Lstat(base(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Row{}, ObservedAbsent, nil
	case err != nil || !info.IsDir() && !info.Mode().IsRegular():
		return Row{}, ObservedOther, nil
	}
	st := statOf(info)
	is := st.row(path, Hash{}, time.Time{})
	if info.IsDir() {
		d, err := t.enter(at, base(path))
		if errors.Is(err, errMount) {
			return is, ObservedOther, nil
		}
		if err == nil {
			err = d.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			sh.hint(hint{dir: parent(path), path: path})
			return is, ObservedOther, nil
		}
	}
	row, err := s.store.Row(ctx, id, path)
	switch {
	case err == nil && row.describes(st):
		return row, ObservedKnown, nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return Row{}, ObservedOther, err
	}
	if g, ignored, err := t.rules(parent(path)); err == nil && !ignored && !leftOut(g, path, info.IsDir()) {
		sh.hint(hint{dir: parent(path), path: path})
	}
	return is, ObservedOther, nil
}

// describes is same, for directories too: of these the times say nothing.
func (r *Row) describes(s stat) bool {
	if s.mode.IsDir() {
		return r.Kind == KindDir && r.Inode == s.inode && r.Mode == s.mode.Perm()
	}
	return r.same(s)
}

// Pin keeps the paths of directories in the index as they are until unpin is called:
// where some have been moved, Options.Changed has been called before Pin returns. Who has
// taken what that has told, and then looks into the index, so meets nothing that was moved
// without his knowing. What he does to the disk, and then records, is looked at again if
// a scan has ended since. The hook must not wait for a pin. Errors: ErrNotFound.
func (s *Service) Pin(id string) (unpin func(), err error) {
	sh, err := s.share(id)
	if err != nil {
		return nil, err
	}
	sh.moving.RLock()
	sh.writes.Lock()
	sh.pinned = sh.scans
	sh.writes.Unlock()
	return sh.moving.RUnlock, nil
}

// Record tells the index what its user has done to the disk, so that a scan finds
// nothing new in it: first nothing is any more at the paths in drop, then the
// directories in moved have other paths, all at once and with all that is in them,
// then what is at the paths in put is as the rows say. The sink is told, the hook
// Options.Changed is not called. Rows whose state is still exactly that are not read
// again because of the file system's events about it. Errors: ErrNotFound.
func (s *Service) Record(ctx context.Context, id string, drop []string, moved []Move, put []Row) error {
	sh, err := s.share(id)
	if err != nil {
		return err
	}
	if err := sh.recorded(ctx, drop, moved, put); err != nil {
		return fmt.Errorf("folder: record %d changes in %.30q: %w", len(drop)+len(moved)+len(put), id, err)
	}
	return nil
}

// Hint has the runner look again at paths. Of an unknown folder it says nothing.
func (s *Service) Hint(id string, paths ...string) {
	sh, err := s.share(id)
	if err != nil {
		return
	}
	for _, p := range paths {
		if CheckPath(p) == nil {
			sh.hint(hint{dir: parent(p), path: p})
		}
	}
}

// DirByInode returns the path of a directory that has an inode, which is not 0; found is
// false if none is known.
func (s *Service) DirByInode(ctx context.Context, id string, inode uint64) (path string, found bool, err error) {
	row, err := s.store.DirByInode(ctx, id, inode)
	if errors.Is(err, ErrNotFound) {
		return "", false, nil
	}
	return row.Path, err == nil, err
}

// ByHash returns the path of a file whose content has a hash; found is false if
// none is known.
func (s *Service) ByHash(ctx context.Context, id string, h Hash) (path string, found bool) {
	row, err := s.store.ByHash(ctx, id, h)
	return row.Path, err == nil
}

// Manifest returns what a content is made of, if that was found out. Errors: ErrNotFound.
func (s *Service) Manifest(ctx context.Context, h Hash) (*chunk.Manifest, error) {
	return s.store.Manifest(ctx, h)
}

// SaveManifest keeps what a content is made of, as long as a file has it.
func (s *Service) SaveManifest(ctx context.Context, m *chunk.Manifest) error {
	return s.store.SaveManifests(ctx, []*chunk.Manifest{m})
}

// Similar returns files of a folder that have chunks of a sketch, those with the most first.
func (s *Service) Similar(ctx context.Context, id string, sketch []chunk.Hash, limit int) ([]Similar, error) {
	return s.store.Similar(ctx, id, sketch, limit)
}

// SetBusy says whether a folder is being synchronised. Meanwhile the sink is told
// less often, so that it does not stand in the way. Of an unknown folder it says
// nothing.
func (s *Service) SetBusy(id string, busy bool) {
	if sh, err := s.share(id); err == nil {
		sh.setBusy(busy)
	}
}

// SetStatus says how far what keeps a folder in sync has come. It is shown with
// the folder's own state: error before paused, held, scanning, syncing and idle. Of
// an unknown folder it says nothing.
func (s *Service) SetStatus(id string, st Status) {
	if sh, err := s.share(id); err == nil {
		sh.setStatus(st)
	}
}
