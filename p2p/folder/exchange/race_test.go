//go:build race

package exchange

// underRace: the race detector makes everything slow that has one goroutine.
const underRace = true
