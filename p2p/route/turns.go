package route

import (
	"context"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
)

// turns bound how much is done at once: for each member, and for all.
type turns struct {
	each, all int // all 0: as many as there are members

	mu     sync.Mutex // guards all following fields
	taken  int
	member map[p2p.ID]int
	freed  chan struct{} // closed and replaced when something ends that others wait for
	queued int           // who wait
}

func newTurns(each, all int) *turns {
	return &turns{each: each, all: all, member: map[p2p.ID]int{}, freed: make(chan struct{})}
}

// tryEnter begins something for a member, if there is room; leave ends it.
func (t *turns) tryEnter(id p2p.ID) (leave func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.take(id) {
		return nil, false
	}
	return func() { t.leave(id) }, true
}

// enter waits for room. The error is that of ctx.
func (t *turns) enter(ctx context.Context, id p2p.ID) (leave func(), err error) {
	for {
		t.mu.Lock()
		if t.take(id) {
			t.mu.Unlock()
			return func() { t.leave(id) }, nil
		}
		t.queued++
		freed := t.freed
		t.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
		t.mu.Lock()
		t.queued--
		t.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

func (t *turns) take(id p2p.ID) bool {
	if t.member[id] >= t.each || t.all > 0 && t.taken >= t.all {
		return false
	}
	t.member[id]++
	t.taken++
	return true
}

func (t *turns) leave(id p2p.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	if t.member[id]--; t.member[id] == 0 {
		delete(t.member, id)
	}
	if t.queued > 0 {
		close(t.freed)
		t.freed = make(chan struct{})
	}
}
