package chunk

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
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
		if m.Find(c.Offset) != i || m.Find(c.Offset+int64(n)-1) != i {
			t.Fatalf("%d bytes: chunk %d is not found at its ends", len(p), i)
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		t.Fatalf("%d bytes are in no chunk", len(rest))
	}
	if m.Find(-1) != -1 || m.Find(m.Size()) != -1 {
		t.Fatal("a chunk holds what is outside of the file")
	}
	if root, err := RootOf(m.Size(), m.Pieces()); err != nil || root != m.Root() {
		t.Fatalf("%d bytes: the root of the pieces is %v, %v", len(p), root, err)
	}
	for i := range m.Pieces() {
		if !VerifyPiece(m.Size(), m.Pieces(), i, pieceOf(p, i)) {
			t.Fatalf("%d bytes: piece %d", len(p), i)
		}
	}
}

func pieceOf(p []byte, i int) []byte { return p[i*PieceSize : min((i+1)*PieceSize, len(p))] }

// TestScan around all lengths where something begins: a block and a leaf of BLAKE3,
// a group, a chunk, a step, a piece.
func TestScan(t *testing.T) {
	p := noise(1, 8<<20+2)
	for _, around := range []int{0, 64, 1 << 10, 2 << 10, 16 << 10, 17 << 10, 128 << 10, 144 << 10, 512 << 10, 1 << 20, 2 << 20, 3 << 20, 5<<20 + 16<<10, 8 << 20} {
		for d := -2; d <= 2; d++ {
			if n := around + d; n >= 0 {
				checkScan(t, p[:n], mustScan(t, p[:n]))
			}
		}
	}
}

// TestFormat: these values are on disks and other computers. They change with
// Format only.
func TestFormat(t *testing.T) {
	if Format != 1 {
		t.Fatal("another format needs other values here, and magic words")
	}
	if gear[0] != pinnedGear[0] || gear[1] != pinnedGear[1] || gear[255] != pinnedGear[2] {
		t.Errorf("gear is %#x, %#x … %#x", gear[0], gear[1], gear[255])
	}
	m := mustScan(t, noise(1, 1<<20+1))
	var lengths []int
	for i := range m.Len() {
		lengths = append(lengths, m.Chunk(i).Length)
	}
	if !slices.Equal(lengths, pinnedLengths) {
		t.Errorf("the chunks have %d bytes", lengths)
	}
	if got := m.Root().String(); got != pinnedRoot {
		t.Errorf("the root is %s", got)
	}
	sum := func(b []byte) string { return Hash(blake3.Sum256(b)).String()[:16] }
	if got := sum(encode(m)); got != pinnedManifest {
		t.Errorf("the manifest is packed as %s", got)
	}
	o := m.Outline(1)
	if got := sum(encodeOutline(t, o)); got != pinnedOutline {
		t.Errorf("the outline is packed as %s", got)
	}
	if got := sum(mustScan(t, noise(1, 1<<20+2)).Difference(o)); got != pinnedDifference {
		t.Errorf("the difference is %s", got)
	}
}

var (
	pinnedGear    = [...]uint64{0x42b3989df9808f6e, 0x3fdb56303a774981, 0xdce33fd2f5066f42}
	pinnedLengths = []int{78193, 75486, 52393, 102055, 213864, 83015, 84580, 203353, 38436, 56800, 21719, 30382, 8301}
)

const (
	pinnedRoot       = "69625f1b8ce5c87e7999c82283901c37da15c9f5ad07f3e640557aee7203c9ef"
	pinnedManifest   = "c966b14a4d2747a9"
	pinnedOutline    = "020acc2927924e0f"
	pinnedDifference = "6da8b512874e8d3f"
)

// content generates files with and without patterns.
func content(t *rapid.T, most int) []byte {
	n := rapid.IntRange(0, most).Draw(t, "length")
	p := noise(rapid.Byte().Draw(t, "seed"), n)
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0: // few letters
		for i := range p {
			p[i] &= 3
		}
	case 1: // periodic
		period := rapid.IntRange(1, 100_000).Draw(t, "period")
		for i := period; i < n; i++ {
			p[i] = p[i-period]
		}
	}
	return p
}

// TestCut: the fast loop cuts as the definition says.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := content(t, 1<<20)
		if got, want := Cut(p), naiveCut(p); got != want {
			t.Fatalf("cut after %d of %d, want %d", got, len(p), want)
		}
	})
}

// rollNaive is roll as it is defined.
func rollNaive(p []byte, h uint64) (int, uint64) {
	for i, c := range p {
		h = h<<1 + gear[c]
		if h < threshold {
			return i + 1, h
		}
	}
	return 0, h
}

// TestRoll: wherever a chunk may end, and wherever else it might have ended, in the
// same lane or in another, the first such place is found.
func TestRoll(t *testing.T) {
	last := ending()
	rapid.Check(t, func(t *rapid.T) {
		p := content(t, 3*lanes*laneLen)
		for range rapid.IntRange(0, 6).Draw(t, "ends") {
			if len(p) > window {
				copy(p[rapid.IntRange(0, len(p)-window).Draw(t, "end"):], last)
			}
		}
		begin := rapid.Uint64().Draw(t, "hash")
		n, h := roll(p, begin)
		if want, sum := rollNaive(p, begin); n != want || h != sum {
			t.Fatalf("%d, %#x of %d bytes, want %d, %#x", n, h, len(p), want, sum)
		}
	})
	// At every place of the lanes, alone and with another in each lane behind it.
	for at := range lanes*laneLen + window {
		for _, others := range []bool{false, true} {
			p := make([]byte, 2*lanes*laneLen)
			for i := at; i+window <= len(p) && (others || i == at); i += laneLen - 1 {
				copy(p[i:], last)
			}
			n, h := roll(p, 1<<63)
			if want, sum := rollNaive(p, 1<<63); n != want || h != sum {
				t.Fatalf("an end at %d: %d, %#x, want %d, %#x", at+window, n, h, want, sum)
			}
		}
	}
}

// FuzzRoll makes content out of runs: of an end, or of a byte.
func FuzzRoll(f *testing.F) {
	last := ending()
	f.Add([]byte{7, 250, 9, 3, 0, 1, 8, 255, 0, 2}, uint64(1)<<63)
	f.Add(bytes.Repeat([]byte{1, 200, 0, 1}, 40), uint64(0))
	f.Fuzz(func(t *testing.T, runs []byte, begin uint64) {
		var p []byte
		for ; len(runs) >= 2 && len(p) < 1<<17; runs = runs[2:] {
			if runs[0] == 0 {
				p = append(p, last[:min(int(runs[1]), window)]...)
			}
			p = append(p, bytes.Repeat(runs[:1], int(runs[1]))...)
		}
		n, h := roll(p, begin)
		if want, sum := rollNaive(p, begin); n != want || h != sum {
			t.Fatalf("%d, %#x of %d bytes, want %d, %#x", n, h, len(p), want, sum)
		}
		if got, want := Cut(p), naiveCut(p); got != want {
			t.Fatalf("cut after %d of %d, want %d", got, len(p), want)
		}
	})
}

// ending returns 64 bytes with which a chunk may end.
func ending() []byte {
	p := noise(5, 1<<20)
	for at := window; ; at++ {
		h := uint64(0)
		for _, c := range p[at-window : at] {
			h = h<<1 + gear[c]
		}
		if h < threshold {
			return p[at-window : at]
		}
	}
}

// TestCutAtLeast: a chunk ends at the least length if its last 64 bytes say so,
// wherever the reads end, and not before.
func TestCutAtLeast(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that hashes much")
	}
	last := ending()
	for d := -1; d <= 1; d++ {
		p := make([]byte, 2*Longest)
		copy(p[Least+d-window:], last)
		want := Least + d
		if d < 0 {
			want = Longest
		}
		if got := Cut(p); got != want || naiveCut(p) != want {
			t.Errorf("an end at %d: cut after %d, want %d", Least+d, got, want)
		}
		// After another chunk, so that the ends of both fall near that of a step.
		for n := step - 2*Least; n < step+Least; n += 1021 {
			before := make([]byte, n)
			copy(before[n-window:], last)
			q := append(before, p...)
			m := mustScan(t, q)
			checkScan(t, q, m)
			if m.Chunk(0).Length != n || m.Chunk(1).Length != want {
				t.Errorf("chunks of %d and %d bytes, want %d and %d", m.Chunk(0).Length, m.Chunk(1).Length, n, want)
			}
		}
	}
}

// TestAverage: chunks are as long as is said.
func TestAverage(t *testing.T) {
	m := mustScan(t, noise(2, 32<<20))
	if got := 32 << 20 / m.Len(); got < 70<<10 || got > 90<<10 {
		t.Errorf("chunks have %d bytes on average", got)
	}
}

// splits reads in pieces of the lengths that were drawn, again and again.
type splits struct {
	r       io.Reader
	lengths []int
	i       int
}

func (s *splits) Read(p []byte) (int, error) {
	n := s.lengths[s.i%len(s.lengths)]
	s.i++
	return s.r.Read(p[:min(n, len(p))])
}

// TestScanSplit: how the bytes arrive makes no difference.
func TestScanSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := content(t, 600<<10)
		lengths := rapid.SliceOfN(rapid.IntRange(0, 200<<10), 1, 5).Draw(t, "lengths")
		lengths = append(lengths, 1000)
		m, err := Scan(&splits{bytes.NewReader(p), lengths, 0}, rapid.Int64().Draw(t, "size"))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := Scan(bytes.NewReader(p), -1); err != nil || !m.Equal(want) {
			t.Fatalf("another manifest: %v", err)
		}
	})
	p := noise(1, 700<<10)
	for name, r := range map[string]io.Reader{
		"one byte":     iotest.OneByteReader(bytes.NewReader(p)),
		"half":         iotest.HalfReader(bytes.NewReader(p)),
		"end with one": iotest.DataErrReader(bytes.NewReader(p)),
	} {
		m, err := Scan(r, -1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkScan(t, p, m)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestScanFails(t *testing.T) {
	broken := errors.New("broken")
	for _, want := range []error{broken, io.ErrUnexpectedEOF} {
		r := io.MultiReader(bytes.NewReader(noise(1, 300<<10)), iotest.ErrReader(want))
		if m, err := Scan(r, -1); m != nil || !errors.Is(err, want) {
			t.Errorf("%v: %v, %v", want, m, err)
		}
	}
	if _, err := Scan(stuck{}, -1); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
	// The next one is not disturbed by what was left.
	checkScan(t, nil, mustScan(t, nil))
}

// TestScanManyChunks: more chunks than there may be are none.
func TestScanManyChunks(t *testing.T) {
	p := noise(1, 5<<20)
	want := mustScan(t, p)
	for _, most := range []int{0, 1, want.Len() - 1} {
		s := newScanner()
		s.reset(-1, PieceSize)
		s.most = most
		if err := s.scan(bytes.NewReader(p)); err != nil {
			t.Fatal(err)
		}
		if m := s.m; m.Len() != 0 || m.Size() != want.Size() || m.Root() != want.Root() || !slices.Equal(m.Pieces(), want.Pieces()) {
			t.Errorf("at most %d chunks: %d of %d bytes, %d pieces", most, m.Len(), m.Size(), len(m.Pieces()))
		}
	}
}

// TestInsert: bytes that are inserted change the chunks around them only.
func TestInsert(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that hashes much")
	}
	p := noise(3, 4<<20)
	old := mustScan(t, p)
	known := map[Hash]bool{}
	for _, h := range old.hashes {
		known[h] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(p)).Draw(t, "at")
		text := rapid.SliceOfN(rapid.Byte(), 1, 1000).Draw(t, "text")
		m, err := Scan(bytes.NewReader(slices.Insert(slices.Clone(p), at, text...)), -1)
		if err != nil {
			t.Fatal(err)
		}
		// Where no chunk ends for 1.5 MiB of noise, 20 chunks would have been likely.
		for i := range m.Len() {
			c := m.Chunk(i)
			near := int64(at)-Longest < c.Offset && c.Offset < int64(at)+3*Longest
			if !near && !known[c.Hash] {
				t.Fatalf("inserted at %d, and the chunk at %d is new", at, c.Offset)
			}
			if end := c.Offset + int64(c.Length); end <= int64(at) && end < m.Size() && c != old.Chunk(i) {
				t.Fatalf("inserted at %d, and the chunk before it at %d is another", at, c.Offset)
			}
		}
	})
}

// TestPatterns: what repeats is cut into chunks that repeat.
func TestPatterns(t *testing.T) {
	zeros := make([]byte, 4<<20)
	m := mustScan(t, zeros)
	checkScan(t, zeros, m)
	if m.Len() != 8 || m.Chunk(0).Hash != m.Chunk(7).Hash {
		t.Errorf("zeros have %d chunks", m.Len())
	}
	for period := 1; period < 200_000; period = period*3 + 1 {
		p := bytes.Repeat(noise(byte(period), period), 4<<20/period)
		m := mustScan(t, p)
		checkScan(t, p, m)
		distinct := map[Hash]bool{}
		for i := range m.Len() {
			distinct[m.Chunk(i).Hash] = true
		}
		// A cut repeats with the period; without one, chunks of the longest length
		// begin at any phase.
		if period > 64 && period < 8<<10 && m.Chunk(1).Length < Longest && len(distinct) > 4 {
			t.Errorf("period %d: %d chunks, %d of them different", period, m.Len(), len(distinct))
		}
	}
}

// TestScanAllocates: a small file costs little, a large one nothing for each chunk.
func TestScanAllocates(t *testing.T) {
	small, large := noise(1, 4<<10), noise(1, 8<<20)
	scan := func(p []byte) float64 {
		return testing.AllocsPerRun(20, func() { mustScan(t, p) })
	}
	if got := scan(small); got > 6 {
		t.Errorf("%v allocations for 4 KiB", got)
	}
	if got := scan(large); got > 6 {
		t.Errorf("%v allocations for 8 MiB", got)
	}
	mustScan(t, small)
	least := 1 << 30
	for range 5 { // the pool may have been emptied once
		least = min(least, allocated(func() { mustScan(t, small) }))
	}
	if least > 2<<10 {
		t.Errorf("%d bytes allocated for 4 KiB", least)
	}
}
