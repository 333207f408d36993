//go:build !unix

package dhttest

import (
	"testing"
	"time"
)

// cpuTime returns how long the benchmark has run: nothing better is known here.
func cpuTime(b *testing.B) time.Duration { return b.Elapsed() }
