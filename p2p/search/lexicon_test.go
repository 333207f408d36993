package search

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestLexicon numbers words whose beginnings are the same.
func TestLexicon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l lexicon
		numbers := make(map[string]uint32)
		word := rapid.StringMatching(`a{0,7}[ab]{1,4}b{0,3}|é{1,5}a{0,2}`)
		for range rapid.IntRange(0, 200).Draw(t, "words") {
			w := word.Draw(t, "word")
			want, known := numbers[w]
			if !known {
				want = uint32(len(numbers))
				numbers[w] = want
			}
			if got := l.number([]byte(w)); got != want || l.words[got] != w {
				t.Fatalf("%q has number %d, want %d", w, got, want)
			}
		}
	})
	var l lexicon
	for range 2 {
		for i := range 3 * firstLexicon {
			if got := l.number(fmt.Append(nil, "word", i)); int(got) != i {
				t.Fatalf("word %d has number %d", i, got)
			}
		}
	}
}
