package chunk

import (
	"testing"

	"github.com/zeebo/blake3"
)

// checkScan compares a manifest with what it should be, by other means.
func checkScan(t testing.TB, p []byte, m *Manifest) {
	t.Helper()
	if m.Size() != int64(len(p)) || m.Root() != Hash(blake3.Sum256(p)) {
		t.Fatalf("%d bytes: size %d, root %v", len(p), m.Size(), m.Root())
	}
	rest := p
	for i := range m.Len() {
		c, n := m.Chunk(i), Cut(rest)
		if c.Offset != int64(len(p)-len(rest)) || c.Length != n || c.Hash != Hash(blake3.Sum256(rest[:n])) {
			t.Fatalf("%d bytes: chunk %d is %v, want length %d", len(p), i, c, n)
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		t.Fatalf("%d bytes are in no chunk", len(rest))
	}
	if root, err := RootOf(m.Size(), m.Pieces()); err != nil || root != m.Root() {
		t.Fatalf("%d bytes: the root of the pieces is %v, %v", len(p), root, err)
	}
	for i := range m.Pieces() {
		at := i * PieceSize
		if !VerifyPiece(m.Size(), m.Pieces(), i, p[at:min(at+PieceSize, len(p))]) {
			t.Fatalf("%d bytes: piece %d", len(p), i)
		}
	}
}

func TestScan(t *testing.T) {
	p := noise(1, 9<<20)
	for _, around := range []int{0, 64, 1 << 10, 2 << 10, 16 << 10, 17 << 10, 128 << 10, 512 << 10, 1 << 20, 2 << 20, 3 << 20, 5<<20 + 16<<10, 8 << 20} {
		for d := -2; d <= 2; d++ {
			if n := around + d; n >= 0 {
				checkScan(t, p[:n], mustScan(t, p[:n]))
			}
		}
	}
	zeros := make([]byte, 3<<20+5)
	checkScan(t, zeros, mustScan(t, zeros))
}
