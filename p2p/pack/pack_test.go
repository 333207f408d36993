package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func packed(t testing.TB, b []byte, flushEvery int) []byte {
	t.Helper()
	var c Codec
	var out bytes.Buffer
	w := NewWriter(&out, &c)
	for i := 0; len(b) > 0; i++ {
		n := min(len(b), flushEvery)
		if i%2 == 1 {
			got, err := w.ReadFrom(iotest.HalfReader(bytes.NewReader(b[:n])))
			if err != nil || got != int64(n) {
				t.Fatalf("%d of %d bytes were read: %v", got, n, err)
			}
		} else if _, err := w.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	return out.Bytes()
}

// What goes in comes out, whatever it is, and what is read of the source is told.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20_000))
	rapid.Check(t, func(r *rapid.T) {
		var in []byte
		for range rapid.IntRange(0, 4).Draw(r, "parts") {
			n := rapid.IntRange(0, 400_000).Draw(r, "length")
			switch rapid.IntRange(0, 2).Draw(r, "what") {
			case 0:
				in = append(in, noise(n)...)
			case 1:
				in = append(in, text[:n]...)
			case 2:
				in = append(in, make([]byte, n)...)
			}
		}
		wire := packed(t, in, rapid.IntRange(1000, 1<<20).Draw(r, "flush"))
		if len(wire) > len(in)+(len(in)/1000+2)*headLen {
			r.Fatalf("%d bytes became %d", len(in), len(wire))
		}
		var c Codec
		out := NewReader(iotest.HalfReader(bytes.NewReader(wire)), &c)
		got, err := io.ReadAll(out)
		if err != nil || !bytes.Equal(got, in) {
			r.Fatalf("%d bytes came back as %d, %v", len(in), len(got), err)
		}
		if n := out.Spent(); n < int64(len(wire))-1 || n > int64(len(wire)) {
			r.Fatalf("%d bytes were read of %d", n, len(wire))
		}
	})
}

// What can be said shortly is, and what cannot costs nothing.
func TestRatio(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20_000))
	if n := len(packed(t, text, MaxFrame)); n > len(text)/50 {
		t.Errorf("a text of %d bytes takes %d", len(text), n)
	}
	if n := len(packed(t, noise(1<<20), MaxFrame)); n != 1<<20+4*headLen {
		t.Errorf("noise of 1 MiB takes %d bytes", n)
	}
	// Small files of one kind share a frame.
	var small []byte
	for i := range 60 {
		small = append(small, "{\"name\": \"file\", \"number\": "+strings.Repeat(string(rune('a'+i%26)), 5)+"}\n"...)
	}
	if n := len(packed(t, small, MaxFrame)); n > len(small)/4 {
		t.Errorf("60 small files of %d bytes take %d", len(small), n)
	}
}

func head(size, body uint32, rest ...byte) []byte {
	b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, size), body)
	return append(b, rest...)
}

// bomb is a zstd frame of many zeros.
func bomb(t testing.TB, n int) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(make([]byte, n), nil)
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	zeros := bomb(t, 64<<20)
	for name, b := range map[string][]byte{
		"an empty frame": head(0, 0), "a huge one": head(MaxFrame+1, 0), "more than it holds": head(10, 10, make([]byte, 10)...),
		"not zstd": head(100, 4, 1, 2, 3, 4), "a bomb": head(MaxFrame, uint32(len(zeros)), zeros...),
		"shorter than it says": head(1000, uint32(len(bomb(t, 500))), bomb(t, 500)...),
	} {
		var c Codec
		if got, err := io.ReadAll(NewReader(bytes.NewReader(b), &c)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, b := range map[string][]byte{
		"half a head": {1, 2, 3}, "half a frame": head(100, 0, 1, 2), "no packed bytes": head(100, 50),
	} {
		var c Codec
		if _, err := io.ReadAll(NewReader(bytes.NewReader(b), &c)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(packed(f, []byte(strings.Repeat("text ", 1000)), 700))
	f.Add(packed(f, noise(3000), 1000))
	f.Add(head(MaxFrame, 1000, bomb(f, 64<<20)[:1000]...))
	var c Codec
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), &c)
		n, err := io.Copy(io.Discard, r)
		if n > int64(len(b)+headLen)/headLen*MaxFrame {
			t.Fatalf("%d bytes out of %d, %v", n, len(b), err)
		}
		if len(r.room) > MaxFrame || len(r.body) > MaxFrame {
			t.Fatal("it holds more than a frame")
		}
	})
}

func benchmark(b *testing.B, in []byte) {
	var c Codec
	w := NewWriter(io.Discard, &c)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Write(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	b.Run("noise", func(b *testing.B) { benchmark(b, noise(8<<20)) })
	b.Run("text", func(b *testing.B) {
		r := rand.New(rand.NewPCG(1, 2))
		words := strings.Fields("shoal makes a group of computers searchable and keeps their folders the same with no server one binary per computer")
		var text []byte
		for len(text) < 8<<20 {
			text = append(append(text, words[r.IntN(len(words))]...), ' ')
		}
		benchmark(b, text)
	})
}
