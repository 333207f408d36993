package swarm

import (
	"bufio"
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// TestAppendNew: whatever comes in whatever order is told once.
func TestAppendNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfDistinct(rapid.Int32Range(0, 100), rapid.ID[int32]).Draw(t, "pieces")
		in := bufio.NewReader(bytes.NewReader(appendNew(nil, pieces)))
		told := picker.NewBitmap(101)
		for {
			kind, err := in.ReadByte()
			if err != nil {
				break
			}
			first, err1 := readNumber(in, 101)
			count, err2 := readNumber(in, 102)
			if kind != msgHave || err1 != nil || err2 != nil || count == 0 {
				t.Fatalf("%d %d %d %v %v", kind, first, count, err1, err2)
			}
			for i := first; i < first+count; i++ {
				if told.Has(i) {
					t.Fatalf("piece %d is told twice", i)
				}
				told.Set(i)
			}
		}
		if told.Count() != len(pieces) {
			t.Fatalf("%d of %d pieces were told", told.Count(), len(pieces))
		}
		for _, i := range pieces {
			if !told.Has(int(i)) {
				t.Fatalf("piece %d is not told", i)
			}
		}
	})
}

// TestTellLittle: what is told of a piece that has come to a file of four million costs no copy of what is there.
func TestTellLittle(t *testing.T) {
	c := newPartial(seed.Seed{}, nil, picker.NewBitmap(1<<22))
	c.came = []int32{7, 3, 50, 4}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		fresh, _, _ := c.since(2)
		appendNew(nil, fresh)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 100; n > 64<<10 {
		t.Errorf("%d bytes for two pieces; a copy has %d", n, 1<<22/8)
	}
}

// BenchmarkTell measures what it costs to tell one taker of four pieces that have come.
func BenchmarkTell(b *testing.B) {
	for _, pieces := range []int{1 << 10, 1 << 17, 1 << 22} {
		b.Run(fmt.Sprint(pieces), func(b *testing.B) {
			c := newPartial(seed.Seed{}, nil, picker.NewBitmap(pieces))
			c.came = []int32{7, 3, 50, 4}
			buf := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				fresh, _, _ := c.since(0)
				buf = appendNew(buf[:0], fresh)
			}
		})
	}
}
