package main

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"time"
)

// contenders are what carries bulk data, in the order of their turns.
var contenders = []string{"stock", "shoal", "tls"}

// busyGC is the GOGC of a node that is busy and holds little: see room.go at the root.
// The others get the same.
const busyGC = "400"

// bulkResult is one transfer.
type bulkResult struct {
	Seconds float64
	CPU     time.Duration // of both ends
	Bytes   int64
}

// sender sends n bytes to the far end and returns when it has said that they are there.
type sender interface {
	send(ctx context.Context, n int64) error
	close() error
}

func measureBulk(ctx context.Context, o options, r *report) error {
	all := map[string][]bulkResult{}
	for i := range o.rounds {
		for _, kind := range contenders {
			fmt.Fprintf(os.Stderr, "bulk, round %d of %d: %s\n", i+1, o.rounds, kind)
			env := []string{"GOGC=" + o.gc}
			args := []string{kind, strconv.Itoa(o.mib)}
			if o.prof != "" && kind == "shoal" {
				args = append(args, o.prof)
			}
			var b bulkResult
			if err := runNear(ctx, &b, env, args...); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			all[kind] = append(all[kind], b)
		}
	}
	for _, kind := range contenders {
		var speed, cpu []float64
		for _, b := range all[kind] {
			speed = append(speed, float64(b.Bytes)/1e6/b.Seconds)
			cpu = append(cpu, float64(b.CPU)/float64(b.Bytes))
		}
		r.Bulk = append(r.Bulk, bulkRow{
			Kind: kind, Speed: quantile(speed, 0.5), Least: quantile(speed, 0), Most: quantile(speed, 1),
			CPU: quantile(cpu, 0.5),
		})
	}
	return nil
}

// nearBulk is the near end of a transfer: args are the kind, the size in MiB, and what
// the names of profiles begin with, if they are wanted.
func nearBulk(ctx context.Context, args []string) (any, error) {
	kind, size := args[0], int64(number(args, 1))<<20
	far := args[2:]
	t, end, err := startFar(ctx, kind, far...)
	if err != nil {
		return nil, err
	}
	var s sender
	switch kind {
	case "stock":
		s, err = dialStock(ctx, t)
	case "tls":
		s, err = dialTLS(ctx, t)
	default:
		s, err = dialShoal(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	if err := s.send(ctx, 32<<20); err != nil { // windows open, buffers are made
		return nil, err
	}
	stop, err := profile(far, "near")
	if err != nil {
		return nil, err
	}
	before, err := t.ask()
	if err != nil {
		return nil, err
	}
	cpu, start := cpuNow(), time.Now()
	if err := s.send(ctx, size); err != nil {
		return nil, err
	}
	took := time.Since(start)
	cpu = cpuNow() - cpu
	stop()
	after, err := t.ask()
	if err != nil {
		return nil, err
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	return bulkResult{Seconds: took.Seconds(), CPU: cpu + after.CPU - before.CPU, Bytes: size}, end()
}

// profile begins a CPU profile if one is wanted, in a file named after the prefix and the
// end, and returns what ends it.
func profile(prefix []string, end string) (stop func(), err error) {
	if len(prefix) == 0 {
		return func() {}, nil
	}
	f, err := os.Create(prefix[0] + end + ".pprof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
