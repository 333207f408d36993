package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

// official are test vectors of BLAKE3: byte i of the input is i modulo 251.
var official = map[int]string{
	0:     "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
	1:     "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
	1023:  "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
	1024:  "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
	1025:  "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
	2048:  "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
	2049:  "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
	4096:  "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969",
	8193:  "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b",
	16384: "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4",
	31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
}

// values returns those of all pieces of p.
func (t Tree) values(p []byte) (values []Hash, err error) {
	for i := range t.Count() {
		offset, n := t.Extent(i)
		h, err := t.Hash(i, p[offset:offset+int64(n)])
		if err != nil {
			return nil, err
		}
		values = append(values, h)
	}
	return values, nil
}

func TestTreeKnownAnswers(t *testing.T) {
	for size, want := range official {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(i % 251)
		}
		for piece := LeastPiece; piece <= PieceSize; piece *= 2 {
			tree := Tree{int64(size), piece}
			values, err := tree.values(p)
			if err != nil {
				t.Fatal(err)
			}
			if root, err := tree.Root(values); err != nil || root.String() != want {
				t.Errorf("%d bytes in pieces of %d: %v, %v, want %s", size, piece, root, err, want)
			}
		}
	}
}

// TestTree: pieces of any length make the same root, and longer pieces what those of
// that length are. The pieces of a manifest come out of shorter ones.
func TestTree(t *testing.T) {
	p := noise(1, 5*PieceSize)
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.SampledFrom([]int{0, 16 << 10, 32 << 10, 64 << 10, 512 << 10, 1 << 20, 2 << 20, 3 << 20, 4 << 20}).Draw(t, "near")
		p := p[:max(0, near+rapid.IntRange(-1100, 1100).Draw(t, "off"))]
		tree := Tree{int64(len(p)), LeastPiece << rapid.IntRange(0, 6).Draw(t, "piece")}
		values, err := tree.values(p)
		if err != nil {
			t.Fatal(err)
		}
		if root, err := tree.Root(values); err != nil || root != blake3.Sum256(p) {
			t.Fatalf("%+v: root %v, %v", tree, root, err)
		}
		long := Tree{tree.Size, tree.Piece}
		for ; long.Piece <= PieceSize; long.Piece *= 2 {
			want, err := long.values(p)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := tree.Join(values, long.Piece); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%+v to %d: %v, %v", tree, long.Piece, got, err)
			}
		}
		m, err := Scan(bytes.NewReader(p), tree.Size)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tree.Join(values, PieceSize); err != nil || !slices.Equal(got, m.Pieces()) {
			t.Fatalf("%+v: the pieces of the manifest: %v, %v", tree, got, err)
		}
		both, short, err := ScanPieces(bytes.NewReader(p), tree.Size, tree.Piece)
		if err != nil || !both.Equal(m) || !slices.Equal(short, values) {
			t.Fatalf("%+v: scanned with shorter pieces: %v, %v", tree, short, err)
		}
		i := rapid.IntRange(0, tree.Count()-1).Draw(t, "i")
		offset, n := tree.Extent(i)
		data := slices.Clone(p[offset : offset+int64(n)])
		if !tree.Verify(values, i, data) {
			t.Fatal("a piece is not taken")
		}
		if n > 0 {
			data[rapid.IntRange(0, n-1).Draw(t, "at")] ^= 1
			if tree.Verify(values, i, data) || tree.Verify(values, i, data[1:]) {
				t.Fatal("another piece is taken")
			}
		}
	})
}

func TestTreeRefuses(t *testing.T) {
	for _, c := range []struct {
		tree Tree
		want error
	}{
		{Tree{0, 0}, ErrMalformed},
		{Tree{1, -1 << 20}, ErrMalformed},
		{Tree{1, 8 << 10}, ErrMalformed},
		{Tree{1, 48 << 10}, ErrMalformed},
		{Tree{1, 2 << 20}, ErrMalformed},
		{Tree{-1, 16 << 10}, ErrMalformed},
		{Tree{MaxSize + 1, 1 << 20}, ErrTooLarge},
		{Tree{MaxPieces*(16<<10) + 1, 16 << 10}, ErrTooLarge},
	} {
		if err := c.tree.Check(); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.tree, err, c.want)
		}
		if _, err := c.tree.Root(make([]Hash, 1)); !errors.Is(err, c.want) {
			t.Errorf("root of %+v: %v", c.tree, err)
		}
		if _, err := c.tree.Hash(0, []byte{0}); !errors.Is(err, c.want) {
			t.Errorf("piece of %+v: %v", c.tree, err)
		}
	}
	if _, _, err := ScanPieces(bytes.NewReader(nil), 0, 8<<10); !errors.Is(err, ErrMalformed) {
		t.Errorf("scanned in pieces of 8 KiB: %v", err)
	}
	tree := Tree{100 << 10, 32 << 10}
	for _, piece := range []int{0, 16 << 10, 48 << 10, 2 << 20} {
		if _, err := tree.Join(make([]Hash, 4), piece); !errors.Is(err, ErrMalformed) {
			t.Errorf("joined to %d: %v", piece, err)
		}
	}
	for _, n := range []int{0, 3, 5} {
		if _, err := tree.Join(make([]Hash, n), 64<<10); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d pieces of 4 joined: %v", n, err)
		}
		if tree.Verify(make([]Hash, n), 0, make([]byte, 32<<10)) {
			t.Errorf("verified by %d values of 4", n)
		}
	}
}

func BenchmarkTreeVerify(b *testing.B) {
	p := noise(1, PieceSize)
	for piece := LeastPiece; piece <= PieceSize; piece *= 4 {
		tree := Tree{PieceSize, piece}
		values, err := tree.values(p)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(piece>>10, "KiB"), func(b *testing.B) {
			b.ReportAllocs()
			measure(b, piece, func() error {
				if !tree.Verify(values, 0, p[:piece]) {
					b.Fatal("wrong")
				}
				return nil
			})
		})
	}
}
