package server

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
)

// TestChurnReason: people are told what was counted, and what follows from it.
func TestChurnReason(t *testing.T) {
	for want, c := range map[string]dht.Churn{
		"Nothing is known yet: who leaves is counted every 5 minutes.": {Least: 3},
		"Of the members left in the last 5 minutes: 0; 0 of 24 are expected to leave in the next. 3 copies are enough, and the least.": {
			Least: 3, Departures: []int{0}, Members: 24, Replicas: 3, Reliability: 0.99,
		},
		"Of the members left in each of the last 2 times 5 minutes, the newest last: 5, 6; 7 of 13 are expected to leave in the next. Of 6 copies one is left with a probability of 99 % even if they are gone for ever.": {
			Least: 3, Departures: []int{5, 6}, Members: 13, Expected: 7, Replicas: 6, Reliability: 0.99,
		},
	} {
		c.Every = 5 * time.Minute
		if got := churnReason(c); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
