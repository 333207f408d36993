package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// profiler has both nodes of a pair profile themselves during each step.
type profiler struct {
	dir   string // where the nodes write their profiles, and this the courses
	steps []profiled
}

// profiled is what was found out about a step: of each side its profiles, one for each run.
type profiled struct {
	name     string
	bytes    float64 // that the step moves, over all runs; 0: not said
	profiles [2][]string
}

// newProfiler returns one that writes to a directory, which it makes. Nodes that are started from
// here on know of it.
func newProfiler(dir string) (*profiler, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.Setenv("SHOAL_PROFILE", dir))
	}
	return &profiler{dir: dir}, err
}

// begin has a profile begun on both sides, and notes the course of the step. The function that
// it returns ends both.
func (p *profiler) begin(ctx context.Context, s step, sides *shoalPair) (end func() error, err error) {
	if err := sides.signal(syscall.SIGUSR1); err != nil {
		return nil, err
	}
	c := watchCourse(ctx, sides)
	return func() error {
		rows, err := c.end()
		if err := errors.Join(err, sides.signal(syscall.SIGUSR1)); err != nil {
			return err
		}
		i := slices.IndexFunc(p.steps, func(o profiled) bool { return o.name == s.name })
		if i < 0 {
			i = len(p.steps)
			p.steps = append(p.steps, profiled{name: s.name})
		}
		of := &p.steps[i]
		of.bytes += s.mb * 1e6
		for k := range sides.nodes {
			file, err := p.profile(sides.nodes[k].cmd.Process.Pid, sides.profiles)
			if err != nil {
				return err
			}
			of.profiles[k] = append(of.profiles[k], file)
		}
		sides.profiles++
		name := strings.ReplaceAll(s.name, " ", "-") + "-" + strconv.Itoa(len(of.profiles[0])) + ".tsv"
		return os.WriteFile(filepath.Join(p.dir, name), rows, 0o644)
	}, nil
}

// profile waits until a process has written its n-th profile.
func (p *profiler) profile(pid, n int) (string, error) {
	file := filepath.Join(p.dir, fmt.Sprintf("%d.%d.cpu", pid, n))
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("process %d has not written profile %d", pid, n)
}

// print prints for what each side has used its CPU time, in each step.
func (p *profiler) print(ctx context.Context, program string) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range p.steps {
		runs := len(s.profiles[0])
		fmt.Fprintf(t, "\nCPU, %s, mean of %d\tsender\treceiver\t%s\n", s.name, runs, per(s.bytes))
		var sums [2]map[string]time.Duration
		var total [2]time.Duration
		for k := range sums {
			out, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-traces", program}, s.profiles[k]...)...).Output()
			if err != nil {
				return fmt.Errorf("go tool pprof: %w", err)
			}
			if sums[k], err = sortStacks(bytes.NewReader(out)); err != nil {
				return err
			}
			for _, d := range sums[k] {
				total[k] += d
			}
		}
		line := func(what string, a, b time.Duration) {
			ms := func(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3/float64(runs)) }
			each := ""
			if s.bytes > 0 {
				each = fmt.Sprintf("%.2f", float64((a+b).Nanoseconds())/s.bytes)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, ms(a), ms(b), each)
		}
		for _, w := range append(workKinds(), workKind{name: "other"}) {
			if a, b := sums[0][w.name], sums[1][w.name]; a+b > 0 {
				line(w.name, a, b)
			}
		}
		line("all", total[0], total[1])
	}
	return t.Flush()
}

func per(bytes float64) string {
	if bytes == 0 {
		return ""
	}
	return "ns per byte"
}

// workKind is what a stack is counted as if one of its functions matches.
type workKind struct {
	name string
	is   *regexp.Regexp
}

// workKinds are matched in this order, each with all functions of a stack.
func workKinds() []workKind {
	var all []workKind
	for _, k := range [][2]string{
		{"memory: make, collect", `^runtime\.(gcBgMarkWorker|gcAssistAlloc|mallocgc|growslice|bgsweep|bgscavenge|gcStart|GC$)|debug\.(SetGCPercent|FreeOSMemory)`},
		{"scan: read", `folder\.\(\*watched\)\.Read`},
		{"scan: cut, hash twice", `chunk\.\(\*scanner\)`},
		{"read again in the end", `exchange\.readFull`},
		{"hash and cut again in the end", `exchange\.\(\*update\)\.(verify|cutAgain|cutRight)`},
		{"sync", `\(\*File\)\.Sync|syscall\.Fsync`},
		{"write", `\(\*File\)\.(WriteAt|pwrite)`},
		{"hash the whole and cut as it arrives", `exchange\.\(\*update\)\.pass`},
		{"hash chunks as they arrive", `blake3\.`},
		{"read what is sent", `\(\*File\)\.(ReadAt|pread)`},
		{"pack: copy, estimate", `p2p/pack\.`},
		{"encryption", `crypto/`},
		{"send and receive datagrams", `syscall\.(sendmsg|recvmsg)`},
		{"SCTP", `pion/sctp|pion/datachannel`},
		{"link and transport", `p2p/link`},
		{"exchange", `p2p/folder`},
		{"database", `sqlite|database/sql`},
		{"HTTP of the benchmark", `net/http`},
		{"scheduler, timers", `^runtime\.`}, // in all stacks whose others are not known either
	} {
		all = append(all, workKind{k[0], regexp.MustCompile(k[1])})
	}
	return all
}

// sortStacks adds up the samples of `go tool pprof -traces` by kinds.
func sortStacks(in io.Reader) (map[string]time.Duration, error) {
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	sums := map[string]time.Duration{}
	kinds := workKinds()
	// Each sample begins with a line of its value and its innermost function.
	for block := range strings.SplitSeq(string(text), "-----------+-------------------------------------------------------") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		fields := strings.Fields(lines[0])
		if len(fields) < 2 {
			continue
		}
		value, err := time.ParseDuration(fields[0])
		if err != nil {
			continue // the head
		}
		stack := []string{strings.Join(fields[1:], " ")}
		for _, l := range lines[1:] {
			stack = append(stack, strings.TrimSpace(l))
		}
		sums[kindOf(kinds, stack)] += value
	}
	return sums, nil
}

func kindOf(kinds []workKind, stack []string) string {
	for _, k := range kinds {
		if slices.ContainsFunc(stack, k.is.MatchString) {
			return k.name
		}
	}
	return "other"
}

// course notes how busy two nodes and their link are, in the course of a step.
type course struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	rows    bytes.Buffer
	err     error
}

// courseEvery is the time between two looks.
const courseEvery = 50 * time.Millisecond

func watchCourse(ctx context.Context, p *shoalPair) *course {
	ctx, stop := context.WithCancel(ctx)
	c := &course{stop: stop}
	fmt.Fprintln(&c.rows, "ms\tsender's cores\treceiver's cores\tidle cores\tof them waiting for a disk\tMB/s on the link")
	c.running.Go(func() {
		tick := time.NewTicker(courseEvery)
		defer tick.Stop()
		began := time.Now()
		at, before, err := p.sample(ctx)
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var now time.Time
			var is [5]float64
			if now, is, err = p.sample(ctx); err != nil {
				break
			}
			took := now.Sub(at).Seconds()
			fmt.Fprintf(&c.rows, "%d", now.Sub(began).Milliseconds())
			for i := range is[:4] {
				fmt.Fprintf(&c.rows, "\t%.2f", (is[i]-before[i])/took)
			}
			fmt.Fprintf(&c.rows, "\t%.0f\n", (is[4]-before[4])/took/1e6)
			at, before = now, is
		}
		if ctx.Err() == nil {
			c.err = err
		}
	})
	return c
}

// end returns what was seen.
func (c *course) end() ([]byte, error) {
	c.stop()
	c.running.Wait()
	return c.rows.Bytes(), c.err
}

// sample returns, in seconds, for how long each side has run and all cores have been idle, and
// the bytes on the wire.
func (p *shoalPair) sample(ctx context.Context) (at time.Time, is [5]float64, err error) {
	for k, n := range p.nodes {
		if is[k], err = ranFor(n.cmd.Process.Pid); err != nil {
			return at, is, err
		}
	}
	if is[2], is[3], err = idled(); err != nil {
		return at, is, err
	}
	wire, err := p.wire(ctx)
	is[4] = float64(wire)
	return time.Now(), is, err
}

// idled returns for how long the cores of this machine have had nothing to do, in seconds, and for
// how long of that somebody waited for a disk.
func idled() (all, disk float64, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	// "cpu", then user, nice, system, idle and iowait in 1/100 s.
	fields := strings.Fields(string(b))
	if len(fields) < 6 {
		return 0, 0, fmt.Errorf("/proc/stat: %.40q", b)
	}
	idle, err := strconv.ParseFloat(fields[4], 64)
	if err != nil {
		return 0, 0, err
	}
	disk, err = strconv.ParseFloat(fields[5], 64)
	return (idle + disk) / 100, disk / 100, err
}

// ranFor returns how long the threads of a process have run, in seconds, as exactly as the
// kernel knows.
func ranFor(pid int) (sum float64, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t, err)
		}
		sum += ns / 1e9
	}
	return sum, nil
}

// signal sends a signal to both nodes.
func (p *shoalPair) signal(s os.Signal) error {
	return errors.Join(p.nodes[0].cmd.Process.Signal(s), p.nodes[1].cmd.Process.Signal(s))
}
