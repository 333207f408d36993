package seed

import (
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// MaxSize is the length of the largest file in bytes (4 TiB).
const MaxSize = chunk.MaxSize

// A Layout is how a file is cut into pieces. One of a seed in form 1 follows from
// the length of the file.
type Layout struct {
	Size     int64 // of the file in bytes
	PieceLen int   // length of all pieces but the last, which has what is left
}

// LayoutOf returns the layout of a file of size bytes. The rule is for ever:
//
//	less than 1 MiB   pieces of 16 KiB
//	up to 256 MiB     64 KiB
//	up to 1 GiB       128 KiB
//	up to 4 GiB       256 KiB
//	up to 16 GiB      512 KiB
//	up to 4 TiB       1 MiB
//
// From 64 MiB on, a file has a thousand pieces or more: enough for many computers
// to be busy with different ones until the last seconds.
func LayoutOf(size int64) (Layout, error) {
	if size < 0 || size > MaxSize {
		return Layout{}, fmt.Errorf("seed: a file of %d bytes, at most %d", size, int64(MaxSize))
	}
	return Layout{Size: size, PieceLen: pieceLen(size)}, nil
}

func pieceLen(size int64) int {
	switch {
	case size < 1<<20:
		return 16 << 10
	case size <= 256<<20:
		return 64 << 10
	case size <= 1<<30:
		return 128 << 10
	case size <= 4<<30:
		return 256 << 10
	case size <= 16<<30:
		return 512 << 10
	}
	return 1 << 20
}

// Count returns the number of pieces. An empty file has one, which is empty.
func (l Layout) Count() int {
	if l.PieceLen <= 0 {
		return 0
	}
	piece := int64(l.PieceLen)
	return int(max(1, l.Size/piece+min(1, l.Size%piece)))
}

// Extent returns where piece i, from 0 on, begins in the file, and its length in
// bytes.
func (l Layout) Extent(i int) (offset int64, length int) {
	offset = int64(i) * int64(l.PieceLen)
	return offset, int(max(0, min(int64(l.PieceLen), l.Size-offset)))
}

// Tree returns the layout of a seed in form 1 as the tree that its values are of.
func (l Layout) Tree() chunk.Tree { return chunk.Tree{Size: l.Size, Piece: l.PieceLen} }
