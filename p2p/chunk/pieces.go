package chunk

import (
	"fmt"

	"lukechampine.com/blake3/guts"
)

// LeastPiece is the least length of pieces in bytes.
const LeastPiece = group

// A Tree is how a file is cut into pieces of any length that is an aligned subtree
// of BLAKE3. Manifests have pieces of [PieceSize] bytes; shorter ones are verified
// and passed on earlier. Whatever their length, the values of all pieces determine
// the root of the file, the same for all.
type Tree struct {
	Size  int64 // of the file in bytes
	Piece int   // length of all pieces but the last: a power of two, LeastPiece to PieceSize
}

// Check returns ErrMalformed or ErrTooLarge where there is no such tree, or one of
// more than MaxPieces pieces.
func (t Tree) Check() error {
	if err := checkSize(t.Size); err != nil {
		return err
	}
	if t.Piece < LeastPiece || t.Piece > PieceSize || t.Piece&(t.Piece-1) != 0 {
		return fmt.Errorf("pieces of %d bytes: %w", t.Piece, ErrMalformed)
	}
	if n := t.Count(); n > MaxPieces {
		return fmt.Errorf("%d pieces, at most %d: %w", n, MaxPieces, ErrTooLarge)
	}
	return nil
}

// Count returns the number of pieces. An empty file has one, which is empty.
func (t Tree) Count() int {
	piece := int64(t.Piece)
	return int(max(1, (t.Size+piece-1)/piece))
}

// Extent returns where piece i begins in the file, and its length in bytes.
func (t Tree) Extent(i int) (offset int64, length int) {
	offset = int64(i) * int64(t.Piece)
	return offset, int(min(int64(t.Piece), t.Size-offset))
}

// Root returns the root of a file from the values of its pieces.
func (t Tree) Root(values []Hash) (Hash, error) {
	if err := t.check(values); err != nil {
		return Hash{}, fmt.Errorf("chunk: root: %w", err)
	}
	return join(values, true), nil
}

func (t Tree) check(values []Hash) error {
	if err := t.Check(); err != nil {
		return err
	}
	if want := t.Count(); len(values) != want {
		return fmt.Errorf("%d pieces of %d bytes, want %d: %w", len(values), t.Size, want, ErrMalformed)
	}
	return nil
}

// Join returns the values of longer pieces of the same file: with [PieceSize] those
// that its manifest has. There is no way back.
func (t Tree) Join(values []Hash, piece int) ([]Hash, error) {
	to := Tree{t.Size, piece}
	err := t.check(values)
	if err == nil {
		err = to.Check()
	}
	if err == nil && piece < t.Piece {
		err = fmt.Errorf("pieces of %d bytes out of such of %d: %w", piece, t.Piece, ErrMalformed)
	}
	if err != nil {
		return nil, fmt.Errorf("chunk: join: %w", err)
	}
	joined := make([]Hash, to.Count())
	each := piece / t.Piece
	for i := range joined {
		joined[i] = join(values[i*each:min((i+1)*each, len(values))], len(joined) == 1)
	}
	return joined, nil
}

// Hash returns the value of piece i, if that holds data. The length of data must be
// that of the piece.
func (t Tree) Hash(i int, data []byte) (Hash, error) {
	err := t.Check()
	if err == nil && !t.fits(i, data) {
		err = fmt.Errorf("%d bytes as piece %d of %d bytes: %w", len(data), i, t.Size, ErrMalformed)
	}
	if err != nil {
		return Hash{}, fmt.Errorf("chunk: hash a piece: %w", err)
	}
	s := subtree{first: uint64(i) * uint64(t.Piece/guts.ChunkSize)}
	for len(data) > group {
		s.push(data)
		data = data[group:]
	}
	isRoot := t.Size <= int64(t.Piece)
	if len(data) == group {
		return s.end(data, group, isRoot), nil
	}
	return s.endShort(data, isRoot), nil
}

func (t Tree) fits(i int, data []byte) bool {
	if i < 0 || i >= t.Count() {
		return false
	}
	_, n := t.Extent(i)
	return len(data) == n
}

// endShort is end where no whole group is readable.
func (s *subtree) endShort(data []byte, isRoot bool) Hash {
	var last [group]byte
	return s.end(last[:], copy(last[:], data), isRoot)
}

// Verify reports whether data is piece i, where the values of all are known.
func (t Tree) Verify(values []Hash, i int, data []byte) bool {
	h, err := t.Hash(i, data)
	return err == nil && len(values) == t.Count() && h == values[i]
}
