//go:build linux

package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	long   = flag.Bool("long", false, "the long run: 200 kills, 50 power cuts")
	cycles = flag.Int("cycles", 0, "how many kills or power cuts (0: by -long)")
	seed   = flag.Uint64("seed", 0, "of the random work (0: by the clock)")
	race   = flag.Bool("race-nodes", false, "nodes with the race detector")
	given  = flag.String("program", "", "the program to test, made with -tags fault (empty: it is built)")
	large  = flag.Int64("large", 1024, "length of the large file, in MiB")
	keep   = flag.Bool("keep", false, "leave the directories of failed tests")
)

// binary is the program that all tests run.
var binary string

func TestMain(m *testing.M) {
	if text := os.Getenv(sharerEnv); text != "" {
		if err := share(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if !faulty {
		return m.Run()
	}
	if binary = *given; binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "shoal-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "shoal")
	args := []string{"build", "-tags", "fault", "-o", binary}
	if *race {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/shoal-p2p/shoal")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	return m.Run()
}

// begin skips a test that was not asked for, and gives it its directory and its
// randomness.
func begin(t *testing.T) (dir string, r *rand.Rand) {
	t.Helper()
	dir, r = alone(t)
	t.Parallel() // most of the time is spent waiting
	return dir, r
}

// alone is begin for a test that keeps the machine busy: others wait until it is done.
func alone(t *testing.T) (dir string, r *rand.Rand) {
	t.Helper()
	if !faulty {
		t.Skip("needs -tags fault; npm test -- crash runs it")
	}
	dir, err := os.MkdirTemp("", "shoal-crash-"+t.Name()+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && *keep {
			t.Logf("left in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	return dir, rand.New(rand.NewPCG(s, 0))
}

// times is how often something is done: in the short run, in the long one, or as
// was asked for.
func times(short, longer int) int {
	switch {
	case *cycles > 0:
		return *cycles
	case *long:
		return longer
	}
	return short
}
