package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// sample is what one run of a program took.
type sample struct {
	cpu, wall time.Duration
	peak      float64 // resident, MiB
	sent      int64   // bytes for the other side
}

// errOver says that a program was ended because it took too long.
var errOver = errors.New("took too long")

// run runs a program to its end.
//
// The kernel counts the most memory of a process from before it became that program:
// no figure is below what this process itself has when it starts the other.
func run(ctx context.Context, limit time.Duration, path string, s step) (out sample, err error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	cmd := exec.CommandContext(ctx, path, s.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var said bytes.Buffer
	cmd.Stderr = &said
	if s.stdout != "" {
		f, err := os.Create(s.stdout)
		if err != nil {
			return out, err
		}
		defer f.Close()
		cmd.Stdout = f
	}
	began := time.Now()
	err = cmd.Run()
	out.wall = time.Since(began)
	if ctx.Err() == context.DeadlineExceeded {
		return out, errOver
	}
	if u, ok := usage(cmd); ok {
		out.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		out.peak = float64(u.Maxrss) / 1024
	}
	if err != nil {
		return out, fmt.Errorf("%v: %w: %s", cmd.Args, err, said.Bytes()[:min(said.Len(), 500)])
	}
	return out, nil
}

// usage is that of a process and of all below it that were waited for.
func usage(cmd *exec.Cmd) (*syscall.Rusage, bool) {
	if cmd.ProcessState == nil {
		return nil, false
	}
	u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return u, ok
}

// round runs all steps once, and checks what comes out.
func (x *contender) round(ctx context.Context, limit time.Duration, counts bool) error {
	if x.over != "" {
		return nil
	}
	if err := x.prepare(); err != nil {
		return err
	}
	var all []sample
	for _, s := range x.steps {
		got, err := run(ctx, limit, x.tool.path, s)
		if errors.Is(err, errOver) && ctx.Err() == nil {
			x.over = s.name
			x.samples[s.name] = []sample{got}
			return nil
		}
		if err != nil {
			return err
		}
		if s.sends != nil {
			if got.sent, err = s.sends(); err != nil {
				return err
			}
		}
		all = append(all, got)
	}
	if err := same(x.made, x.place.new); err != nil {
		return err
	}
	if !counts {
		return nil
	}
	for i, s := range x.steps {
		x.samples[s.name] = append(x.samples[s.name], all[i])
	}
	if len(all) > 1 {
		both := sample{all[0].cpu + all[1].cpu, all[0].wall + all[1].wall, max(all[0].peak, all[1].peak), all[0].sent + all[1].sent}
		x.samples[signAndDiff] = append(x.samples[signAndDiff], both)
	}
	return nil
}

const (
	// signAndDiff is both steps as one.
	signAndDiff = "sign + diff"
	// wholeJob is all that rsync does.
	wholeJob = "whole job"
)
