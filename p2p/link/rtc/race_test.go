//go:build race

package rtc

// raceEnabled is true under the race detector, which makes bulk transfers thirty
// times slower.
const raceEnabled = true
