package chunk

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

// PieceSize is the length of all pieces of a file but the last, in bytes.
const PieceSize = 1 << 20

// The largest file has MaxPieces pieces, MaxSize bytes (4 TiB).
const (
	MaxPieces = 1 << 22
	MaxSize   = MaxPieces * PieceSize
)

// A Hash is the BLAKE3-256 of some bytes, or the chaining value of a subtree.
type Hash [32]byte

// String returns the hash as hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// group is how many bytes are hashed at once: 16 leaves, one in each lane.
const group = guts.MaxSIMD * guts.ChunkSize

// A subtree hashes up to PieceSize bytes, a group at a time.
type subtree struct {
	first  uint64 // the leaf it begins with
	groups uint64 // joined so far
	stack  [6][8]uint32
}

var iv = guts.IV

// push adds a group that is not the last of the subtree. Of p the first group is
// taken.
func (t *subtree) push(p []byte) {
	v := guts.ChainingValue(guts.CompressBuffer((*[group]byte)(p), group, &iv, t.next(), 0))
	i := 0
	for t.groups&(1<<i) != 0 { // as a binary counter: a carry is a parent
		v = guts.ChainingValue(guts.ParentNode(t.stack[i], v, &iv, 0))
		i++
	}
	t.stack[i] = v
	t.groups++
}

func (t *subtree) next() uint64 { return t.first + t.groups*guts.MaxSIMD }

// end returns the value of the subtree whose last n bytes, at most a group, are
// those that p begins with. Of p a whole group must be readable.
func (t *subtree) end(p []byte, n int, isRoot bool) Hash {
	node := guts.CompressBuffer((*[group]byte)(p), n, &iv, t.next(), 0)
	for i := range t.stack {
		if t.groups&(1<<i) != 0 {
			node = guts.ParentNode(t.stack[i], guts.ChainingValue(node), &iv, 0)
		}
	}
	return value(node, isRoot)
}

func value(n guts.Node, isRoot bool) (h Hash) {
	if isRoot {
		n.Flags |= guts.FlagRoot
	}
	for i, w := range guts.ChainingValue(n) {
		binary.LittleEndian.PutUint32(h[i*4:], w)
	}
	return h
}

// parent returns the value of the node above two others.
func parent(left, right Hash, isRoot bool) Hash {
	return value(guts.ParentNode(left.words(), right.words(), &iv, 0), isRoot)
}

func (h *Hash) words() (w [8]uint32) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(h[i*4:])
	}
	return w
}

// pieceCount returns the number of pieces of a file. An empty one has one, too.
func pieceCount(size int64) int { return Tree{size, PieceSize}.Count() }

// pieceLen returns the length of piece i in bytes.
func pieceLen(size int64, i int) int {
	return int(min(PieceSize, size-int64(i)*PieceSize))
}

func checkSize(size int64) error {
	switch {
	case size < 0:
		return fmt.Errorf("%d bytes: %w", size, ErrMalformed)
	case size > MaxSize:
		return fmt.Errorf("%d bytes, at most %d: %w", size, int64(MaxSize), ErrTooLarge)
	}
	return nil
}

// leftOf returns how many of n > 1 pieces are below the left child: the largest
// power of two that is less than n.
func leftOf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// RootOf returns the root of a file from the values of its pieces.
func RootOf(size int64, pieces []Hash) (Hash, error) {
	return Tree{size, PieceSize}.Root(pieces)
}

// join returns the value of the node above all of the pieces. That of a single
// piece is the piece.
func join(pieces []Hash, isRoot bool) Hash {
	if len(pieces) == 1 {
		return pieces[0]
	}
	n := leftOf(len(pieces))
	return parent(join(pieces[:n], false), join(pieces[n:], false), isRoot)
}

// PieceHash returns the value of piece i of a file of size bytes, if that holds
// data. The length of data must be that of the piece.
func PieceHash(size int64, i int, data []byte) (Hash, error) {
	return Tree{size, PieceSize}.Hash(i, data)
}

// VerifyPiece reports whether data is the i-th piece of a file of size bytes,
// whose pieces are known. The last piece has what is left.
func VerifyPiece(size int64, pieces []Hash, i int, data []byte) bool {
	return Tree{size, PieceSize}.Verify(pieces, i, data)
}
