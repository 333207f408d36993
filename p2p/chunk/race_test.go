//go:build race

package chunk

// underRace: the race detector makes everything slow that has one goroutine, and counts memory
// of its own.
const underRace = true
