package fastss

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestScanWhileWordsChange adds and removes words in every pause; those that stay
// must be found, whatever moves around them.
func TestScanWhileWordsChange(t *testing.T) {
	for _, tt := range []struct {
		k      int
		prefix bool
	}{{2, false}, {1, true}, {0, true}} {
		var v Vocabulary
		rng := rand.New(rand.NewPCG(3, 4))
		staying := make(map[string]bool)
		var passing []string
		for i := range 6 * pieceSize {
			w := fmt.Sprintf("word%c%c%c%c", 'a'+i/1000, '0'+i/100%10, '0'+i/10%10, '0'+i%10)
			v.Add([]byte(w), 1)
			if i%2 == 0 {
				passing = append(passing, w)
			} else {
				staying[w] = true
			}
		}
		pauses := 0
		found := v.Scan("wordm500", tt.k, tt.prefix, func(steps int) bool {
			pauses++
			if steps <= 0 {
				t.Errorf("a piece of %d steps", steps)
			}
			for range 500 {
				i := rng.IntN(len(passing))
				v.Remove([]byte(passing[i]), 1)
				passing[i] = fmt.Sprintf("word%04x", rng.IntN(1<<16))
				v.Add([]byte(passing[i]), 1)
			}
			return true
		})
		got := make(map[string]bool)
		for _, m := range found {
			got[m.Word] = true
			if now, ok := v.Find(m.Word); v.Holds(m) != (ok && now.Number == m.Number) {
				t.Errorf("%q: holds its number: %v", m.Word, v.Holds(m))
			}
		}
		for w := range staying {
			want := OSA.Distance("wordm500", w) <= tt.k
			if tt.prefix {
				want = OSA.Compile("wordm500").PrefixDistance(w, tt.k) <= tt.k
			}
			if want != got[w] {
				t.Errorf("k %d, prefix %v: %q found: %v", tt.k, tt.prefix, w, got[w])
			}
		}
		if tt.k > 0 && pauses < 3 {
			t.Errorf("%d pauses", pauses)
		}
	}
}

// TestWordsChangeBetweenComparisons lets go of the vocabulary between what the index has
// found and its comparison.
func TestWordsChangeBetweenComparisons(t *testing.T) {
	list := lexicon(3 * pieceSize)
	v := indexed(list...)
	near := make([]uint32, len(list))
	for i := range near {
		near[i] = uint32(i)
	}
	q := list[len(list)-1]
	var f Finder
	f.begin(q)
	pauses := 0
	f.compareAll(v, near, 2, 1, func(steps int) bool {
		if pauses++; steps <= 0 || steps > 100_000 {
			t.Errorf("a piece of %d steps", steps)
		}
		for i := range list {
			if i%2 == 0 && pauses == 1 {
				v.Remove([]byte(list[i]), 1)
			}
		}
		if pauses == 1 {
			for i := range len(list) / 4 {
				v.Add(fmt.Appendf(nil, "%s%d", q[:len(q)-1], i), 1)
			}
		}
		return true
	})
	if pauses != 3 {
		t.Errorf("%d pauses", pauses)
	}
	got := make(map[string]bool)
	for _, m := range f.found {
		got[m.Word] = true
		if m.Word == "" || Distance(q, m.Word) != m.Distance {
			t.Errorf("%q at distance %d", m.Word, m.Distance)
		}
	}
	for i, w := range list {
		if i%2 == 1 && got[w] != (Distance(q, w) <= 2) {
			t.Errorf("%q found: %v", w, got[w])
		}
	}
}

func TestScanEndsEarly(t *testing.T) {
	var v Vocabulary
	for i := range 5 * pieceSize {
		v.Add(fmt.Appendf(nil, "word%05d", i), 1)
	}
	for _, prefix := range []bool{false, true} {
		for k := range 3 {
			pauses := 0
			v.Scan("word", k+5, prefix, func(int) bool { pauses++; return pauses < 2 })
			if pauses != 2 {
				t.Errorf("prefix %v: %d pauses after the end", prefix, pauses)
			}
		}
	}
	if found := v.Scan("word", 0, true, always); len(found) != 5*pieceSize || found[pieceSize].Word != "word04096" {
		t.Errorf("%d words in pieces", len(found))
	}
}
