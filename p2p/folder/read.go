package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

const (
	// readBuffer is what is read at once of a file.
	readBuffer = 256 << 10
	// readAttempts is how often a file that changes meanwhile is read.
	readAttempts = 3
)

// readStable hashes the regular file name in at, whose path is given, such that the
// hash belongs to the state in the row: the file's state before and after reading is
// the same. Errors: those of openFile, ErrChanged if that did not
// succeed in a few attempts.
//
// Of a file of ManifestFrom bytes or more the manifest is made in the same pass, unless it has
// the content that is expected, whose manifest is known.
func readStable(ctx context.Context, at *os.Root, c candidate, path string, now func() time.Time, read *atomic.Int64) (Row, *chunk.Manifest, error) {
	for range readAttempts {
		r, m, err := readOnce(ctx, at, c, path, now, read)
		if !errors.Is(err, ErrChanged) && !errors.Is(err, errSwapped) {
			return r, m, err
		}
	}
	return Row{}, nil, ErrChanged
}

func readOnce(ctx context.Context, at *os.Root, c candidate, path string, now func() time.Time, read *atomic.Int64) (Row, *chunk.Manifest, error) {
	checked := now()
	f, before, err := openFile(at, c.name)
	if err != nil {
		return Row{}, nil, err
	}
	defer f.Close() // nothing was written
	hash, m, err := contentOf(ctx, f, before.size, c.expect, read)
	if err != nil {
		return Row{}, nil, err
	}
	if err := unchanged(f, before); err != nil {
		return Row{}, nil, err
	}
	return before.row(path, hash, checked), m, nil
}

// ManifestFrom is from which size on, in bytes, it is known what a file is made of. What is
// shorter is as quickly sent as compared.
const ManifestFrom = 2 * chunk.Average

// contentOf reads a file of a size, and says what its content is. Errors: ErrChanged if it has
// another size.
func contentOf(ctx context.Context, f *os.File, size int64, expect Hash, read *atomic.Int64) (Hash, *chunk.Manifest, error) {
	if size < ManifestFrom || expect != (Hash{}) {
		h, err := hashAll(ctx, f, size, read)
		if err != nil || size < ManifestFrom || h == expect {
			return h, nil, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return Hash{}, nil, err
		}
	}
	m, err := chunk.Scan(&watched{ctx, f, read}, size)
	if err != nil {
		return Hash{}, nil, err
	}
	if m.Size() != size {
		return Hash{}, nil, ErrChanged
	}
	return Hash(m.Root()), m, nil
}

// watched is a reader that ends with its context, and counts.
type watched struct {
	ctx  context.Context
	r    io.Reader
	read *atomic.Int64
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	w.read.Add(int64(n))
	return n, err
}

// unchanged reports, as ErrChanged, that the open file f is not in state s.
func unchanged(f *os.File, s stat) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if statOf(info) != s {
		return ErrChanged
	}
	return nil
}

// hashAll hashes a file of a size. Errors: ErrChanged if it has another size.
func hashAll(ctx context.Context, f *os.File, size int64, read *atomic.Int64) (hash Hash, err error) {
	h := blake3.New()
	// One byte more than there should be, to notice that there is more.
	buf := make([]byte, min(readBuffer, size+1))
	var total int64
	for {
		n, err := f.Read(buf)
		_, _ = h.Write(buf[:n]) // never fails (hash.Hash)
		read.Add(int64(n))
		total += int64(n)
		switch {
		case err == io.EOF && total == size:
			h.Sum(hash[:0])
			return hash, nil
		case err == io.EOF || total > size:
			return Hash{}, ErrChanged
		case err != nil:
			return Hash{}, err
		case ctx.Err() != nil:
			return Hash{}, ctx.Err()
		}
	}
}

// openAs opens the file of a row for reading all of it, as long as it is in the state
// that the row describes. Errors: ErrChanged.
func openAs(at *os.Root, row Row) (*rangeReader, error) {
	f, s, err := openFile(at, base(row.Path))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err) // it could be opened when it was hashed
	}
	if !row.same(s) {
		return nil, errors.Join(ErrChanged, f.Close())
	}
	return newRange(f, s, 0, s.size)
}

// open opens the regular file at path for reading.
func (t *tree) open(path string) (*os.File, stat, error) {
	at, err := t.dir(parent(path))
	if err != nil {
		return nil, stat{}, err
	}
	defer at.Close() // nothing was written
	return openFile(at, base(path))
}

// rangeReader reads a part of a file and fails rather than giving its last bytes
// when the file was not in one state while it was read.
type rangeReader struct {
	f    *os.File
	stat stat
	left int64
}

// newRange takes f over, also when it fails.
func newRange(f *os.File, s stat, offset, length int64) (*rangeReader, error) {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &rangeReader{f: f, stat: s, left: length}, nil
}

// Read implements io.Reader. Errors: ErrChanged.
func (r *rangeReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.f.Read(p[:min(int64(len(p)), r.left)])
	if err == io.EOF {
		return 0, ErrChanged // shorter than it was
	}
	if err != nil {
		return 0, err
	}
	// All bytes have been read now: what happens to the file later is not in them.
	if r.left -= int64(n); r.left == 0 {
		if err := unchanged(r.f, r.stat); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// ReadAt implements io.ReaderAt, of the whole file. Errors: ErrChanged.
func (r *rangeReader) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > r.stat.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), r.stat.size-at)
	n, err := r.f.ReadAt(p[:want], at)
	if errors.Is(err, io.EOF) {
		return 0, ErrChanged // shorter than it was
	}
	if err == nil {
		err = unchanged(r.f, r.stat)
	}
	if err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (r *rangeReader) Close() error { return r.f.Close() }
