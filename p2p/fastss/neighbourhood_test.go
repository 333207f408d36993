package fastss

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestNeighbourhoodOfTest is the example of the P2PFastSS lecture.
func TestNeighbourhoodOfTest(t *testing.T) {
	want := []Neighbour{
		{"test", []int{}},
		{"est", []int{0}},
		{"tst", []int{1}},
		{"tet", []int{2}},
		{"tes", []int{3}},
		{"st", []int{0, 0}},
		{"et", []int{0, 1}},
		{"es", []int{0, 2}},
		{"tt", []int{1, 1}},
		{"ts", []int{1, 2}},
		{"te", []int{2, 2}},
	}
	if diff := cmp.Diff(want, Neighbourhood("test", 2)); diff != "" {
		t.Error(diff)
	}
	if got := Residuals("aab", 1); !slices.Equal(got, []string{"aab", "ab", "aa"}) {
		t.Errorf("residuals of aab: %q", got)
	}
	if got := Residuals("日本", 3); !slices.Equal(got, []string{"日本", "本", "日", ""}) {
		t.Errorf("residuals of 日本: %q", got)
	}
}

func TestMeetings(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want Meeting
	}{
		// The t at the front goes, and the a comes in behind the e.
		{"test", "east", Meeting{A: Neighbour{"est", []int{0}}, B: Neighbour{"est", []int{1}}, Distance: 2}},
		// Both deleted a letter in the same gap: a substitution.
		{"tesx", "test", Meeting{A: Neighbour{"tes", []int{3}}, B: Neighbour{"tes", []int{3}}, Distance: 1}},
		{"test", "test", Meeting{A: Neighbour{"test", []int{}}, B: Neighbour{"test", []int{}}}},
	} {
		got, ok := Meet(tt.a, tt.b, 2)
		if diff := cmp.Diff(tt.want, got); diff != "" || !ok {
			t.Errorf("%s and %s: %v\n%s", tt.a, tt.b, ok, diff)
		}
	}
	if m, ok := Meet("abc", "xyz", 2); ok {
		t.Errorf("abc and xyz meet at %v", m)
	}
}

// TestMeetingsAreTheDistance: what FastSS finds without a matrix is what the matrix says.
func TestMeetingsAreTheDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SliceOfN(rapid.SampledFrom([]rune("abж")), 0, 8)
		a := string(letters.Draw(t, "a"))
		b := string(letters.Draw(t, "b"))
		k := rapid.IntRange(0, 3).Draw(t, "k")
		m, ok := Meet(a, b, k)
		want := Levenshtein.Within(a, b, k)
		if ok != (want <= k) || m.Distance != want {
			t.Fatalf("%q and %q meet at %v, distance %d", a, b, m, want)
		}
	})
}

func TestNeighbourhoodIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := []rune(words(t, "word"))
		word = word[:min(len(word), 9)]
		k := rapid.IntRange(0, 3).Draw(t, "k")
		all := Neighbourhood(string(word), k)
		want, choose := 0, 1
		for i := range k + 1 {
			want += choose
			choose = choose * (len(word) - i) / (i + 1)
		}
		if len(all) != want {
			t.Fatalf("%d neighbours, want %d", len(all), want)
		}
		seen := make(map[string]bool)
		for _, n := range all {
			if key := fmt.Sprint(n); seen[key] && !repeats(word) {
				t.Fatalf("%v twice", n)
			} else {
				seen[key] = true
			}
			rest := []rune(n.Residual)
			if len(rest)+len(n.Gaps) != len(word) || !slices.IsSorted(n.Gaps) {
				t.Fatalf("%v of %q", n, string(word))
			}
		}
	})
}

func repeats(word []rune) bool {
	for i, r := range word {
		if slices.Contains(word[i+1:], r) {
			return true
		}
	}
	return false
}

func ExampleNeighbourhood() {
	for _, n := range Neighbourhood("test", 2) {
		fmt.Println(n.Residual, n.Gaps)
	}
	// Output:
	// test []
	// est [0]
	// tst [1]
	// tet [2]
	// tes [3]
	// st [0 0]
	// et [0 1]
	// es [0 2]
	// tt [1 1]
	// ts [1 2]
	// te [2 2]
}

func ExampleMeet() {
	m, _ := Meet("test", "east", 2)
	fmt.Println(m.A, m.B, m.Distance)
	// Output: {est [0]} {est [1]} 2
}
