//go:build !linux

package swarm

import "os"

// seekData returns where the next bytes of a file that were written begin, and where they end. Not
// every system tells: then none are found, and what was written in the last moments before a crash
// is fetched again.
func seekData(_ *os.File, _, size int64) (first, end int64, err error) { return size, size, nil }
