//go:build race

package delta

// underRace: the race detector makes everything slow that has one goroutine, and counts memory
// of its own.
const underRace = true
