package fastss

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

const (
	// weighed is the number of matches whose slips are looked at.
	weighed = 128
	// countWeight is what a word gains by occurring e times as often, in the nats of
	// slipCosts.
	countWeight = .62
	// likelyEdit and likelyWord are what each of the slips of a word may cost on average, and all
	// of them together, so that Likely keeps it. Of cspell's misspellings that are three edits or
	// four from what was meant, 9 of 10 and two thirds are within.
	likelyEdit, likelyWord = 7, 21
)

// Rank sorts matches of typed, the word first that most likely was meant: the nearest,
// of these whole words before beginnings, and of these by how probable the slips are
// and how often the word occurs. Looking at slips is bounded: of more than a hundred
// matches the others follow, within their distance, by counts alone.
func Rank(typed string, found []Match) {
	slices.SortFunc(found, func(a, b Match) int {
		return cmp.Or(compareClass(a, b), cmp.Compare(b.Count, a.Count), strings.Compare(a.Word, b.Word))
	})
	s := newSlipper(typed)
	costs := make(map[uint32]float64, min(len(found), weighed))
	first := found[:min(len(found), weighed)]
	for _, m := range first {
		c := -countWeight * math.Log(float64(max(m.Count, 1)))
		if !m.Prefix && m.Distance > 0 {
			c += s.cost(m.Word, m.Distance)
		}
		costs[m.Number] = c
	}
	slices.SortStableFunc(first, func(a, b Match) int {
		return cmp.Or(compareClass(a, b), cmp.Compare(costs[a.Number], costs[b.Number]))
	})
}

// Likely returns those of found, in their place, that people get wrong like that: far from a word
// there are many others, and few from which the slips that lead to it are common ones.
func Likely(typed string, found []Match) []Match {
	s := newSlipper(typed)
	return slices.DeleteFunc(found, func(m Match) bool {
		return s.cost(m.Word, m.Distance) > min(likelyEdit*float64(m.Distance), likelyWord)
	})
}

// compareClass compares what comes before all probability.
func compareClass(a, b Match) int {
	c := cmp.Compare(a.Distance, b.Distance)
	switch {
	case c != 0 || a.Prefix == b.Prefix:
		return c
	case b.Prefix:
		return -1
	}
	return 1
}
