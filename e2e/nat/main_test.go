//go:build linux

package nat

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

var (
	given = flag.String("program", "", "the program to test (empty: it is built)")
	keep  = flag.Bool("keep", false, "leave data and logs of failed tests")
	limit = flag.Duration("limit", time.Minute, "when all links must be there, and as direct as they can be")
)

// program is set in the environment of the tests to the program that they run.
const program = "SHOAL_NATLAB_PROGRAM"

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// run builds the program and runs the tests in namespaces, or where they would be
// skipped anyway, just runs them.
func run(m *testing.M) (int, error) {
	if lab.Entered() {
		if _, err := lab.Settle(); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}
	if !wanted || lab.Missing() != "" {
		return m.Run(), nil
	}
	binary := *given
	if binary == "" {
		dir, err := os.MkdirTemp("", "shoal-nat-")
		if err != nil {
			return 1, err
		}
		defer func() { _ = os.RemoveAll(dir) }() // the system tidies up what is left
		binary = filepath.Join(dir, "shoal")
		build := exec.Command("go", "build", "-o", binary, "github.com/shoal-p2p/shoal")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return 1, fmt.Errorf("build the program: %w", err)
		}
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return 1, err
	}
	return lab.Enter(program + "=" + binary)
}

// ready skips a test that was not asked for, or is not possible here.
func ready(t *testing.T) {
	t.Helper()
	if !wanted {
		t.Skip("needs -tags nat")
	}
	if !lab.Entered() {
		t.Skip(lab.Missing())
	}
}

// build builds an internet for a test, without nodes.
func build(t *testing.T, scenario string) *lab.Lab {
	t.Helper()
	ready(t)
	s, err := lab.Find(scenario)
	if err != nil {
		t.Fatal(err)
	}
	if lacks := lab.Missing(s.Needs...); lacks != "" {
		t.Skip(lacks)
	}
	dir, err := os.MkdirTemp("", "shoal-nat-"+scenario+"-")
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Build(lab.Options{Dir: dir, Program: os.Getenv(program), Prefix: strings.ToLower(t.Name()) + "-"})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() && *keep {
			t.Logf("left in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// join makes one network of all nodes of an internet.
func join(t *testing.T, l *lab.Lab) *lab.Network {
	t.Helper()
	n, err := lab.Join(l.Hosts()...)
	if err != nil {
		t.Fatalf("not all have joined:\n%v", err)
	}
	return n
}
