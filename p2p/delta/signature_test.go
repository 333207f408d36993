package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/zeebo/blake3"
)

func TestChooseBlock(t *testing.T) {
	for _, tc := range []struct {
		size  int64
		edits int
		want  int
	}{
		{-1, 0, 8 << 10},
		{0, 5, 8 << 10},
		{1, 0, 512},
		{1 << 18, 0, 512},
		{1 << 20, 0, 1024},
		{64 << 20, 0, 8 << 10},
		{256 << 20, 200, 4 << 10},
		{256 << 20, 1, 64 << 10},
		{256 << 20, 1 << 30, 512},
		{80 << 10, 1, 1024},
		{1 << 30, 0, 32 << 10},
		{1 << 34, 0, 128 << 10},
		{1 << 39, 0, 128 << 10},
		{1<<39 + 1, 0, 256 << 10},
		{1 << 42, 0, 1 << 20},
		{1 << 62, 0, 1 << 20},
	} {
		if got := chooseBlock(tc.size, tc.edits); got != tc.want {
			t.Errorf("chooseBlock(%d, %d) = %d, want %d", tc.size, tc.edits, got, tc.want)
		}
	}
	// The formula's block is the cheapest, or nearly.
	cost := func(size int64, edits, b int) float64 {
		return recordSize*float64(size)/float64(b) + float64(edits*b)
	}
	for size := int64(1 << 20); size < 1<<34; size = size * 7 / 3 {
		for _, edits := range []int{2, 10, 100} {
			got := chooseBlock(size, edits)
			for b := 512; b <= usualBlock; b *= 2 {
				if cost(size, edits, got) > 1.001*cost(size, edits, b) {
					t.Errorf("%d edits of %d bytes: blocks of %d cost %.0f, of %d %.0f", edits, size, got, cost(size, edits, got), b, cost(size, edits, b))
				}
			}
		}
	}
}

// failer is a test, whoever runs it.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func mustSign(t failer, p []byte, block int) *Signature {
	t.Helper()
	s, err := Sign(bytes.NewReader(p), SignOptions{Block: block, Seed: 42})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var compareSignatures = cmp.Options{cmp.AllowUnexported(Signature{}), cmpopts.EquateEmpty()}

func TestSign(t *testing.T) {
	p := noise(1, 1000)
	s := mustSign(t, p, 300)
	if s.Block() != 300 || s.Blocks() != 4 || s.Size() != 1000 || s.Sum() != Sum(blake3.Sum256(p)) {
		t.Fatalf("%d blocks of %d, %d bytes, sum %v", s.Blocks(), s.Block(), s.Size(), s.Sum())
	}
	d := xxhash.NewWithSeed(42)
	d.Write(p[900:])
	if weak, strong := s.Sums(3); weak != weakOf(polynomial(p[900:])) || strong != d.Sum64() {
		t.Errorf("the last block has the sums %x and %x", weak, strong)
	}
	// Short reads are no ends of blocks.
	for name, r := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(bytes.NewReader(p)),
		"half":     iotest.HalfReader(bytes.NewReader(p)),
		"data+EOF": iotest.DataErrReader(bytes.NewReader(p)),
	} {
		again, err := Sign(r, SignOptions{Block: 300, Seed: 42, Size: 5 << 20, Workers: 3})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(s, again, compareSignatures); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestSignTogether: several goroutines come to what one does.
func TestSignTogether(t *testing.T) {
	for _, size := range []int{0, 1 << 20, 3<<20 - 1, 5<<20 + 77} {
		p := noise(9, size)
		for _, block := range []int{512, 1000, 1 << 20} {
			want, err := Sign(bytes.NewReader(p), SignOptions{Block: block, Seed: 1, Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, workers := range []int{0, 2, 5} {
				got, err := Sign(bytes.NewReader(p), SignOptions{Block: block, Seed: 1, Workers: workers, Size: int64(size)})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(encodeSignature(t, want), encodeSignature(t, got)) {
					t.Errorf("%d bytes in blocks of %d by %d workers: another signature", size, block, workers)
				}
			}
		}
	}
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(noise(9, 5<<20)), iotest.ErrReader(broken))
	if _, err := Sign(r, SignOptions{Size: 6 << 20, Workers: 3}); !errors.Is(err, broken) {
		t.Errorf("a broken reader: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	for _, block := range []int{-1, MaxBlock + 1} {
		if _, err := Sign(strings.NewReader(""), SignOptions{Block: block}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("blocks of %d bytes: %v", block, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Sign(iotest.ErrReader(broken), SignOptions{}); !errors.Is(err, broken) {
		t.Errorf("a broken reader: %v", err)
	}
	if _, err := Sign(bytes.NewReader(make([]byte, MaxBlocks+1)), SignOptions{Block: 1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many blocks: %v", err)
	}
}

func TestSeeds(t *testing.T) {
	sign := func(seed uint64) *Signature {
		s, err := Sign(strings.NewReader("hello"), SignOptions{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if cmp.Equal(sign(1).table, sign(2).table) {
		t.Error("the seed does not matter")
	}
	if a, b := sign(0), sign(0); a.seed == 0 || a.seed == b.seed {
		t.Errorf("the random seeds are %x and %x", a.seed, b.seed)
	}
}

func encodeSignature(t testing.TB, s *Signature) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo: %d of %d bytes: %v", n, b.Len(), err)
	}
	return b.Bytes()
}

func TestSignatureStream(t *testing.T) {
	for _, size := range []int{0, 1, 6, 7, 8, 1000, 100_000} {
		s := mustSign(t, noise(2, size), 7)
		b := encodeSignature(t, s)
		r := &bytes.Buffer{}
		r.Write(b)
		r.WriteString("what follows")
		buffered := newSmallReader(r)
		got, err := ReadSignature(buffered)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if diff := cmp.Diff(s, got, compareSignatures); diff != "" {
			t.Errorf("%d bytes: %s", size, diff)
		}
		if rest, err := io.ReadAll(buffered); err != nil || string(rest) != "what follows" {
			t.Errorf("%d bytes: behind the signature: %q, %v", size, rest, err)
		}
		for _, cut := range []int{0, 5, 8, 9, len(b) / 2, len(b) - 1} {
			if _, err := ReadSignature(bytes.NewReader(b[:cut])); !errors.Is(err, ErrMalformed) {
				t.Errorf("%d of %d bytes: %v", cut, len(b), err)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := ReadSignature(iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("a broken reader: %v", err)
	}
}

// signatureHead is a signature up to the blocks.
func signatureHead(block, size uint64) []byte {
	b := binary.AppendUvarint([]byte(signatureMagic), block)
	b = binary.AppendUvarint(b, size)
	return append(b, make([]byte, 8)...)
}

func TestReadSignatureRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"another file":        {[]byte("#!/bin/sh\necho hello"), ErrMalformed},
		"blocks of nothing":   {signatureHead(0, 100), ErrMalformed},
		"long blocks":         {signatureHead(MaxBlock+1, 100), ErrMalformed},
		"huge blocks":         {signatureHead(1<<63, 1<<63), ErrMalformed},
		"2^60 blocks":         {signatureHead(1, 1<<60), ErrTooLarge},
		"2^44 blocks":         {signatureHead(MaxBlock, 1<<63+1), ErrTooLarge},
		"a varint of 65 bits": {append([]byte(signatureMagic), 255, 255, 255, 255, 255, 255, 255, 255, 255, 2), ErrMalformed},
		"a varint too long":   {append([]byte(signatureMagic), 0x81, 0), ErrMalformed},
		"blocks that are not": {signatureHead(1, MaxBlocks), ErrMalformed},
	} {
		if _, err := ReadSignature(bytes.NewReader(tc.bytes)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// TestReadSignatureAllocates: memory follows what arrives, not what is announced.
func TestReadSignatureAllocates(t *testing.T) {
	for _, arrived := range []int{0, 100, 100_000, 3_000_000} {
		b := append(signatureHead(1, MaxBlocks), make([]byte, arrived)...)
		got := allocated(func() {
			if _, err := ReadSignature(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
		})
		if most := 4*len(b) + 64<<10; got > most {
			t.Errorf("%d bytes arrived, %d allocated", len(b), got)
		}
	}
}

func FuzzSignature(f *testing.F) {
	f.Add(encodeSignature(f, mustSign(f, []byte("charla"), 2)))
	f.Add(encodeSignature(f, mustSign(f, nil, 2)))
	f.Add(encodeSignature(f, mustSign(f, noise(3, 10_000), 100)))
	f.Add(signatureHead(1, 1<<60))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadSignature(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again := encodeSignature(t, s)
		if !bytes.Equal(again, b[:len(again)]) {
			t.Fatalf("%x is written as %x", b, again)
		}
		// No signature stops a diff from making a whole file.
		target, size := append(b, b...), 0
		for op, err := range Diff(s, bytes.NewReader(target)) {
			if err != nil {
				t.Fatal(err)
			}
			if op.check(int64(len(target)-size), s.Size()) != nil {
				t.Fatalf("%v of %d", op, s.Size())
			}
			size += int(op.Size())
		}
		if size != len(target) {
			t.Fatalf("the operations make %d bytes of %d", size, len(target))
		}
		for p, err := range Inverse(s, bytes.NewReader(target), InverseOptions{Size: int64(size), Workers: 1}) {
			if err != nil || p.Length <= 0 || p.Offset < 0 || p.Offset+p.Length > s.Size() || p.Base < 0 || p.Base+p.Length > int64(size) {
				t.Fatalf("%+v of %d and %d: %v", p, s.Size(), size, err)
			}
		}
	})
}

// TestParts: a signature goes into another message and comes back, and a delta of
// a part brings no sums.
func TestParts(t *testing.T) {
	base := noise(1, 1000)
	target := scatter(base, 3)
	sig, err := Sign(bytes.NewReader(base), SignOptions{Block: 64, Bare: true})
	if err != nil || sig.Sum() != (Sum{}) {
		t.Fatal(sig.Sum(), err)
	}
	again, err := NewSignature(sig.Block(), sig.Size(), sig.Seed(), bytes.Clone(sig.Table()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sig, again, compareSignatures); diff != "" {
		t.Error(diff)
	}
	var stream, out bytes.Buffer
	s, err := EncodeWith(&stream, again, bytes.NewReader(target), int64(len(target)), EncodeOptions{Bare: true})
	if err != nil || s.Sum != (Sum{}) || s.Copied < 500 {
		t.Fatalf("%+v, %v", s, err)
	}
	d, err := NewReader(bytes.NewReader(stream.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	o := PatchOptions{Size: int64(len(target)), Bare: true}
	if _, err := Patch(bytes.NewReader(base), d.Ops(), &out, o); err != nil || !bytes.Equal(out.Bytes(), target) {
		t.Errorf("another part was made: %v", err)
	}
	// Who expects a sum is not content with none.
	if d, err = NewReader(&stream); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Patch(bytes.NewReader(base), io.Discard); !errors.Is(err, ErrMismatch) {
		t.Errorf("no sum: %v", err)
	}
}

func TestNewSignatureRefuses(t *testing.T) {
	for _, tc := range []struct {
		block int
		size  int64
		table int
		want  error
	}{
		{0, 0, 0, ErrMalformed},
		{-1, 10, 0, ErrMalformed},
		{10, -1, 0, ErrMalformed},
		{10, 100, 9 * recordSize, ErrMalformed},
		{10, 101, 10 * recordSize, ErrMalformed},
		{10, 100, 10*recordSize + 1, ErrMalformed},
		{10, 100, 11 * recordSize, ErrMalformed},
		{MaxBlock + 1, 10, recordSize, ErrTooLarge},
		{1, 1 << 32, 0, ErrTooLarge},
		{MaxBlock, 1<<63 - 1, 0, ErrTooLarge},
		{10, 100, 10 * recordSize, nil},
		{10, 91, 10 * recordSize, nil},
		{10, 0, 0, nil},
	} {
		if _, err := NewSignature(tc.block, tc.size, 1, make([]byte, tc.table)); !errors.Is(err, tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}
