package chunk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// huge is a manifest of a file of more chunks than there may be.
func huge() *Manifest { return (&Manifest{size: MaxChunks*Least + 1}).finish(3) }

func manifests(t testing.TB) map[string]*Manifest {
	p := noise(1, 3<<20+5)
	return map[string]*Manifest{
		"empty":          mustScan(t, nil),
		"one byte":       mustScan(t, p[:1]),
		"one chunk":      mustScan(t, p[:Least]),
		"chunks":         mustScan(t, p[:PieceSize]),
		"pieces":         mustScan(t, p),
		"without pieces": mustScan(t, p).WithoutPieces(),
		"zeros":          mustScan(t, make([]byte, 2<<20)),
		"huge":           huge(),
		"huge, bare":     huge().WithoutPieces(),
	}
}

func TestManifest(t *testing.T) {
	for name, m := range manifests(t) {
		b := encode(m)
		got, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !got.Equal(m) {
			t.Errorf("%s: another manifest came back", name)
		}
		if also, err := m.AppendBinary([]byte("before")); err != nil || !bytes.Equal(also, append([]byte("before"), b...)) {
			t.Errorf("%s: appended %x, %v", name, also, err)
		}
		if len(b) < 1000 {
			for n := range b {
				if _, err := Parse(b[:n]); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s, %d bytes of %d: %v", name, n, len(b), err)
				}
			}
		}
		if _, err := Parse(append(b, 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, with something after: %v", name, err)
		}
	}
	if n := len(encode(mustScan(t, noise(1, 4<<10)))); n > 45 {
		t.Errorf("%d bytes for 4 KiB", n)
	}
}

// manifestHead is a manifest up to the chunks.
func manifestHead(flags byte, size uint64) []byte {
	b := append([]byte(manifestMagic), flags)
	b = binary.AppendUvarint(b, size)
	return append(b, make([]byte, 32)...)
}

// entriesOf is a number of chunks and chunks of these lengths.
func entriesOf(lengths ...int) []byte {
	b := binary.AppendUvarint(nil, uint64(len(lengths)))
	for _, n := range lengths {
		b = append(b, byte(n), byte(n>>8), byte(n>>16))
		b = append(b, make([]byte, 32)...)
	}
	return b
}

func TestParseRefuses(t *testing.T) {
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"another file":         {[]byte("#!/bin/sh\necho hello"), ErrMalformed},
		"an unknown flag":      {join(manifestHead(4, 0), entriesOf()), ErrMalformed},
		"5 TiB":                {manifestHead(0, 5<<40), ErrTooLarge},
		"2^64 bytes":           {manifestHead(0, 1<<64-1), ErrTooLarge},
		"a long varint":        {join([]byte(manifestMagic), []byte{0, 0x81, 0}, make([]byte, 32), []byte{1}), ErrMalformed},
		"a varint of 70 bits":  {append([]byte(manifestMagic), 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2), ErrMalformed},
		"small, no chunks":     {manifestHead(noChunks, 1000), ErrMalformed},
		"small, no pieces":     {join(manifestHead(noPieces, 1000), entriesOf(1000)[:1]), ErrMalformed},
		"bytes and no chunk":   {join(manifestHead(0, 10), entriesOf()), ErrMalformed},
		"a chunk and no bytes": {join(manifestHead(0, 0), entriesOf(0)[:1]), ErrMalformed},
		"2^22+1 chunks":        {join(manifestHead(0, 1<<40), binary.AppendUvarint(nil, MaxChunks+1)), ErrTooLarge},
		"one long chunk":       {join(manifestHead(0, Longest+1), entriesOf(Longest + 1)[:1]), ErrMalformed},
		"a long chunk":         {join(manifestHead(0, Longest+Least+1), entriesOf(Longest+1, Least)), ErrMalformed},
		"a short chunk":        {join(manifestHead(0, 2*Least-1), entriesOf(Least-1, Least)), ErrMalformed},
		"an empty chunk":       {join(manifestHead(0, Least), entriesOf(Least, 0)), ErrMalformed},
		"chunks too short":     {join(manifestHead(0, 2*Least+1), entriesOf(Least, Least)), ErrMalformed},
		"chunks too long":      {join(manifestHead(0, 2*Least-1), entriesOf(Least, Least)), ErrMalformed},
		"chunks that are not":  {join(manifestHead(0, 1<<40), binary.AppendUvarint(nil, MaxChunks)), ErrMalformed},
		"wrong pieces":         {join(manifestHead(0, 3*Longest), entriesOf(Longest, Longest, Longest), make([]byte, 64)), ErrMismatch},
		"missing pieces":       {join(manifestHead(0, 3*Longest), entriesOf(Longest, Longest, Longest), make([]byte, 32)), ErrMalformed},
	} {
		if m, err := Parse(tc.bytes); m != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// parseRoom is what Parse may allocate for n bytes.
func parseRoom(n int) int { return 2*n + 16<<10 }

// TestParseAllocates: memory follows what arrives, not what is announced.
func TestParseAllocates(t *testing.T) {
	for _, arrived := range []int{0, 1000, 1_000_000} {
		for _, flags := range []byte{0, noChunks, noPieces} {
			b := manifestHead(flags, MaxSize)
			if flags&noChunks == 0 {
				b = binary.AppendUvarint(b, MaxChunks)
			}
			b = append(b, make([]byte, arrived)...)
			got := allocated(func() {
				if _, err := Parse(b); !errors.Is(err, ErrMalformed) {
					t.Error(err)
				}
			})
			if got > parseRoom(len(b)) {
				t.Errorf("%d bytes arrived, %d allocated", len(b), got)
			}
		}
	}
}

// oneOf reports whether err is of a kind that callers tell apart.
func oneOf(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrMismatch)
}

func FuzzParse(f *testing.F) {
	for _, m := range manifests(f) {
		if b := encode(m); len(b) < 100_000 {
			f.Add(b)
		}
	}
	f.Add(manifestHead(0, MaxSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m *Manifest
		var err error
		if got := allocated(func() { m, err = Parse(b) }); got > parseRoom(len(b)) {
			t.Fatalf("%d bytes arrived, %d allocated", len(b), got)
		}
		if err != nil {
			if !oneOf(err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if again := encode(m); !bytes.Equal(again, b) {
			t.Fatalf("%x is packed as %x", b, again)
		}
		at := int64(0)
		for i := range m.Len() {
			c := m.Chunk(i)
			if c.Offset != at || m.Find(at) != i {
				t.Fatalf("chunk %d is at %d, want %d", i, c.Offset, at)
			}
			at += int64(c.Length)
		}
		if m.Len() > 0 && at != m.Size() {
			t.Fatalf("chunks of %d bytes make up %d", at, m.Size())
		}
		if m.Pieces() != nil {
			if root, err := RootOf(m.Size(), m.Pieces()); err != nil || root != m.Root() {
				t.Fatalf("the root of the pieces is %v, %v", root, err)
			}
		}
	})
}
