package chunk

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zeebo/blake3"
	"lukechampine.com/blake3/guts"
)

// step is how much is read at once. It stays in the second-level cache while it
// is cut and hashed twice.
const step = 128 << 10

// A scanner cuts and hashes what it reads. All positions are in buf; they fall
// below zero when what they point at has left.
type scanner struct {
	m      *Manifest
	have   int    // bytes in buf
	start  int    // of the chunk
	rolled int    // where the next end of the chunk is looked for
	gear   uint64 // hash up to there
	hashed int    // where the hash of the chunk is
	joined int    // where the value of the piece is
	each   int    // length of the pieces
	most   int    // chunks
	full   bool   // there were more: no more are cut
	// The one hashes 16 leaves at once, wherever they are in a file; the other only
	// whole files, but it wastes less on the few leaves with which a chunk ends.
	piece subtree
	chunk *blake3.Hasher
	// What is left over is less than a group, and so much must be readable after
	// the last byte.
	buf [group + step + group]byte
}

var scanners = sync.Pool{New: func() any { return newScanner() }}

func newScanner() *scanner { return &scanner{chunk: blake3.New()} }

// Scan reads a file to its end and returns its manifest. The size is what is
// expected, or -1: it only makes room. A file of more than MaxChunks chunks gets a
// manifest with pieces and root and without chunks, one of more than MaxSize bytes
// ErrTooLarge.
func Scan(r io.Reader, size int64) (*Manifest, error) {
	m, _, err := scan(r, size, PieceSize)
	if err != nil {
		return nil, fmt.Errorf("chunk: scan: %w", err)
	}
	return m, nil
}

// ScanPieces is Scan with a second result, for which nothing is read or hashed again:
// the values of shorter pieces, as a [Tree] has them. The caller must not change them.
func ScanPieces(r io.Reader, size int64, piece int) (*Manifest, []Hash, error) {
	err := Tree{0, piece}.Check()
	if err == nil {
		m, values, scanErr := scan(r, size, piece)
		if err = scanErr; err == nil {
			return m, values, nil
		}
	}
	return nil, nil, fmt.Errorf("chunk: scan: %w", err)
}

func scan(r io.Reader, size int64, piece int) (*Manifest, []Hash, error) {
	s := scanners.Get().(*scanner)
	defer scanners.Put(s)
	s.reset(size, piece)
	err := s.scan(r)
	m := s.m
	s.m = nil
	if err != nil {
		return nil, nil, fmt.Errorf("after %d bytes: %w", m.size, err)
	}
	values := m.pieces
	if piece < PieceSize {
		m.pieces, err = Tree{m.size, piece}.Join(values, PieceSize)
	}
	return m, values, err
}

func (s *scanner) reset(size int64, piece int) {
	s.m = &Manifest{}
	if size > 0 && size <= MaxSize {
		// A wrong size must not cost more than a little.
		n := int(min(size/(Least+Average)*9/8+1, 1<<16))
		s.m.ends, s.m.hashes = make([]int64, 0, n), make([]Hash, 0, n)
		s.m.pieces = make([]Hash, 0, min(Tree{size, piece}.Count(), 1<<16))
	}
	s.have, s.start, s.rolled, s.hashed, s.joined = 0, 0, 0, 0, 0
	s.chunk.Reset()
	s.piece = subtree{}
	s.each = piece
	s.most, s.full = MaxChunks, false
}

func (s *scanner) scan(r io.Reader) error {
	for {
		s.slide()
		before := s.have
		isEnd, err := s.fill(r)
		s.m.size += int64(s.have - before)
		if err != nil {
			return err
		}
		if most := int64(MaxPieces) * int64(s.each); s.m.size > most {
			return fmt.Errorf("more than %d bytes: %w", most, ErrTooLarge)
		}
		for s.cut(isEnd) {
		}
		s.join(isEnd)
		if isEnd {
			s.m.root = join(s.m.pieces, true)
			return nil
		}
	}
}

// slide drops what was hashed twice. All is hashed as part of a chunk.
func (s *scanner) slide() {
	k := s.joined
	copy(s.buf[:], s.buf[k:s.have])
	s.have -= k
	s.start -= k
	s.rolled -= k
	s.hashed -= k
	s.joined -= k
}

// fill reads one step, or less at the end.
func (s *scanner) fill(r io.Reader) (isEnd bool, err error) {
	idle := 0
	for end := s.have + step; s.have < end; {
		n, err := r.Read(s.buf[s.have:end])
		s.have += n
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		case n > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				return false, io.ErrNoProgress
			}
		}
	}
	return false, nil
}

// cut adds the next chunk if its end is here, and reports whether there is more to
// cut.
func (s *scanner) cut(isEnd bool) bool {
	if s.full {
		s.hashed = s.have
		return false
	}
	n := s.length(isEnd)
	end := s.start + n
	if n == 0 {
		end = s.have
	}
	_, _ = s.chunk.Write(s.buf[s.hashed:end]) // never fails (hash.Hash)
	s.hashed = end
	if n == 0 {
		return false
	}
	if s.m.Len() == s.most {
		s.m.ends, s.m.hashes, s.full = nil, nil, true
		s.hashed = s.have
		return false
	}
	var h Hash
	s.chunk.Sum(h[:0])
	s.chunk.Reset()
	s.m.hashes = append(s.m.hashes, h)
	s.m.ends = append(s.m.ends, s.m.size-int64(s.have-end))
	s.start, s.rolled = end, end
	return end < s.have
}

// length returns the length of the chunk, or 0 where its end is not here.
func (s *scanner) length(isEnd bool) int {
	if s.rolled == s.start {
		if s.have-s.start < Least {
			if isEnd {
				return s.have - s.start
			}
			return 0
		}
		s.gear = warm(s.buf[s.start:])
		s.rolled = s.start + Least - 1
	}
	limit := min(s.have, s.start+Longest)
	n, h := roll(s.buf[s.rolled:limit], s.gear)
	if n > 0 {
		return s.rolled + n - s.start
	}
	s.rolled, s.gear = limit, h
	if isEnd || limit-s.start == Longest {
		return limit - s.start
	}
	return 0
}

// join adds the pieces that are here.
func (s *scanner) join(isEnd bool) {
	if isEnd && len(s.m.pieces) == 0 && s.m.Len() == 1 && s.m.size <= int64(s.each) {
		s.m.pieces = append(s.m.pieces, s.m.hashes[0]) // a small file is hashed once
		return
	}
	for s.have-s.joined > group {
		if s.piece.groups == uint64(s.each/group-1) {
			s.endPiece(group, false)
			continue
		}
		s.piece.push(s.buf[s.joined:])
		s.joined += group
	}
	if isEnd {
		s.endPiece(s.have-s.joined, len(s.m.pieces) == 0)
	}
}

func (s *scanner) endPiece(n int, isRoot bool) {
	s.m.pieces = append(s.m.pieces, s.piece.end(s.buf[s.joined:], n, isRoot))
	s.joined += n
	s.piece.first += uint64(s.each / guts.ChunkSize)
	s.piece.groups = 0
}
