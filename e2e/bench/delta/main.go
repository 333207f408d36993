// Command delta measures `shoal delta` beside rdiff and rsync, as processes, on the
// same files and in one run:
//
//	apt-get update && apt-get install -y --no-install-recommends rdiff rsync/bookworm-security
//	go run ./e2e/bench/delta                          # everything, about ten minutes
//	go run ./e2e/bench/delta -only 'insert|engine'    # some of the cases; "engine" is
//	                                                  # package delta in memory, "hostile"
//	                                                  # files that want to do harm
//
// All files are in the page cache. The programs take turns, so that what else the
// machine does meets all of them; every result is compared with the new file. CPU
// time is user and system time, of a process and all that it has started; all figures are
// medians. The figures of record are in BENCHMARKS.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"
)

// options are the flags.
type options struct {
	size    int64 // of the files, in bytes
	rounds  int
	only    *regexp.Regexp
	limit   time.Duration // a step that takes longer is ended
	dir     string
	program string
	asJSON  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == "engine" {
		err = runEngine(os.Args[2:])
	} else {
		err = measure(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/delta:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench/delta", flag.ContinueOnError)
	mib := f.Int64("size", 256, "of each file, in MiB")
	only := f.String("only", "", "a regular expression for the cases (default: all)")
	f.IntVar(&o.rounds, "rounds", 5, "how often; one more round before these does not count")
	f.DurationVar(&o.limit, "limit", time.Minute, "end a step that takes longer")
	f.StringVar(&o.dir, "dir", "", "where the files are made (default: the directory for temporary files)")
	f.StringVar(&o.program, "program", "", "the shoal to measure (default: built from the sources here)")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || *mib < 1 || o.rounds < 1 {
		return o, errors.New("it takes flags only, at least 1 MiB and at least one round")
	}
	o.size = *mib << 20
	o.only, err = regexp.Compile(*only)
	return o, err
}

// measure makes the files, measures, and prints. All that it makes is deleted at the
// end.
func measure(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "shoal-bench-delta-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.program == "" {
		o.program = filepath.Join(dir, "shoal")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.program, ".")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build (run this from the root of the repository): %w: %s", err, out)
		}
	}
	tools := findTools(ctx, o.program)
	r := report{Size: o.size, Rounds: o.rounds, Tools: tools, LoadBefore: loadAverage()}
	for _, c := range cases(o.size) {
		if !o.only.MatchString(c.name) {
			continue
		}
		rows, err := measureCase(ctx, o, c, tools, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	if o.only.MatchString("hostile") {
		if r.Hostile, err = measureHostile(ctx, o, dir); err != nil {
			return fmt.Errorf("hostile: %w", err)
		}
	}
	if o.only.MatchString("engine") {
		if r.Engine, err = measureEngine(ctx, o); err != nil {
			return fmt.Errorf("engine: %w", err)
		}
	}
	r.LoadAfter = loadAverage()
	r.judge()
	return r.print(os.Stdout, o.asJSON)
}

// measureCase makes the two files of a case and lets all contenders work on them, in
// turn.
func measureCase(ctx context.Context, o options, c testCase, tools []tool, dir string) ([]row, error) {
	p, err := c.make(dir)
	if err != nil {
		return nil, err
	}
	var all []*contender
	for _, t := range tools {
		for _, block := range c.blocks {
			if t.offers(block) {
				all = append(all, t.contend(p, block))
			}
		}
	}
	for i := range o.rounds + 1 {
		fmt.Fprintf(os.Stderr, "%s, round %d of %d\n", c.name, i, o.rounds)
		for _, x := range all {
			if err := x.round(ctx, o.limit, i > 0); err != nil {
				return nil, fmt.Errorf("%s: %w", x.name, err)
			}
		}
	}
	var rows []row
	for _, x := range all {
		rows = append(rows, x.rows(c.name, p.newSize)...)
	}
	return rows, nil
}
