package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
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
		[]byte("shoaldl2"),
		{12, 12},
		baseSum[:],
		{5, 4, 0},        // a frame of 5 and 4 bytes, not compressed
		{4 << 1, 0},      // copy 4 bytes, where the last copy ended: at 0
		{4<<1 | 1},       // 4 bytes of data
		{4 << 1, 4 << 1}, // copy 4 bytes, 4 bytes further on: at 8
		[]byte("eXgh"),
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

// frame is one, not compressed.
func frame(data string, ops ...byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(ops)))
	b = binary.AppendUvarint(b, uint64(len(data)))
	if data != "" {
		b = append(b, 0)
	}
	return append(append(b, ops...), data...)
}

// packedFrame is one with an operation of size bytes of data, said to be what packed
// is made of.
func packedFrame(size int, packed []byte) []byte {
	op := binary.AppendUvarint(nil, uint64(size)<<1|1)
	b := binary.AppendUvarint(nil, uint64(len(op)))
	b = binary.AppendUvarint(b, uint64(size))
	b = binary.AppendUvarint(b, uint64(len(packed)))
	return append(append(b, op...), packed...)
}

// zstdOf compresses.
func zstdOf(t testing.TB, p []byte, o ...zstd.EOption) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(p, nil)
}

func TestReaderRefuses(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	end := make([]byte, 33)
	one := func(size, base uint64, frames ...[]byte) []byte {
		return deltaHead(size, base, bytes.Join(frames, nil)...)
	}
	var streamed bytes.Buffer // a frame of zstd that does not say how long it is
	z, err := zstd.NewWriter(&streamed, zstd.WithWindowSize(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"another file":           {[]byte("shoalsg1 and so on"), ErrMalformed},
		"the version before":     {[]byte("shoaldl1 and so on"), ErrMalformed},
		"a huge file":            {deltaHead(MaxSize+1, 0), ErrTooLarge},
		"a huge old file":        {deltaHead(0, math.MaxUint64), ErrTooLarge},
		"an early end":           {one(5, 5, end), ErrMalformed},
		"a copy of nothing":      {one(0, 5, frame("", 0, 0)), ErrMalformed},
		"data of nothing":        {one(5, 5, frame("", 1)), ErrMalformed},
		"a copy too long":        {one(5, 9, frame("", 6<<1, 0)), ErrLength},
		"data too long":          {one(5, 9, frame("abcdef", 6<<1|1)), ErrLength},
		"data that is not there": {one(5, 9, frame("ab", 3<<1|1)), ErrMalformed},
		"data left over":         {one(5, 9, frame("abcd", 3<<1|1), end), ErrMalformed},
		"data too many":          {one(1<<30, 9, []byte{1}, huge), ErrLength},
		"many operations":        {one(5, 9, huge), ErrMalformed},
		"half an operation":      {one(5, 9, frame("", 5<<1)), ErrMalformed},
		"the longest copy":       {one(MaxSize, MaxSize, frame("", append(huge, 0)...)), ErrLength},
		"a copy from nowhere":    {one(5, 4, frame("", 5<<1, 0)), ErrOutside},
		"before the start":       {one(5, 9, frame("", 5<<1, 1)), ErrOutside},
		"behind the end":         {one(5, 9, frame("", 5<<1, 10)), ErrOutside},
		"far before the start":   {one(5, 9, frame("", append([]byte{5 << 1}, huge...)...)), ErrOutside},
		"a number of 65 bits":    {one(5, 9, frame("", 255, 255, 255, 255, 255, 255, 255, 255, 255, 2)), ErrMalformed},
		"an odd spelling":        {one(5, 9, frame("", 0x8a, 0)), ErrMalformed},
		"an op after the last":   {one(1, 9, frame("", 1<<1, 0, 1<<1, 0)), ErrLength},
		"another frame":          {one(1, 9, frame("", 1<<1, 0), frame("", 1<<1, 0)), ErrLength},
		"no zstd":                {one(900, 9, packedFrame(900, []byte("hello"))), ErrMalformed},
		"compressed to more":     {one(900, 9, packedFrame(900, make([]byte, 900))), ErrMalformed},
		"too few decompressed":   {one(900, 9, packedFrame(900, zstdOf(t, make([]byte, 899)))), ErrMalformed},
		"too many decompressed":  {one(900, 9, packedFrame(900, zstdOf(t, make([]byte, 901)))), ErrMalformed},
		"a bomb":                 {one(MaxData, 9, packedFrame(MaxData, zstdOf(t, make([]byte, 30<<20)))), ErrMalformed},
		"a streamed bomb":        {one(MaxData, 9, packedFrame(MaxData, streamed.Bytes())), ErrMalformed},
	} {
		var err error
		got := allocated(func() {
			var d *Reader
			if d, err = NewReader(bytes.NewReader(tc.bytes)); err == nil {
				_, err = d.Patch(strings.NewReader("012345678"), io.Discard)
			}
		})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if got > 4<<20 {
			t.Errorf("%s: %d bytes were allocated", name, got)
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
	for k := range 50 { // more than a million copies
		var ops []byte
		for i := range 1 << 14 {
			ops = append(ops, 4<<1, 7) // 4 bytes, 4 bytes back: at 0
			if k == 0 && i == 0 {
				ops[1] = 0
			}
		}
		bomb = append(bomb, frame("", ops...)...)
	}
	d, err := NewReader(bytes.NewReader(bomb))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Patch(strings.NewReader("abcd"), &limited{t, 1000}); !errors.Is(err, ErrLength) {
		t.Errorf("the bomb: %v", err)
	}
	much := append(deltaHead(MaxSize, MaxSize), binary.AppendUvarint(binary.AppendUvarint(nil, frameOps), MaxData)...)
	much = append(much, 0)
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
	for name, fresh := range map[string][]byte{"noise": noise(2, 8<<20), "text": bytes.Repeat([]byte("Lorem ipsum "), 700_000)} {
		target := append(fresh, base...)
		sig := mustSign(t, base, 4096)
		var stream bytes.Buffer
		stream.Grow(2 * len(base))
		if got := allocated(func() {
			if _, err := Encode(&stream, sig, bytes.NewReader(target), int64(len(target))); err != nil {
				t.Error(err)
			}
		}); got > windowMemory+4<<20 {
			t.Errorf("%s: diff allocates %d bytes", name, got)
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
		}); got > 3<<20 {
			t.Errorf("%s: patch allocates %d bytes", name, got)
		}
	}
}

// TestCompression: what can be compressed is, in few frames however often copies
// come between, and what cannot costs next to nothing.
func TestCompression(t *testing.T) {
	base, fresh := noise(1, 1<<20), noise(2, 1<<20)
	var text, mixed bytes.Buffer
	for i := 0; text.Len() < 1<<20; i++ {
		fmt.Fprintf(&text, "line %d of a log in which not much happens\n", i*i)
	}
	for i := range 64 { // a block of the old file, 256 bytes of text
		mixed.Write(base[i*1024:][:1024])
		mixed.Write(text.Bytes()[i*256:][:256])
	}
	for _, tc := range []struct {
		name        string
		target      []byte
		least, most int64
	}{
		{"noise", fresh, 1 << 20, 1<<20 + 200},
		{"text", text.Bytes(), 1 << 10, 1 << 18},
		{"text, then noise", append(bytes.Clone(text.Bytes()), fresh...), 1 << 20, 1<<20 + 1<<18},
		{"noise, then text", append(bytes.Clone(fresh), text.Bytes()...), 1 << 20, 1<<20 + 3<<18},
		{"pieces of text", mixed.Bytes(), 1 << 10, 8 << 10},
	} {
		for _, raw := range []bool{false, true} {
			var stream, out bytes.Buffer
			s, err := EncodeWith(&stream, mustSign(t, base, 1024), bytes.NewReader(tc.target), int64(len(tc.target)), EncodeOptions{Raw: raw})
			if err != nil || s.Encoded != int64(stream.Len()) {
				t.Fatal(s.Encoded, stream.Len(), err)
			}
			least, most := tc.least, tc.most
			if raw {
				least, most = s.Data, s.Data+1000
			}
			if s.Encoded < least || s.Encoded > most {
				t.Errorf("%s (raw %v): %d bytes of data took %d", tc.name, raw, s.Data, s.Encoded)
			}
			d, err := NewReader(iotest.OneByteReader(&stream))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Patch(bytes.NewReader(base), &out); err != nil || !bytes.Equal(out.Bytes(), tc.target) {
				t.Errorf("%s: another file was made: %v", tc.name, err)
			}
		}
	}
}

func FuzzDelta(f *testing.F) {
	f.Add(encode(f, "abcdefghijkl", "abcdeXghijkl", 4))
	f.Add(encode(f, "", "", 4))
	f.Add(deltaHead(MaxSize, MaxSize, 255, 255, 255))
	f.Add(deltaHead(905, 100, append(frame("abc", 3<<1|1, 2<<1, 8), packedFrame(900, zstdOf(f, make([]byte, 900)))...)...))
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
