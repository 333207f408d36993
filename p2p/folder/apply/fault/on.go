//go:build fault

package fault

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// where is the point at which to die, and left how often it is passed before. The
// environment is the process's, so this is too.
var where, left = parse(os.Getenv("SHOAL_FAULT"))

func parse(s string) (name string, passages *atomic.Int64) {
	passages = new(atomic.Int64)
	if s == "" {
		return "", passages
	}
	name, n, _ := strings.Cut(s, ":")
	nth, err := strconv.ParseInt(n, 10, 64)
	if err != nil || nth < 1 || !slices.Contains(Names, name) {
		fmt.Fprintf(os.Stderr, "SHOAL_FAULT=%s: want NAME:N, a point and a number from 1\n", s)
		os.Exit(2)
	}
	passages.Store(nth)
	return name, passages
}

// Point kills the process if it was asked for here.
func Point(name string) {
	if name != where || left.Add(-1) != 0 {
		return
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic("fault: cannot kill this process: " + err.Error())
	}
	select {} // the signal is on its way
}
