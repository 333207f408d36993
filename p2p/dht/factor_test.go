package dht

import (
	"math"
	"testing"
)

// TestFactor has the known answers of TomP2P's AutomaticReplicationTest.
func TestFactor(t *testing.T) {
	for _, c := range []struct {
		leaving, n  int
		reliability float64
		want        int
	}{{50, 100, 0.80, 3}, {50, 100, 0.99, 7}, {10, 100, 0.99, 2}, {100, 100, 0.1, 100}, {0, 100, 0.999999, 2}, {5, 3, 0.99, 100}, {0, 0, 0.99, 2}} {
		if got := Factor(c.leaving, c.n, c.reliability, 2, 100); got != c.want {
			t.Errorf("%d of %d leave, reliability %v: %d replicas, want %d", c.leaving, c.n, c.reliability, got, c.want)
		}
	}
	departures := []int{8, 6, 11, 13}
	average := movingAverage(departures, []float64{0, 4, 5, 7})
	if math.Abs(average-9.4) > 1e-12 {
		t.Errorf("moving average %v, want 9.4", average)
	}
	if d := deviation(departures, average); math.Abs(d-3.111269837220809) > 1e-12 {
		t.Errorf("deviation %v", d)
	}
	if n := predict(departures, average); n != 12 {
		t.Errorf("%d will leave, want 12", n)
	}
}

// TestChurn: where few leave few are expected, and of a long time the last intervals count.
func TestChurn(t *testing.T) {
	var c churn
	for range 100 {
		if n := c.add(0, 10); n != 0 {
			t.Fatalf("%d are expected to leave where nobody does", n)
		}
	}
	for range 20 {
		c.add(7, 10)
	}
	if n := c.add(7, 10); n != 6 && n != 7 {
		t.Errorf("%d are expected where 7 always leave", n)
	}
	if len(c.departures) >= 10 || len(c.averages) > 10 {
		t.Errorf("%d and %d are remembered", len(c.departures), len(c.averages))
	}
}
