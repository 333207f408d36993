package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// syncOptions are the flags of `bench sync`.
type syncOptions struct {
	syncthing bool   // measure Syncthing on the same work, in turn
	only      string // one group of steps; empty: all
	runs      int    // of the groups that are not long
	asJSON    bool
	program   string // measure this one, which somebody has built; empty: built from here
	profile   string // directory for profiles of both nodes; empty: none are made
}

// syncGroup is steps that build on each other, on a fresh pair of nodes.
type syncGroup struct {
	name string
	long bool // once is enough
	run  func(*round, context.Context) error
}

func syncGroups() []syncGroup {
	return []syncGroup{
		{"files", false, (*round).files},
		{"latency", true, (*round).latencies},
		{"large", false, (*round).large},
		{"many", true, (*round).many},
	}
}

// round is one group of steps on one pair.
type round struct {
	pair
	who      string
	dir      string // fresh, and outside the folders; on their file system
	seed     uint64
	content  tree // what both folders must have
	outcomes []outcome
	profiler *profiler // nil: nothing is profiled
}

// measureSync measures how a folder is kept the same on two nodes.
func measureSync(ctx context.Context, args []string) error {
	o, err := syncFlags(args)
	if err != nil {
		return err
	}
	var p *profiler
	tags := ""
	if o.profile != "" {
		if p, err = newProfiler(o.profile); err != nil {
			return err
		}
		tags = "profile"
	}
	return withBench(ctx, o.program, tags, func(b *bench) error {
		opens := []func(context.Context, *bench) (pair, error){openShoal}
		names := []string{"shoal"}
		if o.syncthing {
			if path, err := exec.LookPath("syncthing"); err != nil {
				fmt.Fprintln(os.Stderr, "Syncthing is left out:", err)
			} else {
				opens, names = append(opens, opener(path)), append(names, "Syncthing")
			}
		}
		load := loadAverage()
		var all []outcome
		for _, g := range syncGroups() {
			if o.only != "" && o.only != g.name {
				continue
			}
			for i := range g.runsOf(o) {
				// In turn, so that what else the machine does meets both.
				for k, open := range opens {
					fmt.Fprintf(os.Stderr, "%s, %s, run %d\n", g.name, names[k], i+1)
					got, err := b.round(ctx, g, names[k], uint64(i), open, p)
					if err != nil {
						return fmt.Errorf("%s: %s: %w", g.name, names[k], err)
					}
					all = append(all, got...)
				}
			}
		}
		err := printSync(summarise(all), fmt.Sprintf("load average %s before, %s after", load, loadAverage()), o.asJSON)
		if err != nil || p == nil {
			return err
		}
		return p.print(ctx, b.binary)
	})
}

func (g syncGroup) runsOf(o syncOptions) int {
	if g.long {
		return 1
	}
	return o.runs
}

func syncFlags(args []string) (o syncOptions, err error) {
	var names []string
	for _, g := range syncGroups() {
		names = append(names, g.name)
	}
	f := flag.NewFlagSet("bench sync", flag.ContinueOnError)
	f.BoolVar(&o.syncthing, "with-syncthing", false, "measure Syncthing on the same work, in turn")
	f.StringVar(&o.only, "only", "", "one of "+strings.Join(names, ", "))
	f.IntVar(&o.runs, "runs", 3, "how often; what takes long runs once")
	f.StringVar(&o.program, "program", "", "the shoal to measure (default: built from the sources here)")
	f.StringVar(&o.profile, "profile", "", "have both shoal nodes write CPU profiles into this directory, and print what their time went into (a program given must be built with -tags profile)")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.only != "" && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+o.only+" ") {
		return o, fmt.Errorf("sync: --only %s: it is one of %s", o.only, strings.Join(names, ", "))
	}
	if f.NArg() > 0 || o.runs < 1 {
		return o, errors.New("sync: it takes flags only, and at least one run")
	}
	return o, nil
}

// round runs a group. Its files stay until the end: on ext4 it is slow to make files
// soon after many were deleted.
func (b *bench) round(ctx context.Context, g syncGroup, who string, seed uint64, open func(context.Context, *bench) (pair, error), prof *profiler) (got []outcome, err error) {
	dir, err := os.MkdirTemp(b.dir, "work-")
	if err != nil {
		return nil, err
	}
	p, err := open(ctx, b)
	if err != nil {
		return nil, err
	}
	r := &round{pair: p, who: who, dir: dir, seed: seed, content: tree{}, profiler: prof}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := g.run(r, ctx); err != nil {
		return nil, err
	}
	return r.outcomes, nil
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
