package swarm

import (
	"math"
	"time"
)

// gauge measures a rate: bytes per second, of which those of the last seconds count most. The zero
// value measures from its first bytes on.
type gauge struct {
	last time.Time
	rate float64 // bytes per second, at last
}

// fade is in what time what was measured loses most of its weight.
const fade = 3 * time.Second

func (g *gauge) add(now time.Time, n int64) {
	g.rate = g.at(now) + float64(n)/fade.Seconds()
	g.last = now
}

// at returns the rate at a time.
func (g *gauge) at(now time.Time) float64 {
	if g.last.IsZero() {
		return 0
	}
	return g.rate * math.Exp(-float64(now.Sub(g.last))/float64(fade))
}
