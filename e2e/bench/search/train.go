package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// slips are the kinds of slips, and behind them how often a word occurs.
const slips = int(fastss.LastLetter) + 1

// farTrained is how far the words are at most that costs are fitted to: most of those beyond are
// meant by nobody.
const farTrained = 3

type features [slips + 1]float64

// choice is a misspelling with the words that are as near as the right one.
type choice struct {
	words []features
	right []bool
}

// train fits the costs of slips, and what a word's frequency is worth, to half of the
// misspellings: the weights of a conditional logit model, by stochastic gradient
// descent. Which slips lead from one word to another depends on the costs that
// package fastss has, so that it is run again with the new ones.
func train(ctx context.Context, o options, small lexicon) error {
	all, err := codespell(ctx, o.dir)
	if err != nil {
		return err
	}
	v := vocabulary(small)
	var f fastss.Finder
	var choices []choice
	for _, m := range all {
		m.meant = slices.DeleteFunc(slices.Clone(m.meant), func(w string) bool { return small.counts[w] == 0 })
		if len(m.meant) == 0 || !m.trains() {
			continue
		}
		edits := search.Tolerance(len(m.typed))
		if _, known := v.Find(m.typed); !known {
			edits = min(search.Stretch(len(m.typed)), farTrained)
		}
		if c, ok := choose(m, f.Within(v, m.typed, edits)); ok {
			choices = append(choices, c)
		}
	}
	fmt.Printf("fitted to %d misspellings\n\n", len(choices))
	var weights features
	for epoch := range 30 {
		rate := 0.05 / (1 + float64(epoch))
		for i := range choices {
			choices[i].learn(&weights, rate)
		}
	}
	for s := range slips {
		fmt.Printf("%-18s %5.2f\n", fastss.Slip(s), -weights[s])
	}
	fmt.Printf("%-18s %5.2f\n", "count", weights[slips])
	return nil
}

// choose reports false where the right word was not found, or there is no other.
func choose(m misspelling, found []fastss.Match) (c choice, ok bool) {
	distance := -1
	for _, w := range found {
		if slices.Contains(m.meant, w.Word) && (distance < 0 || w.Distance < distance) {
			distance = w.Distance
		}
	}
	for _, w := range found {
		if w.Distance != distance {
			continue
		}
		var x features
		for _, s := range fastss.Slips(m.typed, w.Word) {
			x[s]++
		}
		x[slips] = math.Log(float64(w.Count))
		c.words, c.right = append(c.words, x), append(c.right, slices.Contains(m.meant, w.Word))
	}
	return c, distance > 0 && len(c.words) > 1
}

// learn makes the right words of a choice likelier.
func (c *choice) learn(weights *features, rate float64) {
	likely := make([]float64, len(c.words))
	most, all, right := math.Inf(-1), 0.0, 0.0
	for i := range c.words {
		for j, x := range c.words[i] {
			likely[i] += weights[j] * x
		}
		most = max(most, likely[i])
	}
	for i := range likely {
		likely[i] = math.Exp(likely[i] - most)
		all += likely[i]
		if c.right[i] {
			right += likely[i]
		}
	}
	for i := range likely {
		gradient := -likely[i] / all
		if c.right[i] && right > 0 {
			gradient += likely[i] / right
		}
		for j, x := range c.words[i] {
			step := rate * gradient * x
			if j == slips {
				step /= 50 // it is that much larger than the others
			}
			weights[j] += step
		}
	}
}
