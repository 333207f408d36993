package chunk

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestVerifyPieceRefuses(t *testing.T) {
	p := noise(1, 2*PieceSize+1000)
	m := mustScan(t, p)
	size, pieces := m.Size(), m.Pieces()
	wrong := slices.Clone(pieceOf(p, 1))
	wrong[77] ^= 1
	for name, got := range map[string]bool{
		"a wrong bit":       VerifyPiece(size, pieces, 1, wrong),
		"another piece":     VerifyPiece(size, pieces, 0, pieceOf(p, 1)),
		"a piece too short": VerifyPiece(size, pieces, 1, pieceOf(p, 1)[1:]),
		"a piece too long":  VerifyPiece(size, pieces, 2, append(slices.Clone(pieceOf(p, 2)), 0)),
		"nothing":           VerifyPiece(size, pieces, 0, nil),
		"a piece before":    VerifyPiece(size, pieces, -1, pieceOf(p, 0)),
		"a piece after":     VerifyPiece(size, pieces, 3, nil),
		"fewer pieces":      VerifyPiece(size, pieces[:2], 1, pieceOf(p, 1)),
		"another size":      VerifyPiece(size+PieceSize, pieces, 1, pieceOf(p, 1)),
		"no size":           VerifyPiece(-1, nil, 0, nil),
	} {
		if got {
			t.Errorf("%s is taken", name)
		}
	}
	// The root is not the value of the same bytes inside a larger file.
	if VerifyPiece(PieceSize, pieces[:1], 0, pieceOf(p, 0)) {
		t.Error("a piece is taken as a file")
	}
}

func TestRootOfRefuses(t *testing.T) {
	for _, tc := range []struct {
		size   int64
		pieces int
		want   error
	}{
		{-1, 1, ErrMalformed},
		{0, 0, ErrMalformed},
		{PieceSize, 2, ErrMalformed},
		{PieceSize + 1, 1, ErrMalformed},
		{MaxSize + 1, 1, ErrTooLarge},
	} {
		if _, err := RootOf(tc.size, make([]Hash, tc.pieces)); !errors.Is(err, tc.want) {
			t.Errorf("%d pieces of %d bytes: %v, want %v", tc.pieces, tc.size, err, tc.want)
		}
	}
}

// TestProof: with the root alone, any slice is verified, and nothing else is.
func TestProof(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "pieces")
		m := (&Manifest{size: int64(n) * PieceSize}).finish(rapid.Uint64Max(1000).Draw(t, "seed"))
		first := rapid.IntRange(0, n-1).Draw(t, "first")
		count := rapid.IntRange(1, n-first).Draw(t, "count")
		proof, err := Prove(m.size, m.pieces, first, count)
		if err != nil {
			t.Fatal(err)
		}
		if most := 32*count + 64*9; len(proof) > most {
			t.Fatalf("%d bytes prove %d pieces of %d", len(proof), count, n)
		}
		got, err := VerifySlice(m.root, m.size, first, count, proof)
		if err != nil || !slices.Equal(got, m.pieces[first:first+count]) {
			t.Fatalf("%d pieces came out: %v", len(got), err)
		}
		bad := slices.Clone(proof)
		switch rapid.IntRange(0, 2).Draw(t, "damage") {
		case 0:
			bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= 4
		case 1:
			bad = bad[:rapid.IntRange(0, len(bad)-1).Draw(t, "left")]
		default:
			bad = append(bad, bad[:32]...)
		}
		if _, err := VerifySlice(m.root, m.size, first, count, bad); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrMismatch) {
			t.Fatalf("a wrong proof: %v", err)
		}
		if first > 0 {
			// The proofs of two slices can be the same bytes, but not for other pieces.
			got, err := VerifySlice(m.root, m.size, first-1, count, proof)
			if err == nil && !slices.Equal(got, m.pieces[first-1:first-1+count]) {
				t.Fatal("the proof of another slice is taken")
			}
		}
	})
}

func TestProofRefuses(t *testing.T) {
	m := (&Manifest{size: 5 * PieceSize}).finish(1)
	for _, tc := range []struct {
		size         int64
		first, count int
	}{
		{m.size, -1, 1},
		{m.size, 0, 0},
		{m.size, 0, 6},
		{m.size, 5, 1},
		{m.size, math.MaxInt, 1},
		{-1, 0, 1},
		{m.size + 1, 0, 1},
		{MaxSize + 1, 0, 1},
	} {
		if _, err := Prove(tc.size, m.pieces, tc.first, tc.count); err == nil {
			t.Errorf("a proof for %v", tc)
		}
		if _, err := VerifySlice(m.root, tc.size, tc.first, tc.count, nil); err == nil {
			t.Errorf("no proof is taken for %v", tc)
		}
	}
	// What is announced costs nothing.
	got := allocated(func() {
		if _, err := VerifySlice(m.root, MaxSize, 0, MaxPieces, make([]byte, 320)); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	})
	if got > 8<<10 {
		t.Errorf("%d bytes allocated", got)
	}
}

func FuzzVerifySlice(f *testing.F) {
	m := (&Manifest{size: 5*PieceSize + 1}).finish(1)
	proof, err := Prove(m.size, m.pieces, 2, 3)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.size, 2, 3, proof)
	f.Add(int64(MaxSize), 0, 10, make([]byte, 320))
	f.Fuzz(func(t *testing.T, size int64, first, count int, proof []byte) {
		got, err := VerifySlice(m.root, size, first, count, proof)
		if err == nil && size == m.size && !slices.Equal(got, m.pieces[first:first+count]) {
			t.Fatalf("%v is proven", got)
		}
	})
}
