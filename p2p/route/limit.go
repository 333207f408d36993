package route

import (
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// What one link may bring to be passed on or served, so that no member can spend what
// others have. A search that asks 10,000 members through 64 links brings 160 calls
// at once over each.
const (
	callsBurst  = 1000
	callsRate   = 200 // per second
	bytesBurst  = 8 << 20
	bytesRate   = 2 << 20 // per second
	linkFlights = 128     // calls of one link at once
	allFlights  = 512     // of all links: with requests and answers 80 MiB at most
)

// limits counts what links bring.
type limits struct {
	mu      sync.Mutex // guards all following fields
	meters  map[p2p.ID]*meter
	flights int
	flying  map[digest]struct{}
}

// meter is the account of one link: a token bucket each for calls and bytes.
type meter struct {
	calls, bytes float64
	at           time.Time // when it was filled last
	flights      int
}

func newLimits() *limits {
	return &limits{meters: map[p2p.ID]*meter{}, flying: map[digest]struct{}{}}
}

// verdict says why a call does not get in.
type verdict int

const (
	admitted verdict = iota
	overRate
	alreadyHere // the same request is on its way through this node now
)

// enter lets a call of n bytes in that the peer of a link has brought.
func (l *limits) enter(peer p2p.ID, d digest, n int, now time.Time) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.meters[peer]
	if m == nil {
		l.prune(now)
		m = &meter{calls: callsBurst, bytes: bytesBurst, at: now}
		l.meters[peer] = m
	}
	m.fill(now)
	if m.calls < 1 || m.bytes < float64(n) || m.flights >= linkFlights || l.flights >= allFlights {
		return overRate
	}
	m.calls--
	m.bytes -= float64(n)
	if _, here := l.flying[d]; here {
		return alreadyHere
	}
	l.flying[d] = struct{}{}
	m.flights++
	l.flights++
	return admitted
}

// leave ends what enter let in; answered is the length of the answer, which is paid for
// by the one who asked.
func (l *limits) leave(peer p2p.ID, d digest, answered int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flying, d)
	l.flights--
	m := l.meters[peer]
	m.flights--
	m.bytes -= float64(answered)
}

// again pays for handing the same n bytes to one more member.
func (l *limits) again(peer p2p.ID, n int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.meters[peer]
	if m == nil { // this node itself
		return true
	}
	m.fill(now)
	if m.calls < 1 || m.bytes < float64(n) {
		return false
	}
	m.calls--
	m.bytes -= float64(n)
	return true
}

func (m *meter) fill(now time.Time) {
	if d := now.Sub(m.at).Seconds(); d > 0 {
		m.calls = min(callsBurst, m.calls+d*callsRate)
		m.bytes = min(bytesBurst, m.bytes+d*bytesRate)
		m.at = now
	}
}

// prune forgets accounts that are full, so that there are no more of them than links
// that have brought something in the last seconds.
func (l *limits) prune(now time.Time) {
	for id, m := range l.meters {
		if m.fill(now); m.flights == 0 && m.calls == callsBurst && m.bytes == bytesBurst {
			delete(l.meters, id)
		}
	}
}
