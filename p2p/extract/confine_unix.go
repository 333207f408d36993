//go:build unix && !linux

package extract

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// confine lets go of everything that a child does not need, for ever, and says
// what holds it. No descriptor can be opened any more, which is also no file, no
// socket and no pipe.
func confine() (string, error) {
	for _, l := range []struct {
		what int
		name string
		max  uint64
	}{
		{unix.RLIMIT_CPU, "cpu", lifetime},
		{unix.RLIMIT_FSIZE, "fsize", 0},
		{unix.RLIMIT_CORE, "core", 0},
		{unix.RLIMIT_NOFILE, "nofile", 0},
	} {
		limit := unix.Rlimit{}
		if err := unix.Getrlimit(l.what, &limit); err != nil {
			return "", fmt.Errorf("limit %s: %w", l.name, err)
		}
		setLimit(&limit.Cur, &limit.Max, l.max)
		if err := unix.Setrlimit(l.what, &limit); err != nil {
			return "", fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	return "limits", nil
}

// setLimit sets both limits, whose type is not the same everywhere.
func setLimit[N int64 | uint64](cur, high *N, to uint64) { *cur, *high = N(to), N(to) }

// processorTime returns how long this process has been computing.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
