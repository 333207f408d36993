package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// miss is a group of misspellings that shoal's rule does not have in reach.
type miss struct {
	letters  string // how many were typed
	distance int    // to the nearest word that was meant
	kind     string
}

// farthest is the largest distance that misses are told apart by.
const farthest = 6

// missed prints which misspellings are not found as whole words, in groups with examples.
func missed(ctx context.Context, o options, _ lexicon) error {
	all, err := cspell(ctx, o.dir)
	if err != nil {
		return err
	}
	groups := make(map[miss][]string)
	for _, m := range all {
		if whole, _ := rules[0].reaches(m); whole {
			continue
		}
		p := fastss.OSA.Compile(m.typed)
		distance, word := farthest+1, ""
		for _, w := range m.meant {
			if d := p.Distance(w, farthest); d < distance {
				distance, word = d, w
			}
		}
		g := miss{span(len(m.typed)), distance, kindOf(m.typed, word, distance)}
		groups[g] = append(groups[g], m.typed+" → "+cmp.Or(word, m.meant[0]))
	}
	fmt.Printf("## Not in reach as whole words, of cspell's %d\n\n| letters typed | edits | what | how many | such as |\n|---|---|---|---|---|\n", len(all))
	for _, g := range slices.SortedFunc(maps.Keys(groups), func(a, b miss) int {
		return cmp.Or(cmp.Compare(a.letters, b.letters), cmp.Compare(a.distance, b.distance), cmp.Compare(len(groups[b]), len(groups[a])), strings.Compare(a.kind, b.kind))
	}) {
		list := groups[g]
		fmt.Printf("| %s | %d | %s | %d | %s |\n", g.letters, g.distance, g.kind, len(list), strings.Join(list[:min(len(list), 4)], ", "))
	}
	fmt.Println()
	return nil
}

// span names the lengths that a rule treats alike.
func span(letters int) string {
	for _, s := range []int{2, 3, 5, 9, 13} {
		if letters <= s {
			return fmt.Sprintf("%2d", s)
		}
	}
	return "14+"
}

// kindOf says what is wrong: with one edit its slip, with more where they are.
func kindOf(typed, meant string, distance int) string {
	if distance == 1 {
		for _, s := range fastss.Slips(typed, meant) {
			if s != fastss.FirstLetter {
				return s.String()
			}
		}
	}
	start := 0
	for start < min(len(typed), len(meant)) && typed[start] == meant[start] {
		start++
	}
	end := 0
	for end < min(len(typed), len(meant))-start && typed[len(typed)-1-end] == meant[len(meant)-1-end] {
		end++
	}
	switch t, m := len(typed)-start-end, len(meant)-start-end; {
	case meant == "":
		return "another word"
	case t == 0:
		return "letters lost in one place"
	case m == 0:
		return "letters too many in one place"
	case max(t, m) <= distance:
		return "other letters in one place"
	}
	return "in several places"
}
