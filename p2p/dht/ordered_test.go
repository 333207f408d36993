package dht

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type number int

func (n number) Compare(o number) int { return cmp.Compare(n, o) }

// TestOrderedLikeMap has enough keys for several chunks, which are split and joined.
func TestOrderedLikeMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o ordered[number, int]
		m := map[number]int{}
		check := func(from number) {
			keys := slices.Sorted(maps.Keys(m))
			at, _ := slices.BinarySearch(keys, from)
			var up, down []number
			for k, v := range o.from(from) {
				if up = append(up, k); v != m[k] {
					t.Fatalf("%d has %d, want %d", k, v, m[k])
				}
			}
			for k := range o.upTo(from - 1) {
				down = append(down, k)
			}
			slices.Reverse(down)
			if !slices.Equal(up, keys[at:]) || !slices.Equal(down, keys[:at]) || o.n != len(m) {
				t.Fatalf("from %d: %v and %v (%d), want %v", from, down, up, o.n, keys)
			}
			for _, c := range o.chunks {
				if len(c) == 0 || len(c) > maxChunk {
					t.Fatalf("a chunk of %d", len(c))
				}
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			start, n, step := rapid.IntRange(0, 1000).Draw(t, "start"), rapid.IntRange(1, 500).Draw(t, "n"), rapid.IntRange(-5, 5).Draw(t, "step")
			remove := rapid.Bool().Draw(t, "remove")
			for i := range n {
				k := number(start + i*step)
				if remove {
					o.delete(k)
					delete(m, k)
				} else {
					o.put(k, i)
					m[k] = i
				}
				_, there := m[k]
				if v, found := o.get(k); found != there || v != m[k] {
					t.Fatalf("%d: %d, %v", k, v, found)
				}
			}
			check(number(start))
		}
		for k := range m {
			o.delete(k)
		}
		if o.chunks != nil || o.n != 0 {
			t.Fatalf("%d chunks when it is empty", len(o.chunks))
		}
	})
}
