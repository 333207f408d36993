//go:build !race

package chunk

const underRace = false
