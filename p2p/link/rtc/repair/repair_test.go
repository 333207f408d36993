package repair

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
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

// All that is lost arrives, and in order, but for some that are lost before the peer
// has copies.
func TestRandomLoss(t *testing.T) {
	for _, loss := range []float64{0, 0.001, 0.01, 0.1, 0.3, 0.4} {
		for _, delay := range []time.Duration{100 * time.Microsecond, 5 * time.Millisecond, 30 * time.Millisecond} {
			w := newWorld(1, delay)
			w.there.lose, w.back.lose = random(w.rand, loss), random(w.rand, loss)
			count := 5000
			w.stream(count, max(50*time.Microsecond, delay/150))
			t.Logf("%g %%, %s: %s", 100*loss, delay, w)
			left := 0
			for n := uint64(2000); n < w.number; n++ {
				if !w.got[n] {
					left++
				}
			}
			if left > count/1000 && loss < 0.4 || left > count/20 {
				t.Errorf("%g %%, %s: %d records were not repaired", 100*loss, delay, left)
			}
			if loss == 0 && w.repeats+w.reports+w.heads > 0 {
				t.Errorf("%d records repeated, %d reports and %d heads though nothing was lost", w.repeats, w.reports, w.heads)
			}
			if w.again > int(repeatShare*float64(w.sentBytes))+maxAllowance {
				t.Errorf("%g %%: %s", 100*loss, w)
			}
			if w.late > count/200 && loss < 0.4 {
				t.Errorf("%g %%: %s", 100*loss, w)
			}
		}
	}
}

// Overtaking is no loss: it is put in order, and hardly anything is repeated.
func TestReorder(t *testing.T) {
	for _, jitter := range []time.Duration{200 * time.Microsecond, 2 * time.Millisecond, 8 * time.Millisecond} {
		w := newWorld(2, 10*time.Millisecond)
		w.there.jitter, w.there.twice = jitter, 0.05
		w.stream(16000, 100*time.Microsecond)
		t.Logf("%s: %s", jitter, w)
		if len(w.delivered) != 16000 {
			t.Errorf("%s: %s", jitter, w)
		}
		if w.repeats > 320 { // 2 %
			t.Errorf("%s: %d records were repeated though nothing was lost", jitter, w.repeats)
		}
		if w.late > 160 {
			t.Errorf("%s: %d records came late", jitter, w.late)
		}
	}
}

// Losses in runs, losses in one direction only, and reports that are lost.
func TestOtherLosses(t *testing.T) {
	burst := func(w *world) func(time.Duration) bool { // 3 % of all, 10 ms at a time
		until := time.Duration(0)
		return func(now time.Duration) bool {
			if now > until && w.rand.Float64() < 0.0003 {
				until = now + 10*time.Millisecond
			}
			return now < until
		}
	}
	for _, c := range []struct {
		name string
		set  func(*world)
	}{
		{"bursts", func(w *world) { w.there.lose = burst(w) }},
		{"there only", func(w *world) { w.there.lose = random(w.rand, 0.2) }},
		{"reports mostly", func(w *world) { w.there.lose, w.back.lose = random(w.rand, 0.02), random(w.rand, 0.5) }},
		{"back only", func(w *world) { w.back.lose = random(w.rand, 0.5) }},
		{"all at once", func(w *world) {
			w.there = path{delay: 5 * time.Millisecond, jitter: time.Millisecond, twice: 0.1, lose: random(w.rand, 0.1)}
			w.back = path{delay: 9 * time.Millisecond, jitter: 5 * time.Millisecond, twice: 0.1, lose: random(w.rand, 0.2)}
		}},
	} {
		w := newWorld(5, 2*time.Millisecond)
		c.set(w)
		w.stream(8000, 100*time.Microsecond)
		t.Logf("%s: %s", c.name, w)
		if left := 8000 - len(w.delivered); left > 120 {
			t.Errorf("%s: %d records were not repaired", c.name, left)
		}
	}
}

// A record with nothing behind it is repaired too, soon, once losses are known.
func TestSingleRecords(t *testing.T) {
	w := newWorld(6, 10*time.Millisecond)
	w.there.lose, w.back.lose = random(w.rand, 0.1), random(w.rand, 0.1)
	var waits []time.Duration
	sent := map[uint64]time.Duration{}
	w.onDeliver = func(n uint64) { waits = append(waits, w.now-sent[n]) }
	for i := range 500 {
		w.at(time.Second+time.Duration(i)*100*time.Millisecond, func() { sent[w.number] = w.now; w.send(100) })
	}
	w.run(60 * time.Second)
	slow := 0
	for _, d := range waits {
		if d > 100*time.Millisecond {
			slow++
		}
	}
	t.Logf("%s; %d after more than 100 ms", w, slow)
	if len(waits) < 495 || slow > 5 {
		t.Errorf("%d of 500 came, %d of them after more than 100 ms", len(waits), slow)
	}
}

// When nothing is lost any more, both ends let go of everything and fall silent.
func TestQuiet(t *testing.T) {
	w := newWorld(7, time.Millisecond)
	w.there.lose = random(w.rand, 0.1)
	w.stream(2000, 100*time.Microsecond)
	if !w.receiver.Asking() || !w.sender.Keeping() {
		t.Fatal("nothing was repaired")
	}
	w.there.lose = nil
	w.run(w.now + longQuiet + lease + time.Second)
	if w.receiver.Repairing() || w.sender.Keeping() || len(w.held) > 0 {
		t.Error("memory is kept for losses of the past")
	}
	said := w.reports + w.heads
	w.stream(5000, 100*time.Microsecond)
	if w.reports+w.heads != said {
		t.Error("something was said though nothing is lost")
	}
}

// After an outage repair goes on where the numbers are then; a forged number, far
// from those that are expected, does not lead it astray.
func TestJump(t *testing.T) {
	w := newWorld(8, time.Millisecond)
	w.there.lose = random(w.rand, 0.1)
	w.stream(2000, 100*time.Microsecond)
	w.number += 10 * Window
	before := w.number
	w.stream(2000, 100*time.Microsecond)
	came := len(w.delivered)
	for n := before + 100; n < w.number; n++ {
		if !w.got[n] {
			t.Errorf("record %d was not repaired after an outage", n)
		}
	}
	for i := range 2000 {
		w.at(w.now+time.Duration(i)*100*time.Microsecond, func() {
			if i%100 == 99 {
				w.receiver.Arrive(w.number+5*Window, w.now)
			}
			w.send(1200)
		})
	}
	w.run(w.now + 2*time.Second)
	if left := 2000 - (len(w.delivered) - came); left > 0 {
		t.Errorf("%d records were not repaired after forged numbers", left)
	}
}

// However many numbers are forged, no record is kept back for long, and none is lost.
func TestForgedNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.Uint64().Draw(t, "seed"), time.Millisecond)
		loss := rapid.Float64Range(0, 0.2).Draw(t, "loss")
		w.there.lose = random(w.rand, loss)
		lost := map[uint64]bool{}
		arrived := map[uint64]time.Duration{}
		latest := time.Duration(0)
		delivered := map[uint64]bool{}
		w.onDeliver = func(n uint64) {
			delivered[n] = true
			if at, ok := arrived[n]; ok {
				latest = max(latest, w.now-at)
			}
		}
		for i := range 1500 {
			at := time.Second + time.Duration(i)*200*time.Microsecond
			w.at(at, func() {
				n := w.number
				w.number++
				w.sender.Keep(n, make([]byte, 100), w.now)
				if w.there.lose(w.now) {
					lost[n] = true
					return
				}
				arrived[n] = w.now
				w.arrive(n)
			})
			if w.rand.IntN(4) == 0 {
				far := w.rand.Uint64N(1 << (1 + w.rand.UintN(47)))
				w.at(at, func() { // arrives, and DTLS refuses it
					n := w.number + far
					if w.rand.IntN(2) == 0 {
						n = far
					}
					if !w.receiver.Pass(n) {
						w.receiver.Arrive(n, w.now)
						w.settle()
					}
				})
			}
		}
		w.run(10 * time.Second)
		for n := uint64(1); n < w.number; n++ {
			if !delivered[n] && !lost[n] {
				t.Fatalf("record %d came, and was not handed on", n)
			}
		}
		if latest > limitHold+100*time.Millisecond {
			t.Fatalf("a record was kept back for %s", latest)
		}
	})
}

// A peer can cause repeats within bounds only.
func TestSenderIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Sender
		now, sent, again, number := time.Second, 0, 0, uint64(1)
		stamp := uint64(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond
			if rapid.Bool().Draw(t, "send") {
				for range rapid.IntRange(1, 50).Draw(t, "records") {
					s.Keep(number, make([]byte, 1200), now)
					number++
					sent += 1200
				}
				continue
			}
			stamp++
			m := Message{
				Kind: Report, Ask: true, Stamp: stamp, Base: rapid.Uint64Range(0, number+10).Draw(t, "base"),
				Missing: bytes.Repeat([]byte{0xff}, rapid.IntRange(0, maxMissing).Draw(t, "missing")),
			}
			s.Heard(m, now, func(b []byte) { again += len(b) })
			s.Heard(m, now, func([]byte) { t.Fatal("an old Report was taken again") })
		}
		if limit := repeatShare*float64(sent) + repeatRate*now.Seconds() + maxAllowance/16; float64(again) > limit {
			t.Fatalf("%d bytes sent, %d repeated, at most %.0f", sent, again, limit)
		}
	})
}

func TestCongested(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		rtt, leastRTT   time.Duration
		loss, leastLoss float64
		want            bool
	}{
		{0, 0, 0, 0, false},
		{10 * ms, 10 * ms, 0.3, 0.3, false},
		{39 * ms, 10 * ms, 0.3, 0.3, false},
		{41 * ms, 10 * ms, 0.3, 0.3, true},
		{10 * ms, 10 * ms, 0.019, 0, false},
		{10 * ms, 10 * ms, 0.021, 0, true},
		{10 * ms, 10 * ms, 0.13, 0.1, false},
		{10 * ms, 10 * ms, 0.23, 0.1, true},
	} {
		if got := congested(c.rtt, c.leastRTT, c.loss, c.leastLoss); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

func keys() (a, b Keys) {
	return NewKeys("ufragA", "password of A", "ufragB", "password of B"), NewKeys("ufragB", "password of B", "ufragA", "password of A")
}

func TestKeys(t *testing.T) {
	a, b := keys()
	m := Message{Kind: Report, Ask: true, Once: true, Stamp: 1, Echo: 2, Base: 3, End: maxNumber + 1, Missing: []byte{1, 2, 3}}
	sealed := a.Seal(nil, m)
	got, err := b.Open(sealed)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(m) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := a.Open(sealed); err == nil {
		t.Error("a datagram was taken by its own sender")
	}
	for i := range sealed {
		forged := bytes.Clone(sealed)
		forged[i] ^= 0x10
		if _, err := b.Open(forged); err == nil {
			t.Errorf("byte %d was changed, and nobody noticed", i)
		}
	}
	other := NewKeys("ufragA", "password of A", "ufragB", "password of C")
	if _, err := other.Open(sealed); err == nil {
		t.Error("a datagram of somebody else was taken")
	}
}

func FuzzOpen(f *testing.F) {
	a, b := keys()
	f.Add(a.Seal(nil, Message{Kind: Head, Ask: true, Stamp: 9, Base: 1, End: 5})[2:], true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, body []byte, head bool) {
		// What arrives has a right MAC or none; both ends take whatever it says.
		_, _ = b.Open(body)
		kind := Report
		if head {
			kind = Head
		}
		datagram := append([]byte{byte(kind)}, body...)
		datagram = append(datagram, sum(a.out, datagram)...)
		m, err := b.Open(datagram)
		if err != nil {
			return
		}
		if again, err := b.Open(a.Seal(nil, m)); err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
		var s Sender
		var r Receiver
		now := time.Second
		s.Begin(now)
		for n := uint64(1); n < 100; n++ {
			s.Keep(n, []byte{1}, now)
			if n%7 != 0 && !r.Pass(n) {
				r.Arrive(n, now)
			}
		}
		for range 3 {
			s.Heard(m, now, func([]byte) {})
			r.Heard(m, now)
			first, last := r.Release(now)
			if last-first > Window {
				t.Fatalf("released from %d to %d", first, last)
			}
			if out, ok := r.Due(now); ok && len(a.Seal(nil, out)) > MaxMessage {
				t.Fatal("a report too long")
			}
			s.Due(now)
			now += 300 * time.Millisecond
		}
	})
}

func FuzzNumber(f *testing.F) {
	f.Add([]byte{23, 254, 253, 0, 1, 0, 0, 0, 0, 1, 2, 0, 1, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := Number(b); ok && (n > maxNumber || IsControl(b)) {
			t.Fatalf("number %d of %x", n, b)
		}
	})
}
