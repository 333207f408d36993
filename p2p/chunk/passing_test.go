package chunk

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPieceHasher: whatever parts of a file go by, and in whatever order, each piece that is told
// is that of the file, and those that went by as a whole are told.
func TestPieceHasher(t *testing.T) {
	file := noise(3, 3*PieceSize+2*group+1000)
	sizes := []int{1, group, group + 1, PieceSize - 1, PieceSize, PieceSize + 1, 2 * PieceSize, 2*PieceSize + group, len(file)}
	pieces := map[int][]Hash{}
	for _, size := range sizes {
		pieces[size] = mustScan(t, file[:size]).Pieces()
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom(sizes).Draw(t, "size")
		want := pieces[size]
		got := make([]Hash, len(want))
		h := NewPieceHasher(int64(size), func(i int, h Hash) { got[i] = h })
		whole := make([]bool, len(want))
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			from := rapid.IntRange(0, size-1).Draw(t, "from")
			to := rapid.IntRange(from, min(size+5, len(file))).Draw(t, "to")
			for i := range whole {
				whole[i] = whole[i] || from <= i*PieceSize && to >= i*PieceSize+pieceLen(int64(size), i)
			}
			step := rapid.SampledFrom([]int{999, group, 80_000, 1 << 20, 1 << 30}).Draw(t, "step")
			for at := from; at < to; at += step {
				h.Pass(int64(at), file[at:min(at+step, to)])
			}
		}
		for i := range want {
			if got[i] != want[i] && (whole[i] || got[i] != Hash{}) {
				t.Fatalf("piece %d of %d: %v, want %v", i, len(want), got[i], want[i])
			}
		}
	})
}

// TestPieceHasherInTurn: a file that goes by from its begin to its end is hashed.
func TestPieceHasherInTurn(t *testing.T) {
	file := noise(4, 5*PieceSize+777)
	var got []Hash
	h := NewPieceHasher(int64(len(file)), func(i int, h Hash) {
		if i != len(got) {
			t.Fatalf("piece %d after %d", i, len(got))
		}
		got = append(got, h)
	})
	m := mustScan(t, file)
	for i := range m.Len() {
		c := m.Chunk(i)
		h.Pass(c.Offset, file[c.Offset:][:c.Length])
	}
	if !slices.Equal(got, m.Pieces()) {
		t.Fatalf("%d pieces, or others than the %d of the file", len(got), len(m.Pieces()))
	}
}

// TestEnds: of all lengths, chunks have those that Scan cuts.
func TestEnds(t *testing.T) {
	file := slices.Concat(noise(5, 1<<20), make([]byte, 2*Longest+5))
	m := mustScan(t, file)
	for i := range m.Len() {
		c := m.Chunk(i)
		last := i == m.Len()-1
		rest := file[c.Offset:]
		if !Ends(rest[:c.Length], last) {
			t.Fatalf("chunk %d of %d bytes does not end", i, c.Length)
		}
		for _, n := range []int{0, 1, Least - 1, Least, c.Length / 2, c.Length - 1, c.Length + 1, len(rest)} {
			if n != c.Length && n <= len(rest) && Ends(rest[:n], false) {
				t.Fatalf("chunk %d of %d bytes ends after %d", i, c.Length, n)
			}
		}
		if !last && Ends(rest[:min(len(rest), c.Length+Longest)], true) {
			t.Fatalf("chunk %d of %d bytes ends with the file only", i, c.Length)
		}
	}
	if !Ends([]byte{1}, true) || Ends([]byte{1}, false) {
		t.Fatal("a single byte is a chunk just where it ends the file")
	}
}
