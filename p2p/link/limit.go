package link

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound how fast the links of a node carry streams and long answers, all
// together and each alone. Calls and control are as fast as ever: they are small,
// and somebody waits for them. Limits may be changed while links use them; the
// zero value limits nothing.
type Limits struct{ up, down limiter }

// Rates are what Limits bound, in bytes per second; 0 is no bound.
type Rates struct {
	Up, Down         int64 // of all links together
	PeerUp, PeerDown int64 // of each link
}

// Set changes the limits, at once.
func (l *Limits) Set(r Rates) {
	l.up.set(r.Up, r.PeerUp)
	l.down.set(r.Down, r.PeerDown)
}

// Rates returns the limits.
func (l *Limits) Rates() Rates {
	return Rates{l.up.all.Load(), l.down.all.Load(), l.up.each.Load(), l.down.each.Load()}
}

const (
	// grain is how many bytes go at once at the limit: a few messages.
	grain = 64 << 10
	// lateness is how late a sender may be woken without losing what it could have sent meanwhile. A
	// busy machine needs that; a router's queue, which gets it at once, is no shorter.
	lateness = 50 * time.Millisecond
)

// newBucket returns a bucket that is filled at a rate in bytes per second, and full.
func newBucket(each int64) *rate.Limiter {
	room := min(float64(each)*lateness.Seconds(), 64<<20)
	return rate.NewLimiter(rate.Limit(max(each, 1)), max(grain, int(room)))
}

// limiter is one direction of the Limits of a node.
type limiter struct {
	all, each atomic.Int64 // bytes per second; 0: no bound
	bucket    atomic.Pointer[rate.Limiter]
	turned    atomic.Pointer[chan struct{}] // closed when the bounds are others; nil: there was none yet
}

func (l *limiter) set(all, each int64) {
	l.bucket.Store(newBucket(all)) // full: that is too much when a limit changes, once
	l.all.Store(max(all, 0))
	l.each.Store(max(each, 0))
	turned := make(chan struct{})
	if was := l.turned.Swap(&turned); was != nil {
		close(*was) // who waits may not have to any more
	}
}

// meter is what one link uses of one direction. One goroutine of the link may
// wait while another does.
type meter struct {
	node *limiter // nil: no bound
	own  atomic.Pointer[rate.Limiter]
}

// wait returns when n bytes may go, or the link has ended.
func (m *meter) wait(ctx context.Context, n int) {
	for n > 0 && m.node != nil && ctx.Err() == nil { // if it has ended nothing more goes anyway
		turned := m.node.turned.Load() // before the bounds
		if turned == nil {
			return
		}
		if part := min(n, grain); m.pass(ctx, part, *turned) {
			n -= part
		}
	}
}

// pass waits until some bytes, a grain at most, may go, and reports whether they may: not if the bounds
// have turned to others before.
func (m *meter) pass(ctx context.Context, n int, turned <-chan struct{}) bool {
	if m.node.all.Load() > 0 && !spend(ctx, m.node.bucket.Load(), n, turned) {
		return false
	}
	each := m.node.each.Load()
	if each <= 0 {
		return true
	}
	own := m.own.Load()
	if own == nil || own.Limit() != rate.Limit(each) {
		own = newBucket(each)
		m.own.Store(own)
	}
	return spend(ctx, own, n, turned)
}

func spend(ctx context.Context, bucket *rate.Limiter, n int, turned <-chan struct{}) bool {
	r := bucket.ReserveN(time.Now(), n) // no bucket has less room than a grain
	wait := r.Delay()
	if wait == 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-turned:
	case <-ctx.Done():
	}
	r.Cancel()
	return false
}
