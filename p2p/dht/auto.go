package dht

import (
	"context"
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

// Bounds of what Auto chooses, beside MaxReplicas, and how long an interval is.
const (
	autoLeast  = 2
	autoWindow = 10
	autoEvery  = repairEvery
)

// observer sees members leave.
type observer struct {
	mu    sync.Mutex // guards the following
	alive map[p2p.ID]bool
	left  map[p2p.ID]bool // in this interval
	churn churn
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
	for id := range o.alive {
		if !v.alive[id] {
			if o.left == nil {
				o.left = map[p2p.ID]bool{}
			}
			o.left[id] = true
		}
	}
	o.alive = v.alive
}

// next ends an interval and returns how many will leave in the next one.
func (o *observer) next(window int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.left)
	o.left = nil
	return o.churn.add(n, window)
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

// runAuto raises the number of replicas above what was configured where many leave, and
// takes it back.
func (t *Table) runAuto(ctx context.Context) {
	if t.o.Auto.Reliability <= 0 {
		return
	}
	t.observer.look(t.view())
	tick := time.NewTicker(autoEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v := t.view()
			t.observer.look(v)
			leaving := t.observer.next(t.o.Auto.Window)
			n := max(t.o.Replicas, Factor(leaving, len(v.alive), t.o.Auto.Reliability, autoLeast, MaxReplicas))
			if n != t.Replicas() {
				t.o.Logger.Info("number of replicas changed", "from", t.Replicas(), "to", n, "expected_departures", leaving, "members", len(v.alive))
				t.SetReplicas(n)
			}
		}
	}
}
