//go:build race

package ranges_test

// raced: whether the race detector runs.
const raced = true
