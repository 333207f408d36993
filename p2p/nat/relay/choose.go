package relay

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Bounds of the relays of one node.
const (
	MaxKnown = 5 // that it asks for their state
	MaxInUse = 2
)

// Offer is what a node knows of a member that relays.
type Offer struct {
	ID          p2p.ID
	RTT         time.Duration
	Used, Total int  // allocations
	Dual        bool // it has IPv4 and IPv6, so that any two nodes meet there
}

// cost is what a relay is worth, the less the better: the time that a packet
// takes, and as much again for a relay that is full.
func (o Offer) cost() time.Duration {
	if o.Total <= 0 {
		return o.RTT
	}
	return o.RTT + time.Duration(float64(max(o.RTT, 10*time.Millisecond))*float64(o.Used)/float64(o.Total))
}

// Choose picks the relays to use, at most MaxInUse, best first. Those that are in
// use stay unless another is better by half: with a relay that is given up goes
// an address that others know. Full ones are for those who use them already. One of
// those that have IPv4 and IPv6 is among them, if there is any: a relay that the other
// end cannot reach is of no use.
func Choose(offers []Offer, using []p2p.ID) []p2p.ID {
	offers = slices.DeleteFunc(slices.Clone(offers), func(o Offer) bool {
		return o.Used >= o.Total && !slices.Contains(using, o.ID)
	})
	worth := func(o Offer) time.Duration {
		if slices.Contains(using, o.ID) {
			return o.cost() / 2
		}
		return o.cost()
	}
	slices.SortFunc(offers, func(a, b Offer) int {
		if wa, wb := worth(a), worth(b); wa != wb {
			return int(wa - wb)
		}
		return a.ID.Compare(b.ID)
	})
	if best := slices.IndexFunc(offers, func(o Offer) bool { return o.Dual }); best >= MaxInUse {
		offers[MaxInUse-1] = offers[best]
	}
	var out []p2p.ID
	for _, o := range offers[:min(len(offers), MaxInUse)] {
		out = append(out, o.ID)
	}
	return out
}
