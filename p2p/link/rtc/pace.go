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
// and a little more, which is measured: the rate by what is acknowledged while the
// window is full, the round trip by heartbeats. Where SCTP's own window is smaller, it
// rules. The zero value works.
type pace struct {
	mu     sync.Mutex // guards all that follows
	window int
	rate   float64 // bytes per second, the best of late
	since  time.Time
	acked  uint64 // until since
	dipped time.Time
}

const (
	startWindow = 512 << 10
	// smallestWindow of bulk data keeps a gigabit line of 1 ms, or 10 Mbit/s of 100 ms, busy.
	smallestWindow = 128 << 10
	// largestWindow is not more than the peer's SCTP takes.
	largestWindow = receiveBuffer
	// slack is the least queue that the window allows: goroutines take turns in
	// milliseconds.
	slack = 3 * time.Millisecond
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

// full says that the window is full, when acked bytes have been acknowledged in all
// and SCTP has a window of cwnd. least is the path's round trip.
func (p *pace) full(now time.Time, acked uint64, cwnd int, least time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	span := now.Sub(p.since)
	switch {
	case now.Before(p.dipped):
		// Not what the path can do.
	case span < max(measure, 2*least):
		return
	case span < pause+4*least: // else it was not full all the time
		p.adapt(float64(acked-p.acked)/span.Seconds(), cwnd, least)
	}
	p.since, p.acked = now, acked
}

// adapt sets the window after a rate was measured. p.mu is held.
func (p *pace) adapt(rate float64, cwnd int, least time.Duration) {
	rising := rate > p.rate*5/4
	p.rate = max(rate, p.rate*7/8)
	room := least + max(slack, least/4)
	want := int(p.rate * room.Seconds())
	if rising || cwnd < want {
		want = max(p.window, min(4*cwnd, 2*p.window)) // SCTP has not yet found out what the path can do
	}
	p.window = max(smallestWindow, min(want, largestWindow))
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
