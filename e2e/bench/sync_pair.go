package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pair is two nodes that keep one folder the same.
type pair interface {
	// folders are the two directories.
	folders() [2]string
	// processes are those of each node.
	processes() ([2][]int, error)
	// look has a side look at what has changed below a path, if it has to be told.
	look(ctx context.Context, side int, path string) error
	// settled reports whether both sides are idle and lack nothing. It fails when a
	// side says that something is wrong.
	settled(ctx context.Context) (bool, error)
	// state is what the sides say about the folder, for who wonders why nothing goes on.
	state(ctx context.Context) string
	// wire is how many bytes went between the two, both ways.
	wire(ctx context.Context) (int64, error)
	// stop ends both nodes. Later calls do nothing.
	stop() error
}

// rest waits until both sides have been idle for a while.
func rest(ctx context.Context, p pair, while time.Duration) error {
	since := time.Now()
	for end := since.Add(stepWithin); ; time.Sleep(20 * time.Millisecond) {
		ok, err := p.settled(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		switch {
		case !ok && now.After(end):
			return fmt.Errorf("not idle within %v: %s", stepWithin, p.state(ctx))
		case !ok:
			since = now
		case now.Sub(since) >= while:
			return nil
		}
	}
}

// usedCPU is the CPU time that both sides have used so far.
func usedCPU(p pair) (total time.Duration, err error) {
	sides, err := p.processes()
	if err != nil {
		return 0, err
	}
	for _, pids := range sides {
		for _, pid := range pids {
			used, err := cpu(pid)
			if err != nil {
				return 0, err
			}
			total += used
		}
	}
	return total, nil
}

// memory is what processes have of a kind that the kernel tells, in MiB.
func memory(pids []int, kind string) (mib float64, err error) {
	for _, pid := range pids {
		n, err := statusKiB(pid, kind)
		if err != nil {
			return 0, err
		}
		mib += float64(n) / 1024
	}
	return mib, nil
}

func statusKiB(pid int, kind string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, kind+":"); ok {
			return strconv.Atoi(strings.Fields(kb)[0])
		}
	}
	return 0, fmt.Errorf("no %s for process %d", kind, pid)
}

// forgetPeaks has the kernel count the most memory of a process from here on.
func forgetPeaks(p pair) error {
	sides, err := p.processes()
	if err != nil {
		return err
	}
	for _, pids := range sides {
		for _, pid := range pids {
			if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// family is a process and all that it has started, by whichever thread.
func family(pid int) ([]int, error) {
	all := []int{pid}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(b)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			more, err := family(child)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	return all, nil
}
