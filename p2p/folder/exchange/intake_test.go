package exchange

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
)

// heldTemp is a file in memory that counts writes, and after some of them has no room.
type heldTemp struct {
	apply.Temp
	content []byte
	written []bool
	writes  int
	room    int   // writes that succeed
	full    error // of the others
}

func (h *heldTemp) WriteAt(p []byte, off int64) (int, error) {
	if h.writes == h.room {
		return 0, h.full
	}
	h.writes++
	for i := range p {
		h.written[off+int64(i)] = true
	}
	return copy(h.content[off:], p), nil
}

func (h *heldTemp) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(h.content).ReadAt(p, off)
}

func (h *heldTemp) Sync() error { return nil }

// taking is an update of a text that writes to memory.
func taking(text string) (*update, *heldTemp) {
	made, err := chunk.Scan(strings.NewReader(text), -1)
	if err != nil {
		panic(err)
	}
	u := newUpdate(nil, &fetch{t: &transfer{}}, made)
	u.end = func() {}
	h := &heldTemp{room: -1, content: make([]byte, len(text)), written: make([]bool, len(text))}
	u.t, u.out = h, h
	return u, h
}

// In whatever order chunks come, and whichever of them are wrong: those that are right are
// written and noted, and no others, and what the file is in the end is known by its hash.
func TestIntake(t *testing.T) {
	t.Parallel()
	text := noise(21, 1<<20) + strings.Repeat("\x00", 2*chunk.Longest+3) + noise(22, 2<<20)
	rapid.Check(t, func(t *rapid.T) {
		u, h := taking(text)
		n := u.m.Len()
		want := make([]bool, n)
		in := u.intake()
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			first := rapid.IntRange(0, n-1).Draw(t, "first")
			end := rapid.IntRange(first, n).Draw(t, "end")
			wrong := rapid.IntRange(first, 2*n).Draw(t, "wrong")
			for i := first; i < end; i++ {
				c := u.m.Chunk(i)
				b := []byte(text[c.Offset:][:c.Length])
				if i == wrong {
					b[len(b)-1] ^= 1
				}
				ok, err := in.take(i, bytes.NewReader(b))
				if err != nil || ok != (i != wrong) {
					t.Fatalf("chunk %d, wrong %d: %t, %v", i, wrong, ok, err)
				}
				want[i] = want[i] || ok
			}
			if err := in.flush(); err != nil {
				t.Fatal(err)
			}
		}
		var fresh int64
		for i, w := range want {
			c := u.m.Chunk(i)
			is := string(h.content[c.Offset:][:c.Length]) == text[c.Offset:][:c.Length]
			if u.have[i] != w || w && !is || h.written[c.Offset] != w {
				t.Fatalf("chunk %d came %t, noted %t, is there %t", i, w, u.have[i], is)
			}
			if w {
				fresh += int64(c.Length)
			}
		}
		if in.fresh != fresh {
			t.Fatalf("%d bytes were missing, %d are counted", fresh, in.fresh)
		}
		// The rest has come otherwise.
		copy(h.content, text)
		m, err := u.verify(t.Context())
		if err != nil || m == nil || !bytes.Equal(packed(m), packed(u.m)) {
			t.Fatalf("the file is the content, and yet: %v, %v", m, err)
		}
	})
}

func packed(m *chunk.Manifest) []byte {
	b, _ := m.AppendBinary(nil) // the error is always nil
	return b
}

// What is in the file is hashed, also where nothing of it went by as a whole.
func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	text := noise(23, 5<<20)
	u, h := taking(text)
	in := u.intake()
	for i := range u.m.Len() {
		if i%11 == 5 {
			continue
		}
		c := u.m.Chunk(i)
		if _, err := in.take(i, strings.NewReader(text[c.Offset:][:c.Length])); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := u.verify(t.Context()); !errors.Is(err, errManifest) {
		t.Fatalf("there are holes, and yet: %v", err)
	}
	for i := range u.pieces {
		u.pieces[i] = chunk.Hash{}
	}
	copy(h.content, text)
	if _, err := u.verify(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A disk that is full is told, and only what is in the file counts as written.
func TestIntakeFull(t *testing.T) {
	t.Parallel()
	text := noise(24, 1<<20)
	for room := range len(text) / writeBytes {
		u, h := taking(text)
		h.room, h.full = room, errors.New("no space left")
		in := u.intake()
		var err error
		for i := 0; i < u.m.Len() && err == nil; i++ {
			_, err = in.take(i, strings.NewReader(text[u.m.Chunk(i).Offset:]))
		}
		if err == nil {
			err = in.flush()
		}
		if !errors.Is(err, errHere) || !errors.Is(err, h.full) {
			t.Fatalf("the disk is full after %d writes: %v", room, err)
		}
		for i, have := range u.have {
			c := u.m.Chunk(i)
			if is := !slices.Contains(h.written[c.Offset:][:c.Length], false); have && !is {
				t.Fatalf("after %d writes chunk %d is not whole in the file", room, i)
			}
		}
	}
}

// Few writes, at borders of pages, are enough for a content that comes in turn.
func TestIntakeWrites(t *testing.T) {
	t.Parallel()
	text := noise(25, 8<<20)
	u, h := taking(text)
	in := u.intake()
	for i := range u.m.Len() {
		if _, err := in.take(i, strings.NewReader(text[u.m.Chunk(i).Offset:])); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.flush(); err != nil {
		t.Fatal(err)
	}
	if want := len(text) / writeBytes; h.writes != want {
		t.Errorf("%d writes, want %d", h.writes, want)
	}
	for i, p := range u.pieces {
		if p == (chunk.Hash{}) {
			t.Errorf("piece %d was not hashed when it went by", i)
		}
	}
}
