package rtc

import (
	"sync"
	"time"
)

// pace is how much bulk data may be on its way to the peer, so that the path is full
// and no queue in front of it grows: what waits in a router, a socket or another
// process delays everything behind it, calls too, and makes nothing faster. SCTP alone
// goes on until packets get lost.
//
// With w bytes on their way and a rate of r, each takes w/r. Were there no queue it
// would be the path's own round trip; so the window is what goes through in that time
// and a little more, which is measured: the rate by what is acknowledged, the round trip
// by heartbeats. Where SCTP's own window is smaller, it
// rules. The zero value works.
type pace struct {
	mu     sync.Mutex // guards all that follows
	window int
	rate   float64 // bytes per second, the best of late
	dipped time.Time

	since time.Time // when what follows began
	acked uint64    // until then
	sum   float64   // of bytes on their way, at each look
	count int       // of looks
	full  bool      // at one of them
}

const (
	startWindow = 512 << 10
	// smallestWindow of bulk data keeps a gigabit line of 1 ms, or 10 Mbit/s of 100 ms, busy.
	smallestWindow = 128 << 10
	// largestWindow is not more than the peer's SCTP takes.
	largestWindow = receiveBuffer
	// slack is the least queue that the window allows: goroutines take turns in
	// milliseconds.
	slack = 2 * time.Millisecond
	// refill is the part of the window, 1/refill, that is empty when it is filled again.
	refill = 4
	// measure is the least time over which a rate is measured.
	measure = 10 * time.Millisecond
	// pause is after how long without a full window something else was the limit.
	pause = time.Second
	// dipEvery is how often the window is small for a moment, so that heartbeats see
	// the path without this node's own queue.
	dipEvery = leastFor
	dipFor   = 30 * time.Millisecond
)

// limit returns the window of now.
func (p *pace) limit(now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.window == 0 {
		p.window = startWindow
	}
	if now.Before(p.dipped) {
		return smallestWindow
	}
	return p.window
}

// flight is what there is to see when bulk data is sent.
type flight struct {
	acked    uint64 // bytes that have been acknowledged, in all
	buffered int    // bytes that are on their way or wait for SCTP
	full     bool   // there is no room in the window
	cwnd     int    // SCTP's own window
	least    time.Duration
}

// sees takes note of what is on its way.
func (p *pace) sees(now time.Time, f flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum += float64(f.buffered)
	p.count++
	p.full = p.full || f.full
	span := now.Sub(p.since)
	switch {
	case now.Before(p.dipped):
		// Not what the path can do.
	case span < max(measure, 2*f.least):
		return
	case span < pause+4*f.least: // else nothing was sent for a while
		p.adapt(float64(f.acked-p.acked)/span.Seconds(), p.sum/float64(p.count), f)
	}
	p.since, p.acked, p.sum, p.count, p.full = now, f.acked, 0, 0, false
}

// adapt sets the window after a rate was measured, with so many bytes on their way on
// the average. Of these each takes on/rate (Little's law), whatever the limit was. p.mu
// is held.
func (p *pace) adapt(rate, on float64, f flight) {
	rising := rate > p.rate*5/4
	p.rate = max(rate, p.rate*7/8)
	room := (f.least + max(slack, f.least/4)).Seconds()
	// Between the refills the window is not quite full, which the rate shows.
	want := int(p.rate * room * (2 * refill) / (2*refill - 1))
	switch {
	case rising || f.cwnd < want: // SCTP has not yet found out what the path can do
		if p.full {
			p.window = max(p.window, min(4*f.cwnd, 2*p.window))
		}
	case p.full || on > p.rate*room:
		p.window = want
	}
	p.window = max(smallestWindow, min(p.window, largestWindow))
}

// dip makes the window small for a moment if it is time for it, and reports whether.
func (p *pace) dip(now time.Time, least time.Duration) (wait time.Duration, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.dipped) < dipEvery {
		return 0, false
	}
	wait = least + slack
	p.dipped = now.Add(wait + dipFor)
	return wait, true
}
