package route

import (
	"math/bits"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	// MaxMesh is how many members a network has at most in which each has a link to
	// each: then nothing need be forwarded.
	MaxMesh = 50
	// MaxLinks is how many links a member wants in a larger one. A link of WebRTC costs
	// 14 goroutines and packets every few seconds.
	MaxLinks = 64
	// Siblings is how many of them lead to those that are nearest to itself: the three
	// that keep copies of a record, and nine who could take their place. Who is nearest to a
	// key has all others that are near among them.
	Siblings = 12
)

// Want returns the members to whom self should keep links: all of a small network, and of
// a larger one at most MaxLinks, so chosen that few hops lead to anybody. linked are
// those to whom there is a link now.
func Want(self p2p.ID, members, linked []Member) []p2p.ID {
	return NewSpace(members).Want(self, linked)
}

// Want is the function Want.
//
// Beside its siblings a member wants contacts as in Pastry (Rowstron and Druschel 2001): a
// position is read as a few digits, and for each digit there is a contact that has the digits
// before it in common with this member, and this one different, in each way. So each hop
// puts one digit right; k contacts for each bit (Kademlia) would need more links for
// that. How long digits are follows from the number of members, and is the same everywhere.
//
// Two members come into question for each other in the same row. So a link that there is
// already, whoever made it, is as good as any, and stays as long as both do. Otherwise
// the contact is the one that stands among its like where this member stands among its own:
// so nobody is chosen by many, and most are chosen by those whom they choose.
func (s *Space) Want(self p2p.ID, linked []Member) []p2p.ID {
	own := slices.IndexFunc(s.members, func(m Member) bool { return m.ID == self })
	if own < 0 {
		return nil
	}
	here := s.members[own].Position
	var want []p2p.ID
	chosen := map[p2p.ID]bool{self: true}
	take := func(m Member) {
		if !chosen[m.ID] {
			chosen[m.ID] = true
			want = append(want, m.ID)
		}
	}
	if len(s.members) <= MaxMesh {
		for m := range s.All(here) {
			take(m)
		}
		return want
	}
	for _, m := range s.Closest(here, Siblings+1) {
		take(m)
	}
	linked = slices.SortedFunc(slices.Values(linked), func(a, b Member) int { return a.Position.Compare(b.Position) })
	before := 0
	for _, n := range digits(len(s.members)) {
		// Those who have this digit, too.
		first, last := s.below(here, before+n)
		for other := uint(1); other < 1<<n; other++ {
			from, to := s.below(flip(here, before, n, other), before+n)
			if from == to {
				continue
			}
			like := s.members[from:to]
			if m, found := within(linked, like[0].Position, like[len(like)-1].Position); found {
				take(m)
				continue
			}
			take(like[(2*(own-first)+1)*len(like)/(2*(last-first))])
		}
		before += n
	}
	for m := range s.All(here) {
		if len(want) >= MaxLinks {
			break
		}
		take(m)
	}
	return want
}

// within finds the first of some sorted members that stands from first to last.
func within(sorted []Member, first, last p2p.Key) (Member, bool) {
	i, _ := slices.BinarySearchFunc(sorted, first, func(m Member, k p2p.Key) int { return m.Position.Compare(k) })
	if i == len(sorted) || sorted[i].Position.Compare(last) > 0 {
		return Member{}, false
	}
	return sorted[i], true
}

// digits returns how many bits each digit of a position has in a network of n members: as
// few digits as MaxLinks allows, long enough together that what remains is among siblings.
func digits(n int) []int {
	// A member shares the first reach bits with 8 others on average.
	reach := max(bits.Len(uint(n-1))-3, 1)
	most := MaxLinks - Siblings
	for count := 1; ; count++ {
		d := make([]int, count)
		for i := range reach {
			d[i%count]++
		}
		if cost(d) > most {
			continue
		}
		// What is left makes digits longer: then more requests skip a hop.
		for total := reach; total < bits.Len(uint(n)); total++ {
			shortest := 0
			for i := range d {
				if d[i] < d[shortest] {
					shortest = i
				}
			}
			if d[shortest]++; cost(d) > most {
				d[shortest]--
				break
			}
		}
		return d
	}
}

// cost is how many contacts digits take.
func cost(digits []int) int {
	sum := 0
	for _, n := range digits {
		sum += 1<<n - 1
	}
	return sum
}
