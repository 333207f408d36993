package lan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	maxNodes = 512 // that are remembered, those of other networks included
	// maxPlaces bounds the addresses of one node.
	maxPlaces = 8
	// tellEvery is how often it is passed on that a node has a new address.
	tellEvery = 2 * time.Second
)

// table is what was heard of other nodes. Those of other networks are in it too: this
// node may be about to join one of them.
type table map[p2p.ID]*entry

type entry struct {
	tag    tag
	own    bool    // of this node's network
	places []place // the one heard last is first
	heard  time.Time
	told   time.Time
}

type place struct {
	addr  netip.AddrPort
	until time.Time
}

// learn takes in what a node said in a network, and reports whether it has an address
// there that was not known, or is of the own network only now. A goodbye takes
// addresses away.
func (t table) learn(c card, n subnet, own bool, now time.Time) (isNew bool) {
	e := t[c.ID]
	if e == nil {
		if c.TTL == 0 {
			return false
		}
		t.makeRoom(own, now)
		if len(t) >= maxNodes {
			return false
		}
		e = &entry{}
		t[c.ID] = e
	}
	isNew = own && !e.own
	e.tag, e.own, e.heard = c.Tag, own, now
	var said []place
	for _, a := range c.Addrs {
		p := place{addr: netip.AddrPortFrom(a, c.Port), until: now.Add(c.TTL)}
		if !n.allows(a) || p.addr == netip.AddrPortFrom(a, n.Port) && slices.Contains(n.Addrs, a) {
			continue // elsewhere, or this very node
		}
		said = append(said, p)
		isNew = isNew || c.TTL > 0 && !has(e.places, p.addr)
	}
	rest := slices.DeleteFunc(e.places, func(p place) bool { return has(said, p.addr) || !now.Before(p.until) })
	if c.TTL == 0 {
		said = nil
	}
	e.places = append(said, rest...)
	e.places = e.places[:min(len(e.places), maxPlaces)]
	if len(e.places) == 0 {
		delete(t, c.ID)
	}
	return isNew && len(e.places) > 0
}

func has(places []place, a netip.AddrPort) bool {
	return slices.ContainsFunc(places, func(p place) bool { return p.addr == a })
}

// tell reports whether a new address of a node is to be passed on now.
func (t table) tell(id p2p.ID, now time.Time) bool {
	e := t[id]
	if e == nil || !e.own || now.Sub(e.told) < tellEvery {
		return false
	}
	e.told = now
	return true
}

// addrs lists where a node of a network may be, the address heard last first.
func (t table) addrs(id p2p.ID, want tag, now time.Time) []netip.AddrPort {
	e := t[id]
	if e == nil || e.tag != want {
		return nil
	}
	var out []netip.AddrPort
	for _, p := range e.places {
		if now.Before(p.until) {
			out = append(out, p.addr)
		}
	}
	return out
}

// known lists who need not answer a question, having been heard since then, and for how
// long that is good.
func (t table) known(since, now time.Time) []known {
	var out []known
	for id, e := range t {
		if left := e.left(now); left > 0 && !e.heard.Before(since) {
			out = append(out, known{ID: id, TTL: left})
		}
	}
	slices.SortFunc(out, func(a, b known) int { return a.ID.Compare(b.ID) })
	return out
}

func (e *entry) left(now time.Time) (left time.Duration) {
	for _, p := range e.places {
		left = max(left, p.until.Sub(now))
	}
	return left
}

// retain forgets the addresses that are in none of the present networks.
func (t table) retain(here func(netip.Addr) bool) {
	for id, e := range t {
		e.places = slices.DeleteFunc(e.places, func(p place) bool { return !here(p.addr.Addr()) })
		if len(e.places) == 0 {
			delete(t, id)
		}
	}
}

// moved sorts anew who is of the own network, after that has changed.
func (t table) moved(network p2p.ID) {
	for id, e := range t {
		e.own = e.tag == tagOf(network, id)
	}
}

// makeRoom lets a node in when the table is full: for one of the own network somebody
// goes, strangers first, then who was heard longest ago; for a stranger only what has
// expired.
func (t table) makeRoom(own bool, now time.Time) {
	if len(t) < maxNodes {
		return
	}
	var victim p2p.ID
	for id, e := range t {
		if e.left(now) <= 0 {
			delete(t, id)
			continue
		}
		v := t[victim]
		if v == nil || v.own && !e.own || v.own == e.own && e.heard.Before(v.heard) {
			victim = id
		}
	}
	if len(t) >= maxNodes && own {
		delete(t, victim)
	}
}
