package member

import (
	"slices"
	"strings"
	"testing"
)

func TestWordList(t *testing.T) {
	if len(words) != 1024 || !slices.IsSorted(words) || wordList != strings.Join(words, "\n")+"\n" {
		t.Fatalf("%d words, sorted: %v", len(words), slices.IsSorted(words))
	}
	for i, w := range words {
		if len(w) < 4 || len(w) > 7 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q is no word of 4 to 7 letters", w)
		}
		// In a sorted list whatever begins with w follows w.
		if i+1 < len(words) && strings.HasPrefix(words[i+1], w) {
			t.Errorf("%q begins %q", w, words[i+1])
		}
	}
}

func TestWords(t *testing.T) {
	a, b := Words([32]byte{1}), Words([32]byte{2})
	if a == b || a != Words([32]byte{1}) {
		t.Errorf("%v and %v", a, b)
	}
	seen := map[string]bool{}
	for i := range 20000 {
		for _, w := range Words([32]byte{byte(i), byte(i >> 8)}) {
			seen[w] = true
		}
	}
	if len(seen) != len(words) {
		t.Errorf("only %d words are ever used", len(seen))
	}
}
