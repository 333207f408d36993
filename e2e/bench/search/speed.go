package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// edits is the number of edits that all look for, and at most the number in a query.
const edits = 2

// contender looks for similar words, in this process or another one.
type contender struct {
	name  string
	build []time.Duration
	cpu   time.Duration // of the cheapest build, if it is known
	bytes int64
	round func() ([]time.Duration, error) // asks every query once
	note  string

	times [][]time.Duration // of each query, by round
}

// misspell returns n words with one or two random edits.
func misspell(words []string, n int) []string {
	rng := rand.New(rand.NewPCG(2007, uint64(len(words))))
	all := make([]string, n)
	for i := range all {
		w := []rune(words[rng.IntN(len(words))])
		for range 1 + rng.IntN(edits) {
			at, letter := rng.IntN(len(w)), 'a'+rune(rng.IntN(26))
			switch rng.IntN(4) {
			case 0:
				w = slices.Insert(w, at, letter)
			case 1:
				if len(w) > 1 {
					w = slices.Delete(w, at, at+1)
				}
			case 2:
				w[at] = letter
			case 3:
				if at+1 < len(w) {
					w[at], w[at+1] = w[at+1], w[at]
				}
			}
		}
		all[i] = string(w)
	}
	return all
}

// own makes a vocabulary several times and returns it as a contender.
func own(words, queries []string, k int) (*contender, *fastss.Vocabulary) {
	c := &contender{name: fmt.Sprintf("shoal, k = %d", k)}
	var v *fastss.Vocabulary
	bytes := make([][]byte, len(words))
	for i, w := range words {
		bytes[i] = []byte(w)
	}
	for range 5 {
		v = nil
		before := heap()
		began, used := time.Now(), cpu()
		v = new(fastss.Vocabulary)
		for _, w := range bytes {
			v.Add(w, 1)
		}
		c.build = append(c.build, time.Since(began))
		if took := cpu() - used; c.cpu == 0 || took < c.cpu {
			c.cpu = took
		}
		c.bytes = heap() - before
	}
	var f fastss.Finder
	c.round = timed(queries, func(q string) { f.Within(v, q, k) })
	const passes = 5
	used := cpu()
	for range passes {
		for _, q := range queries {
			f.Within(v, q, k)
		}
	}
	mean := microseconds(cpu()-used) / float64(passes*len(queries))
	each := testing.AllocsPerRun(1, func() {
		for _, q := range queries {
			f.Within(v, q, k)
		}
	}) / float64(len(queries))
	c.note = fmt.Sprintf("%.1f µs of CPU on average, %.4g allocations", mean, each)
	return c, v
}

// cpu returns what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed returns a round of calls of f.
func timed(queries []string, f func(string)) func() ([]time.Duration, error) {
	return func() ([]time.Duration, error) {
		times := make([]time.Duration, len(queries))
		for i, q := range queries {
			began := time.Now()
			f(q)
			times[i] = time.Since(began)
		}
		return times, nil
	}
}

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// race lets the contenders take turns.
func race(ctx context.Context, rounds int, all []*contender) error {
	for i := range rounds {
		for _, c := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", i+1, rounds, c.name)
			times, err := c.round()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.times = append(c.times, times)
		}
	}
	return nil
}

// spread are times of all queries: what half of them need at most, and so on.
type spread struct{ p50, p99 float64 } // µs

// typical and best are of each query's median and least time.
func (c *contender) summary() (typical, best spread) {
	n := len(c.times[0])
	medians, least := make([]time.Duration, n), make([]time.Duration, n)
	for q := range n {
		var own []time.Duration
		for _, round := range c.times {
			own = append(own, round[q])
		}
		slices.Sort(own)
		medians[q], least[q] = own[len(own)/2], own[0]
	}
	return spreadOf(medians), spreadOf(least)
}

func spreadOf(all []time.Duration) spread {
	slices.Sort(all)
	return spread{microseconds(all[len(all)/2]), microseconds(all[len(all)*99/100])}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func printHeader() {
	fmt.Println("| | words | build, s: best, median, CPU | MB | p50, µs: median, best | p99, µs: median, best | |")
	fmt.Println("|---|---|---|---|---|---|---|")
}

func (c *contender) print(words int) {
	slices.Sort(c.build)
	typical, best := c.summary()
	fmt.Printf("| %s | %d | %.3f, %.3f, %.3f | %.1f | %.1f, %.1f | %.1f, %.1f | %s |\n", c.name, words, c.build[0].Seconds(), c.build[len(c.build)/2].Seconds(), c.cpu.Seconds(),
		float64(c.bytes)/1e6, typical.p50, best.p50, typical.p99, best.p99, c.note)
}

// recall compares what is found for some of the queries with what a comparison with
// every word finds. It returns how many there are and how many of them were found.
func recall(v *fastss.Vocabulary, words, queries []string, k int) (found, all int, err error) {
	var f fastss.Finder
	for _, q := range queries {
		have := make(map[string]int)
		for _, m := range f.Within(v, q, k) {
			have[m.Word] = m.Distance
		}
		p := fastss.OSA.Compile(q)
		for _, w := range words {
			d := p.Distance(w, k)
			if d > k {
				continue
			}
			all++
			if got, ok := have[w]; ok && got == d {
				found++
			}
			delete(have, w)
		}
		if len(have) > 0 {
			return found, all, fmt.Errorf("%q finds %d words that are no matches", q, len(have))
		}
	}
	return found, all, nil
}

// speed compares with others.
func speed(ctx context.Context, o options, small lexicon) error {
	big, err := insane(ctx, o.dir)
	if err != nil {
		return err
	}
	fmt.Printf("## Speed: %d queries, %d rounds, load %s\n\n", o.queries, o.rounds, load())
	printHeader()
	for _, words := range [][]string{small.words, big.words} {
		queries := misspell(words, o.queries)
		own2, v := own(words, queries, edits)
		all := []*contender{own2}
		if len(words) == len(small.words) {
			few := queries[:len(queries)/5] // for the slow ones
			for k, queries := range [][]string{1: queries, 3: few} {
				if queries != nil {
					c, _ := own(words, queries, k)
					all = append(all, c)
				}
			}
			all = append(all, plainSymspell(words, few))
			others, end, err := rivals(ctx, o.dir, words, few)
			if err != nil {
				return err
			}
			defer end()
			fmt.Fprintln(os.Stderr, "k = 3 and the others are asked", len(few), "queries")
			all = append(all, others...)
		}
		if err := race(ctx, o.rounds, all); err != nil {
			return err
		}
		for _, c := range all {
			c.print(len(words))
		}
		some := queries[:o.queries/50]
		found, there, err := recall(v, words, some, edits)
		if err != nil {
			return err
		}
		fmt.Printf("| recall, %d queries | %d | | | | | %d of %d words |\n", len(some), len(words), found, there)
	}
	fmt.Printf("\nload at the end: %s\n\n", load())
	return nil
}

// curve measures vocabularies of up to a million words, of three languages.
func curve(ctx context.Context, o options, small lexicon) error {
	all, err := insane(ctx, o.dir)
	if err != nil {
		return err
	}
	for _, name := range []string{"wngerman/usr/share/dict/ngerman", "wfrench/usr/share/dict/french"} {
		if err := more(ctx, o.dir, name, &all); err != nil {
			return err
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all.words), func(i, j int) { all.words[i], all.words[j] = all.words[j], all.words[i] })
	fmt.Printf("## Curve: %d queries, %d rounds, load %s\n\n", o.queries/5, o.rounds, load())
	printHeader()
	for _, n := range []int{1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000} {
		words := all.words[:min(n, len(all.words))]
		c, _ := own(words, misspell(words, o.queries/5), edits)
		if err := race(ctx, o.rounds, []*contender{c}); err != nil {
			return err
		}
		c.print(len(words))
	}
	fmt.Println()
	return nil
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return string(b[:min(len(b), 14)])
}
