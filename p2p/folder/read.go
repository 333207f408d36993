package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"
)

const (
	// heldFile is up to which size the bytes of a file that was hashed are handed
	// to the sink from memory. Most texts are far smaller; what is larger is read
	// a second time from the disk, or rather from the system's cache.
	heldFile = 1 << 20
	// readBuffer is what is read at once of a larger file.
	readBuffer = 256 << 10
	// readAttempts is how often a file that changes meanwhile is read.
	readAttempts = 3
)

// content is a file as it was in one moment.
type content struct {
	row  Row
	data []byte // all of it, up to heldFile; nil otherwise
}

// readStable hashes the regular file name in at, whose path is given, such that
// the content belongs to the state in the row: the file's state before and after
// reading is the same. Errors: those of openFile, ErrChanged if that did not
// succeed in a few attempts.
func readStable(ctx context.Context, at *os.Root, name, path string, now func() time.Time, read *atomic.Int64) (content, error) {
	for range readAttempts {
		c, err := readOnce(ctx, at, name, path, now, read)
		if !errors.Is(err, ErrChanged) && !errors.Is(err, errSwapped) {
			return c, err
		}
	}
	return content{}, ErrChanged
}

func readOnce(ctx context.Context, at *os.Root, name, path string, now func() time.Time, read *atomic.Int64) (content, error) {
	checked := now()
	f, before, err := openFile(at, name)
	if err != nil {
		return content{}, err
	}
	defer f.Close() // nothing was written
	var data []byte
	var hash Hash
	if before.size <= heldFile {
		data, hash, err = hashHeld(f, before.size)
		read.Add(int64(len(data)))
	} else {
		hash, err = hashStream(ctx, f, read)
	}
	if err != nil {
		return content{}, err
	}
	if err := unchanged(f, before); err != nil {
		return content{}, err
	}
	return content{row: before.row(path, hash, checked), data: data}, nil
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

// hashHeld reads one byte more than there should be, to notice that there is more.
func hashHeld(f *os.File, size int64) ([]byte, Hash, error) {
	data := make([]byte, size+1)
	n, err := io.ReadFull(f, data)
	if err == nil || err == io.EOF && size > 0 || err == io.ErrUnexpectedEOF && int64(n) != size {
		return nil, Hash{}, ErrChanged
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, Hash{}, err
	}
	return data[:n], blake3.Sum256(data[:n]), nil
}

func hashStream(ctx context.Context, f *os.File, read *atomic.Int64) (Hash, error) {
	var hash Hash
	h := blake3.New()
	buf := make([]byte, readBuffer)
	for {
		n, err := f.Read(buf)
		_, _ = h.Write(buf[:n]) // never fails (hash.Hash)
		read.Add(int64(n))
		if err == io.EOF {
			h.Sum(hash[:0])
			return hash, nil
		}
		if err != nil {
			return Hash{}, err
		}
		if err := ctx.Err(); err != nil {
			return Hash{}, err
		}
	}
}

// opener is Update.Open of a file: from memory, or from the disk as long as the
// file is in the state that the hash belongs to.
func (c content) opener(t *tree) func() (io.ReadCloser, error) {
	if c.data != nil {
		data := c.data
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	}
	row := c.row
	return func() (io.ReadCloser, error) {
		f, s, err := t.open(row.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrChanged, err) // it could be opened when it was hashed
		}
		if !row.same(s) {
			return nil, errors.Join(ErrChanged, f.Close())
		}
		return newRange(f, s, 0, s.size)
	}
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

// Close implements io.Closer.
func (r *rangeReader) Close() error { return r.f.Close() }
