package tracker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	tick        = time.Second // how often it is looked at what has ended
	keepEvery   = 2 * time.Second
	renewEvery  = 20 * time.Second
	callTimeout = 10 * time.Second
	callsAtOnce = 16
)

// Run tells others of this node's seeds, and forgets what has ended, until ctx ends. What this node
// knows is kept then.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	if s.o.Table != nil {
		running.Go(func() { s.runTable(ctx) })
	}
	turn := make(chan struct{}, callsAtOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	next, kept := s.o.Now(), s.o.Now()
	for {
		select {
		case <-ctx.Done():
			return s.keepLast()
		case <-s.kick:
			if ctx.Err() != nil {
				continue // this node's own end has ended the links: others have not gone
			}
			s.look()
			// What comes within a moment goes together.
			if soon := s.o.Now().Add(debounce); soon.Before(next) {
				next = soon
				timer.Reset(debounce)
			}
			continue
		case <-timer.C:
		}
		if ctx.Err() != nil {
			continue
		}
		s.look()
		now := s.o.Now()
		if s.keepDue(now.Sub(kept)) {
			kept = now
			if err := s.Keep(ctx); err != nil && ctx.Err() == nil {
				s.o.Logger.Warn("what is known of seeds is not kept", "error", err)
			}
		}
		next = now.Add(tick)
		for _, t := range s.due(now, &next) {
			running.Go(func() {
				select {
				case turn <- struct{}{}:
					s.tell(ctx, t)
					<-turn
				case <-ctx.Done():
				}
			})
		}
		timer.Reset(max(next.Sub(now), 0))
	}
}

// keepDue reports whether what has changed is to be kept, so long after the last time. That what is kept
// holds for longer is written now and then.
func (s *Service) keepDue(since time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return since >= renewEvery || since >= keepEvery && s.core.dirty.urgent()
}

// keepLast keeps what is known when Run ends.
func (s *Service) keepLast() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return s.Keep(ctx)
}

// look forgets what has ended, and brings the targets in line with the links and the seeds' trackers.
func (s *Service) look() {
	now := s.o.Now()
	links := map[p2p.ID]p2p.Link{}
	for _, l := range s.o.Links() {
		if l.Peer() != s.o.ID && s.o.Member(l.Peer()) {
			links[l.Peer()] = l
		}
	}
	s.mu.Lock()
	changed := s.core.expire(now)
	named := map[p2p.ID]bool{}
	for _, o := range s.own {
		for _, id := range o.Seed.Trackers {
			named[id] = id != s.o.ID && s.o.Member(id)
		}
	}
	for id, l := range links {
		t := s.target(id)
		if t.link != l {
			t.link, t.retry, t.failed = l, time.Time{}, 0
			t.renew = now // it may have forgotten
			for seed, a := range s.asked {
				a.wait = askEvery // it may know somebody
				s.asked[seed] = a
			}
		}
		t.all = true
	}
	for id, is := range named {
		if is {
			s.target(id)
		}
	}
	for id, t := range s.targets {
		if t.link != nil && links[id] == nil {
			changed = append(changed, s.core.unlinked(now, id)...)
			t.link, t.all = nil, false
		}
		if t.link == nil && !named[id] {
			delete(s.targets, id)
		}
	}
	s.mu.Unlock()
	s.changed(changed)
}

// target returns a member that is told. The caller holds s.mu.
func (s *Service) target(id p2p.ID) *target {
	t := s.targets[id]
	if t == nil {
		t = &target{id: id, again: true}
		s.targets[id] = t
	}
	return t
}

// Step does once, and waits for, what Run does again and again: for simulations in which time is a
// number. Errors: those of the table.
func (s *Service) Step(ctx context.Context) error {
	s.look()
	for range 4 { // what was asked for by an answer, too
		now := s.o.Now()
		due := s.due(now, &now)
		slices.SortFunc(due, func(a, b *target) int { return a.id.Compare(b.id) })
		for _, t := range due {
			s.tell(ctx, t)
		}
		if len(due) == 0 || ctx.Err() != nil {
			break
		}
	}
	if s.o.Table == nil {
		return ctx.Err()
	}
	_, err := s.placeDue(ctx)
	return err
}

// due returns the targets to whom there is something to say, and brings next down to when there will
// be.
func (s *Service) due(now time.Time, next *time.Time) (out []*target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	for _, t := range s.targets {
		at := t.due(now, s.own, s.edits)
		if !at.After(now) {
			t.telling = true
			out = append(out, t)
		} else if at.Before(*next) {
			*next = at
		}
	}
	return out
}

// tell says to a target what there is to be said.
func (s *Service) tell(ctx context.Context, t *target) {
	s.mu.Lock()
	first := t.again
	all := t.messages(s.own)
	s.mu.Unlock()
	var answer updated
	var err error
	for i := range all {
		if answer, err = s.say(ctx, t.id, &all[i]); err != nil {
			break
		}
		s.mu.Lock()
		t.told, t.sum, t.again = all[i].told, all[i].sum, false
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	t.telling, t.looked = false, 0
	if err != nil {
		t.retry = now.Add(min(retryFirst<<min(t.failed, 10), retryLongest))
		t.failed++
		t.again = t.again || first && len(all) > 1 // the first part says so
		s.o.Logger.Debug("a member was not told of seeds", "member", t.id.Short(), "error", err)
		return
	}
	t.failed, t.moved = 0, now
	t.renew = now.Add(Every - time.Duration(s.random.Int64N(int64(Every/4))))
	if answer.Again && !first {
		t.again = true
	}
	s.Kick()
}

// say sends one update.
func (s *Service) say(ctx context.Context, to p2p.ID, m *message) (a updated, err error) {
	s.mu.Lock()
	s.seq++
	req, err := m.pack(s.epoch, s.seq)
	s.mu.Unlock()
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := s.o.Caller.Call(ctx, to, Proto, req)
	if err != nil {
		return a, err
	}
	err = wire.Unmarshal(resp, &a)
	return a, err
}

// Refresh makes this node say again what it has, to everybody and in the table, and returns to how many
// members.
func (s *Service) Refresh() (seeds, members int) {
	s.look()
	s.mu.Lock()
	for _, t := range s.targets {
		t.again, t.retry = true, time.Time{}
	}
	seeds, members = len(s.own), len(s.targets)
	s.mu.Unlock()
	s.table.again()
	s.Kick()
	return seeds, members
}

// Leave says to all that this node stops, and withdraws it from the table. Nothing is announced
// afterwards. It takes no longer than ctx allows; who does not hear of it forgets in time.
func (s *Service) Leave(ctx context.Context) error {
	s.mu.Lock()
	s.ended = true
	var to []p2p.ID
	if len(s.own) > 0 {
		for id := range s.targets {
			to = append(to, id)
		}
	}
	s.mu.Unlock()
	var running sync.WaitGroup
	turn := make(chan struct{}, callsAtOnce)
	for _, id := range to {
		running.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			if _, err := s.say(ctx, id, &message{update: update{End: true}}); err != nil {
				s.o.Logger.Debug("a member was not told that seeds are gone", "member", id.Short(), "error", err)
			}
		})
	}
	var err error
	if s.o.Table != nil {
		err = s.leaveTable(ctx)
	}
	running.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
