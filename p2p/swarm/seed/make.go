package seed

import (
	"context"
	"crypto/md5" // the old form has nothing else
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// emptyRoot is the root of a file without bytes.
var emptyRoot = chunk.Hash(blake3.Sum256(nil))

// step is how much of a file is read at once: it is hashed while it is in the cache.
const step = 256 << 10

// Make reads a file of size bytes to its end and returns its seed, with the values
// of all pieces. The name must be one that every system has: see [PortableName].
// From time to time, progress is told how many bytes have been read; it can be nil.
// Errors: ErrName; ErrMismatch, if the file is not as long as that.
func Make(ctx context.Context, r io.Reader, size int64, name string, progress func(read int64)) (Seed, error) {
	s, err := begin(size, name)
	if err != nil {
		return Seed{}, err
	}
	l, t := s.Layout, s.Tree()
	// A wrong size must not cost more than a little.
	s.Pieces = make([]chunk.Hash, 0, min(l.Count(), 1<<16))
	err = l.read(ctx, r, progress, func(i int, data []byte) error {
		h, err := t.Hash(i, data)
		s.Pieces = append(s.Pieces, h)
		return err
	})
	if err == nil {
		s.Root, err = t.Root(s.Pieces)
	}
	if err != nil {
		return Seed{}, fmt.Errorf("seed: make one of %.300q: %w", name, err)
	}
	s.List = ListOf(s.Pieces)
	return s, nil
}

// MakeScanned is Make, and what [chunk.Scan] says of the file, of one read.
func MakeScanned(ctx context.Context, r io.Reader, size int64, name string, progress func(read int64)) (Seed, *chunk.Manifest, error) {
	s, err := begin(size, name)
	if err != nil {
		return Seed{}, nil, err
	}
	w := &watched{ctx: ctx, r: io.LimitReader(r, size+1), progress: progress}
	m, values, err := chunk.ScanPieces(w, size, s.PieceLen)
	if err == nil && m.Size() != size {
		err = fmt.Errorf("it has %d bytes, or more, not %d: %w", m.Size(), size, ErrMismatch)
	}
	if err != nil {
		return Seed{}, nil, fmt.Errorf("seed: make one of %.300q: %w", name, err)
	}
	s.Root, s.Pieces, s.List = m.Root(), slices.Clone(values), ListOf(values)
	return s, m, nil
}

// begin returns what is known of a seed before its file has been read.
func begin(size int64, name string) (Seed, error) {
	if err := CheckName(name); err != nil {
		return Seed{}, err
	}
	if p := PortableName(name); p != name {
		return Seed{}, fmt.Errorf("seed: %.300q: %w: Windows has none called so; %q would be one", name, ErrName, p)
	}
	l, err := LayoutOf(size)
	return Seed{Name: name, Layout: l}, err
}

// A watched is a reader that tells how far it is, and can be stopped.
type watched struct {
	ctx      context.Context
	r        io.Reader
	at       int64
	progress func(int64)
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	w.at += int64(n)
	if n > 0 && w.progress != nil {
		w.progress(w.at)
	}
	return n, err
}

// read reads a file and calls do with each piece.
func (l Layout) read(ctx context.Context, r io.Reader, progress func(int64), do func(i int, data []byte) error) error {
	each := max(1, step/l.PieceLen)
	buf := make([]byte, min(int64(each)*int64(l.PieceLen), max(1, l.Size)))
	at := int64(0)
	for i, n := 0, l.Count(); i < n; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), l.Size-at)]
		got, err := io.ReadFull(r, part)
		at += int64(got)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("it ends after %d of %d bytes: %w", at, l.Size, ErrMismatch)
		case err != nil:
			return err
		}
		for end := min(i+each, n); i < end; i++ {
			piece := part[:min(l.PieceLen, len(part))]
			part = part[len(piece):]
			if err := do(i, piece); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(at)
		}
	}
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("it goes on after %d bytes: %w", l.Size, ErrMismatch)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// Verify reports whether data is piece i of the file. While its values are not
// known, nothing is.
func (s Seed) Verify(i int, data []byte) bool {
	if s.Legacy == nil {
		return s.Tree().Verify(s.Pieces, i, data)
	}
	if i < 0 || i >= min(s.Count(), len(s.Legacy.Pieces)) {
		return false
	}
	_, n := s.Extent(i)
	return len(data) == n && md5.Sum(data) == s.Legacy.Pieces[i] // the old form has nothing else
}

// VerifyFile reads a file to its end and returns an ErrMismatch if it is not that of
// the seed. The values need not be known. Of the old form, it compares the hashes of
// the pieces and that of the whole, which only then is known to belong to them.
func (s Seed) VerifyFile(ctx context.Context, r io.Reader, progress func(read int64)) error {
	if err := s.verifyFile(ctx, r, progress); err != nil {
		return fmt.Errorf("seed: verify %.300q: %w", s.Name, err)
	}
	return nil
}

func (s Seed) verifyFile(ctx context.Context, r io.Reader, progress func(int64)) error {
	var whole hash.Hash
	if s.Legacy != nil {
		whole = md5.New()
	}
	values := make([]chunk.Hash, 0, min(s.Count(), 1<<16))
	err := s.read(ctx, r, progress, func(i int, data []byte) error {
		if whole != nil {
			_, _ = whole.Write(data) // never fails (hash.Hash)
			if !s.Verify(i, data) {
				return fmt.Errorf("piece %d: %w", i, ErrMismatch)
			}
			return nil
		}
		h, err := s.Tree().Hash(i, data)
		if err == nil && s.Pieces != nil && h != s.Pieces[i] {
			err = fmt.Errorf("piece %d: %w", i, ErrMismatch)
		}
		values = append(values, h)
		return err
	})
	if err != nil {
		return err
	}
	if whole != nil {
		if [md5.Size]byte(whole.Sum(nil)) != s.Legacy.Sum {
			return fmt.Errorf("the MD5 of the whole: %w", ErrMismatch)
		}
		return nil
	}
	_, err = s.WithPieces(values)
	return err
}
