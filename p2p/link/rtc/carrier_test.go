package rtc

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/link"
)

// TestLowMark: who waits until as little is on its way as the mark says, then sends. Otherwise it would look again
// without a pause, for as long as nothing changes, which after the end of a link is for ever.
func TestLowMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.Uint64Range(1, 4).Draw(t, "lanes")
		window := rapid.Uint64Range(1, largestWindow).Draw(t, "window") / lanes
		n := rapid.Uint64Range(1, link.MaxFrame).Draw(t, "n")
		low := lowMark(n, window)
		buffered := rapid.Uint64Range(0, low).Draw(t, "buffered")
		if !fits(buffered, n, window) {
			t.Fatalf("%d bytes do not fit a window of %d with %d on their way, which is not above the mark %d", n, window, buffered, low)
		}
	})
}
