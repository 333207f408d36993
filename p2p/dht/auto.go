package dht

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Auto chooses the number of replicas by how many members leave. The zero value does not.
type Auto struct {
	// Reliability is the probability with which a record is to survive an interval
	// without repair, such as 0.99. 0: the number of replicas stays as it is.
	Reliability float64
	// Window is how many intervals are looked at. 0: 10.
	Window int
}

// DefaultReliability is that of who wants the number of copies to be found by itself: of a
// hundred records one may be lost in an interval in which as many leave as usual, if they
// all leave at once and for ever.
const DefaultReliability = 0.99

// Churn is what was seen of members who leave, and how many replicas follow from it.
type Churn struct {
	Auto       bool          // the number of replicas goes by it
	Least      int           // below which it never goes
	Every      time.Duration // an interval
	Next       time.Time     // the end of the running one; zero before Run
	Departures []int         // in each interval that was looked at, the newest last
	Running    int           // in the running one, so far
	// What follows; zero before the first interval has ended.
	Members  int // that could be asked at the end of the last interval
	Expected int // departures in the next one
	// Reliability is the probability with which a record has to survive that; Replicas is
	// how many copies that takes, within the bounds of what can be chosen.
	Reliability float64
	Replicas    int
}

// Bounds of what Auto chooses, beside MaxReplicas, and how long an interval is.
const (
	autoLeast  = 2
	autoWindow = 10
	autoEvery  = repairEvery
)

// observer sees members leave.
type observer struct {
	mu sync.Mutex // guards the following
	// alive are those who were there at the last look, by the first bytes of their IDs, in
	// order; left those who have gone in this interval. Of thousands of members that is little.
	alive []uint64
	left  map[uint64]bool
	churn churn
	// What the last interval led to, and when this one ends.
	members, expected int
	next              time.Time
	// heard is how many replicas others want, and when they said so.
	heard map[p2p.ID]wanted
}

type wanted struct {
	replicas int
	at       time.Time
}

// look notes who has left since the last time.
func (o *observer) look(v view) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := make([]uint64, 0, len(v.alive))
	for id := range v.alive {
		now = append(now, binary.BigEndian.Uint64(id[:]))
	}
	slices.Sort(now)
	for _, id := range o.alive {
		if _, is := slices.BinarySearch(now, id); !is {
			if o.left == nil {
				o.left = map[uint64]bool{}
			}
			o.left[id] = true
		}
	}
	o.alive = now
}

// end ends an interval after which so many members can be asked, and returns how many will
// leave in the next one, which ends at a time.
func (o *observer) end(window, members int, next time.Time) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.left)
	o.left, o.members, o.next = nil, members, next
	o.expected = o.churn.add(n, window)
	return o.expected
}

// begin says when the first interval ends.
func (o *observer) begin(next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = next
}

// hear notes how many replicas a member wants.
func (o *observer) hear(id p2p.ID, replicas int, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.heard == nil {
		o.heard = map[p2p.ID]wanted{}
	}
	o.heard[id] = wanted{replicas, now}
}

// most returns how many replicas somebody wants who was heard lately: n or more. What one
// member drops because it counts fewer, others would bring back.
func (o *observer) most(n int, now time.Time) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, w := range o.heard {
		if now.Sub(w.at) > 2*autoEvery {
			delete(o.heard, id)
			continue
		}
		n = max(n, w.replicas)
	}
	return n
}

// Churn returns what this node has seen of members who leave.
func (t *Table) Churn() Churn {
	a := *t.auto.Load()
	c := Churn{Auto: a.Reliability > 0, Least: max(t.least(), autoLeast), Every: autoEvery, Reliability: a.Reliability}
	if !c.Auto {
		c.Reliability = DefaultReliability
	}
	o := &t.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	c.Next, c.Running, c.Departures = o.next, len(o.left), o.churn.last(a.Window)
	if len(c.Departures) > 0 {
		c.Members, c.Expected = o.members, o.expected
		c.Replicas = t.enough(o.expected, o.members, c.Reliability)
	}
	return c
}

// enough returns how many replicas it takes.
func (t *Table) enough(leaving, members int, reliability float64) int {
	return max(t.least(), Factor(leaving, members, reliability, autoLeast, MaxReplicas))
}

// SetAuto lets the number of replicas go by how many members leave from now on, beginning
// with what has been seen of them, or by nothing (the zero Auto).
func (t *Table) SetAuto(a Auto) {
	if a.Window <= 0 {
		a.Window = autoWindow
	}
	t.sizing.Lock()
	t.auto.Store(&a)
	t.sizing.Unlock()
	t.adapt()
}

// adapt makes the number of replicas what follows from what was seen.
func (t *Table) adapt() {
	t.sizing.Lock()
	defer t.sizing.Unlock()
	c := t.Churn()
	if !c.Auto || len(c.Departures) == 0 || c.Replicas == t.Replicas() {
		return
	}
	t.o.Logger.Info("number of replicas changed", "from", t.Replicas(), "to", c.Replicas, "expected_departures", c.Expected, "members", c.Members)
	t.o.Publish.Emit(Resized{From: t.Replicas(), To: c.Replicas, Expected: c.Expected, Members: c.Members})
	t.resize(c.Replicas)
}

// runAuto counts who leaves, and raises the number of replicas above what was configured
// where many do, if that is wanted, and takes it back.
func (t *Table) runAuto(ctx context.Context) {
	t.observer.look(t.view())
	t.observer.begin(t.o.Now().Add(autoEvery))
	tick := time.NewTicker(autoEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v := t.view()
			t.observer.look(v)
			t.observer.end(t.auto.Load().Window, len(v.alive), t.o.Now().Add(autoEvery))
			t.adapt()
		}
	}
}
