package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/search"
)

// rule says how many edits an engine allows in a word.
type rule struct {
	name    string
	edits   func(letters int) int
	first   bool                  // another first letter counts as one edit more
	unknown func(letters int) int // by slips that people make, in a word that is in no document; nil: as edits
	prefix  func(letters int) int
}

// maxEdits is the most that any rule allows.
const maxEdits = 4

// rules are shoal's and those that others have by default, as their documentation says.
var rules = []rule{
	{name: "shoal", edits: search.Tolerance, unknown: search.Stretch, prefix: func(n int) int { return steps(n, 4, 99) }},
	{name: "shoal, by letters alone", edits: search.Tolerance, prefix: func(n int) int { return steps(n, 4, 99) }},
	{name: "Elasticsearch AUTO", edits: func(n int) int { return steps(n, 3, 6) }, prefix: func(int) int { return -1 }},
	{name: "Typesense 30", edits: func(n int) int { return steps(n, 4, 7) }, prefix: func(n int) int { return steps(n, 4, 7) }},
	{name: "Meilisearch", edits: func(n int) int { return steps(n, 5, 9) }, first: true, prefix: func(n int) int { return steps(n, 5, 9) }},
}

// steps returns 0, from so many letters 1, and from so many 2.
func steps(letters, one, two int) int {
	switch {
	case letters >= two:
		return 2
	case letters >= one:
		return 1
	}
	return 0
}

// allows reports whether the word is found by what was typed, which are so many edits apart, if
// what was typed is in a document or not.
func (r *rule) allows(typed string, word fastss.Match, known bool) bool {
	d := r.distance(typed, word.Word, word.Distance)
	if d <= r.edits(len(typed)) {
		return true
	}
	return !known && r.unknown != nil && d <= r.unknown(len(typed)) && len(fastss.Likely(typed, []fastss.Match{word})) > 0
}

// distance is what the rule makes of an OSA distance.
func (r *rule) distance(typed, word string, d int) int {
	if r.first && d > 0 && typed[0] != word[0] {
		d++
	}
	return d
}

// reaches reports whether a word is found by what was typed, as a whole word, and
// whether it is as the last word of a query, which may be the beginning of one.
func (r *rule) reaches(m misspelling) (whole, last bool) {
	n := len(m.typed)
	p := fastss.OSA.Compile(m.typed)
	for _, w := range m.meant {
		whole = whole || r.allows(m.typed, fastss.Match{Word: w, Distance: p.Distance(w, maxEdits)}, false)
		last = last || whole || r.distance(m.typed, w, p.PrefixDistance(w, maxEdits)) <= r.prefix(n)
	}
	return whole, last
}

// reach counts the misspellings that each rule has in reach, whatever the documents are,
// and how many right words find others too.
func reach(ctx context.Context, o options, small lexicon) error {
	for _, list := range []struct {
		name string
		get  func(context.Context, string) ([]misspelling, error)
	}{{"cspell's", cspell}, {"codespell's", codespell}} {
		all, err := list.get(ctx, o.dir)
		if err != nil {
			return err
		}
		fmt.Printf("## In reach: %s %d misspellings\n\n| rule | whole words | as the last word of a query, which may be unfinished |\n|---|---|---|\n", list.name, len(all))
		for _, r := range rules {
			whole, last := 0, 0
			for _, m := range all {
				w, l := r.reaches(m)
				whole, last = whole+one(w), last+one(l)
			}
			fmt.Printf("| %s | %s | %s |\n", r.name, percent(whole, len(all)), percent(last, len(all)))
		}
		fmt.Println()
	}
	if err := among(ctx, o, small); err != nil {
		return err
	}
	return noise(o, small)
}

// among counts the misspellings from which shoal finds what is meant among all words of the
// dictionary, where some are left out for others.
func among(ctx context.Context, o options, small lexicon) error {
	all, err := cspell(ctx, o.dir)
	if err != nil {
		return err
	}
	v := vocabulary(small)
	n, reached, found := 0, 0, 0
	for _, m := range all {
		m.meant = slices.DeleteFunc(slices.Clone(m.meant), func(w string) bool { return small.counts[w] == 0 })
		if len(m.meant) == 0 {
			continue
		}
		n++
		whole, _ := rules[0].reaches(m)
		reached += one(whole)
		found += one(slices.ContainsFunc(search.Meant(v, m.typed), func(w fastss.Match) bool { return slices.Contains(m.meant, w.Word) }))
	}
	fmt.Printf("Of %d of cspell's that mean a word of the dictionary %s are in reach, and %s find it among all %d words.\n\n", n, percent(reached, n), percent(found, n), len(small.words))
	return nil
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func percent(n, of int) string { return fmt.Sprintf("%.2f %%", 100*float64(n)/float64(of)) }

// noise counts the other words that right words find, in a vocabulary of all words.
func noise(o options, small lexicon) error {
	rng := rand.New(rand.NewPCG(3, 5))
	v := vocabulary(small)
	var f fastss.Finder
	n := o.queries / 5
	fmt.Printf("## Noise: what %d right words find besides, among %d words\n\n", n, len(small.words))
	fmt.Println("| rule | find others | others, median | if it is in no document: find others | others, median |")
	fmt.Println("|---|---|---|---|---|")
	sample := make([]string, n)
	for i := range sample {
		sample[i] = small.words[rng.IntN(len(small.words))]
	}
	report := func(name string, counts [2][]int) {
		fmt.Printf("| %s |", name)
		for _, c := range counts {
			slices.Sort(c)
			none, _ := slices.BinarySearch(c, 1)
			fmt.Printf(" %s | %d |", percent(n-none, n), c[n/2])
		}
		fmt.Println()
	}
	for _, r := range rules {
		counts := [2][]int{}
		for _, w := range sample {
			var by [2]int
			for _, m := range f.Within(v, w, maxEdits) {
				if m.Distance == 0 {
					continue
				}
				for i := range by {
					by[i] += one(r.allows(w, m, i == 0))
				}
			}
			for i := range by {
				counts[i] = append(counts[i], by[i])
			}
		}
		report(r.name, counts)
	}
	counts := [2][]int{}
	for _, w := range sample {
		known, _ := v.Find(w)
		counts[0] = append(counts[0], len(search.Meant(v, w))-1)
		v.RemoveFrom(known.Number, known.Count)
		counts[1] = append(counts[1], len(search.Meant(v, w)))
		v.Add([]byte(w), known.Count)
	}
	report("shoal, what is meant of these", counts)
	fmt.Println("\nTypesense looks for typos only where it finds nothing as it was typed.")
	fmt.Println()
	return nil
}

// vocabulary has a lexicon's words with their counts, which are made to fit.
func vocabulary(l lexicon) *fastss.Vocabulary {
	most := 1.0
	for _, c := range l.counts {
		most = max(most, c)
	}
	scale := min(1, math.MaxInt32/most)
	v := new(fastss.Vocabulary)
	for _, w := range l.words {
		v.Add([]byte(w), max(1, int(l.counts[w]*scale)))
	}
	return v
}

// trains reports whether a misspelling is of the half that costs are fitted to. All
// misspellings of a word are in the same half.
func (m *misspelling) trains() bool { return m.hash()>>7&1 == 0 }

func (m *misspelling) hash() uint32 {
	h := uint32(2166136261)
	for i := range len(m.meant[0]) {
		h = (h ^ uint32(m.meant[0][i])) * 16777619
	}
	return h
}

// rank counts how often what was meant is the first of what is found, or among the first
// five.
func rank(ctx context.Context, o options, small lexicon) error {
	all, err := codespell(ctx, o.dir)
	if err != nil {
		return err
	}
	v := vocabulary(small)
	orders := []struct {
		name string
		sort func(typed string, found []fastss.Match)
	}{
		{"shoal", fastss.Rank},
		{"distance, then frequency", func(_ string, found []fastss.Match) {
			slices.SortFunc(found, func(a, b fastss.Match) int {
				return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(b.Count, a.Count), strings.Compare(a.Word, b.Word))
			})
		}},
	}
	fmt.Println("## First: what codespell's misspellings are taken for, of those whose meaning is in the dictionary")
	fmt.Println("\n| order | half | misspellings | first | among five |\n|---|---|---|---|---|")
	for _, order := range orders {
		for _, half := range []string{"not fitted to", "fitted to"} {
			n, first, five := 0, 0, 0
			for _, m := range all {
				m.meant = slices.DeleteFunc(slices.Clone(m.meant), func(w string) bool { return small.counts[w] == 0 })
				if len(m.meant) == 0 || m.trains() != (half == "fitted to") {
					continue
				}
				n++
				found := search.Meant(v, m.typed)
				order.sort(m.typed, found)
				for i, c := range found[:min(5, len(found))] {
					if slices.Contains(m.meant, c.Word) {
						first, five = first+one(i == 0), five+1
						break
					}
				}
			}
			fmt.Printf("| %s | %s | %d | %s | %s |\n", order.name, half, n, percent(first, n), percent(five, n))
		}
	}
	fmt.Println()
	return nil
}
