package fastss

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSlips(t *testing.T) {
	for _, tt := range []struct {
		typed, meant string
		want         []Slip
	}{
		{"test", "test", nil},
		{"tets", "test", []Slip{Transposed, LastLetter}},
		{"recieve", "receive", []Slip{TransposedVowels}},
		{"seperate", "separate", []Slip{WrongVowel}},
		{"gurantee", "guarantee", []Slip{LostVowel}},
		{"adress", "address", []Slip{LostDouble}},
		{"untill", "until", []Slip{ExtraDouble}},
		{"sertain", "certain", []Slip{FirstLetter, WrongSound}},
		{"netwotk", "network", []Slip{WrongKey}},
		{"netwbrk", "network", []Slip{WrongLetter}},
		{"netwrk", "network", []Slip{LostVowel}},
		{"newtwork", "network", []Slip{ExtraLetter}},
		{"привт", "привет", []Slip{LostLetter}},
		{"", "a", []Slip{FirstLetter, LostVowel, LastLetter}},
	} {
		if got := Slips(tt.typed, tt.meant); !slices.Equal(got, tt.want) {
			t.Errorf("%s for %s: %v, want %v", tt.typed, tt.meant, got, tt.want)
		}
	}
}

// TestSlipsAreEdits: there are as many slips as edits, or a few more that are likelier.
func TestSlipsAreEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := words(t, "a")
		b := mutate(a, rapid.Uint64().Draw(t, "seed"))
		edits := 0
		for _, s := range Slips(a, b) {
			if s < FirstLetter {
				edits++
			}
		}
		d := Distance(a, b)
		if edits < d || d == 0 && edits > 0 {
			t.Fatalf("%d edits from %q to %q, distance %d", edits, a, b, d)
		}
		// Near the diagonal there is always a way, and not a better one elsewhere than
		// all of it has.
		whole := max(utf8.RuneCountInString(a), utf8.RuneCountInString(b))
		near, all := newSlipper(a).cost(b, d), newSlipper(a).cost(b, whole)
		if math.IsInf(near, 1) || all > near+1e-9 {
			t.Fatalf("cost %v near the diagonal, %v in all", near, all)
		}
	})
}

func TestRank(t *testing.T) {
	for _, tt := range []struct {
		typed string
		found []Match
		want  []string
	}{
		// Nothing is before fewer edits.
		{"netwrok", []Match{{Word: "networks", Distance: 2, Count: 900}, {Word: "network", Distance: 1, Count: 1}}, []string{"network", "networks"}},
		// Whole words come before beginnings.
		{"test", []Match{{Word: "tests", Prefix: true, Count: 90}, {Word: "test", Count: 1}}, []string{"test", "tests"}},
		// A likelier slip outdoes some frequency, but not all.
		{"acess", []Match{{Word: "acres", Distance: 1, Count: 3}, {Word: "access", Distance: 1, Count: 2}}, []string{"access", "acres"}},
		{"tge", []Match{{Word: "tie", Distance: 1, Count: 5}, {Word: "the", Distance: 1, Count: 5000}}, []string{"the", "tie"}},
	} {
		for i := range tt.found {
			tt.found[i].Number = uint32(i)
		}
		Rank(tt.typed, tt.found)
		var got []string
		for _, m := range tt.found {
			got = append(got, m.Word)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.typed, got, tt.want)
		}
	}
}

// TestRankOfMany keeps the order of distances beyond what is weighed.
func TestRankOfMany(t *testing.T) {
	var found []Match
	for i := range 1000 {
		w := fmt.Sprintf("word%03d", i)
		if d := Distance("word000", w); d <= 2 {
			found = append(found, Match{Word: w, Number: uint32(i), Count: 1 + i%7, Distance: d})
		}
	}
	n := len(found)
	Rank("word000", found)
	if len(found) != n || n <= weighed || !slices.IsSortedFunc(found, compareClass) || found[0].Word != "word000" {
		t.Errorf("%d of %d, first %v", len(found), n, found[0])
	}
	seen := make(map[string]bool)
	for _, m := range found {
		seen[m.Word] = true
	}
	if len(seen) != n {
		t.Errorf("%d different of %d", len(seen), n)
	}
}

func ExampleSlips() {
	fmt.Println(Slips("recieve", "receive"), Slips("adress", "address"))
	// Output: [transposed vowels] [lost double]
}
