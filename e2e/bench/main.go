// Command bench measures whole nodes, as processes, on this machine:
//
//	go run ./e2e/bench            # everything, about four minutes
//	go run ./e2e/bench start search
//	go run ./e2e/bench sync       # a folder on two nodes; --with-syncthing beside Syncthing,
//	                              # --profile DIR: what the nodes' time goes into
//	go run ./e2e/bench edits      # what small edits of a large file cost on the wire
//
// It prints one line for each figure. The figures of record are in BENCHMARKS.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// suites are what can be measured, in this order.
var suites = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"start", start},
	{"idle", idle},
	{"index", index},
	{"documents", documents},
	{"search", searching},
	{"stream", streaming},
	{"calls", calling},
}

// bench is what the suites share: a built program and a place for data.
type bench struct {
	binary  string
	dir     string
	started []*process
}

// endAll ends what a suite that failed has left running.
func (b *bench) endAll() {
	for _, p := range b.started {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "far-end" {
		exit(farEnd(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "sync" {
		exit(measureSync(ctx, os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "edits" {
		exit(measureEdits(ctx, os.Args[2:]))
	}
	exit(measure(ctx, os.Args[1:]))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func measure(ctx context.Context, wanted []string) error {
	return withBench(ctx, "", "", func(b *bench) error {
		fmt.Printf("%s, %d cores, %s\n", runtime.Version(), runtime.NumCPU(), time.Now().Format(time.DateOnly))
		for _, s := range suites {
			if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
				continue
			}
			if err := s.run(ctx, b); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		return nil
	})
}

// withBench builds the program with some tags, unless there is one, and runs f. All that it leaves
// is deleted only then.
func withBench(ctx context.Context, program, tags string, f func(*bench) error) (err error) {
	dir, err := os.MkdirTemp("", "shoal-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{binary: filepath.Join(dir, "shoal"), dir: dir}
	defer b.endAll()
	if program != "" {
		b.binary = program
		return f(b)
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-o", b.binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build (run this from the root of the repository): %w: %s", err, out)
	}
	return f(b)
}

// report prints one figure.
func report(what, format string, args ...any) {
	fmt.Printf("%-44s %s\n", what, fmt.Sprintf(format, args...))
}

// quantile returns the value below which the share q of the sorted values lies.
func quantile(values []time.Duration, q float64) time.Duration {
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}
