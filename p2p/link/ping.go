package link

import (
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Liveness. A ping goes out every 5 s; a peer that vanishes right after it has
// answered is given up 5 s + pingMisses*pingWait = 9.5 s later. Where the carrier
// notices that, pings find a peer whose link hangs, and measure the round trip.
const (
	pingWait   = 1500 * time.Millisecond // for a sign of life after a ping
	pingPause  = 3500 * time.Millisecond // after a sign of life
	longPause  = 40 * time.Second        // the same, where the carrier watches
	pingMisses = 3                       // unanswered pings in a row that end the link
)

// watch measures the round-trip time and ends the link when the peer is silent.
// Any message is a sign of life, so that a queue of data in front of the answer is
// not mistaken for death.
func (l *Link) watch() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	sleep := func(d time.Duration) (alive bool) {
		timer.Reset(d)
		select {
		case <-timer.C:
			return true
		case <-l.done:
			return false
		}
	}
	pause := pingPause
	if l.network != nil {
		pause = longPause
	}
	misses := 0
	for {
		l.pulse.heard.Store(false)
		now := uint64(time.Since(l.pulse.start)) + 1 // never 0
		l.pulse.token.Store(now)
		l.queues[control].put(wire.Frame{Type: wire.Ping, Code: now})
		if !sleep(pingWait) {
			return
		}
		if l.pulse.heard.Load() {
			misses = 0
			if !sleep(pause) {
				return
			}
			continue
		}
		if misses++; misses == pingMisses {
			l.end(fmt.Errorf("no sign of life in %v", pingMisses*pingWait), silently, "")
			return
		}
	}
}

// onPong takes the answer to the newest ping and no other into the smoothed
// round-trip time (RFC 6298, section 2: one eighth of each new sample).
func (l *Link) onPong(token uint64) {
	if token == 0 || !l.pulse.token.CompareAndSwap(token, 0) {
		return
	}
	sample := int64(time.Since(l.pulse.start)) - int64(token-1)
	old := l.pulse.rtt.Load()
	if old != 0 {
		sample = old + (sample-old)/8
	}
	l.pulse.rtt.Store(max(sample, 1))
}
