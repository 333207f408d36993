package node

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

const (
	// maxVisitors bounds the links of those whom a pass has let in.
	maxVisitors = 40
	// visitorIdle is how long such a link stays on which nothing is fetched.
	visitorIdle = 30 * time.Second
	// visitorStreams is how many streams it has at once for each seed, and visitorFaults how often its peer may do
	// what it may not until the link is closed.
	visitorStreams = 4
	visitorFaults  = 64
)

// visitor is the link of a node of another network that a pass has let in (package pass). It may open
// streams of the seeds that its passes are for, and do nothing else: not redeem an invitation either, for
// which it knocks again. The link ends with the first of its passes.
type visitor struct {
	link  p2p.Link
	timer *time.Timer // ends the visit
	until time.Time   // when its first pass ends
	most  int         // streams at once
	over  chan struct{}

	mu      sync.Mutex // guards all following fields
	streams int
	faults  int
}

// inviteOf returns by which invitation or pass the peer of a link was let in; zero: by none.
func inviteOf(l p2p.Link) [16]byte {
	if by, ok := l.(interface{ Invite() [16]byte }); ok {
		return by.Invite()
	}
	return [16]byte{}
}

// byPass reports whether a pass for a seed has let the peer of a link in.
func (n *Node) byPass(l p2p.Link) bool {
	id := inviteOf(l)
	return id != [16]byte{} && n.passes.Has(id)
}

// visit takes in the link of a visitor; of several of one node the newest. The caller holds ls.mu.
func (ls *links) visit(ctx context.Context, l p2p.Link, grants map[seed.ID]time.Time) {
	for _, old := range slices.Clone(ls.visitors) {
		if old.link.Peer() == l.Peer() || ended(old.link) {
			ls.dismiss(old)
		}
	}
	if len(grants) == 0 || len(ls.visitors) >= maxVisitors {
		ls.closeLater(l)
		return
	}
	v := &visitor{link: l, most: visitorStreams * len(grants), over: make(chan struct{})}
	for _, until := range grants {
		if v.until.IsZero() || until.Before(v.until) {
			v.until = until
		}
	}
	v.timer = time.NewTimer(min(visitorIdle, time.Until(v.until)))
	ls.visitors = append(ls.visitors, v)
	ls.wg.Go(func() {
		defer v.timer.Stop()
		select {
		case <-v.over:
			return
		case <-l.Done():
		case <-v.timer.C:
		case <-ctx.Done():
		}
		ls.mu.Lock()
		ls.dismiss(v)
		ls.mu.Unlock()
	})
}

// dismiss ends a visit. The caller holds ls.mu.
func (ls *links) dismiss(v *visitor) {
	if i := slices.Index(ls.visitors, v); i >= 0 {
		ls.visitors = slices.Delete(ls.visitors, i, i+1)
		close(v.over)
		ls.closeLater(v.link)
	}
}

// dismissAll ends the visits of a node.
func (ls *links) dismissAll(id p2p.ID) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, v := range slices.Clone(ls.visitors) {
		if v.link.Peer() == id {
			ls.dismiss(v)
		}
	}
}

// visitor returns the visit of a link; nil: there is none.
func (ls *links) visitor(l p2p.Link) *visitor {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	i := slices.IndexFunc(ls.visitors, func(v *visitor) bool { return v.link == l })
	if i < 0 {
		return nil
	}
	return ls.visitors[i]
}

// enter counts a stream, unless there are too many.
func (v *visitor) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.streams >= v.most {
		return false
	}
	v.streams++
	v.timer.Reset(time.Until(v.until))
	return true
}

// leave is the inverse of enter.
func (v *visitor) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.streams--; v.streams == 0 {
		v.timer.Reset(min(visitorIdle, time.Until(v.until)))
	}
}

// fault notes that a visitor did what it may not, and ends the visit of one that goes on doing so.
func (ls *links) fault(l p2p.Link) {
	v := ls.visitor(l)
	if v == nil {
		return
	}
	v.mu.Lock()
	v.faults++
	over := v.faults == visitorFaults
	v.mu.Unlock()
	if over {
		ls.log.Warn("somebody whom a link to a seed has let in keeps asking for what is not theirs: the link is closed", "peer", l.Peer().Short())
		ls.mu.Lock()
		ls.dismiss(v)
		ls.mu.Unlock()
	}
}

// receiveStream answers a stream that somebody has opened who is no member: it is reset, unless it is of a seed
// for which that node has a pass.
func (n *Node) receiveStream(ctx context.Context, l p2p.Link, proto string, conn net.Conn, serve func(func())) {
	v := n.links.visitor(l)
	if v == nil || proto != swarm.Protocol || !v.enter() {
		reset(conn)
		n.links.fault(l)
		return
	}
	serve(func() {
		defer v.leave()
		n.swarm.ServeOutside(ctx, l, conn, func(id seed.ID) bool {
			_, may := n.passes.Grants(l.Peer())[id]
			if !may {
				n.links.fault(l)
			}
			return may
		})
	})
}

// gate decides whether a knock gets a link: of a member, of who has an invitation, or a pass for a seed.
func (n *Node) gate(k p2p.Knock) error {
	err := n.members.Gate(k)
	if err == nil || k.Invite == [16]byte{} || !n.passes.Has(k.Invite) {
		return err
	}
	return n.passes.Admit(k)
}

// newPasses opens the passes for the seeds of this node.
func (n *Node) newPasses(ctx context.Context, o Options, publish p2p.Publish) (*pass.Book, error) {
	return pass.Open(ctx, pass.Options{
		Store: o.Store.Passes(), Logger: n.log, Over: n.links.dismissAll,
		Here: func() (h pass.Here, ok bool) {
			h.Network, h.Host, h.Relays, ok = n.members.Doorway()
			return h, ok
		},
		Came: func(i pass.Info, guest p2p.ID) {
			e := swarm.Guest{Seed: i.Seed, Guest: guest, Link: i.ID.String(), Uses: len(i.Uses), MaxUses: i.MaxUses, Expires: i.Expires}
			if st, err := n.swarm.Get(i.Seed); err == nil {
				e.Name = st.Seed.Name
			}
			publish.Emit(e)
		},
	})
}
