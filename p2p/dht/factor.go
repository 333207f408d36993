package dht

import (
	"math"
	"slices"
)

// How many replicas are enough is what TomP2P's automatic replication computes: from how many
// members left in each of the last intervals it predicts how many will leave in the next one,
// and takes the smallest number of replicas of which one stays with the wanted probability.

// Factor returns how many replicas a record needs that one of them stays with probability
// reliability when leaving of n members leave, whichever they are: the least f, from
// atLeast to atMost, with 1 − C(leaving, f)/C(n, f) ≥ reliability, or atMost.
func Factor(leaving, n int, reliability float64, atLeast, atMost int) int {
	all := 1.0 // probability that all f replicas are among those who leave
	for f := 1; f < atMost; f++ {
		switch i := f - 1; {
		case leaving <= i:
			all = 0
		case n <= i:
			return atMost
		default:
			all *= float64(leaving-i) / float64(n-i)
		}
		if f >= atLeast && 1-all >= reliability {
			return f
		}
	}
	return atMost
}

// predict returns how many members will leave: the average, and as many more as it usually
// differs, rounded down.
func predict(departures []int, average float64) int {
	return int(average + deviation(departures, average))
}

// movingAverage returns the exponential moving average that follows averages, the last of
// which is of before the last of departures. The smoothing factor is 2/(interval+1) for the
// interval, from the first departures on, whose numbers explain the averages best.
func movingAverage(departures []int, averages []float64) float64 {
	interval, best := len(departures), 0.0
	for n := len(departures); n >= 3; n-- { // two points are on a line whatever they are
		if r := explained(departures[:n], averages[:n]); r >= best {
			interval, best = n, r
		}
	}
	last := averages[len(averages)-1]
	return last + 2/float64(interval+1)*(float64(departures[len(departures)-1])-last)
}

// explained returns how much of the variance of y a line over x explains, from 0 to 1.
func explained(x []int, y []float64) float64 {
	var meanX, meanY float64
	for i := range x {
		meanX += float64(x[i]) / float64(len(x))
		meanY += y[i] / float64(len(x))
	}
	var xx, yy, xy float64
	for i := range x {
		dx, dy := float64(x[i])-meanX, y[i]-meanY
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy * xy / (xx * yy)
}

// deviation returns the sample standard deviation of departures from an average.
func deviation(departures []int, average float64) float64 {
	if len(departures) < 2 {
		return 0
	}
	sum := 0.0
	for _, d := range departures {
		sum += (float64(d) - average) * (float64(d) - average)
	}
	return math.Sqrt(sum / float64(len(departures)-1))
}

// churn is what was seen of departures.
type churn struct {
	departures []int     // in each interval, at most window
	averages   []float64 // before each interval
}

// last returns the departures of the last intervals, at most window.
func (c *churn) last(window int) []int {
	return slices.Clone(c.departures[max(0, len(c.departures)-window):])
}

// add notes how many have left in an interval, and returns how many will in the next one.
func (c *churn) add(departures, window int) (leaving int) {
	if len(c.averages) == 0 {
		c.averages = []float64{0}
	}
	c.departures = append(c.departures, departures)
	average := movingAverage(c.departures, c.averages)
	leaving = predict(c.departures, average)
	c.averages = append(c.averages, average)
	if len(c.departures) >= window {
		c.departures, c.averages = c.departures[1:], c.averages[1:]
	}
	return leaving
}
