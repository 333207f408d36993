package exchange

import (
	"sync"

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
