package dht

import (
	"crypto/ed25519"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// Member is somebody who keeps records: an admitted member of the network. Its position
// follows from its admission, so that nobody chooses his place.
type Member struct {
	ID        p2p.ID
	Position  p2p.Key
	PublicKey ed25519.PublicKey
	Name      string // for people
}

// nearest returns the n members nearest to a key by the XOR metric, nearest first, of
// those that pass keep (nil: all).
func nearest(members []Member, key p2p.Key, n int, keep func(Member) bool) []Member {
	type place struct {
		distance p2p.Key
		member   int
	}
	best := make([]place, 0, n+1)
	for i := range members {
		if keep != nil && !keep(members[i]) {
			continue
		}
		p := place{members[i].Position.Distance(key), i}
		if len(best) == n && p.distance.Compare(best[n-1].distance) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, p, func(a, b place) int { return a.distance.Compare(b.distance) })
		best = slices.Insert(best, at, p)
		if len(best) > n {
			best = best[:n]
		}
	}
	out := make([]Member, len(best))
	for i, p := range best {
		out[i] = members[p.member]
	}
	return out
}

// view is who is there, as one node sees it at one moment.
type view struct {
	self    p2p.ID
	members []Member
	alive   map[p2p.ID]bool
}

// replicas returns the n members nearest to a key that can be asked.
func (v view) replicas(key p2p.Key, n int) []Member {
	return nearest(v.members, key, n, func(m Member) bool { return v.alive[m.ID] })
}

// region is how many of the nearest members may keep a record, for each that should: others
// may see some that we do not, and not see some that we do.
const region = 3

// responsible reports whether this node is near enough to a key to keep records there,
// of which there are to be n copies.
func (v view) responsible(key p2p.Key, n int) bool {
	is := func(m Member) bool { return m.ID == v.self }
	return slices.ContainsFunc(v.replicas(key, region*n), is) || slices.ContainsFunc(nearest(v.members, key, region*n, nil), is)
}
