//go:build !race

package node

// raced: whether the race detector runs.
const raced = false
