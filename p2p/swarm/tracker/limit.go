package tracker

import "time"

// What one member may tell and ask here. More is refused before it is looked at: a node that has
// MaxSeeds can say so at once, and again after a break of its link.
const (
	callsBurst   = 200
	callsRate    = 50 // per second
	entriesBurst = 3 * MaxSeeds
	entriesRate  = 500 // announcements per second
)

// meter is the account of one member: token buckets.
type meter struct {
	calls, entries float64
	at             time.Time
}

// meter returns that of a member, filled up.
func (c *core) meter(now time.Time, from [32]byte) *meter {
	m := c.meters[from]
	if m == nil {
		m = &meter{calls: callsBurst, entries: entriesBurst, at: now}
		c.meters[from] = m
	}
	m.fill(now)
	return m
}

func (m *meter) fill(now time.Time) {
	if d := now.Sub(m.at).Seconds(); d > 0 {
		m.calls = min(callsBurst, m.calls+d*callsRate)
		m.entries = min(entriesBurst, m.entries+d*entriesRate)
		m.at = now
	}
}

func (m *meter) full(now time.Time) bool {
	m.fill(now)
	return m.calls == callsBurst && m.entries == entriesBurst
}

// call lets one call in that costs so much.
func (m *meter) call(cost float64) bool {
	if m.calls < cost {
		return false
	}
	m.calls -= cost
	return true
}

// listCost is what a list of some seeds costs: all of them are looked at.
func listCost(seeds int) float64 { return float64(min(1+seeds/500, 50)) }

// entry lets announcements in.
func (m *meter) entry(n int) bool {
	if m.entries < float64(n) {
		return false
	}
	m.entries -= float64(n)
	return true
}
