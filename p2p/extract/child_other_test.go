//go:build !linux

package extract

// probe is for Linux, which alone confines a child by more than its limits.
func probe() int { return 1 }
