package nat

import "time"

// bucket is a token bucket. The zero value is full.
type bucket struct {
	spent float64 // tokens that are missing
	at    time.Time
}

// take spends a token, if one is there of at most burst, which come back at rate a
// second.
func (b *bucket) take(rate, burst float64, now time.Time) bool {
	b.spent = max(0, b.spent-rate*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.spent+1 > burst {
		return false
	}
	b.spent++
	return true
}
