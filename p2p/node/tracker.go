package node

import (
	"context"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// withdrawTimeout is how long a node that is closed tells others that its seeds are gone.
const withdrawTimeout = time.Second

// newTracker makes what knows who has a seed.
func (n *Node) newTracker(ctx context.Context, o Options, publish p2p.Publish) (*tracker.Service, error) {
	return tracker.New(ctx, tracker.Options{
		ID: n.id, Caller: n.route, Links: n.links.all, Member: n.isMember, Table: n.table, Store: o.Store.Tracker(),
		Publish: publish, Logger: n.log, Changed: func(id seed.ID) { n.swarm.SourcesChanged(id) },
	})
}

// Tracker returns what knows who has a seed. What it asks others for is used within calls that Enter
// has let in.
func (n *Node) Tracker() *tracker.Service { return n.tracker }

// withdraw tells others that this node's seeds are gone.
func (n *Node) withdraw() {
	ctx, cancel := context.WithTimeout(n.ctx, withdrawTimeout)
	defer cancel()
	if err := n.tracker.Leave(ctx); err != nil {
		n.log.Info("seeds not withdrawn", "error", err)
	}
}
