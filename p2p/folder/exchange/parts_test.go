package exchange

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// What is told of chunks is what comes of it, in as many messages as it takes.
func TestNews(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4*newsRuns).Draw(t, "chunks")
		every := rapid.IntRange(1, 5).Draw(t, "every")
		var chunks []int32
		for i := range n {
			if i%every != every-1 || every == 1 {
				chunks = append(chunks, int32(i))
			}
		}
		if len(chunks) == 0 {
			chunks = []int32{int32(n - 1)}
		}
		var got []int32
		for _, news := range newsOf(chunks) {
			runs, err := news.parse(n)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				for i := range r.N {
					got = append(got, int32(r.First+i))
				}
			}
		}
		if !slices.Equal(got, chunks) {
			t.Fatalf("%v came of %v", got, chunks)
		}
	})
	if len(newsOf(nil)) > 0 {
		t.Error("there is news of nothing")
	}
}

// Whatever a member sends is within the content, or nothing.
func FuzzNews(f *testing.F) {
	f.Add([]byte{0, 0}, 1)
	f.Add([]byte{1, 2, 3, 4}, 100)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, 1<<22)
	f.Fuzz(func(t *testing.T, b []byte, chunks int) {
		chunks = max(1, chunks%(chunk.MaxChunks+1))
		runs, err := partsNews{Runs: b}.parse(chunks)
		if err != nil {
			return
		}
		end := 0
		for _, r := range runs {
			if r.First < end || r.N < 1 || r.First+r.N > chunks {
				t.Fatalf("%v of %d chunks", runs, chunks)
			}
			end = r.First + r.N
		}
		if end == 0 || len(runs) > newsRuns {
			t.Fatalf("%d runs", len(runs))
		}
	})
}

// Two who bring a content by other chunks know that.
func TestSumOf(t *testing.T) {
	t.Parallel()
	u, _ := taking(noise(54, 1<<20))
	v, _ := taking(noise(54, 1<<20))
	other, _ := taking(noise(55, 1<<20))
	if sumOf(u.m) != sumOf(v.m) || sumOf(u.m) != sumOf(u.m.WithoutPieces()) {
		t.Error("the same chunks have different sums")
	}
	if sumOf(u.m) == sumOf(other.m) {
		t.Error("other chunks have the same sum")
	}
}

// What has come and waits to be put where it belongs is given as a whole; what only looks like it is not.
func TestFindLanded(t *testing.T) {
	t.Parallel()
	f := idle(1, 2<<20)
	f.r.fetch = f
	x := f.large[0]
	h := x.want.Hash
	dir := t.TempDir()
	fsys := openRoot(t, dir)
	there := func() bool {
		in, st, err := f.r.findLanded(fsys, h)
		if err != nil {
			return false
		}
		return in.Close() == nil && st.Size == x.want.Size
	}
	path := filepath.Join(dir, replica.ArrivalName(h))
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if there() {
		t.Error("what is being copied is given")
	}
	f.finish(x, nil)
	if !there() {
		t.Error("what has come is not given")
	}
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	if there() {
		t.Error("another file is given")
	}
}
