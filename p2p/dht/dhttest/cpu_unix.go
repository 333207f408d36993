//go:build unix

package dhttest

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime returns how long the process has run on any core, for itself and in the kernel.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
