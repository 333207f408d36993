//go:build !race

package delta

const underRace = false
