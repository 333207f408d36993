// Command rivals measures other programs' search for similar words, for e2e/bench/search:
//
//	rivals WORDS QUERIES
//
// names files with a word in each line. It prints a line of JSON for each rival with what
// it took to build, and then, for each line of its input, which is a rival's name, the
// nanoseconds of each query.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/blevesearch/vellum"
	"github.com/blevesearch/vellum/levenshtein"
	"github.com/sajari/fuzzy"
)

const edits = 2

type rival struct {
	Name  string
	Build time.Duration
	Bytes int64
	Found int // words for all queries

	lookup func(q string) (int, error)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rivals:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: rivals WORDS QUERIES")
	}
	words, err := list(args[0])
	if err != nil {
		return err
	}
	queries, err := list(args[1])
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	all := make(map[string]*rival)
	for _, make := range []func([]string) (*rival, error){automaton, sajari} {
		before, began := heap(), time.Now()
		r, err := make(words)
		if err != nil {
			return err
		}
		r.Build = time.Since(began)
		r.Bytes = heap() - before
		for _, q := range queries {
			n, err := r.lookup(q)
			if err != nil {
				return fmt.Errorf("%s: %q: %w", r.Name, q, err)
			}
			r.Found += n
		}
		all[r.Name] = r
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		r := all[in.Text()]
		if r == nil {
			return fmt.Errorf("no rival %q", in.Text())
		}
		times := make([]time.Duration, len(queries))
		for i, q := range queries {
			began := time.Now()
			if _, err := r.lookup(q); err != nil {
				return err
			}
			times[i] = time.Since(began)
		}
		if err := out.Encode(times); err != nil {
			return err
		}
	}
	return in.Err()
}

func list(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	return strings.Fields(string(b)), err
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// automaton is what bleve has: a Levenshtein automaton with transpositions, walked over
// the automaton of all words.
func automaton(words []string) (*rival, error) {
	var b bytes.Buffer
	fst, err := vellum.New(&b, nil)
	if err != nil {
		return nil, err
	}
	for i, w := range slices.Sorted(slices.Values(words)) {
		if err := fst.Insert([]byte(w), uint64(i)); err != nil {
			return nil, err
		}
	}
	if err := fst.Close(); err != nil {
		return nil, err
	}
	all, err := vellum.Load(b.Bytes())
	if err != nil {
		return nil, err
	}
	builder, err := levenshtein.NewLevenshteinAutomatonBuilder(edits, true)
	if err != nil {
		return nil, err
	}
	return &rival{Name: "vellum 1.2.1", lookup: func(q string) (int, error) {
		dfa, err := builder.BuildDfa(q, edits)
		if err != nil {
			return 0, err
		}
		n := 0
		it, err := all.Search(dfa, nil, nil)
		for err == nil {
			n++
			err = it.Next()
		}
		if errors.Is(err, vellum.ErrIteratorDone) {
			err = nil
		}
		return n, err
	}}, nil
}

func sajari(words []string) (*rival, error) {
	m := fuzzy.NewModel()
	m.SetThreshold(1)
	m.SetDepth(edits)
	m.SetUseAutocomplete(false)
	for _, w := range words {
		m.SetCount(w, 1, true)
	}
	return &rival{Name: "sajari/fuzzy 1.0.0", lookup: func(q string) (int, error) {
		return len(m.Potentials(q, true)), nil
	}}, nil
}
