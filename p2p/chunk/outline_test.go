package chunk

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
)

// update sends old's outline one way and the difference the other way, and returns
// how many bytes each has.
func update(t testing.TB, old, m *Manifest, bits int, pieces bool) (outline, difference int) {
	t.Helper()
	o := old.Outline(bits)
	o.Pieces = pieces
	b, err := o.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	there, err := ParseOutline(b)
	if err != nil {
		t.Fatal(err)
	}
	diff := m.Difference(there)
	made, err := old.Apply(o, diff)
	if err != nil {
		t.Fatal(err)
	}
	want := m
	if !pieces {
		want = m.WithoutPieces()
	}
	if !made.Equal(want) {
		t.Fatal("another manifest was made")
	}
	return len(b), len(diff)
}

// forged is a manifest of a file of n bytes, of which only the manifest exists.
// Where edits are, one chunk of the file that the seed makes is another.
func forged(seed uint64, size int64) *Manifest {
	r := rand.New(rand.NewPCG(seed, 1))
	m := &Manifest{size: size}
	for at := int64(0); at < size; {
		n := min(Least+int64(r.ExpFloat64()*Average), Longest, size-at)
		at += n
		m.ends = append(m.ends, at)
		m.hashes = append(m.hashes, anyHash(r.Uint64()))
	}
	return m.finish(seed)
}

func anyHash(x uint64) Hash { return blake3.Sum256(binary.LittleEndian.AppendUint64(nil, x)) }

// finish gives the manifest pieces that no other has.
func (m *Manifest) finish(seed uint64) *Manifest {
	m.pieces = make([]Hash, pieceCount(m.size))
	for i := range m.pieces {
		m.pieces[i] = anyHash(seed<<32 + uint64(i))
	}
	m.root = join(m.pieces, true)
	return m
}

// edited inserts 100 bytes at each of k places of the forged file.
func (m *Manifest) edited(k int) *Manifest {
	e := &Manifest{}
	edits := map[int]bool{}
	r := rand.New(rand.NewPCG(7, 7))
	for len(edits) < k {
		edits[m.Find(r.Int64N(m.size))] = true
	}
	at := int64(0)
	for i := range m.ends {
		c := m.Chunk(i)
		n, h := int64(c.Length), c.Hash
		if edits[i] && n+100 <= Longest {
			n += 100
			h = anyHash(r.Uint64())
		}
		at += n
		e.ends, e.hashes = append(e.ends, at), append(e.hashes, h)
	}
	e.size = at
	return e.finish(99)
}

func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	p := noise(1, 256<<20)
	old := mustScan(t, p)
	t.Logf("256 MiB: %d chunks, %d bytes packed = %.4f %%", old.Len(), len(encode(old)), 100*float64(len(encode(old)))/float64(len(p)))
	scattered := mustScan(t, scatter(p, 100))
	front := mustScan(t, append([]byte{'x'}, p...))
	for bits := range 6 {
		for _, pieces := range []bool{true, false} {
			o, d := update(t, old, scattered, bits, pieces)
			o2, d2 := update(t, old, front, bits, pieces)
			t.Logf("bits %d pieces %v: scattered %d+%d=%d front %d+%d=%d", bits, pieces, o, d, o+d, o2, d2, o2+d2)
		}
	}
	t.Log(OutlineBits(old.Len()))
	big := forged(1, 20<<30)
	for _, k := range []int{1, 10, 100} {
		e := big.edited(k)
		for bits := 2; bits < 10; bits++ {
			o, d := update(t, big, e, bits, false)
			t.Logf("20 GiB, %d chunks, %d edits bits %d: %d+%d=%d", big.Len(), k, bits, o, d, o+d)
		}
	}
	t.Log(OutlineBits(big.Len()))
	_ = slices.Equal[[]int]
}
