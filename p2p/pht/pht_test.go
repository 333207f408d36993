package pht_test

import (
	"math"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// TestCommon: the prefixes that all keys of a range share.
func TestCommon(t *testing.T) {
	for _, c := range []struct {
		bits     int
		from, to uint64
		want     int
	}{
		{64, 0, math.MaxUint64, 0},
		{64, 1 << 63, math.MaxUint64, 1},
		{64, 7, 7, 64},
		{64, 6, 7, 63},
		{3, 0, 7, 0},
		{3, 4, 5, 2},
		{3, 5, 5, 3},
	} {
		tree := pht.Tree{KeyBits: c.bits}
		if got := tree.Common(c.from, c.to); got != c.want {
			t.Errorf("%+v: %d bits", c, got)
		}
		start := tree.Start(c.from, c.to)
		if len(start) != c.want+1 || start[0] != (ranges.Segment{}) || !start[c.want].Meets(c.bits, c.from, c.from) || !start[c.want].Meets(c.bits, c.to, c.to) {
			t.Errorf("%+v: begins with %v", c, start)
		}
	}
	// Paths of neighbours part only at the end.
	a, b := pht.Tree{KeyBits: 64}.Path(8), pht.Tree{KeyBits: 64}.Path(9)
	if len(a) != 65 || a[63] != b[63] || a[64] == b[64] {
		t.Errorf("%v, %v", a[60:], b[60:])
	}
	if below := (pht.Tree{KeyBits: 3}).Below(ranges.Segment{Depth: 3}); below != nil {
		t.Errorf("a single key has halves: %v", below)
	}
}
