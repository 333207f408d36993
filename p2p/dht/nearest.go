package dht

import (
	"crypto/ed25519"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/route"
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
	// Of large networks: the parts of the key space that the view is about; nil: all of it.
	parts []route.Part
	known map[p2p.ID]bool // who is among members
	// All members that share so many bits with a location are to keep it: wide ones, or each.
	bits int
	wide map[p2p.Key]bool
	each bool
}

// covers reports whether the view knows who is nearest to a key.
func (v view) covers(key p2p.Key) bool {
	return v.parts == nil || slices.ContainsFunc(v.parts, func(p route.Part) bool { return p.Has(key) })
}

// want returns how many members are to keep a location, where n are enough otherwise.
func (v view) want(location p2p.Key, n int) int {
	if !v.each && !v.wide[location] {
		return n
	}
	near := 0
	for i := range v.members {
		if v.members[i].Position.CommonPrefixLen(location) >= v.bits && v.alive[v.members[i].ID] {
			near++
		}
	}
	return max(n, near)
}

// replicas returns the n members nearest to a key that can be asked; none if the view does not
// know who they are.
func (v view) replicas(key p2p.Key, n int) []Member {
	if !v.covers(key) {
		return nil
	}
	return nearest(v.members, key, n, func(m Member) bool { return v.alive[m.ID] })
}

// region is how many of the nearest members may keep a record, for each that should: others
// may see some that we do not, and not see some that we do.
const region = 3

// responsible reports whether a member is near enough to a key to keep records there,
// of which there are to be n copies.
func (v view) responsible(id p2p.ID, key p2p.Key, n int) bool {
	is := func(m Member) bool { return m.ID == id }
	return slices.ContainsFunc(v.replicas(key, region*n), is) || slices.ContainsFunc(nearest(v.members, key, region*n, nil), is)
}
