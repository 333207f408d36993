package fastss

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// scanned returns what a look at every word finds, the oracle of all lookups.
func scanned(v *Vocabulary, m Metric, word string, k int) []Match {
	f := Finder{Metric: m}
	f.begin(word)
	f.scan(v, k)
	slices.SortFunc(f.found, compareMatches)
	return f.found
}

// indexed returns a vocabulary with an index, whatever its size.
func indexed(list ...string) *Vocabulary {
	v := &Vocabulary{from: 1}
	for _, w := range list {
		v.Add([]byte(w), 1)
	}
	return v
}

// unsound returns what is wrong with the index, which should have exactly the residuals
// of the words that are there, but for crowded buckets.
func unsound(v *Vocabulary) error {
	type place struct {
		table           int
		bucket, posting uint32
	}
	want := make(map[place]int)
	for number := range v.entries {
		if v.entries[number].count == 0 {
			continue
		}
		at := number >> v.index.segment
		t := v.index.tables[at]
		v.index.each(v.entries[number].word, func(hash uint64) {
			if b := t.bucket(hash); t.heads[b].n != crowded {
				want[place{at, b, tag(hash) | uint32(number)&(1<<v.index.segment-1)}]++
			}
		})
	}
	for at, t := range v.index.tables {
		postings := 0
		for b, h := range t.heads {
			if h.n == crowded {
				continue
			}
			postings += int(h.n)
			for _, p := range t.blocks.of(h) {
				want[place{at, uint32(b), p}]--
			}
		}
		if postings != t.postings {
			return fmt.Errorf("table %d counts %d postings of %d", at, t.postings, postings)
		}
	}
	for p, n := range want {
		if n != 0 {
			return fmt.Errorf("%+v: %d too few", p, n)
		}
	}
	return nil
}

// compareAll compares lookups with scans.
func compareAll(v *Vocabulary, queries []string) error {
	for _, m := range []Metric{OSA, Levenshtein} {
		f := Finder{Metric: m}
		for _, q := range queries {
			for k := range 4 {
				got := slices.Clone(f.Within(v, q, k))
				slices.SortFunc(got, compareMatches)
				if want := scanned(v, m, q, k); !slices.Equal(got, want) {
					return fmt.Errorf("metric %d, within %d of %q:\n%s", m, k, q, cmp.Diff(want, got))
				}
			}
		}
	}
	return nil
}

// TestPackedResidualsAreTheResiduals holds the index's residuals against those of the
// lesson, also that none comes twice.
func TestPackedResidualsAreTheResiduals(t *testing.T) {
	const seed = 0x9e3779b97f4a7c15
	rapid.Check(t, func(t *rapid.T) {
		word := string(rapid.SliceOfN(rapid.SampledFrom([]rune("abcé京")), 0, 12).Draw(t, "word"))
		k := rapid.IntRange(0, maxEdits).Draw(t, "k")
		r, n := beginning(word, seed)
		got := appendResiduals(nil, r, n, k)
		cut := string([]rune(word)[:n])
		var want []residual
		for _, text := range Residuals(cut, k) {
			r, _ := beginning(text, seed)
			want = append(want, r)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %x, want %x", word, got, want)
		}
		if len(got) > maxResiduals {
			t.Fatalf("%d residuals", len(got))
		}
	})
}

// TestLookupsFindWhatScansFind changes an index at random, with so few words to a table
// that there are several, and compares.
func TestLookupsFindWhatScansFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := &Vocabulary{from: 1, segment: 3}
		var list []string
		for i := range rapid.IntRange(1, 150).Draw(t, "changes") {
			if at := rapid.IntRange(0, 2*len(list)).Draw(t, "removed"); at < len(list) && i%3 > 0 {
				v.Remove([]byte(list[at]), 1)
				list = slices.Delete(list, at, at+1)
				continue
			}
			w := words(t, fmt.Sprint("word ", i))
			if len(list) > 0 && rapid.Bool().Draw(t, "related") {
				w = mutate(list[len(list)-1], rapid.Uint64().Draw(t, "seed"))
			}
			v.Add([]byte(w), 1)
			list = append(list, w)
		}
		if v.index != nil {
			if err := unsound(v); err != nil {
				t.Fatal(err)
			}
		}
		queries := []string{words(t, "query")}
		if len(list) > 0 {
			queries = append(queries, mutate(rapid.SampledFrom(list).Draw(t, "near"), rapid.Uint64().Draw(t, "seed")))
		}
		if err := compareAll(v, queries); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLookupsInManyWords grows a vocabulary until buckets are split, and takes most of
// it away again.
func TestLookupsInManyWords(t *testing.T) {
	const n = 20_000
	list := lexicon(n)
	v := new(Vocabulary)
	for i, w := range list {
		v.Add([]byte(w), 1)
		if indexed := v.index != nil; indexed != (i+1 >= indexFrom) {
			t.Fatalf("%d words have an index: %v", i+1, indexed)
		}
	}
	if heads := len(v.index.tables[0].heads); heads <= 1<<firstLevel {
		t.Errorf("%d buckets: none was split", heads)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	check := func() {
		t.Helper()
		if err := unsound(v); err != nil {
			t.Fatal(err)
		}
		queries := make([]string, 100)
		for i := range queries {
			queries[i] = mutate(list[rng.IntN(n)], rng.Uint64())
		}
		if err := compareAll(v, queries); err != nil {
			t.Fatal(err)
		}
		found := 0
		var f Finder
		for _, q := range queries {
			f.begin(q)
			if _, _, ok := f.lookup(v, q, 2); ok {
				found++
			}
		}
		if found < len(queries)*9/10 {
			t.Errorf("only %d of %d were looked up", found, len(queries))
		}
	}
	check()
	pages := len(v.index.tables[0].blocks.pages)
	for range 10 {
		for range n / 2 {
			w := list[rng.IntN(n)]
			if _, gone := v.Remove([]byte(w), 1); !gone {
				v.Add([]byte(w), 1)
			}
		}
	}
	if now := len(v.index.tables[0].blocks.pages); now > pages*5/4 {
		t.Errorf("%d pages, %d before as many words came as went", now, pages)
	}
	check()
	large := v.index
	for _, m := range slices.Collect(v.All())[:v.Len()*7/8] {
		v.Remove([]byte(m.Word), 1)
	}
	if v.index == large || v.Len() < indexFrom/2 && v.index != nil {
		t.Errorf("%d words have the index of %d", v.Len(), n)
	}
}

// TestWordsThatBeginAlike: when thousands of words have the same residuals, their
// buckets are given up, and all is found by looking at all words.
func TestWordsThatBeginAlike(t *testing.T) {
	v := new(Vocabulary)
	const n = 3 * maxBucket
	for i := range n {
		v.Add(fmt.Appendf(nil, "invoice%06d", i), 1)
		v.Add(fmt.Appendf(nil, "%06dnote", i), 1)
	}
	tb := v.index.tables[0]
	full, cells := 0, uint32(0)
	for _, h := range tb.heads {
		switch {
		case h.n == crowded:
			full++
		default:
			_, c := size(h.n)
			cells += c
		}
	}
	if full < maxResiduals-5 {
		t.Errorf("%d buckets are crowded", full)
	}
	if most := n * maxResiduals * 3 / 2; int(cells) > most {
		t.Errorf("%d cells for %d words", cells, n)
	}
	if err := compareAll(v, []string{"invoice001234", "invioce01234", "001234note", "01234nite", "unlike"}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		v.Remove(fmt.Appendf(nil, "invoice%06d", i), 1)
	}
	for i := range n * 3 / 4 {
		v.Remove(fmt.Appendf(nil, "%06dnote", i), 1)
	}
	for _, h := range v.index.tables[0].heads {
		if h.n == crowded {
			t.Fatal("a bucket is still crowded after its words have gone")
		}
	}
	if err := unsound(v); err != nil {
		t.Error(err)
	}
}

func TestLookupsTakeNoMemory(t *testing.T) {
	list := lexicon(10_000)
	v := new(Vocabulary)
	for _, w := range list {
		v.Add([]byte(w), 1)
	}
	queries := make([]string, 1000)
	for i := range queries {
		queries[i] = mutate(list[i], uint64(i))
	}
	var f Finder
	for _, q := range queries {
		f.Within(v, q, 3)
	}
	i := 0
	for k := range 4 {
		if n := testing.AllocsPerRun(len(queries), func() { f.Within(v, queries[i%len(queries)], k); i++ }); n != 0 {
			t.Errorf("%v allocations within %d", n, k)
		}
	}
}

// TestSeveralSearchAtOnce is for the race detector.
func TestSeveralSearchAtOnce(t *testing.T) {
	list := lexicon(6000)
	v := new(Vocabulary)
	for _, w := range list {
		v.Add([]byte(w), 1)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for _, w := range list[i*100 : i*100+100] {
				if found := v.Within(w, 2); len(found) == 0 || found[0].Word != w {
					t.Errorf("%q is not the first of %d", w, len(found))
				}
			}
		})
	}
	wg.Wait()
}

// TestMemoryOfFewWords: a node at rest has few words, and no more memory for them than
// without an index.
func TestMemoryOfFewWords(t *testing.T) {
	list := lexicon(indexFrom - 1)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := new(Vocabulary)
	for _, w := range list {
		v.Add([]byte(w), 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int(after.HeapAlloc-before.HeapAlloc) / len(list); each > 100 {
		t.Errorf("%d bytes for a word", each)
	}
	runtime.KeepAlive(v)
}

func FuzzLookup(f *testing.F) {
	f.Add("network networks the test tests east", "netwrk", 2)
	f.Add("aaaa aaa aa a ab ba", "aab", 2)
	f.Add("\xff\xfe \xff \xc3 東京都 京東都", "東京\xff", 1)
	f.Add(strings.Repeat("ab", 40)+" "+strings.Repeat("ba", 33), strings.Repeat("ab", 39), 2)
	f.Fuzz(func(t *testing.T, text, query string, k int) {
		if len(text) > 5000 || len(query) > 200 || k < 0 || k > 3 {
			t.Skip("too much")
		}
		v := indexed(strings.Split(text, " ")...)
		if err := unsound(v); err != nil {
			t.Fatal(err)
		}
		if err := compareAll(v, []string{query}); err != nil {
			t.Fatal(err)
		}
		for _, m := range v.Within(query, k) {
			matrix := OSA.Matrix(query, m.Word)
			if last := matrix[len(matrix)-1]; last[len(last)-1] != m.Distance {
				t.Fatalf("%q: distance %d, matrix %d", m.Word, m.Distance, last[len(last)-1])
			}
		}
	})
}
