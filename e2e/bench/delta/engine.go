package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p/delta"
)

// rate is how fast package delta does one thing with files that are in memory.
type rate struct {
	What  string  `json:"what"`
	Case  string  `json:"case"`
	Procs int     `json:"procs"`
	CPU   float64 `json:"mb_per_cpu_s"` // MB for each second of CPU
	Wall  float64 `json:"mb_per_s"`
}

// Things that the engine does.
const (
	engineSign   = "sign"
	engineWhole  = "sign with the BLAKE3 of the file"
	engineDiff   = "diff"
	engineEncode = "diff with the BLAKE3 of the result"
)

// engineTask is one thing to measure. It returns how many bytes were worked on.
type engineTask struct {
	what string
	run  func(old, target []byte) (int64, error)
}

func engineTasks() []engineTask {
	sign := func(old []byte, bare bool) (*delta.Signature, error) {
		return delta.Sign(bytes.NewReader(old), delta.SignOptions{Size: int64(len(old)), Block: blockSize, Seed: 1, Bare: bare})
	}
	var sig *delta.Signature // of the old file, which is the same for all that follows
	return []engineTask{
		{engineSign, func(old, _ []byte) (n int64, err error) {
			sig, err = sign(old, true)
			return int64(len(old)), err
		}},
		{engineWhole, func(old, _ []byte) (int64, error) {
			_, err := sign(old, false)
			return int64(len(old)), err
		}},
		{engineDiff, func(_, target []byte) (int64, error) {
			for _, err := range delta.Diff(sig, bytes.NewReader(target)) {
				if err != nil {
					return 0, err
				}
			}
			return int64(len(target)), nil
		}},
		{engineEncode, func(_, target []byte) (int64, error) {
			_, err := delta.Encode(io.Discard, sig, bytes.NewReader(target), int64(len(target)))
			return int64(len(target)), err
		}},
	}
}

// engineCases are those of cases whose engine is measured.
func engineCases(size int64) []testCase { return cases(size)[:4] }

// measureEngine has package delta measured in a process of its own, which holds the
// files in memory: what the other programs have had would be counted with them (see
// run).
func measureEngine(ctx context.Context, o options) (all []rate, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, "engine")
	cmd := exec.CommandContext(ctx, self, "engine", strconv.FormatInt(o.size, 10), strconv.Itoa(o.rounds))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(out, &all)
}

// runEngine is that process.
func runEngine(args []string) error {
	if len(args) != 2 {
		return errors.New("engine: SIZE ROUNDS")
	}
	size, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	rounds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var all []rate
	for _, c := range engineCases(size) {
		old, err := io.ReadAll(c.old())
		if err != nil {
			return err
		}
		target, err := io.ReadAll(c.new())
		if err != nil {
			return err
		}
		for _, t := range engineTasks() {
			rates, err := t.rates(rounds, old, target)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.name, t.what, err)
			}
			for _, r := range rates {
				r.Case = c.name
				all = append(all, r)
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

// rates are the medians of some rounds, after one that does not count, with one core
// and, in turn, with two.
func (t engineTask) rates(rounds int, old, target []byte) (out []rate, err error) {
	var cpu, wall [2][]float64
	for i := range rounds + 1 {
		for k := range cpu {
			runtime.GOMAXPROCS(k + 1)
			before, began := ownCPU(), time.Now()
			n, err := t.run(old, target)
			if err != nil {
				return nil, err
			}
			used, took := ownCPU()-before, time.Since(began)
			if i > 0 {
				cpu[k], wall[k] = append(cpu[k], float64(n)/1e6/used.Seconds()), append(wall[k], float64(n)/1e6/took.Seconds())
			}
		}
	}
	for k := range cpu {
		out = append(out, rate{What: t.what, Procs: k + 1, CPU: median(cpu[k]), Wall: median(wall[k])})
	}
	return out, nil
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return v[len(v)/2]
}
