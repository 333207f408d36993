package search

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPostings: what was added is there again, also after other numbers were given.
func TestPostings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type posting struct {
			slot, code uint32
			places     []uint32
		}
		number := rapid.OneOf(rapid.Uint32Range(0, 3), rapid.Uint32Range(60, 66), rapid.Uint32Range(190, 194), rapid.Uint32Range(farPlace-2, farPlace+2), rapid.Uint32Range(0, 1<<20))
		var l list
		var want []posting
		slot := uint32(0)
		for range rapid.IntRange(0, 20).Draw(t, "postings") {
			p := posting{slot: slot + number.Draw(t, "skip"), code: rapid.Uint32Range(0, inText-1).Draw(t, "elsewhere")}
			var packed []byte
			at := uint32(0)
			for range rapid.IntRange(0, 6).Draw(t, "often") {
				skip := number.Draw(t, "place")
				packed = appendPlace(packed, skip)
				p.places = append(p.places, at+skip)
				at += skip + 1
				p.code += inText
			}
			if p.code == 0 {
				p.code = inName
			}
			l.add(p.slot, p.code, packed)
			want = append(want, p)
			slot = p.slot + 1
		}
		to := make(map[uint32]bool)
		check := func(l *list, want []posting) {
			t.Helper()
			c := l.walk()
			for _, w := range want {
				if !c.advance() || c.slot != w.slot || c.code != w.code {
					t.Fatalf("slot %d, code %d, want %+v", c.slot, c.code, w)
				}
				var got []uint32
				for p := (places{rest: c.places}); ; {
					at, ok := p.advance()
					if !ok {
						break
					}
					got = append(got, at)
				}
				if !slices.Equal(got, w.places) {
					t.Fatalf("places %v, want %v", got, w.places)
				}
			}
			if c.advance() {
				t.Fatalf("one more: %+v", c)
			}
		}
		check(&l, want)
		l.trim()
		check(&l, want)
		if slot > 1<<16 {
			return
		}
		numbers := make([]uint32, slot)
		var kept []posting
		next := uint32(0)
		for _, p := range want {
			to[p.slot] = rapid.Bool().Draw(t, "gone")
		}
		for i := range numbers {
			if numbers[i] = next; to[uint32(i)] {
				numbers[i] = math.MaxUint32
				continue
			}
			next++
		}
		for _, p := range want {
			if !to[p.slot] {
				p.slot = numbers[p.slot]
				kept = append(kept, p)
			}
		}
		fresh := l.renumber(numbers, math.MaxUint32)
		check(&fresh, kept)
	})
}
