//go:build !race

package rtc

// raceEnabled is true under the race detector.
const raceEnabled = false
