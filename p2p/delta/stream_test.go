package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/zeebo/blake3"
)

// sequence yields operations, then perhaps an error.
func sequence(err error, ops ...Op) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		for _, op := range ops {
			if !yield(op, nil) {
				return
			}
		}
		if err != nil {
			yield(Op{}, err)
		}
	}
}

// limited fails the test when more than its room is written.
type limited struct {
	t    *testing.T
	room int64
}

func (l *limited) Write(p []byte) (int, error) {
	if l.room -= int64(len(p)); l.room < 0 {
		l.t.Error("more was written than announced")
	}
	return len(p), nil
}

func TestPatchRefuses(t *testing.T) {
	base := strings.NewReader("0123456789")
	broken := errors.New("broken")
	sum := Sum(blake3.Sum256([]byte("345x")))
	for name, tc := range map[string]struct {
		ops  iter.Seq2[Op, error]
		size int64
		want error
	}{
		"good":                 {sequence(nil, Op{Offset: 3, Length: 3}, Op{Data: []byte("x")}), 4, nil},
		"empty operations":     {sequence(nil, Op{}, Op{Offset: 3, Length: 3}, Op{}, Op{Data: []byte("x")}), 4, nil},
		"another file":         {sequence(nil, Op{Offset: 4, Length: 3}, Op{Data: []byte("x")}), 4, ErrMismatch},
		"too few bytes":        {sequence(nil, Op{Offset: 3, Length: 3}), 4, ErrLength},
		"no operation":         {sequence(nil), 4, ErrLength},
		"too much data":        {sequence(nil, Op{Data: []byte("12345")}), 4, ErrLength},
		"too long a copy":      {sequence(nil, Op{Length: 5}), 4, ErrLength},
		"an endless copy":      {sequence(nil, Op{Length: math.MaxInt64}), 4, ErrLength},
		"one byte too many":    {sequence(nil, Op{Length: 4}, Op{Data: []byte("5")}), 4, ErrLength},
		"a negative size":      {sequence(nil, Op{Length: 4}), -1, ErrLength},
		"behind the end":       {sequence(nil, Op{Offset: 8, Length: 4}), 4, ErrOutside},
		"far behind the end":   {sequence(nil, Op{Offset: math.MaxInt64, Length: 4}), 4, ErrOutside},
		"before the start":     {sequence(nil, Op{Offset: -1, Length: 4}), 4, ErrOutside},
		"a negative length":    {sequence(nil, Op{Offset: 1, Length: -1}, Op{Length: 5}), 4, ErrOutside},
		"a copy with data":     {sequence(nil, Op{Length: 1, Data: []byte("x")}), 4, ErrMalformed},
		"a broken sequence":    {sequence(broken, Op{Length: 4}), 4, broken},
		"nothing but an error": {sequence(broken), 0, broken},
	} {
		_, err := Patch(base, tc.ops, &limited{t, max(0, tc.size)}, PatchOptions{Size: tc.size, Sum: sum})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	// A sum that nobody filled in is no sum.
	if _, err := Patch(base, sequence(nil), io.Discard, PatchOptions{}); !errors.Is(err, ErrMismatch) {
		t.Errorf("no sum: %v", err)
	}
	// Failures of disks stay what they are.
	failing := io.MultiWriter(failWriter{broken})
	if _, err := Patch(base, sequence(nil, Op{Length: 4}), failing, PatchOptions{Size: 4}); !errors.Is(err, broken) {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := Patch(failReader{broken}, sequence(nil, Op{Length: 4}), io.Discard, PatchOptions{Size: 4}); !errors.Is(err, broken) {
		t.Errorf("a bad disk: %v", err)
	}
}

type failWriter struct{ err error }

func (f failWriter) Write([]byte) (int, error) { return 0, f.err }

type failReader struct{ err error }

func (f failReader) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// encode returns the stream from base to target.
func encode(t testing.TB, base, target string, block int) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Encode(&b, mustSign(t, []byte(base), block), strings.NewReader(target), int64(len(target))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStream(t *testing.T) {
	stream := encode(t, "abcdefghijkl", "abcdeXghijkl", 4)
	baseSum, sum := blake3.Sum256([]byte("abcdefghijkl")), blake3.Sum256([]byte("abcdeXghijkl"))
	want := bytes.Join([][]byte{
		[]byte("shoaldl1"),
		{12, 12},
		baseSum[:],
		{4 << 1, 0}, // copy 4 bytes, where the last copy ended: at 0
		{4<<1 | 1},
		[]byte("eXgh"),   // 4 bytes of data
		{4 << 1, 4 << 1}, // copy 4 bytes, 4 bytes further on: at 8
		{0},
		sum[:],
	}, nil)
	if !bytes.Equal(stream, want) {
		t.Errorf("the stream is %x, want %x", stream, want)
	}
	r := newSmallReader(io.MultiReader(bytes.NewReader(stream), strings.NewReader("what follows")))
	d, err := NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	if h := d.Header(); h != (Header{Size: 12, BaseSize: 12, Base: baseSum}) {
		t.Errorf("the header is %+v", h)
	}
	if _, ok := d.Sum(); ok {
		t.Error("there is a sum before the end")
	}
	got := strings.Join(collect(t, d.Ops()), "; ")
	if got != `copy 4 bytes at 0; data "eXgh"; copy 4 bytes at 8` {
		t.Errorf("the operations are %s", got)
	}
	if s, ok := d.Sum(); !ok || s != sum {
		t.Errorf("the sum is %v, %v", s, ok)
	}
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "what follows" {
		t.Errorf("behind the delta: %q, %v", rest, err)
	}
	for _, err := range d.Ops() {
		if err == nil {
			t.Error("the operations came twice")
		}
	}
}

func TestStreamCutShort(t *testing.T) {
	stream := encode(t, "abcdefghijkl", "abcdeXghijkl", 4)
	for n := range stream {
		d, err := NewReader(bytes.NewReader(stream[:n]))
		if err == nil {
			_, err = d.Patch(strings.NewReader("abcdefghijkl"), io.Discard)
		}
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%d of %d bytes: %v", n, len(stream), err)
		}
	}
}

// TestStreamDamage: no single wrong bit goes unnoticed, but in the old file's sum,
// which Patch does not use.
func TestStreamDamage(t *testing.T) {
	stream := encode(t, "abcdefghijkl", "abcdeXghijkl", 4)
	for i := range 8 * len(stream) {
		if i/8 == 9 || i/8 >= 10 && i/8 < 42 {
			continue // the old file's length and sum
		}
		bad := bytes.Clone(stream)
		bad[i/8] ^= 1 << (i % 8)
		d, err := NewReader(bytes.NewReader(bad))
		if err == nil {
			_, err = d.Patch(strings.NewReader("abcdefghijkl"), io.Discard)
		}
		if err == nil {
			t.Errorf("bit %d changed: no error", i)
		}
	}
}

// deltaHead is a delta up to the operations.
func deltaHead(size, base uint64, rest ...byte) []byte {
	b := binary.AppendUvarint([]byte(deltaMagic), size)
	b = binary.AppendUvarint(b, base)
	return append(append(b, make([]byte, 32)...), rest...)
}

func TestReaderRefuses(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	end := make([]byte, 33)
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"another file":         {[]byte("shoalsg1 and so on"), ErrMalformed},
		"a huge file":          {deltaHead(MaxSize+1, 0), ErrTooLarge},
		"a huge old file":      {deltaHead(0, math.MaxUint64), ErrTooLarge},
		"an early end":         {deltaHead(5, 5, end...), ErrMalformed},
		"a copy of nothing":    {deltaHead(0, 5, 1), ErrMalformed},
		"a copy too long":      {deltaHead(5, 9, 6<<1, 0), ErrLength},
		"data too long":        {deltaHead(5, 9, 6<<1|1, 'a', 'b', 'c', 'd', 'e', 'f'), ErrLength},
		"the longest copy":     {deltaHead(MaxSize, MaxSize, huge...), ErrLength},
		"a copy from nowhere":  {deltaHead(5, 4, 5<<1, 0), ErrOutside},
		"before the start":     {deltaHead(5, 9, 5<<1, 1), ErrOutside},
		"behind the end":       {deltaHead(5, 9, 5<<1, 10), ErrOutside},
		"far before the start": {deltaHead(5, 9, append([]byte{5 << 1}, huge...)...), ErrOutside},
		"a number of 65 bits":  {deltaHead(5, 9, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2), ErrMalformed},
		"an odd spelling":      {deltaHead(5, 9, 0x8a, 0), ErrMalformed},
		"an op after the last": {deltaHead(1, 9, 1<<1, 0, 1<<1, 0), ErrLength},
	} {
		d, err := NewReader(bytes.NewReader(tc.bytes))
		if err == nil {
			_, err = d.Patch(strings.NewReader("012345678"), io.Discard)
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	broken := errors.New("broken")
	if _, err := NewReader(iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("a broken reader: %v", err)
	}
}

// TestBombs: "copy block 0" again and again makes no more than was announced, and
// announcing much costs nothing.
func TestBombs(t *testing.T) {
	bomb := deltaHead(1000, 4)
	for range 1 << 16 {
		bomb = append(bomb, 4<<1, 7) // 4 bytes, 4 bytes back: at 0
		if len(bomb) == len(deltaHead(1000, 4))+2 {
			bomb[len(bomb)-1] = 0
		}
	}
	d, err := NewReader(bytes.NewReader(bomb))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Patch(strings.NewReader("abcd"), &limited{t, 1000}); !errors.Is(err, ErrLength) {
		t.Errorf("the bomb: %v", err)
	}
	much := append(deltaHead(MaxSize, MaxSize), binary.AppendUvarint(nil, MaxSize<<1|1)...)
	got := allocated(func() {
		d, err := NewReader(bytes.NewReader(much))
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := d.Patch(strings.NewReader(""), io.Discard); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	})
	if got > 128<<10 {
		t.Errorf("%d bytes arrived, %d allocated", len(much), got)
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, h := range []Header{{Size: -1}, {BaseSize: -1}, {Size: MaxSize + 1}, {BaseSize: MaxSize + 1}} {
		if _, err := NewWriter(io.Discard, h); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: %v", h, err)
		}
	}
	for _, tc := range []struct {
		op   Op
		want error
	}{
		{Op{Length: 11}, ErrLength},
		{Op{Data: make([]byte, 11)}, ErrLength},
		{Op{Offset: 16, Length: 5}, ErrOutside},
		{Op{Offset: -1, Length: 5}, ErrOutside},
		{Op{Length: 1, Data: []byte("x")}, ErrMalformed},
	} {
		d, err := NewWriter(io.Discard, Header{Size: 10, BaseSize: 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteOp(tc.op); !errors.Is(err, tc.want) {
			t.Errorf("%v: %v, want %v", tc.op, err, tc.want)
		}
		if err := d.Close(Sum{}); !errors.Is(err, ErrLength) {
			t.Errorf("closed early: %v", err)
		}
	}
	// A file that grows or shrinks while it is read is not what was announced.
	sig := mustSign(t, []byte("abcd"), 4)
	for _, size := range []int64{3, 5} {
		if _, err := Encode(io.Discard, sig, strings.NewReader("abcd"), size); !errors.Is(err, ErrLength) {
			t.Errorf("4 bytes instead of %d: %v", size, err)
		}
	}
}

// TestConstantMemory: a long delta takes as little memory as a short one.
func TestConstantMemory(t *testing.T) {
	base := noise(1, 8<<20)
	target := append(noise(2, 8<<20), base...)
	sig := mustSign(t, base, 4096)
	var stream bytes.Buffer
	stream.Grow(2 * len(base))
	if got := allocated(func() {
		if _, err := Encode(&stream, sig, bytes.NewReader(target), int64(len(target))); err != nil {
			t.Error(err)
		}
	}); got > windowMemory+4<<20 {
		t.Errorf("diff allocates %d bytes", got)
	}
	if got := allocated(func() {
		d, err := NewReader(&stream)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := d.Patch(bytes.NewReader(base), io.Discard); err != nil {
			t.Error(err)
		}
	}); got > 256<<10 {
		t.Errorf("patch allocates %d bytes", got)
	}
}

func FuzzDelta(f *testing.F) {
	f.Add(encode(f, "abcdefghijkl", "abcdeXghijkl", 4))
	f.Add(encode(f, "", "", 4))
	f.Add(deltaHead(MaxSize, MaxSize, 255, 255, 255))
	base := bytes.Repeat([]byte("0123456789"), 10)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What is announced may be made, so it is not let be much.
		size := min(d.Header().Size, 1<<20)
		var out bytes.Buffer
		_, err = Patch(bytes.NewReader(base), d.Ops(), &out, PatchOptions{Size: size})
		if int64(out.Len()) > size {
			t.Fatalf("%d bytes were made, %d announced", out.Len(), size)
		}
		for _, known := range []error{ErrMalformed, ErrLength, ErrOutside, ErrMismatch} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("no file has the sum zero, but: %v", err)
	})
}
