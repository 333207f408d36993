package repair

import (
	"testing"
	"time"
)

// flow is what SCTP does above: a window that grows until a loss is seen, which
// halves it. Records stand for chunks; a chunk that was lost goes out again in a
// new record. Acknowledgements are not lost here: the other direction is repaired
// too.
type flow struct {
	w        *world
	window   float64 // records
	most     float64 // as the receiver's buffer allows
	slow     float64 // slow start ends here
	inFlight map[uint64]bool
	expect   uint64 // at the receiver: all below were delivered or reported
	over     int    // delivered above expect
	recover  uint64 // no further halving before this one is acknowledged
	good     int    // records delivered
	halved   int
	stalls   int
	progress time.Duration
}

func newFlow(w *world, most float64) *flow {
	f := &flow{w: w, window: 10, most: most, slow: most, inFlight: map[uint64]bool{}, expect: 1, progress: w.now}
	w.onDeliver = f.deliver
	return f
}

func (f *flow) pump() {
	for float64(len(f.inFlight)) < min(f.window, f.most) {
		f.inFlight[f.w.send(1200)] = true
	}
}

func (f *flow) deliver(n uint64) {
	f.good++
	lost := []uint64{}
	for f.w.got[f.expect] {
		f.expect++
	}
	if n > f.expect {
		if f.over++; f.over >= 3 {
			for m := f.expect; m < n; m++ {
				if !f.w.got[m] {
					lost = append(lost, m)
				}
			}
			f.expect, f.over = n, 0
		}
	} else {
		f.over = 0
	}
	f.w.at(f.w.now+f.w.back.delay, func() { f.ack(n, lost) })
}

func (f *flow) ack(n uint64, lost []uint64) {
	f.progress = f.w.now
	delete(f.inFlight, n)
	for _, m := range lost {
		delete(f.inFlight, m)
	}
	switch {
	case len(lost) > 0 && lost[0] >= f.recover:
		f.window = max(f.window/2, 4)
		f.slow, f.recover = f.window, f.w.number
		f.halved++
	case f.window < f.slow:
		f.window++
	default:
		f.window += 1 / f.window
	}
	f.pump()
}

// run runs for d and returns records per second.
func (f *flow) run(d time.Duration) float64 {
	end, good := f.w.now+d, f.good
	f.pump()
	for f.w.now < end {
		f.w.run(f.w.now + 50*time.Millisecond)
		if f.w.now-f.progress > time.Second { // SCTP's timer
			clear(f.inFlight)
			f.slow, f.window, f.progress = max(f.window/2, 4), 1, f.w.now
			f.expect, f.over, f.recover = f.w.number, 0, f.w.number
			f.stalls++
			f.pump()
		}
	}
	return float64(f.good-good) / d.Seconds()
}

// Random loss costs some round trips, and not the window.
func TestGoodput(t *testing.T) {
	for _, c := range []struct {
		loss  float64
		delay time.Duration
		least float64 // records per second
	}{
		{0.01, 500 * time.Microsecond, 30000},

		{0.3, 500 * time.Microsecond, 20000},
		{0.01, 10 * time.Millisecond, 3000}, // halved once, by a loss before there were copies
		{0.1, 10 * time.Millisecond, 5000},
		{0.3, 10 * time.Millisecond, 2000},
		{0.1, 40 * time.Millisecond, 1500},
	} {
		w := newWorld(3, c.delay)
		w.there.lose, w.back.lose = random(w.rand, c.loss), random(w.rand, c.loss)
		// As fast as a fast computer, with a queue that is never full.
		w.there.queue = narrow(60e6, time.Second)
		f := newFlow(w, 1500)
		f.run(time.Second) // the first losses, and the window
		rate := f.run(time.Second)
		t.Logf("%g %% at %s: %.0f records/s = %.1f MB/s, halved %d times; %s", 100*c.loss, c.delay, rate, rate*1200/1e6, f.halved, w)
		if rate < c.least {
			t.Errorf("%g %% at %s: %.0f records/s, want %.0f", 100*c.loss, c.delay, rate, c.least)
		}
	}
}

// Where a queue is full, the flow is slowed down as it would be without repair:
// a long queue is known by the round trip time, a short one by the share of losses.
func TestCongestion(t *testing.T) {
	for _, c := range []struct {
		name   string
		room   time.Duration
		random float64
	}{
		{"long queue", 200 * time.Millisecond, 0},
		{"short queue", 25 * time.Millisecond, 0},
		{"long queue and random loss", 200 * time.Millisecond, 0.05},
		{"short queue and random loss", 25 * time.Millisecond, 0.05},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(4, 10*time.Millisecond)
			overflow := 0
			queue := narrow(2.4e6, c.room) // 2000 records per second
			w.there.queue = func(now time.Duration, n int) (time.Duration, bool) {
				extra, full := queue(now, n)
				if full {
					overflow++
				}
				return extra, full
			}
			w.there.lose = random(w.rand, c.random)
			f := newFlow(w, 1500)
			f.run(5 * time.Second)
			overflow = 0
			before := int(w.number) + w.repeats
			rate := f.run(15 * time.Second)
			sent := int(w.number) + w.repeats - before
			share := float64(overflow) / float64(sent)
			t.Logf("%.0f records/s, %.1f %% overflow, halved %d, stalls %d, window %.0f; %s", rate, 100*share, f.halved, f.stalls, f.window, w)
			if share > 0.05+2*c.random {
				t.Errorf("%.1f %% of what was sent did not fit the queue", 100*share)
			}
			if f.halved == 0 {
				t.Error("the flow was never told")
			}
			if rate < 1000 {
				t.Errorf("%.0f records/s of 2000", rate)
			}
		})
	}
}
