package fastss

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestKnownDistances(t *testing.T) {
	for _, tt := range []struct {
		a, b             string
		osa, levenshtein int
	}{
		{"", "", 0, 0},
		{"", "abc", 3, 3},
		{"test", "test", 0, 0},
		{"test", "east", 2, 2}, // the example of the P2PFastSS lecture
		{"tesx", "test", 1, 1},
		{"netwrk", "network", 1, 1},
		{"teh", "the", 1, 2},
		{"ca", "abc", 3, 3}, // no letter is edited twice: unrestricted Damerau would be 2
		{"kitten", "sitting", 3, 3},
		{"recieve", "receive", 1, 2},
		{"zürich", "zurich", 1, 1}, // letters, not bytes
		{"東京都", "京東都", 1, 2},
		{"привет", "превет", 1, 1},
	} {
		if got := OSA.Distance(tt.a, tt.b); got != tt.osa {
			t.Errorf("OSA(%s, %s) = %d, want %d", tt.a, tt.b, got, tt.osa)
		}
		if got := Levenshtein.Distance(tt.a, tt.b); got != tt.levenshtein {
			t.Errorf("Levenshtein(%s, %s) = %d, want %d", tt.a, tt.b, got, tt.levenshtein)
		}
	}
}

func TestMatrixOfTestAndEast(t *testing.T) {
	want := [][]int{ //  e  a  s  t
		{0, 1, 2, 3, 4},
		{1, 1, 2, 3, 3}, // t
		{2, 1, 2, 3, 4}, // e
		{3, 2, 2, 2, 3}, // s
		{4, 3, 3, 3, 2}, // t
	}
	if diff := cmp.Diff(want, Levenshtein.Matrix("test", "east")); diff != "" {
		t.Error(diff)
	}
}

// words draws words of few letters, so that some are near to each other, some
// of them beyond ASCII and some longer than a machine word.
func words(t *rapid.T, label string) string {
	letter := rapid.SampledFrom([]rune("aabbcdeäж京z9"))
	length := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(60, 70)).Draw(t, label+" length")
	return string(rapid.SliceOfN(letter, length, length).Draw(t, label))
}

func TestDistanceIsThatOfTheMatrix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := words(t, "a"), words(t, "b")
		if rapid.Bool().Draw(t, "related") {
			b = mutate(a, rapid.Uint64().Draw(t, "seed"))
		}
		k := rapid.IntRange(0, 5).Draw(t, "k")
		for _, m := range []Metric{OSA, Levenshtein} {
			matrix := m.Matrix(a, b)
			last := matrix[len(matrix)-1]
			want := last[len(last)-1]
			if got := m.Distance(a, b); got != want {
				t.Fatalf("distance %d, matrix %d", got, want)
			}
			if got := m.Within(a, b, k); got != min(want, k+1) {
				t.Fatalf("within %d: %d, matrix %d", k, got, want)
			}
			if got := m.Compile(a).PrefixDistance(b, k); got != min(slices.Min(last), k+1) {
				t.Fatalf("prefix within %d: %d, matrix %v", k, got, last)
			}
		}
	})
}

// mutate makes up to four edits.
func mutate(s string, seed uint64) string {
	rng := rand.New(rand.NewPCG(seed, 0))
	r := []rune(s)
	for range rng.IntN(5) {
		at := rng.IntN(len(r) + 1)
		switch rng.IntN(4) {
		case 0:
			r = slices.Insert(r, at, 'b')
		case 1:
			r = slices.Delete(r, min(at, max(len(r)-1, 0)), min(at+1, len(r)))
		case 2:
			if at < len(r) {
				r[at] = 'ж'
			}
		case 3:
			if at+1 < len(r) {
				r[at], r[at+1] = r[at+1], r[at]
			}
		}
	}
	return string(r)
}

// TestVocabularyAgainstAList changes a vocabulary and a plain map alike and
// compares what they find.
func TestVocabularyAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v Vocabulary
		counts := make(map[string]int)
		numbers := make(map[string]uint32)
		for i := range rapid.IntRange(0, 80).Draw(t, "changes") {
			w := words(t, fmt.Sprint("word ", i))
			n := rapid.IntRange(1, 3).Draw(t, "n")
			if rapid.IntRange(0, 2).Draw(t, "kind") > 0 {
				number := v.Add([]byte(w), n)
				if old, ok := numbers[w]; ok && old != number {
					t.Fatalf("number of %q changed from %d to %d", w, old, number)
				}
				counts[w] += n
				numbers[w] = number
				continue
			}
			if _, gone := v.Remove([]byte(w), n); gone != (counts[w] > 0 && counts[w] <= n) {
				t.Fatalf("remove %q: gone %v with count %d", w, gone, counts[w])
			}
			if counts[w] -= n; counts[w] <= 0 {
				delete(counts, w)
				delete(numbers, w)
			}
		}
		q, k := words(t, "query"), rapid.IntRange(0, 3).Draw(t, "k")
		var within, prefix, all []Match
		for w, count := range counts {
			matrix := OSA.Matrix(q, w)
			last := matrix[len(matrix)-1]
			m := Match{Word: w, Number: numbers[w], Count: count}
			all = append(all, m)
			if m.Distance = last[len(last)-1]; m.Distance <= k {
				within = append(within, m)
			}
			if m.Distance, m.Prefix = slices.Min(last), true; m.Distance <= k {
				prefix = append(prefix, m)
			}
		}
		slices.SortFunc(within, compareMatches)
		slices.SortFunc(prefix, compareMatches)
		slices.SortFunc(all, compareMatches)
		if diff := cmp.Diff(within, v.Within(q, k)); diff != "" {
			t.Fatalf("within %d of %q (-want +got):\n%s", k, q, diff)
		}
		if diff := cmp.Diff(prefix, v.PrefixWithin(q, k)); diff != "" {
			t.Fatalf("prefix within %d of %q (-want +got):\n%s", k, q, diff)
		}
		if diff := cmp.Diff(all, slices.Collect(v.All())); diff != "" {
			t.Fatalf("all (-want +got):\n%s", diff)
		}
	})
}

func TestManyWordsStayInOrder(t *testing.T) {
	var v Vocabulary
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		v.Add(fmt.Appendf(nil, "%x", rng.Uint32()), 1)
	}
	for i, m := range slices.Collect(v.All()) {
		if i%3 != 0 {
			v.Remove([]byte(m.Word), 1)
		}
	}
	before := ""
	for m := range v.Prefix("a") {
		if m.Word <= before || !strings.HasPrefix(m.Word, "a") {
			t.Fatalf("%q after %q", m.Word, before)
		}
		before = m.Word
	}
	if before == "" {
		t.Error("no word with the prefix")
	}
}

func FuzzDistance(f *testing.F) {
	f.Add("test", "east", 2)
	f.Add("\xff\xfe", "�", 1)
	f.Add(strings.Repeat("ab", 40), strings.Repeat("ba", 40), 3)
	f.Fuzz(func(t *testing.T, a, b string, k int) {
		if utf8.RuneCountInString(a) > 200 || utf8.RuneCountInString(b) > 200 || k < 0 || k > 10 {
			t.Skip("too large for the matrix")
		}
		matrix := OSA.Matrix(a, b)
		want := matrix[len(matrix)-1][len(matrix[0])-1]
		if got := OSA.Within(a, b, k); got != min(want, k+1) {
			t.Errorf("within %d: %d, want %d", k, got, want)
		}
	})
}

func ExampleVocabulary() {
	var v Vocabulary
	for _, w := range []string{"network", "networks", "the", "test", "tests", "east"} {
		v.Add([]byte(w), 1)
	}
	for _, m := range v.Within("netwrk", 2) {
		fmt.Println(m.Word, m.Distance)
	}
	for _, m := range v.Within("tesx", 1) {
		fmt.Println(m.Word, m.Distance)
	}
	// Output:
	// network 1
	// networks 2
	// test 1
}

func ExampleMetric_Matrix() {
	for _, row := range OSA.Matrix("test", "east") {
		fmt.Println(row)
	}
	// Output:
	// [0 1 2 3 4]
	// [1 1 2 3 3]
	// [2 1 2 3 4]
	// [3 2 2 2 3]
	// [4 3 3 3 2]
}

// lexicon returns n different words that look like language.
func lexicon(n int) []string {
	rng := rand.New(rand.NewPCG(7, 7))
	syllables := strings.Fields("an ber con de er for ge ha in ja kon li mo ner o pre qui re sta ter un ver wi xe ying zo al bri ca dro est fli gra hu")
	seen := make(map[string]bool)
	list := make([]string, 0, n)
	for len(list) < n {
		var b strings.Builder
		for range 1 + rng.IntN(4) {
			b.WriteString(syllables[rng.IntN(len(syllables))])
		}
		if w := b.String(); !seen[w] {
			seen[w] = true
			list = append(list, w)
		}
	}
	return list
}

func BenchmarkVocabulary(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		list := lexicon(n)
		var v Vocabulary
		for _, w := range list {
			v.Add([]byte(w), 1)
		}
		for k := 1; k <= 3; k++ {
			b.Run(fmt.Sprintf("words=%d/k=%d", n, k), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					v.Within(mutate(list[i*7919%n], uint64(i)), k)
				}
			})
		}
		b.Run(fmt.Sprintf("words=%d/prefix", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				w := list[i*7919%n]
				v.PrefixWithin(w[:min(len(w), 5)], 1)
			}
		})
		b.Run(fmt.Sprintf("words=%d/build", n), func(b *testing.B) {
			for b.Loop() {
				var v Vocabulary
				for _, w := range list {
					v.Add([]byte(w), 1)
				}
			}
		})
	}
}
