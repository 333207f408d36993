package assemble

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/delta"
)

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// tester is what testing.T and rapid.T have in common here.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func manifest(t tester, b []byte) *chunk.Manifest {
	t.Helper()
	m, err := chunk.Scan(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// buffer is an io.WriterAt in memory.
type buffer []byte

func (b buffer) WriteAt(p []byte, off int64) (int, error) { return copy(b[off:], p), nil }

// result is what came of a rebuilding.
type result struct {
	sums, literals int64 // bytes that travelled
	fetched        int64
	bad            int
}

// rebuild makes the new version as exchange does, from the old one and a member who has the
// new one.
func rebuild(t tester, old, now []byte, have func(i int) bool) result {
	m, base := manifest(t, now), manifest(t, old)
	out := make(buffer, len(now))
	done := make([]bool, m.Len())
	var r result
	check := func(parts ...Extent) *Checker {
		c := NewChecker(m, out, parts)
		c.OK = func(i int, _ []byte) { done[i] = true }
		c.Bad = func(int) { r.bad++ }
		return c
	}
	for i := range done {
		if have(i) {
			c := m.Chunk(i)
			done[i] = true
			copy(out[c.Offset:], now[c.Offset:c.Offset+int64(c.Length)])
		}
	}
	p := Make(m, Sources{Base: base, Have: have})
	covered(t, m, p, have)
	for _, c := range p.Copies {
		at, n := span(m, c.Run)
		if _, err := check(Extent{at, n}).Write(old[c.Offset : c.Offset+n]); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range Bundles(m, base, p.Gaps) {
		if Size(b.New) > MaxNew+chunk.Longest || len(b.Old) > MaxExtents {
			t.Fatalf("a bundle of %d bytes, %d parts", Size(b.New), len(b.Old))
		}
		sig, err := b.Sign(bytes.NewReader(old))
		if err != nil {
			t.Fatal(err)
		}
		r.sums += int64(len(sig.Table()))
		var wire bytes.Buffer
		s, err := delta.EncodeWith(&wire, sig, Reader(bytes.NewReader(now), b.New), Size(b.New), delta.EncodeOptions{Bare: true})
		if err != nil {
			t.Fatal(err)
		}
		r.literals += s.Data
		d, err := delta.NewReader(&wire)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := delta.Patch(b.Join(bytes.NewReader(old)), d.Ops(), check(b.New...), delta.PatchOptions{Size: Size(b.New), Bare: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range p.Fetch {
		at, n := span(m, f)
		r.fetched += n
		if _, err := check(Extent{at, n}).Write(now[at : at+n]); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range p.Repeats {
		from, to := m.Chunk(x.Of), m.Chunk(x.Chunk)
		if _, err := check(Extent{to.Offset, int64(to.Length)}).Write(out[from.Offset : from.Offset+int64(from.Length)]); err != nil {
			t.Fatal(err)
		}
	}
	if i := slices.Index(done, false); i >= 0 {
		t.Fatalf("chunk %d of %d did not come", i, m.Len())
	}
	if !bytes.Equal(out, now) {
		t.Fatal("another file")
	}
	return r
}

// covered reports chunks that are in no part of a plan, or in two.
func covered(t tester, m *chunk.Manifest, p Plan, have func(i int) bool) {
	times := make([]int, m.Len())
	add := func(r Run) {
		for i := r.First; i < r.end(); i++ {
			times[i]++
		}
	}
	for _, c := range p.Copies {
		add(c.Run)
	}
	for _, g := range p.Gaps {
		add(g.Run)
	}
	for _, r := range p.Fetch {
		add(r)
	}
	for _, r := range p.Repeats {
		times[r.Chunk]++
	}
	for i, n := range times {
		if have(i) {
			n++
		}
		if n != 1 {
			t.Fatalf("chunk %d of %d is in %d parts of the plan", i, m.Len(), n)
		}
	}
}

func nothing(int) bool { return false }

// Whatever is done to a file, the new version comes out.
func TestRebuild(t *testing.T) {
	t.Parallel()
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 1))
		old := noise(seed, r.IntN(3<<20))
		if seed%4 == 0 && len(old) > 0 {
			clear(old[r.IntN(len(old)):]) // chunks that are equal
		}
		now := slices.Clone(old)
		for range r.IntN(6) {
			now = edit(r, now)
		}
		have, some := nothing, r.Uint64()
		if seed%3 == 0 { // an earlier attempt
			have = func(i int) bool { return some>>(i%64)&1 != 0 }
		}
		if r := rebuild(t, old, now, have); r.bad > 0 {
			t.Errorf("seed %d: %d chunks were made wrong", seed, r.bad)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// edit does something to a file.
func edit(r *rand.Rand, b []byte) []byte {
	at := r.IntN(len(b) + 1)
	n := []int{1, 3, 100, 5000, 300_000, 1_000_000}[r.IntN(6)]
	end := min(at+n, len(b))
	switch r.IntN(5) {
	case 0:
		return slices.Insert(b, at, noise(r.Uint64(), n)...)
	case 1:
		return slices.Delete(b, at, end)
	case 2:
		copy(b[at:end], noise(r.Uint64(), n))
		return b
	case 3: // moved
		part := slices.Clone(b[at:end])
		b = slices.Delete(b, at, end)
		return slices.Insert(b, r.IntN(len(b)+1), part...)
	}
	return slices.Insert(b, at, slices.Clone(b[at:end])...) // twice
}

// What an edit costs: the figures of the package comment.
func TestCost(t *testing.T) {
	t.Parallel()
	old := noise(5, 16<<20)
	insert := func(at ...int) []byte {
		var now []byte
		last := 0
		for _, p := range at {
			now = append(append(now, old[last:p]...), noise(uint64(p), 100)...)
			last = p
		}
		return append(now, old[last:]...)
	}
	var many []int
	for i := range 20 {
		many = append(many, 300_000+i*800_000)
	}
	for _, row := range []struct {
		name string
		now  []byte
		most int64 // bytes
	}{
		{"the same", old, 0},
		{"a byte in front", append([]byte{1}, old...), 4000},
		{"100 bytes in the middle", insert(9_000_000), 5000},
		{"20 insertions", insert(many...), 20 * 4500},
		{"a byte at the end", append(slices.Clone(old), 1), 4000},
		{"without the first byte", old[1:], 4000},
		{"without the last byte", old[:len(old)-1], 4000},
		{"without a third", slices.Concat(old[:4_000_000], old[9_000_000:]), 6000},
		{"the halves swapped", slices.Concat(old[8<<20:], old[:8<<20]), 8000},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := rebuild(t, old, row.now, nothing)
			if sent := r.sums + r.literals + r.fetched; sent > row.most {
				t.Errorf("%d bytes of sums, %d of literals, %d fetched: more than %d", r.sums, r.literals, r.fetched, row.most)
			}
		})
	}
}

// A file that has nothing in common with the old one costs hardly more than itself.
func TestUnrelated(t *testing.T) {
	t.Parallel()
	old, now := noise(1, 8<<20), noise(2, 8<<20)
	r := rebuild(t, old, now, nothing)
	if extra := r.sums + r.literals + r.fetched - int64(len(now)); extra > int64(len(now))*3/100 {
		t.Errorf("%d bytes more", extra)
	}
}

// A huge gap is dealt with in parts, each with its part of the base.
func TestSplit(t *testing.T) {
	t.Parallel()
	old := noise(3, 40<<20)
	now := slices.Clone(old)
	for i := 0; i < len(now); i += 20_000 { // an edit in every chunk
		now[i] ^= 1
	}
	r := rebuild(t, old, now, nothing)
	if sent := r.sums + r.literals + r.fetched; sent > int64(len(now))/5 {
		t.Errorf("%d bytes of %d travel", sent, len(now))
	}
}

// The zeros between the parts of a joined file are read as such, and nothing beyond them.
func TestJoined(t *testing.T) {
	t.Parallel()
	old := noise(9, 10_000)
	b := Bundle{Block: 512, Old: []Extent{{100, 700}, {5000, 1024}, {9000, 3}}}
	j := b.Join(bytes.NewReader(old))
	want := slices.Concat(old[100:800], make([]byte, 1024-700), old[5000:6024], old[9000:9003])
	if j.Size() != int64(len(want)) {
		t.Fatalf("%d bytes, want %d", j.Size(), len(want))
	}
	if err := iotest.TestReader(io.NewSectionReader(j, 0, j.Size()), want); err != nil {
		t.Error(err)
	}
	if _, err := j.ReadAt(make([]byte, 1), -1); !errors.Is(err, ErrOutside) {
		t.Errorf("before the start: %v", err)
	}
	short := Bundle{Block: 512, Old: []Extent{{9000, 2000}}}.Join(bytes.NewReader(old))
	if _, err := io.ReadAll(io.NewSectionReader(short, 0, short.Size())); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a base that ends too early: %v", err)
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	b := noise(8, 5000)
	parts := []Extent{{10, 20}, {0, 0}, {4000, 1000}, {0, 5}}
	want := slices.Concat(b[10:30], b[4000:5000], b[:5])
	if err := iotest.TestReader(Reader(bytes.NewReader(b), parts), want); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(Reader(bytes.NewReader(b), []Extent{{4990, 20}})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("beyond the end: %v", err)
	}
}

// Only whole chunks that are right are written, however the bytes arrive.
func TestChecker(t *testing.T) {
	t.Parallel()
	b := noise(4, 1<<20)
	m := manifest(t, b)
	if m.Len() < 6 {
		t.Fatal("too few chunks for this test")
	}
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.Int64Range(0, m.Size()-1).Draw(t, "from")
		n := rapid.Int64Range(1, m.Size()-from).Draw(t, "length")
		in := slices.Clone(b[from : from+n])
		wrong := rapid.Int64Range(-1, n-1).Draw(t, "wrong")
		if wrong >= 0 {
			in[wrong] ^= 1
		}
		out := make(buffer, len(b))
		var ok, bad []int
		c := NewChecker(m, out, []Extent{{from, n}})
		c.OK, c.Bad = func(i int, _ []byte) { ok = append(ok, i) }, func(i int) { bad = append(bad, i) }
		for rest := in; len(rest) > 0; {
			k := rapid.IntRange(1, min(len(rest), 200_000)).Draw(t, "write")
			if _, err := c.Write(rest[:k]); err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
		if _, err := c.Write([]byte{1}); !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("beyond the end: %v", err)
		}
		var wantOK, wantBad []int
		for i := range m.Len() {
			ch := m.Chunk(i)
			end := ch.Offset + int64(ch.Length)
			switch whole := ch.Offset >= from && end <= from+n; {
			case whole && wrong >= 0 && from+wrong >= ch.Offset && from+wrong < end:
				wantBad = append(wantBad, i)
			case whole:
				wantOK = append(wantOK, i)
				if !bytes.Equal(out[ch.Offset:end], b[ch.Offset:end]) {
					t.Fatalf("chunk %d is not written", i)
				}
				continue
			}
			if slices.ContainsFunc(out[ch.Offset:end], func(c byte) bool { return c != 0 }) {
				t.Fatalf("something is written where chunk %d is", i)
			}
		}
		if !slices.Equal(ok, wantOK) || !slices.Equal(bad, wantBad) {
			t.Fatalf("right %v, wrong %v; want %v, %v", ok, bad, wantOK, wantBad)
		}
	})
}
