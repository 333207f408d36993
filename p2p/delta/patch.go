package delta

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/zeebo/blake3"
)

var (
	// ErrLength: the operations make more or fewer bytes than were announced.
	ErrLength = errors.New("not of the announced length")
	// ErrOutside: an operation copies what the old file does not have.
	ErrOutside = errors.New("outside the old file")
	// ErrMismatch: the result is not the announced file. Two blocks had the same
	// sums by chance or on purpose, or the old file is not the one that was
	// signed. Another seed settles the former, the whole file both.
	ErrMismatch = errors.New("the result is not the announced file")
)

// PatchOptions say what the result has to be.
type PatchOptions struct {
	Size int64 // in bytes
	Sum  Sum
	// Bare computes and compares no sum. It is for parts of a file whose whole the
	// caller verifies before anybody sees it: until then the result may be wrong.
	Bare bool
}

// copyBuffer is the room for what is copied.
const copyBuffer = 64 << 10

// Patch writes to w what the operations make out of the old file. It never writes
// more than o.Size bytes. The result is good only if the error is nil: then it
// has o.Size bytes and, unless o.Bare, the sum o.Sum. The sum of what was written is returned as
// long as the length was right.
func Patch(base io.ReaderAt, ops iter.Seq2[Op, error], w io.Writer, o PatchOptions) (Sum, error) {
	if o.Bare {
		if err := apply(base, ops, w, o.Size); err != nil {
			return Sum{}, fmt.Errorf("delta: patch: %w", err)
		}
		return Sum{}, nil
	}
	sum, err := rebuild(base, ops, w, o.Size)
	if err != nil {
		return Sum{}, fmt.Errorf("delta: patch: %w", err)
	}
	if sum != o.Sum {
		return sum, fmt.Errorf("delta: patch: its sum is %v instead of %v: %w", sum, o.Sum, ErrMismatch)
	}
	return sum, nil
}

// rebuild is Patch without the comparison of the sum.
func rebuild(base io.ReaderAt, ops iter.Seq2[Op, error], w io.Writer, size int64) (Sum, error) {
	hash := blake3.New()
	if err := apply(base, ops, io.MultiWriter(w, hash), size); err != nil {
		return Sum{}, err
	}
	var sum Sum
	hash.Sum(sum[:0])
	return sum, nil
}

// apply writes what the operations make, which must be size bytes.
func apply(base io.ReaderAt, ops iter.Seq2[Op, error], w io.Writer, size int64) error {
	b := &builder{base: base, w: w, left: size}
	for op, err := range ops {
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", size-b.left, err)
		}
		if err := b.apply(op); err != nil {
			return fmt.Errorf("after %d bytes: %w", size-b.left, err)
		}
	}
	if b.left != 0 {
		return fmt.Errorf("the end after %d of %d bytes: %w", size-b.left, size, ErrLength)
	}
	return nil
}

type builder struct {
	base io.ReaderAt
	w    io.Writer
	left int64 // bytes that may still be written
	buf  []byte
	at   int64 // of buf in the old file
}

func (b *builder) apply(op Op) error {
	if err := op.check(b.left, math.MaxInt64); err != nil {
		return err
	}
	if len(op.Data) > 0 {
		if _, err := b.w.Write(op.Data); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		b.left -= int64(len(op.Data))
	}
	return b.copy(op.Offset, op.Length)
}

func (b *builder) copy(offset, length int64) error {
	if b.buf == nil && length > 0 {
		b.buf = make([]byte, 0, copyBuffer)
	}
	for length > 0 {
		n := min(length, copyBuffer)
		if err := b.read(offset, int(n)); err != nil {
			return err
		}
		at := offset - b.at
		if _, err := b.w.Write(b.buf[at : at+n]); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		offset, length, b.left = offset+n, length-n, b.left-n
	}
	return nil
}

// read sees to it that n bytes at offset are in buf. What is there already is not
// read again: a million copies of one block cost one read.
func (b *builder) read(offset int64, n int) error {
	if have := offset - b.at; have >= 0 && have+int64(n) <= int64(len(b.buf)) {
		return nil
	}
	b.buf, b.at = b.buf[:n], offset
	k, err := b.base.ReadAt(b.buf, offset)
	if k == n {
		return nil
	}
	b.buf = b.buf[:0]
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("copy %d bytes at %d: %w", n, offset, ErrOutside)
	}
	return fmt.Errorf("read the old file at %d: %w", offset, err)
}
