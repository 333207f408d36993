package picker

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRuns: the runs of a set are those that one finds by looking at each piece.
func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "pieces")
		b := NewBitmap(n)
		for range rapid.IntRange(0, 6).Draw(t, "ranges") {
			first := rapid.IntRange(0, 300).Draw(t, "first")
			b.SetRange(first, first+rapid.SampledFrom([]int{0, 1, 62, 63, 64, 65, 130}).Draw(t, "more"))
		}
		next := 0
		for first, count := range b.Runs() {
			for i := next; i < first; i++ {
				if b.Has(i) {
					t.Fatalf("piece %d is in no run", i)
				}
			}
			for i := first; i < first+count; i++ {
				if !b.Has(i) {
					t.Fatalf("piece %d is in a run, and not in the set", i)
				}
			}
			if next = first + count; count < 1 || b.Has(next) {
				t.Fatalf("a run of %d pieces from %d on", count, first)
			}
		}
		for i := next; i < n; i++ {
			if b.Has(i) {
				t.Fatalf("piece %d is in no run", i)
			}
		}
	})
}
