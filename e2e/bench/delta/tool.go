package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// tool is a program that is measured.
type tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	path    string
}

const (
	toolShoal = "shoal"
	toolRdiff = "rdiff"
	toolRsync = "rsync"
)

// findTools returns shoal and those others that are installed, and says how to get
// those that are not.
func findTools(ctx context.Context, shoal string) []tool {
	all := []tool{{Name: toolShoal, Version: "of this repository", path: shoal}}
	for _, name := range []string{toolRdiff, toolRsync} {
		path, err := exec.LookPath(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s is left out: %v; apt-get update && apt-get install -y --no-install-recommends rdiff rsync/bookworm-security\n", name, err)
			continue
		}
		version := "unknown"
		if out, err := exec.CommandContext(ctx, path, "--version").Output(); err == nil {
			version, _, _ = strings.Cut(string(out), "\n")
		}
		all = append(all, tool{Name: name, Version: version, path: path})
	}
	return all
}

// offers reports whether a length of blocks is measured for this program. rdiff's own
// choice is about the same as blockSize for the files here.
func (t tool) offers(block int) bool { return t.Name != toolRdiff || block != 0 }

// step is one run of a program.
type step struct {
	name   string
	args   []string
	stdout string                // the file that takes it; empty: none
	sends  func() (int64, error) // how much of what it has written goes to the other side; nil: nothing
}

// contender is a program with one length of blocks, on the files of one case.
type contender struct {
	name    string
	tool    tool
	place   place
	steps   []step
	prepare func() error        // before each round, and not measured
	made    string              // the new file, as it came out
	samples map[string][]sample // by step
	over    string              // the step that took too long
}

func (t tool) contend(p place, block int) *contender {
	x := &contender{name: t.Name, tool: t, place: p, samples: map[string][]sample{}, prepare: func() error { return nil }}
	if block > 0 {
		x.name = fmt.Sprintf("%s %d", t.Name, block)
	}
	dir := filepath.Join(p.dir, strings.ReplaceAll(x.name, " ", "-"))
	in := func(name string) string { return filepath.Join(dir, name) }
	x.made = in("made")
	switch t.Name {
	case toolShoal:
		x.steps = shoalSteps(p, block, in)
	case toolRdiff:
		x.steps = []step{
			{name: "sign", args: []string{"-b", strconv.Itoa(block), "signature", p.old, in("signature")}, sends: sizeOf(in("signature"))},
			{name: "diff", args: []string{"delta", in("signature"), p.new, in("delta")}, sends: sizeOf(in("delta"))},
			{name: "patch", args: []string{"patch", p.old, in("delta"), x.made}},
		}
	case toolRsync:
		args := []string{"--no-whole-file", "--no-inplace", "--ignore-times", "--stats", "--no-human-readable"}
		if block > 0 {
			args = append(args, "--block-size="+strconv.Itoa(block))
		}
		x.steps = []step{{name: wholeJob, args: append(args, p.new, x.made), stdout: in("stats"), sends: func() (int64, error) { return rsyncBytes(in("stats")) }}}
		// rsync replaces the name: the old file itself stays as it is.
		x.prepare = func() error { return os.Link(p.old, x.made) }
	}
	link := x.prepare
	x.prepare = func() error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), link()) }
	return x
}

// shoalSteps is how people call shoal.
func shoalSteps(p place, block int, in func(string) string) []step {
	sign := []string{"delta", "sign"}
	if block > 0 {
		sign = append(sign, "--block", strconv.Itoa(block))
	}
	return []step{
		{name: "sign", args: append(sign, p.old), stdout: in("signature"), sends: sizeOf(in("signature"))},
		{name: "diff", args: []string{"delta", "diff", in("signature"), p.new}, stdout: in("delta"), sends: sizeOf(in("delta"))},
		{name: "patch", args: []string{"delta", "patch", p.old, in("delta"), in("made")}},
	}
}

func sizeOf(path string) func() (int64, error) {
	return func() (int64, error) {
		st, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		return st.Size(), nil
	}
}

// rsyncBytes is what the two sides of rsync have told each other.
func rsyncBytes(stats string) (total int64, err error) {
	f, err := os.Open(stats)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	found := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		for _, what := range []string{"Total bytes sent: ", "Total bytes received: "} {
			if rest, ok := strings.CutPrefix(lines.Text(), what); ok {
				n, err := strconv.ParseInt(rest, 10, 64)
				if err != nil {
					return 0, fmt.Errorf("statistics of rsync: %w", err)
				}
				total += n
				found++
			}
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if found != 2 {
		return 0, errors.New("statistics of rsync: not as known")
	}
	return total, nil
}
