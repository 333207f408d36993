package rtc

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	// lookEvery is how often a node looks at its own addresses.
	lookEvery = time.Second
	// changeWait lets changes that come together be one.
	changeWait = 500 * time.Millisecond
	// doubtWait bounds the question to STUN servers whether it is this node that has
	// moved.
	doubtWait = 1200 * time.Millisecond
	// restartPause is between two restarts of one connection that is in doubt.
	restartPause = 2500 * time.Millisecond
	// firstUpgrade is how long a roundabout path lasts before a better one is looked
	// for, and longestUpgrade the longest pause before that is tried again.
	firstUpgrade   = 15 * time.Second
	longestUpgrade = 10 * time.Minute
)

// roam is when the next restart of a connection is due.
type roam struct {
	restarted time.Time     // last
	next      time.Time     // to look for a better path
	again     time.Duration // after the next
	mapped    bool          // a router forwards an address now that the peer does not know
}

// watchPaths restarts connections whose paths are lost, or could be better.
func (t *Transport) watchPaths() {
	var restarting sync.WaitGroup
	defer restarting.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	own := t.own()
	for {
		moved, doubt := false, false
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		case <-t.doubt:
			doubt = true
		}
		if now := t.own(); !slices.Equal(now, own) {
			t.log.Info("the addresses of this computer have changed", "from", own, "to", now)
			own, moved = now, true
			t.seen.forget()
			t.mu.Lock()
			t.direct.later = nil
			t.mu.Unlock()
			t.changed()
		}
		if moved || doubt {
			moved = t.lookAgain() || moved
		}
		for peer, s := range t.due(time.Now(), moved) {
			restarting.Go(func() {
				_, via := s.heading()
				if err := t.restart(t.ctx, s, peer, !moved && !s.peer.doubtful(time.Now())); err != nil && t.ctx.Err() == nil {
					t.log.Debug("no other path", "peer", peer.Short(), "through", via != nil, "error", err)
					t.mu.Lock()
					s.roam.mapped = len(t.mapped) > 0 // the peer may not have heard of them
					t.mu.Unlock()
				}
			})
		}
	}
}

// lookAgain asks how others see this node, and reports whether that has changed: a
// router has another address, or this computer another router.
func (t *Transport) lookAgain() (moved bool) {
	servers := t.servers()
	if len(servers) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(t.ctx, doubtWait)
	defer cancel()
	answers := make(chan bool, maxServers)
	servers = servers[:min(len(servers), maxServers)]
	for _, a := range servers {
		before := t.seen.by(a)
		if !t.enter() {
			return false
		}
		go func() {
			defer t.running.Done()
			mapped, _, err := t.Observe(ctx, a)
			answers <- err == nil && before != (netip.AddrPort{}) && mapped != before
		}()
	}
	for range servers {
		if <-answers {
			return true
		}
	}
	return false
}

// due picks the connections to restart now: all when this node has moved, those in
// doubt, those whose peers can be told of an address that a router forwards, and those
// with a roundabout path for which it is time to look for a better one, which the end
// that has offered does.
func (t *Transport) due(now time.Time, moved bool) map[p2p.ID]*session {
	if t.o.Contact == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[p2p.ID]*session{}
	for peer, s := range t.current {
		r := &s.roam
		if s.unsigned {
			continue // it has no name by which the other end would know it
		}
		switch {
		case moved:
		case now.Sub(r.restarted) < restartPause:
			continue
		case s.peer.doubtful(now):
		case r.mapped && !now.Before(r.next):
		case !s.roundabout():
			continue
		case r.next.IsZero():
			r.next, r.again = now.Add(firstUpgrade), firstUpgrade
			continue
		case now.Before(r.next) || !s.peer.controlling:
			continue
		default:
			r.again = min(max(2*r.again, firstUpgrade), longestUpgrade)
			r.next = now.Add(r.again)
		}
		r.restarted, r.mapped = now, false
		out[peer] = s
	}
	return out
}
