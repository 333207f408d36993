package repair

import (
	"fmt"
	"testing"
	"time"
)

// stream sends count records, every apart, and waits for the rest.
func (w *world) stream(count int, every time.Duration) {
	start := w.now
	for i := range count {
		w.at(start+time.Duration(i)*every, func() { w.send(1200) })
	}
	w.run(start + time.Duration(count)*every + 2*time.Second)
}

func (w *world) String() string {
	return fmt.Sprintf("%d of %d records, %d late, %.1f %% repeated, %d reports, %d heads, %d held at most",
		len(w.delivered), w.number-1, w.late, 100*float64(w.again)/float64(w.sentBytes), w.reports, w.heads, w.mostHeld)
}

// After the first losses, which nobody has copies of, all arrive, and in order.
func TestRandomLoss(t *testing.T) {
	for _, loss := range []float64{0, 0.001, 0.01, 0.05, 0.1, 0.3, 0.4} {
		for _, delay := range []time.Duration{100 * time.Microsecond, 5 * time.Millisecond, 30 * time.Millisecond} {
			t.Run(fmt.Sprintf("%g/%s", loss, delay), func(t *testing.T) {
				t.Parallel()
				w := newWorld(1, delay)
				w.there.lose, w.back.lose = random(w.rand, loss), random(w.rand, loss)
				count := 20000
				w.stream(count, max(50*time.Microsecond, delay/150))
				t.Log(w)
				early := 0 // lost before there were copies
				for n := uint64(1); n < w.number; n++ {
					if !w.got[n] && n < 6000 {
						early++
					}
				}
				if left := count - len(w.delivered) - early; left > count/2000 && loss < 0.4 || left > count/20 {
					t.Errorf("%d records were not repaired", left)
				}
				if loss == 0 && w.repeats+w.reports+w.heads > 0 {
					t.Error("something was said though nothing was lost")
				}
				if w.again > int(repeatShare*float64(w.sentBytes))+2*maxAllowance {
					t.Error("too much was repeated")
				}
			})
		}
	}
}
