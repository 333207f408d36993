package repair

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// path is one direction of a simulated network.
type path struct {
	delay  time.Duration
	jitter time.Duration                                                   // up to so much more
	lose   func(now time.Duration) bool                                    // nil: nothing is lost
	twice  float64                                                         // share that arrives twice
	queue  func(now time.Duration, n int) (extra time.Duration, full bool) // nil: there is none
}

func random(r *rand.Rand, share float64) func(time.Duration) bool {
	return func(time.Duration) bool { return r.Float64() < share }
}

// narrow is a queue in front of something that takes rate bytes per second.
func narrow(rate float64, room time.Duration) func(time.Duration, int) (time.Duration, bool) {
	var free time.Duration
	return func(now time.Duration, n int) (time.Duration, bool) {
		free = max(free, now)
		if free-now > room {
			return 0, true
		}
		free += time.Duration(float64(n) / rate * 1e9)
		return free - now, false
	}
}

// world has one direction of records from a Sender to a Receiver, and what both
// say to each other.
type world struct {
	rand      *rand.Rand
	now       time.Duration
	there     path // records and Heads
	back      path // Reports
	events    events
	seq       int
	sender    Sender
	receiver  Receiver
	number    uint64
	held      map[uint64]bool
	delivered []uint64
	got       map[uint64]bool
	onDeliver func(n uint64)
	high      uint64
	late      int // delivered behind a higher number
	sentBytes int
	again     int // bytes
	repeats   int
	reports   int
	heads     int
	wakes     [2]time.Duration
	mostHeld  int
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func newWorld(seed uint64, delay time.Duration) *world {
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 7)), now: time.Second,
		there: path{delay: delay}, back: path{delay: delay},
		held: map[uint64]bool{}, got: map[uint64]bool{}, number: 1,
	}
	w.sender.Begin(w.now)
	return w
}

func (w *world) at(t time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{max(t, w.now), w.seq, do})
}

func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

func (w *world) transmit(p *path, size int, arrive func()) {
	extra := time.Duration(0)
	if p.queue != nil {
		var full bool
		if extra, full = p.queue(w.now, size); full {
			return
		}
	}
	if p.lose != nil && p.lose(w.now) {
		return
	}
	for range 1 + map[bool]int{true: 1}[w.rand.Float64() < p.twice] {
		d := p.delay + extra
		if p.jitter > 0 {
			d += time.Duration(w.rand.Int64N(int64(p.jitter)))
		}
		w.at(w.now+d, arrive)
	}
}

// send sends the next record of that size.
func (w *world) send(size int) uint64 {
	n := w.number
	w.number++
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b, n)
	w.sentBytes += size
	w.sender.Keep(n, b, w.now)
	w.transmit(&w.there, size, func() { w.arrive(n) })
	w.wake()
	return n
}

func (w *world) deliver(n uint64) {
	if w.got[n] {
		return // DTLS does not take it twice
	}
	w.got[n] = true
	w.delivered = append(w.delivered, n)
	if n < w.high {
		w.late++
	}
	w.high = max(w.high, n)
	if w.onDeliver != nil {
		w.onDeliver(n)
	}
}

func (w *world) arrive(n uint64) {
	switch {
	case w.receiver.Pass(n):
		w.deliver(n)
		return
	case !w.receiver.Arrive(n, w.now):
		w.deliver(n)
	case !w.held[n]:
		w.held[n] = true
	}
	w.mostHeld = max(w.mostHeld, len(w.held))
	w.settle()
}

// settle hands on what is not held any more, and says what is to be said.
func (w *world) settle() {
	first, last := w.receiver.Release(w.now)
	for n := first; n < last; n++ {
		if w.held[n] {
			delete(w.held, n)
			w.deliver(n)
		}
	}
	if m, ok := w.receiver.Due(w.now); ok {
		w.reports++
		for range m.Copies() {
			w.transmit(&w.back, 300, func() { w.report(m) })
		}
	}
	if m, ok := w.sender.Due(w.now); ok {
		w.head(m)
	}
	w.wake()
}

func (w *world) report(m Message) {
	answer, ok := w.sender.Heard(m, w.now, func(b []byte) {
		n := binary.BigEndian.Uint64(b)
		w.again += len(b)
		w.repeats++
		w.transmit(&w.there, len(b), func() { w.arrive(n) })
	})
	if ok {
		w.head(answer)
	}
	w.wake()
}

func (w *world) head(m Message) {
	w.heads++
	w.transmit(&w.there, 42, func() {
		w.receiver.Heard(m, w.now)
		w.settle()
	})
}

// wake sets a timer, no finer than the system's.
func (w *world) wake() {
	for i, at := range []time.Duration{w.receiver.Wake(w.now), w.sender.Wake()} {
		if at == 0 {
			continue
		}
		at = max(at, w.now+time.Millisecond)
		if w.wakes[i] > w.now && w.wakes[i] <= at {
			continue
		}
		w.wakes[i] = at
		w.at(at, func() {
			if w.wakes[i] == w.now {
				w.wakes[i] = 0
				w.settle()
			}
		})
	}
}
