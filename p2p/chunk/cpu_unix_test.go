//go:build unix

package chunk

import (
	"syscall"
	"testing"
)

// cpuTime returns how many seconds this process has computed, in user mode and in the system.
func cpuTime(b *testing.B) (user, sys float64) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Nano()) / 1e9, float64(r.Stime.Nano()) / 1e9
}
