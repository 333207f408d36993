//go:build !race

package extract

// raced: whether the race detector runs.
const raced = false
