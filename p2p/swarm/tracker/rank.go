package tracker

import (
	"bytes"
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Peer is a source of a seed.
type Peer struct {
	ID     p2p.ID
	Have   Have
	TTL    time.Duration // for which it is believed, unless it says so again
	Rate   int64         // bytes per second that it sends, as it says; 0: it does not say
	Wants  bool          // it is downloading
	Linked bool          // there is a link to it
	Told   Told
	// Missed: it was asked lately and had nothing, or was not there. It is best left alone for a while.
	Missed bool
}

// peers returns the sources of a seed but one, best first: who has all of it before who has a part,
// and who has nothing yet last; then by rate, in steps of two; then who is linked. Among equal
// ones the order is a matter of chance, so that not all who ask at the same time ask the same
// source. What the source says itself comes before hearsay that says the same. Those that were missed
// lately are the last.
func (c *core) peers(now time.Time, id seed.ID, but p2p.ID, linked func(p2p.ID) bool, random *rand.Rand) []Peer {
	ranks := c.ranked(now, id, but, linked, random)
	out := make([]Peer, len(ranks))
	for i, r := range ranks {
		s := r.source
		out[i] = Peer{
			ID: r.id, Have: s.have, TTL: c.left(now, r.id, s), Rate: int64(s.up) << 10, Wants: s.wants, Linked: linked(r.id), Told: s.told,
			Missed: s.missed.After(now),
		}
	}
	return out
}

// ranked is a source, and where it stands: the least order is first.
type ranked struct {
	id     p2p.ID
	source *source
	order  uint64
}

func (c *core) ranked(now time.Time, id seed.ID, but p2p.ID, linked func(p2p.ID) bool, random *rand.Rand) []ranked {
	e := c.seeds[id]
	if e == nil {
		return nil
	}
	out := make([]ranked, 0, len(e.sources))
	for of, s := range e.sources {
		if of == but || c.left(now, of, s) <= 0 {
			continue
		}
		part := s.have.part()
		if s.missed.After(now) {
			part = 3
		}
		// What matters most is in the highest bits.
		order := uint64(part)<<62 | uint64(63-bits.Len32(s.up))<<56 | uint64(rank(!linked(of)))<<55 | uint64(s.told.doubt())<<53 | random.Uint64N(1<<53)
		out = append(out, ranked{of, s, order})
	}
	slices.SortFunc(out, func(a, b ranked) int { return cmp.Compare(a.order, b.order) })
	return out
}

// part says how much of the seed a source has, in three steps.
func (h Have) part() int {
	switch {
	case h.All:
		return 0
	case h.Count > 0:
		return 1
	}
	return 2
}

func (t Told) doubt() int {
	switch t {
	case TellsItself:
		return 0
	case TellsTracker:
		return 1
	}
	return 2
}

// slice says which of those that download a seed somebody is: number i of n. All who know of the
// same downloaders agree, since the order is that of the distances between their IDs and the
// seed's: nobody is first in all swarms.
func (c *core) slice(now time.Time, id seed.ID, of p2p.ID) (i, n int) {
	e := c.seeds[id]
	if e == nil {
		return 0, 1
	}
	mine := distance(of, id)
	n = 1
	for other, s := range e.sources {
		if other == of || !s.wants || s.have.All || !c.alive(now, other, s) {
			continue
		}
		n++
		if d := distance(other, id); bytes.Compare(d[:], mine[:]) < 0 {
			i++
		}
	}
	return i, n
}

func distance(member p2p.ID, id seed.ID) p2p.Key { return p2p.Key(member).Distance(p2p.Key(id)) }

// query answers a member: with what sources have said themselves, and nothing else.
func (c *core) query(now time.Time, from p2p.ID, q query, linked func(p2p.ID) bool, random *rand.Rand) sources {
	all := slices.DeleteFunc(c.ranked(now, q.ID, from, linked, random), func(r ranked) bool { return r.source.told != TellsItself })
	i, n := c.slice(now, q.ID, from)
	out := sources{Total: uint32(len(all)), Slice: uint32(i), Slices: uint32(n)}
	for _, r := range all[:min(len(all), int(min(q.Want, MaxWant)))] {
		s := r.source
		out.Peers = append(out.Peers, told{ID: r.id, Have: s.have.pack(), Up: s.up, Down: s.down, Wants: s.wants, Left: uint32(min(c.left(now, r.id, s), TTL).Milliseconds())})
	}
	return out
}
