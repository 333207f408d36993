package node

import (
	"context"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/route"
)

const (
	// maxLinks is how many links a node has at most in a large network: those that it wants,
	// and those that others have made, as far as there is room.
	maxLinks = 2 * route.MaxLinks
	// A link that this node has made and does not want any more is closed when, for so long,
	// not more bytes than these have gone over it. Heartbeats and news of the roster are fewer.
	idleTime  = 2 * time.Minute
	idleBytes = 64 << 10
	// absentTime is how long a member that could not be dialled does not come into question,
	// so that another one takes its place. One that comes back dials itself.
	absentTime = 2 * time.Minute
	// neededTime is how long a link is kept for what only a link can do, and needWait how
	// long that waits for it.
	neededTime = 5 * time.Minute
	needWait   = 8 * time.Second
)

// routed describes a member to the router.
func (n *Node) routed(id p2p.ID) (route.Member, bool) {
	m, ok := n.Member(id)
	if !ok || n.members.Self().Revoked {
		return route.Member{}, false
	}
	return route.Member{ID: m.ID, Position: m.Key, Key: m.Contact.PublicKey}, true
}

// want implements roster. Folders are synchronised over links alone, so a node wants one
// to the creator of each that it keeps, too: then all who keep it are joined at least there.
func (n *Node) want(linked []p2p.ID, without map[p2p.ID]bool) map[p2p.ID]bool {
	members := n.others()
	if len(members) < route.MaxMesh {
		return nil
	}
	self := n.members.Self()
	at := make([]route.Member, 0, len(members)+1)
	at = append(at, route.Member{ID: n.id, Position: self.Key})
	for _, m := range members {
		if !without[m.ID] {
			at = append(at, route.Member{ID: m.ID, Position: m.Key})
		}
	}
	var now []route.Member
	for _, id := range linked {
		if m, ok := n.routed(id); ok {
			now = append(now, m)
		}
	}
	want := map[p2p.ID]bool{}
	for _, id := range route.Want(n.id, at, now) {
		want[id] = true
	}
	for _, f := range n.folders.List() {
		if by := f.Creator; !by.IsZero() {
			want[by] = true
		}
	}
	return want
}

// usage is what is remembered of a link to tell whether anybody uses it.
type usage struct {
	since time.Time
	bytes uint64 // that it had carried then
}

// idle reports whether a link has carried next to nothing for idleTime.
func (u *usage) idle(s p2p.Stats, now time.Time) bool {
	if bytes := s.BytesIn + s.BytesOut; u.since.IsZero() || bytes-u.bytes > idleBytes {
		*u = usage{now, bytes}
	}
	return now.Sub(u.since) >= idleTime
}

// absent returns the members that could not be dialled, twice, a short time ago.
func (ls *links) absent(now time.Time) map[p2p.ID]bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	absent := map[p2p.ID]bool{}
	for id, p := range ls.peers {
		if p.link == nil && p.failures >= 2 && now.Sub(p.tried) < absentTime {
			absent[id] = true
		}
	}
	return absent
}

// wants reports whether a member without a link is to be dialled. The caller holds ls.mu.
func (ls *links) wants(id p2p.ID, now time.Time) bool {
	if ls.wanted == nil || ls.wanted[id] {
		return true
	}
	p := ls.peers[id]
	return p != nil && now.Before(p.needed)
}

// shed closes links that are not wanted: those that this node has made and nobody uses, and,
// where there are more than maxLinks, those of others that nobody uses. Others' links are
// theirs to close as long as there is room: they may want them. The caller holds ls.mu.
func (ls *links) shed(now time.Time) {
	if ls.wanted == nil {
		return
	}
	count := 0
	for _, p := range ls.peers {
		if p.link != nil {
			count++
		}
	}
	for id, p := range ls.peers {
		if p.link == nil || ls.wants(id, now) || !p.use.idle(p.link.Stats(), now) || !p.ours && count <= maxLinks {
			continue
		}
		count--
		ls.closeLater(p.link)
	}
}

// need returns the link to a member, for what only a link can do. In a large network one
// is made if there is none.
func (ls *links) need(ctx context.Context, id p2p.ID) (p2p.Link, error) {
	l, err := ls.to(id)
	ls.mu.Lock()
	through := ls.wanted != nil && !ls.wanted[id]
	if !through || !ls.roster.isMember(id) {
		ls.mu.Unlock()
		return l, err
	}
	p := ls.peers[id]
	if p == nil {
		p = &peer{}
		ls.peers[id] = p
	}
	if err != nil {
		p.next, p.failures = time.Now(), 0
	}
	p.needed = time.Now().Add(neededTime)
	ls.mu.Unlock()
	if err == nil {
		return l, nil
	}
	ls.kick()
	ctx, cancel := context.WithTimeout(ctx, needWait)
	defer cancel()
	for {
		ls.mu.Lock()
		up := ls.up
		ls.mu.Unlock()
		if l, err = ls.to(id); err == nil {
			return l, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, err
		}
	}
}
