//go:build !race

package dht_test

// raced: whether the race detector runs.
const raced = false
