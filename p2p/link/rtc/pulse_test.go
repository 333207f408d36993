package rtc

import (
	"testing"
	"time"
)

// A link on which nothing happens stays.
func TestIdle(t *testing.T) {
	t.Parallel()
	q := quiet{rest: 200 * time.Millisecond, retry: 50 * time.Millisecond, gone: 500 * time.Millisecond}
	a, b := newQuietNode(t, 1, q, nil), newQuietNode(t, 2, q, nil)
	l := a.mustDial(t, b.contact())
	select {
	case <-l.Done():
		t.Fatal(l.Err())
	case <-time.After(5 * q.gone):
	}
	if rtt := l.Stats().RTT; rtt <= 0 || rtt > time.Second {
		t.Errorf("round trip %s", rtt)
	}
}

func TestPulse(t *testing.T) {
	t.Parallel()
	q := quiet{rest: 3 * time.Second, retry: time.Second, gone: 7 * time.Second}
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name    string
		patient bool
		heard   []int // seconds at which something was heard
		want    string
	}{
		{"silent from the start", false, nil, "...aaaag"},
		{"silent, patient", true, nil, ".....aag"},
		{"answers", false, []int{4, 8}, "...a...a...aaaag"},
		{"busy", false, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, ".........."},
	} {
		var p pulse
		got := ""
		for i := range len(c.want) {
			for _, h := range c.heard {
				if h == i {
					p.heard.Store(true)
				}
			}
			got += string(".ag"[p.look(q, c.patient, start.Add(time.Duration(i)*time.Second))])
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// The least round trip is of the last 10 to 20 s; a new path has none yet.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	var p pulse
	now := time.Unix(1000, 0)
	p.answered(10*time.Millisecond, now)
	for range 100 {
		now = now.Add(time.Second)
		p.answered(50*time.Millisecond, now)
	}
	if rtt, least := p.roundTrip(); rtt < 49*time.Millisecond || least != 50*time.Millisecond {
		t.Errorf("round trip %s, least %s", rtt, least)
	}
	p.answered(20*time.Millisecond, now)
	for range 9 {
		now = now.Add(time.Second)
		p.answered(50*time.Millisecond, now)
	}
	if _, least := p.roundTrip(); least != 20*time.Millisecond {
		t.Errorf("least %s", least)
	}
	p.restart()
	if rtt, least := p.roundTrip(); rtt != 0 || least != 0 {
		t.Errorf("after a new path: %s, %s", rtt, least)
	}
}

// A heartbeat is what pion's SCTP sees as one: its answer has the time.
func TestHeartbeatAnswer(t *testing.T) {
	t.Parallel()
	sent := time.Unix(1234, 5678)
	b := heartbeat(0x01020304, sent)
	if _, ok := heartbeatTime(b); ok {
		t.Error("a question is taken for an answer")
	}
	b[sctpHeader] = chunkHeartbeatAck
	if got, ok := heartbeatTime(b); !ok || !got.Equal(sent) {
		t.Errorf("%s, %v", got, ok)
	}
	for i := range b {
		_, _ = heartbeatTime(b[:i])
	}
}

// fakePath is a path as the window sees it: what is on its way takes the round trip,
// or as long as it has to wait.
type fakePath struct {
	rate float64 // bytes per second
	rtt  time.Duration
}

func (f fakePath) takes(window int) time.Duration {
	return max(f.rtt, time.Duration(float64(window)/f.rate*float64(time.Second)))
}

// The window fills every path and makes no long queue in front of it.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, f := range []fakePath{
		{150e6, 200 * time.Microsecond}, // another process
		{117e6, time.Millisecond},       // gigabit
		{12e6, 20 * time.Millisecond},   // 100 Mbit/s
		{50e6, 100 * time.Millisecond},
		{1.2e6, 30 * time.Millisecond}, // 10 Mbit/s
	} {
		var p pace
		now, acked := time.Unix(1000, 0), uint64(0)
		p.limit(now)
		for range 2000 { // SCTP's own window is no limit any more
			on := p.limit(now) * 3 / 4 // on the average
			acked += uint64(on)
			now = now.Add(f.takes(on))
			p.sees(now, flight{acked, on, true, 1 << 30, f.rtt})
		}
		w := p.limit(now) * 3 / 4
		if fill := f.rate * f.rtt.Seconds(); float64(w) < 0.99*min(fill, largestWindow*3/4) {
			t.Errorf("%+v: window %d does not fill the path of %.0f", f, w, fill)
		}
		queue := f.takes(w) - f.rtt
		if most := max(slack, f.rtt/4); queue > most+time.Millisecond && w > smallestWindow*3/4 {
			t.Errorf("%+v: window %d makes a queue of %s", f, w, queue)
		}
	}
}

// A long queue makes the window smaller also when something else is the limit: what is
// on its way then would only wait.
func TestPaceNotFull(t *testing.T) {
	t.Parallel()
	var p pace
	now, acked := time.Unix(1000, 0), uint64(0)
	p.limit(now)
	for range 100 { // 400 KB on a path of 1 MB/s and 10 ms
		now = now.Add(50 * time.Millisecond)
		acked += 50e3
		p.sees(now, flight{acked, 400e3, false, 1 << 20, 10 * time.Millisecond})
	}
	if w := p.limit(now); w != smallestWindow {
		t.Errorf("window %d", w)
	}
	p = pace{}
	p.limit(now)
	for range 100 { // 5 KB on the same
		now = now.Add(50 * time.Millisecond)
		acked += 25e3
		p.sees(now, flight{acked, 5e3, false, 1 << 20, 10 * time.Millisecond})
	}
	if w := p.limit(now); w != startWindow {
		t.Errorf("window %d without a queue", w)
	}
}

// While SCTP's window grows, which it does only while more waits than it lets out, this
// one hardly gets in its way.
func TestPaceStart(t *testing.T) {
	t.Parallel()
	var p pace
	f := fakePath{100e6, 80 * time.Millisecond}
	now, acked, cwnd := time.Unix(1000, 0), uint64(0), 5000
	rounds := 0
	for cwnd < 6<<20 {
		if rounds++; rounds > 15 { // eleven would do
			t.Fatalf("after %d round trips: window %d, of SCTP %d", rounds, p.limit(now), cwnd)
		}
		w := p.limit(now)
		now = now.Add(f.takes(min(w, cwnd)))
		acked += uint64(min(w, cwnd))
		if w > cwnd {
			cwnd *= 2
		}
		p.sees(now, flight{acked, w, true, cwnd, f.rtt})
	}
}

func TestDip(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Unix(1000, 0)
	wait, yes := p.dip(now, 10*time.Millisecond)
	if !yes || p.limit(now.Add(wait)) != smallestWindow {
		t.Errorf("dip %v, window %d", yes, p.limit(now.Add(wait)))
	}
	if _, yes := p.dip(now.Add(time.Second), 10*time.Millisecond); yes {
		t.Error("again after a second")
	}
	if p.limit(now.Add(time.Second)) != startWindow {
		t.Error("the window stays small")
	}
}
