package chunk

import "fmt"

// Prove returns what lets somebody who has only the root and the size of a file
// verify count pieces from first on ([VerifySlice]). It has 32 bytes for each of
// these pieces and at most 64 for each level of the tree above.
//
// From left to right, it holds the values of the pieces and of the largest
// subtrees outside the slice, as the slices of Bao do.
func Prove(size int64, pieces []Hash, first, count int) ([]byte, error) {
	if err := checkSlice(size, first, count); err != nil {
		return nil, fmt.Errorf("chunk: prove: %w", err)
	}
	if want := pieceCount(size); len(pieces) != want {
		return nil, fmt.Errorf("chunk: prove: %d pieces of %d bytes, want %d: %w", len(pieces), size, want, ErrMalformed)
	}
	return prove(nil, pieces, first, first+count), nil
}

// prove appends the proof of the pieces from first to before end.
func prove(b []byte, pieces []Hash, first, end int) []byte {
	if len(pieces) == 1 || end <= 0 || first >= len(pieces) {
		h := join(pieces, false)
		return append(b, h[:]...)
	}
	n := leftOf(len(pieces))
	b = prove(b, pieces[:n], first, end)
	return prove(b, pieces[n:], first-n, end-n)
}

func checkSlice(size int64, first, count int) error {
	if err := checkSize(size); err != nil {
		return err
	}
	if n := pieceCount(size); first < 0 || count < 1 || count > n || first > n-count {
		return fmt.Errorf("%d pieces from %d on of %d: %w", count, first, n, ErrMalformed)
	}
	return nil
}

// VerifySlice returns the values of count pieces from first on of the file of size
// bytes that has this root, out of what [Prove] returned. Other bytes give
// ErrMalformed or ErrMismatch.
//
// The size is believed: the root belongs to one only, but a wrong one is noticed
// only by who verifies the last piece.
func VerifySlice(root Hash, size int64, first, count int, proof []byte) ([]Hash, error) {
	if err := checkSlice(size, first, count); err != nil {
		return nil, fmt.Errorf("chunk: verify: %w", err)
	}
	if len(proof)/len(root) < count || len(proof)%len(root) != 0 {
		return nil, fmt.Errorf("chunk: verify: a proof of %d bytes: %w", len(proof), ErrMalformed)
	}
	s := slice{rest: proof, pieces: make([]Hash, 0, count)}
	h, ok := s.read(pieceCount(size), first, first+count, true)
	if !ok || len(s.rest) != 0 {
		return nil, fmt.Errorf("chunk: verify: a proof of %d bytes: %w", len(proof), ErrMalformed)
	}
	if h != root {
		return nil, fmt.Errorf("chunk: verify: %w", ErrMismatch)
	}
	return s.pieces, nil
}

// A slice is a proof that is being read.
type slice struct {
	rest   []byte
	pieces []Hash
}

// read returns the value of the node above n pieces. It mirrors prove.
func (s *slice) read(n, first, end int, isRoot bool) (h Hash, ok bool) {
	outside := end <= 0 || first >= n
	if n == 1 || outside {
		if len(s.rest) == 0 {
			return h, false
		}
		s.rest = s.rest[copy(h[:], s.rest):]
		if !outside {
			s.pieces = append(s.pieces, h)
		}
		return h, true
	}
	k := leftOf(n)
	left, ok := s.read(k, first, end, false)
	if !ok {
		return h, false
	}
	right, ok := s.read(n-k, first-k, end-k, false)
	return parent(left, right, isRoot), ok
}
