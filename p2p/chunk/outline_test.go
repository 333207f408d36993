package chunk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
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

// forged is a manifest of a file of size bytes that does not exist.
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

// edited is the manifest with 100 bytes more in each of k chunks.
func (m *Manifest) edited(k int) *Manifest {
	e := &Manifest{}
	edits := map[int]bool{}
	r := rand.New(rand.NewPCG(7, 7))
	for len(edits) < k {
		if i := m.Find(r.Int64N(m.size)); m.Chunk(i).Length+100 <= Longest {
			edits[i] = true
		}
	}
	at := int64(0)
	for i := range m.ends {
		c := m.Chunk(i)
		n, h := int64(c.Length), c.Hash
		if edits[i] {
			n += 100
			h = anyHash(r.Uint64())
		}
		at += n
		e.ends, e.hashes = append(e.ends, at), append(e.hashes, h)
	}
	e.size = at
	return e.finish(99)
}

// TestCost holds what a change of a manifest may cost on the wire.
func TestCost(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("it scans 256 MiB three times")
	}
	p := noise(1, 256<<20)
	old := mustScan(t, p)
	packed := len(encode(old))
	t.Logf("256 MiB: %d chunks, %d bytes packed, %.4f %%", old.Len(), packed, 100*float64(packed)/float64(len(p)))
	if packed > len(p)/10_000*6 {
		t.Errorf("%d bytes packed", packed)
	}
	bits := OutlineBits(old.Len())
	check := func(name string, m *Manifest, most int) {
		t.Helper()
		for _, pieces := range []bool{true, false} {
			outline, difference := update(t, old, m, bits, pieces)
			t.Logf("%s, pieces %v: outline %d + difference %d = %d bytes", name, pieces, outline, difference, outline+difference)
			if outline+difference > most {
				t.Errorf("%s: more than %d bytes", name, most)
			}
		}
	}
	check("256 MiB, the same", old, 13_000)
	check("256 MiB, 1 byte at the front", mustScan(t, append([]byte{'x'}, p...)), 14_000)
	check("256 MiB, 100 scattered inserts", mustScan(t, scatter(p, 100)), 35_000)
	check("256 MiB, unrelated", forged(2, 256<<20), len(p)/10_000*6)

	old = forged(1, 20<<30)
	for k := 1; k <= 100; k *= 10 {
		// The best bits for one number of edits are not the best for another.
		m, best, chosen := old.edited(k), 1<<30, 0
		for _, bits := range []int{4, 6, 8} {
			outline, difference := update(t, old, m, bits, false)
			if sum := outline + difference; sum < best {
				best = sum
			}
			if bits == OutlineBits(old.Len()) {
				chosen = outline + difference
			}
		}
		t.Logf("20 GiB, %d chunks, %d edits: %d bytes, with better bits %d", old.Len(), k, chosen, best)
		if chosen > 5*best/2 {
			t.Errorf("%d edits: %d bytes, and %d were enough", k, chosen, best)
		}
	}
}

func TestOutlineBits(t *testing.T) {
	last := 0
	for n := range MaxChunks + 1 {
		if n > 10_000 && n%1000 != 0 {
			continue
		}
		b := OutlineBits(n)
		if b < last || b > MaxBits {
			t.Fatalf("%d bits for %d chunks, %d for fewer", b, n, last)
		}
		last = b
	}
	for n, want := range map[int]int{0: 0, 100: 0, 3_400: 2, 260_000: 6, MaxChunks: 8} {
		if got := OutlineBits(n); got != want {
			t.Errorf("%d bits for %d chunks, want %d", got, n, want)
		}
	}
}

// edit changes a manifest as a user would change a file: chunks go, come, move and
// repeat.
func edit(t *rapid.T, m *Manifest) *Manifest {
	e := &Manifest{}
	add := func(n int64, h Hash) {
		e.size += n
		e.ends, e.hashes = append(e.ends, e.size), append(e.hashes, h)
	}
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "edits"), 1))
	often := rapid.IntRange(2, 300).Draw(t, "one of")
	for i := 0; i < m.Len() && e.Len() < 3000; i++ {
		c := m.Chunk(i)
		if c.Length < Least {
			break
		}
		switch kind := r.IntN(often * 5); kind {
		case 0:
			continue
		case 1:
			add(Least+int64(r.IntN(Average)), anyHash(r.Uint64()))
		case 2:
			add(int64(c.Length), anyHash(r.Uint64()))
			continue
		case 3:
			i = r.IntN(i + 1)
		case 4:
			i = min(i+r.IntN(100), m.Len()-1)
		}
		add(int64(c.Length), c.Hash)
	}
	return e.finish(r.Uint64N(1 << 20))
}

// single gives a manifest of one chunk the right root.
func (m *Manifest) single() *Manifest {
	if m.Len() == 1 {
		m.root = m.hashes[0]
		m.pieces = []Hash{m.root}
	}
	return m
}

// TestUpdate: whatever changed, the new manifest arrives.
func TestUpdate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := forged(rapid.Uint64Max(20).Draw(t, "seed"), rapid.Int64Range(0, 100<<20).Draw(t, "size")).single()
		m := edit(t, old).single()
		bits := rapid.IntRange(0, MaxBits).Draw(t, "bits")
		pieces := rapid.Bool().Draw(t, "pieces")
		o := old.Outline(bits)
		o.Pieces = pieces
		there, err := ParseOutline(mustAppend(t, o))
		if err != nil {
			t.Fatal(err)
		}
		want := m
		if !pieces {
			want = m.WithoutPieces()
		}
		diff := m.Difference(there)
		made, err := old.Apply(o, diff)
		if err != nil || !made.Equal(want) {
			t.Fatalf("another manifest was made: %v", err)
		}
		if most := len(want.append(nil)) + 100; len(diff) > most {
			t.Fatalf("%d bytes, the manifest has %d", len(diff), most-100)
		}
		// No other bytes make another manifest.
		bad := slices.Clone(diff)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if made, err := old.Apply(o, bad); err == nil && !made.Equal(want) || err != nil && !oneOf(err) {
			t.Fatalf("a damaged difference: %v", err)
		}
	})
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func mustAppend(t fataler, o Outline) []byte {
	t.Helper()
	b, err := o.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestUpdateKinds: from every kind of manifest to every other.
func TestUpdateKinds(t *testing.T) {
	kinds := manifests(t)
	kinds["nothing"] = &Manifest{}
	for from, old := range kinds {
		for to, m := range kinds {
			if to == "nothing" {
				continue
			}
			o := old.Outline(2)
			if from == "nothing" {
				o = Outline{Pieces: true} // the zero Outline is the same
			}
			made, err := old.Apply(o, m.Difference(o))
			if err != nil || !made.Equal(m) {
				t.Errorf("from %s to %s: %v", from, to, err)
			}
		}
	}
}

// TestUpdateRepeats: a file of one chunk again and again does not come out of a
// small manifest for nothing, and comes.
func TestUpdateRepeats(t *testing.T) {
	old := mustScan(t, make([]byte, 2<<20))
	m := &Manifest{size: 3000 * Longest}
	for i := range 3000 {
		m.ends, m.hashes = append(m.ends, int64(i+1)*Longest), append(m.hashes, old.hashes[0])
	}
	m.finish(5)
	for bits := range 4 {
		if _, n := update(t, old, m, bits, false); n < 2000*entrySize {
			t.Errorf("bits %d: %d bytes make %d chunks out of %d", bits, n, m.Len(), old.Len())
		}
	}
	// But what repeats on both sides is known.
	if _, n := update(t, m, m, 2, false); n > 200 {
		t.Errorf("%d bytes for no change", n)
	}
}

// TestOutlineTaken: a group that has another's name is noticed.
func TestOutlineTaken(t *testing.T) {
	old, m := forged(1, 10<<20), forged(2, 10<<20)
	o, other := old.Outline(0), m.Outline(0)
	copy(o.ids, other.ids[:idSize(other.groups)])
	if made, err := old.Apply(o, m.Difference(o)); made != nil || !oneOf(err) {
		t.Errorf("another manifest was made: %v", err)
	}
	// Of the same length, so that only the check can tell.
	m = &Manifest{size: old.size, ends: old.ends, hashes: slices.Clone(old.hashes)}
	m.hashes[3] = anyHash(77)
	m.finish(9)
	o, other = old.Outline(0), m.Outline(0)
	size := idSize(o.groups)
	copy(o.ids[3*size:4*size], other.ids[3*size:4*size])
	if made, err := old.Apply(o, m.Difference(o)); made != nil || !errors.Is(err, ErrMismatch) {
		t.Errorf("another manifest was made: %v", err)
	}
}

func outlineHead(bits, pieces byte, chunks, groups uint64) []byte {
	b := append([]byte(outlineMagic), bits, pieces)
	b = binary.AppendUvarint(b, chunks)
	return binary.AppendUvarint(b, groups)
}

func TestParseOutlineRefuses(t *testing.T) {
	good := encodeOutline(t, forged(1, 10<<20).Outline(1))
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"a manifest":           {manifestHead(0, 1), ErrMalformed},
		"many bits":            {outlineHead(MaxBits+1, 0, 0, 0), ErrMalformed},
		"a third of pieces":    {outlineHead(0, 3, 0, 0), ErrMalformed},
		"2^22+1 chunks":        {outlineHead(0, 0, MaxChunks+1, 1), ErrTooLarge},
		"groups of no chunk":   {outlineHead(0, 0, 1, 2), ErrTooLarge},
		"chunks of no group":   {outlineHead(0, 0, 1, 0), ErrMalformed},
		"groups too long":      {append(outlineHead(1, 0, 17, 2), make([]byte, 2*idSize(2))...), ErrMalformed},
		"groups that are not":  {outlineHead(0, 0, MaxChunks, MaxChunks), ErrMalformed},
		"something after":      {append(slices.Clone(good), 0), ErrMalformed},
		"something is missing": {good[:len(good)-1], ErrMalformed},
	} {
		if _, err := ParseOutline(tc.bytes); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if _, err := ParseOutline(append(outlineHead(1, 0, 16, 2), make([]byte, 2*idSize(2))...)); err != nil {
		t.Errorf("groups just short enough: %v", err)
	}
}

func FuzzOutline(f *testing.F) {
	for _, m := range manifests(f) {
		for bits := range 3 {
			f.Add(encodeOutline(f, m.Outline(bits)))
		}
	}
	f.Add(outlineHead(0, 0, MaxChunks, MaxChunks))
	m := forged(1, 5<<20)
	f.Fuzz(func(t *testing.T, b []byte) {
		var o Outline
		var err error
		if got := allocated(func() { o, err = ParseOutline(b) }); got > len(b)+8<<10 {
			t.Fatalf("%d bytes arrived, %d allocated", len(b), got)
		}
		if err != nil {
			if !oneOf(err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if again := encodeOutline(t, o); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		// Whatever it says, the answer is bounded.
		if diff := m.Difference(o); len(diff) > len(encode(m))+20 {
			t.Fatalf("%d bytes", len(diff))
		}
	})
}

// differenceHead is a difference up to the operations.
func differenceHead(flags byte, size uint64) []byte {
	b := append([]byte(differenceMagic), manifestHead(flags, size)[len(manifestMagic):]...)
	return append(b, make([]byte, checkLen)...)
}

// operation is n groups copied from a distance.
func operation(n int, distance int64) []byte {
	return binary.AppendVarint(binary.AppendUvarint(nil, uint64(n-1)<<1), distance)
}

func TestApplyRefuses(t *testing.T) {
	old := mustScan(t, make([]byte, 2<<20)) // 4 chunks of 512 KiB
	const two = 2 << 20
	// A manifest that contradicts itself, with the right check.
	alone := &Manifest{size: 9, ends: []int64{9}, hashes: []Hash{{1}}, pieces: []Hash{{}}}
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"a manifest":          {encode(old), ErrMalformed},
		"nothing":             {nil, ErrMalformed},
		"another only chunk":  {alone.Difference(Outline{}), ErrMalformed},
		"no operations":       {differenceHead(noPieces, two), ErrMalformed},
		"no pieces":           {append(differenceHead(0, two), operation(4, 0)...), ErrMalformed},
		"another manifest":    {append(differenceHead(noPieces, two), operation(4, 0)...), ErrMismatch},
		"something after":     {append(differenceHead(noPieces, two), append(operation(4, 0), 0)...), ErrMalformed},
		"a group before":      {append(differenceHead(noPieces, two), operation(4, -1)...), ErrMalformed},
		"a group after":       {append(differenceHead(noPieces, two), operation(4, 1)...), ErrMalformed},
		"too many groups":     {append(differenceHead(noPieces, two), operation(5, 0)...), ErrMalformed},
		"2^23 groups":         {append(differenceHead(noPieces, two), operation(1<<23, 0)...), ErrTooLarge},
		"far away":            {append(differenceHead(noPieces, two), operation(1, 1<<40)...), ErrTooLarge},
		"more than it has":    {append(differenceHead(noPieces, two-1), operation(4, 0)...), ErrMalformed},
		"copied thrice":       {append(differenceHead(noPieces, 3*two), slices.Concat(operation(4, 0), operation(4, -4), operation(4, -4))...), ErrTooLarge},
		"chunks that are not": {append(differenceHead(noPieces, two), 9), ErrMalformed},
		"2^22 chunks":         {append(differenceHead(noPieces, two), 0xff, 0xff, 0xff, 3), ErrMalformed},
	} {
		if m, err := old.Apply(old.Outline(0), tc.bytes); m != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// applyRoom is what Apply may allocate.
func applyRoom(old *Manifest, diff []byte) int { return 5*(len(diff)+40*old.Len()) + 16<<10 }

// TestApplyAllocates: memory follows what is there and what arrives.
func TestApplyAllocates(t *testing.T) {
	old := forged(1, 80<<20)
	o := old.Outline(0)
	evil := differenceHead(noPieces, MaxSize)
	for range 100_000 {
		evil = append(evil, operation(o.groups, -int64(o.groups))...)
	}
	for name, diff := range map[string][]byte{
		"the same":  old.Difference(o),
		"unrelated": forged(2, 80<<20).Difference(o),
		"evil":      evil,
		"announced": append(differenceHead(noPieces, MaxSize), make([]byte, 100_000)...),
		"pieces":    differenceHead(noChunks, MaxSize),
	} {
		got := allocated(func() {
			if _, err := old.Apply(o, diff); err != nil && !oneOf(err) {
				t.Error(err)
			}
		})
		if most := applyRoom(old, diff); got > most {
			t.Errorf("%s: %d bytes allocated, at most %d", name, got, most)
		}
	}
}

func FuzzApply(f *testing.F) {
	old := forged(1, 8<<20)
	for bits := range 3 {
		f.Add(bits, old.Difference(old.Outline(bits)))
		f.Add(bits, old.edited(2).Difference(old.Outline(bits)))
		f.Add(bits, forged(2, 2<<20).Difference(old.Outline(bits)))
	}
	f.Add(0, append(differenceHead(noPieces, 2<<20), operation(4, 0)...))
	f.Fuzz(func(t *testing.T, bits int, diff []byte) {
		o := old.Outline(bits)
		var m *Manifest
		var err error
		if got, most := allocated(func() { m, err = old.Apply(o, diff) }), applyRoom(old, diff); got > most {
			t.Fatalf("%d bytes allocated, at most %d", got, most)
		}
		if err != nil {
			if !oneOf(err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if again, err := Parse(encode(m)); err != nil || !again.Equal(m) {
			t.Fatalf("the manifest that was made is not one: %v", err)
		}
	})
}
