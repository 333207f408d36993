package exchange

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// gate bounds how much a member has done at once. The zero value works.
type gate struct {
	mu    sync.Mutex // guards peers
	peers map[p2p.ID]int
}

// enter lets a peer in that has less than most there. leave, called once, makes room again.
func (g *gate) enter(peer p2p.ID, most int) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.peers[peer] >= most {
		return nil, false
	}
	if g.peers == nil {
		g.peers = map[p2p.ID]int{}
	}
	g.peers[peer]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.peers[peer]--; g.peers[peer] == 0 {
			delete(g.peers, peer)
		}
	}, true
}

// waitAgain is how often it is looked whether there is room.
const waitAgain = 20 * time.Millisecond

// wait is enter that waits for room, but not for ever.
func (g *gate) wait(ctx context.Context, peer p2p.ID, most int, within time.Duration) (leave func(), err error) {
	for end := time.Now().Add(within); ; {
		if leave, ok := g.enter(peer, most); ok {
			return leave, nil
		}
		if time.Now().After(end) {
			return nil, errors.New("exchange: too much is asked for at once")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(waitAgain):
		}
	}
}
