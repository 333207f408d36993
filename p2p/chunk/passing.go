package chunk

import "lukechampine.com/blake3/guts"

// Ends reports whether Scan cuts a chunk of just these bytes, if one begins with them; last: they
// end with the file. Unlike [Cut] it needs to see nothing of what follows.
func Ends(p []byte, last bool) bool {
	switch {
	case last:
		return len(p) > 0 && Cut(p) == len(p)
	case len(p) < Least || len(p) > Longest:
		return false
	}
	n, _ := roll(p[Least-1:], warm(p))
	return n > 0 && Least-1+n == len(p) || n == 0 && len(p) == Longest
}

// A PieceHasher hashes the pieces of a file while parts of it go by. Only of what follows on what
// went by before a piece is made, so that those to whose bytes others were in between are left out.
// It takes 16 KiB.
type PieceHasher struct {
	done func(i int, h Hash)
	size int64
	at   int64 // in the file
	tree subtree
	open bool // all of the piece that at is in, up to at, is in tree and buf
	have int  // bytes in buf
	buf  [group]byte
}

// NewPieceHasher returns a hasher of a file of size bytes, which calls done with the number and
// the value of each piece.
func NewPieceHasher(size int64, done func(i int, h Hash)) *PieceHasher {
	return &PieceHasher{done: done, size: size, at: -1}
}

// Pass takes the bytes at offset. Those after the end of the file are left out.
func (h *PieceHasher) Pass(offset int64, p []byte) {
	if offset < 0 || offset >= h.size {
		return
	}
	p = p[:min(int64(len(p)), h.size-offset)]
	if offset != h.at {
		h.at, h.open = offset, false
	}
	if !h.open {
		skip := min(-h.at&(PieceSize-1), int64(len(p)))
		h.at, p = h.at+skip, p[skip:]
	}
	for len(p) > 0 {
		if !h.open {
			h.tree, h.have, h.open = subtree{first: uint64(h.at / guts.ChunkSize)}, 0, true
		}
		p = p[h.take(p):]
	}
}

// take takes bytes of the piece that is open, up to its end.
func (h *PieceHasher) take(p []byte) (n int) {
	i := int(h.at / PieceSize)
	left := int64(i)*PieceSize + int64(pieceLen(h.size, i)) - h.at
	if h.have == 0 && len(p) >= group && left > group {
		h.tree.push(p)
		h.at += group
		return group
	}
	n = copy(h.buf[h.have:], p[:min(int64(len(p)), left)])
	h.at, h.have = h.at+int64(n), h.have+n
	switch {
	case int64(n) == left:
		h.open = false
		h.done(i, h.tree.end(h.buf[:], h.have, h.size <= PieceSize))
	case h.have == group:
		h.tree.push(h.buf[:])
		h.have = 0
	}
	return n
}
