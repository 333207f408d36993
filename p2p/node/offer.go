package node

import (
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
)

// heardOffers is what this node has been told of others' offers.
type heardOffers struct {
	mu    sync.Mutex
	shown map[offer]bool // guarded by mu
}

type offer struct {
	folder string
	by     p2p.ID
}

// start notes the offers that are there when a node starts.
func (o *heardOffers) start(self p2p.ID, all []member.Offer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shown = map[offer]bool{}
	for _, x := range all {
		o.shown[offer{x.Folder, x.By}] = x.AccessOf(self) != p2p.AccessNone
	}
}

// told returns what of an event is told here; ok is false if nothing is. An offer that is
// hidden from this node is one that has ended, or that there never was. kept: the folder
// is kept here, so that its name is known.
func (o *heardOffers) told(self p2p.ID, e member.OfferChanged, kept bool) (tell member.OfferChanged, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := offer{e.Folder, e.By}
	hidden := e.By != self && e.Grants.Of(self, e.Access) == p2p.AccessNone
	was := o.shown[key]
	o.shown[key] = !hidden && !e.Gone
	switch {
	case !hidden || kept:
		return e, true
	case was:
		e.Gone, e.Grants = true, nil
		return e, true
	}
	return e, false
}

// publishMember publishes what happens in the network, without offers that are hidden from
// this node.
func (n *Node) publishMember(e p2p.Event) {
	o, is := e.(member.OfferChanged)
	if !is || n.folders == nil {
		n.events.publish(e)
		return
	}
	f, err := n.folders.Get(o.Folder)
	if o, is = n.heard.told(n.id, o, err == nil && n.shared(f).By() == o.By); is {
		n.events.publish(o)
	}
}
