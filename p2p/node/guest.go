package node

import (
	"context"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	// maxGuests bounds the links of nodes that are not members. One who redeems an
	// invitation is a guest for the time of one call.
	maxGuests = 8
	// guestTimeout is how long a guest has for that call.
	guestTimeout = 15 * time.Second
	// lastWords is how long the refusal of that call has to reach the guest.
	lastWords = 500 * time.Millisecond
)

// guest is the link of a node that is not a member. It may redeem its invitation
// and do nothing else; then it is a member's link, or closed.
type guest struct {
	link  p2p.Link
	since time.Time
	timer *time.Timer // ends the visit
	sent  bool        // off: the visit ends as soon as it knows
	over  chan struct{}
}

// receive takes in the link of a guest. When there are too many, the one that has
// been here longest without becoming a member goes: whoever means it is done in a
// moment, so that those who only occupy a place lose it. The caller holds ls.mu.
func (ls *links) receive(ctx context.Context, l p2p.Link) {
	ls.promote(ctx)
	for len(ls.guests) >= maxGuests {
		ls.closeLater(ls.guests[0].link)
		ls.forget(ls.guests[0])
	}
	g := &guest{link: l, since: time.Now(), timer: time.NewTimer(guestTimeout), over: make(chan struct{})}
	ls.guests = append(ls.guests, g)
	ls.wg.Go(func() {
		defer g.timer.Stop()
		select {
		case <-g.over:
			return
		case <-l.Done():
		case <-g.timer.C:
		case <-ctx.Done():
		}
		ls.drop(g)
	})
}

// forget takes a guest off the list. The caller holds ls.mu.
func (ls *links) forget(g *guest) {
	if i := slices.Index(ls.guests, g); i >= 0 {
		ls.guests = slices.Delete(ls.guests, i, i+1)
		close(g.over)
	}
}

// drop ends a visit, unless the guest has become a member.
func (ls *links) drop(g *guest) {
	ls.mu.Lock()
	still := slices.Contains(ls.guests, g)
	ls.forget(g)
	ls.mu.Unlock()
	if still {
		ls.close(g.link)
	}
}

// sendOff ends the visit of a guest that was refused, once it knows.
func (ls *links) sendOff(id p2p.ID) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, g := range ls.guests {
		if g.link.Peer() == id && !g.sent {
			g.sent = true
			g.timer.Reset(lastWords)
		}
	}
}

// promote makes the links of guests that have become members those of members: of
// several to one node the newest, and none that has ended. The caller holds ls.mu.
func (ls *links) promote(ctx context.Context) {
	for _, v := range slices.Clone(ls.visitors) {
		if ls.roster.isMember(v.link.Peer()) {
			ls.dismiss(v) // it dials as one
		}
	}
	for _, g := range slices.Backward(slices.Clone(ls.guests)) {
		id := g.link.Peer()
		if !ls.roster.isMember(id) {
			continue
		}
		ls.forget(g)
		if p := ls.peers[id]; ended(g.link) || p != nil && p.link != nil && p.since.After(g.since) {
			ls.closeLater(g.link)
			continue
		}
		ls.adopt(ctx, g.link)
	}
}

// ended reports whether a link has.
func ended(l p2p.Link) bool {
	select {
	case <-l.Done():
		return true
	default:
		return false
	}
}
