// Command link measures links between two processes on this machine, beside a stock pion
// data channel and beside TLS 1.3 over TCP, in one run and in turn:
//
//	go run ./e2e/bench/link                        # everything, about six minutes
//	go run ./e2e/bench/link -only 'bulk|calls'     # some of it
//	go run ./e2e/bench/link -mtu 1500              # in a network of its own whose packets are
//	                                               # as long as those of an Ethernet (Linux)
//
// What it measures:
//
//	bulk    MB/s of one stream, and CPU time per byte of both ends together
//	calls   latency of one call at a time: on an idle link, beside a stream that is as fast
//	        as it can be, and with another stream that nobody reads
//	setup   dialling, from the offer on, until the first byte of a stream has come back
//	idle    goroutines, heap and CPU of a node with many links that do nothing
//	cycles  what connecting and closing very often leaves behind
//
// Each process of a contender is fresh in each round. All figures are medians. The figures of
// record are in BENCHMARKS.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
)

// options are the flags.
type options struct {
	mib    int
	rounds int
	peers  int
	cycles int
	only   *regexp.Regexp
	mtu    int
	gc     string
	asJSON bool
	prof   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if len(os.Args) > 2 && os.Args[1] == childArg {
		err = child(ctx, os.Args[2:])
	} else {
		err = measure(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/link:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench/link", flag.ContinueOnError)
	f.IntVar(&o.mib, "size", 512, "of a bulk transfer, in MiB")
	f.IntVar(&o.rounds, "rounds", 5, "how often")
	f.IntVar(&o.peers, "peers", 500, "idle links")
	f.IntVar(&o.cycles, "cycles", 10000, "links that are made and closed")
	only := f.String("only", "", "a regular expression for what is measured (default: all)")
	f.IntVar(&o.mtu, "mtu", 0, "of the loopback interface of a network of its own (default: the machine's)")
	f.StringVar(&o.gc, "gogc", busyGC, "GOGC of all processes in a bulk transfer")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.StringVar(&o.prof, "profile", "", "write CPU profiles of shoal's bulk transfers and of idle links to files that begin so")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.mib < 1 || o.rounds < 1 || o.peers < 1 || o.cycles < 1 {
		return o, errors.New("it takes flags only, and numbers of at least one")
	}
	o.only, err = regexp.Compile(*only)
	return o, err
}

func measure(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.mtu != 0 {
		again, err := ownNetwork(ctx, o.mtu, args)
		if err != nil || again {
			return err
		}
	}
	r := report{Size: o.mib, Rounds: o.rounds, MTU: o.mtu, LoadBefore: loadAverage()}
	for _, part := range []struct {
		name string
		run  func(context.Context, options, *report) error
	}{
		{"bulk", measureBulk}, {"calls", measureCalls}, {"setup", measureSetup}, {"idle", measureIdle}, {"cycles", measureCycles},
	} {
		if !o.only.MatchString(part.name) {
			continue
		}
		if err := part.run(ctx, o, &r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.LoadAfter = loadAverage()
	if o.asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return r.print(os.Stdout)
}
