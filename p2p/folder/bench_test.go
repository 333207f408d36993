package folder

import (
	"fmt"
	"testing"
)

// The numbers are for 20,000 files of 1 KiB in 200 directories: with nothing
// known, and with nothing changed.
func BenchmarkScan(b *testing.B) {
	dir := newTree(b)
	text := fmt.Sprintf("%01024d", 1)
	for d := range 200 {
		lines := make([]string, 100)
		for f := range lines {
			lines[f] = fmt.Sprintf("%03d/%03d.txt=%s", d, f, text)
		}
		build(b, dir, lines...)
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			bench := newBench(b, Options{Sink: discard{}}).start()
			f := bench.add(dir)
			if f.Files != 20_000 {
				b.Fatalf("%+v", f)
			}
			if err := bench.Remove(b.Context(), f.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		bench := newBench(b, Options{Sink: discard{}}).start()
		id := bench.add(dir).ID
		bench.rescan(id) // of files that were made just before
		for b.Loop() {
			bench.rescan(id)
		}
		if err := bench.Remove(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	})
}

// A look at one file, three directories deep.
func BenchmarkObserve(b *testing.B) {
	bench := newBench(b, Options{}).start()
	id := bench.add(newTree(b, "a/b/c/file=1")).ID
	for b.Loop() {
		if _, state, err := bench.Observe(b.Context(), id, "a/b/c/file"); err != nil || state != ObservedKnown {
			b.Fatal(state, err)
		}
	}
}
