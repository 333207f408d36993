package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// File is a file of a folder, open for reading.
type File struct {
	// Entry describes the file that is open. Its Hash is zero when the file on the
	// disk is not, or not yet, the one that was indexed.
	Entry
	f    *os.File
	stat stat
}

// OpenFile opens a file that is in the index of a folder. It is checked again
// that the path is canonical and nothing in it a symbolic link, reserved or
// ignored. Errors: ErrBadPath, ErrNotFound, ErrUnavailable.
func (s *Service) OpenFile(folder, path string) (*File, error) {
	f, err := s.openFile(context.Background(), folder, path)
	if err != nil {
		return nil, fmt.Errorf("folder: open %.100q in %.30q: %w", path, folder, err)
	}
	return f, nil
}

func (s *Service) openFile(ctx context.Context, folder, path string) (*File, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	sh, err := s.share(folder)
	if err != nil {
		return nil, err
	}
	row, err := s.store.Row(ctx, folder, path)
	if err != nil {
		return nil, err
	}
	if row.Kind != KindFile {
		return nil, fmt.Errorf("a directory: %w", ErrNotFound)
	}
	t, err := sh.open()
	if err != nil {
		return nil, err
	}
	defer t.close() // nothing was written
	if g, ignored, err := t.rules(parent(path)); err != nil {
		return nil, notThere(err)
	} else if ignored || leftOut(g, path, false) {
		return nil, fmt.Errorf("ignored: %w", ErrNotFound)
	}
	f, st, err := t.open(path)
	if err != nil {
		return nil, notThere(err)
	}
	e := row.Entry
	if !row.same(st) {
		e = st.row(path, Hash{}, time.Time{}).Entry
		sh.hint(hint{dir: parent(path), path: path})
	}
	return &File{Entry: e, f: f, stat: st}, nil
}

// notThere makes of what hinders opening a file that it is not found: links and
// special files are not files of a folder.
func notThere(err error) error {
	for _, e := range []error{fs.ErrNotExist, errLink, errSpecial, errKind, errMount, errSwapped} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		}
	}
	return err
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) { return f.f.Read(p) }

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.f.Seek(offset, whence) }

// Close implements io.Closer.
func (f *File) Close() error { return f.f.Close() }

// Unchanged reports, as ErrChanged, that the file's content or state is no longer
// what Entry says. After reading, nil means that the bytes are those of one state.
func (f *File) Unchanged() error { return unchanged(f.f, f.stat) }

// Range returns a reader of length bytes from offset on, which fails with
// ErrChanged, before it has given all of them, when the file changes meanwhile.
// It takes the file over: f is closed with the reader, or at once on error.
// Errors: ErrInvalid for what is not in the file.
func (f *File) Range(offset, length int64) (io.ReadCloser, error) {
	if offset < 0 || length < 0 || offset > f.Size || length > f.Size-offset {
		return nil, errors.Join(fmt.Errorf("folder: read %.100q: bytes %d+%d of %d: %w", f.Path, offset, length, f.Size, ErrInvalid), f.Close())
	}
	return newRange(f.f, f.stat, offset, length)
}
