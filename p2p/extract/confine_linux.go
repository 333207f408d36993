package extract

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// confine lets go of everything that a child does not need, for ever, and says
// what holds it. The limits of the process must hold; Landlock and the filter of
// system calls do where the kernel has them.
func confine() (string, error) {
	// When memory is short, the kernel is to end this process, not its parent.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // a wish
	held := []string{"limits"}
	if abi, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); e == 0 {
		// Without a rule nothing is allowed: no path, no port, no signal to others.
		if err := landlock.V8.BestEffort().Restrict(); err != nil {
			return "", fmt.Errorf("landlock: %w", err)
		}
		held = append(held, fmt.Sprintf("landlock %d", abi))
	}
	if err := limitProcess(); err != nil {
		return "", err
	}
	if err := filter(); err == nil {
		held = append(held, "seccomp")
	}
	return strings.Join(held, ", "), nil
}

// limitProcess sets the limits of the process. No descriptor can be opened any
// more, which is also no file, socket, pipe and timer.
func limitProcess() error {
	for _, l := range []struct {
		what int
		name string
		max  uint64
	}{
		{unix.RLIMIT_DATA, "data", dataLimit},
		{unix.RLIMIT_CPU, "cpu", lifetime},
		{unix.RLIMIT_FSIZE, "fsize", 0},
		{unix.RLIMIT_CORE, "core", 0},
		{unix.RLIMIT_NOFILE, "nofile", 0},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	return nil
}

// processorTime returns how long this process has been computing.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
