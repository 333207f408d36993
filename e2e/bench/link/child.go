package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// childArg as the first argument makes this program one end of what is measured. The near
// end is started by the benchmark and writes its result to its standard output as JSON. It
// starts the far end, with which it talks by lines of JSON over standard input and output.
const childArg = "child"

// near and far are what a child can be, by name.
var (
	nears = map[string]func(ctx context.Context, args []string) (any, error){
		"stock": nearBulk, "tls": nearBulk, "shoal": nearBulk,
		"calls": nearCalls, "setup": nearSetup, "idle": nearIdle, "cycles": nearCycles,
	}
	fars = map[string]func(ctx context.Context, t *talk, args []string) error{
		"stock": farStock, "tls": farTLS, "shoal": farShoal, "many": farMany,
	}
)

func child(ctx context.Context, args []string) error {
	if args[0] == "far" {
		t := &talk{in: json.NewDecoder(bufio.NewReader(os.Stdin)), out: json.NewEncoder(os.Stdout)}
		return fars[args[1]](ctx, t, args[2:])
	}
	result, err := nears[args[0]](ctx, args)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// talk is what one end says to the other beside what is measured.
type talk struct {
	in  *json.Decoder
	out *json.Encoder
}

// answer answers questions about this process until nobody asks any more.
func (t *talk) answer() error {
	for {
		var question string
		if err := t.in.Decode(&question); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := t.out.Encode(stateNow()); err != nil {
			return err
		}
	}
}

// ask asks the far end for its state.
func (t *talk) ask() (state, error) {
	var s state
	if err := t.out.Encode("state"); err != nil {
		return s, err
	}
	err := t.in.Decode(&s)
	return s, err
}

// state is what a process uses.
type state struct {
	CPU        time.Duration
	Goroutines int
	Files      int
	Heap       uint64 // bytes that live, after a collection
	Stacks     uint64
}

// cpuNow is the user and system time that this process has used.
func cpuNow() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func stateNow() state {
	s := state{CPU: cpuNow(), Goroutines: runtime.NumGoroutine()}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.Files = len(files)
	}
	runtime.GC()
	debug.FreeOSMemory() // a second collection: pools are emptied in two
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Heap, s.Stacks = m.HeapAlloc, m.StackInuse
	return s
}

// startFar starts the far end of a kind. What is returned ends it and waits for it.
func startFar(ctx context.Context, kind string, args ...string) (*talk, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{childArg, "far", kind}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	t := &talk{in: json.NewDecoder(bufio.NewReader(out)), out: json.NewEncoder(in)}
	return t, func() error { return errors.Join(in.Close(), cmd.Wait()) }, nil
}

// patience is how long a near end may take. What it has started ends with it.
const patience = 10 * time.Minute

// runNear runs a near end and decodes its result.
func runNear(ctx context.Context, result any, env []string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append([]string{childArg}, args...)...)
	cmd.Stderr, cmd.Env = os.Stderr, append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, result)
}

func number(args []string, i int) int {
	if i >= len(args) {
		return 0
	}
	n, err := strconv.Atoi(args[i])
	if err != nil {
		return 0
	}
	return n
}

// quantile returns the q-th quantile of all, which it sorts.
func quantile[T int | float64 | time.Duration](all []T, q float64) T {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return string(b[:min(len(b), 14)])
}
