package chunk

import (
	"bytes"
	"slices"
	"testing"
)

func sketchOf(t *testing.T, b []byte) []Hash {
	t.Helper()
	m, err := Scan(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return m.Sketch()
}

func shared(a, b []Hash) (n int) {
	for _, h := range a {
		if slices.Contains(b, h) {
			n++
		}
	}
	return n
}

// Files with much in common have chunks of their sketches in common, whatever else is in
// them, and others have none.
func TestSketch(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("one goroutine that hashes much")
	}
	missed := 0
	for seed := range byte(40) {
		size := 300<<10 + int(seed)*100<<10
		a, b := noise(seed, size), noise(seed+100, size)
		s := sketchOf(t, a)
		if n := size/Average/sketchOneIn*4 + 2*sketchLeast; len(s) > n || len(s) == 0 {
			t.Errorf("%d bytes have a sketch of %d chunks", size, len(s))
		}
		if n := shared(s, sketchOf(t, b)); n > 0 {
			t.Errorf("unrelated files share %d chunks", n)
		}
		if shared(s, sketchOf(t, slices.Concat(a[:size/3], []byte("an edit"), a[size/3:]))) == 0 {
			t.Errorf("an edited file of %d bytes is not found", size)
		}
		if shared(s, sketchOf(t, slices.Concat(b[:size/2], a[size/2:]))) == 0 {
			missed++
		}
	}
	if missed > 4 {
		t.Errorf("%d of 40 files are not found by their halves", missed)
	}
	if s := sketchOf(t, make([]byte, 20<<20+1)); len(s) != 2 {
		t.Errorf("zeros have %d different chunks, the last among them", len(s))
	}
	if s := (&Manifest{}).Sketch(); len(s) != 0 {
		t.Errorf("nothing has %d chunks", len(s))
	}
}
