package lesson

import (
	"net/netip"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/nat"
)

// kind is how a router maps and filters (RFC 4787, sections 4 and 5).
type kind struct {
	mapping   nat.Mapping
	filtering nat.Filtering
}

var kinds = map[string]kind{
	"full-cone":          {nat.MappingIndependent, nat.FilteringIndependent},
	"address-restricted": {nat.MappingIndependent, nat.FilteringAddress},
	"port-restricted":    {nat.MappingIndependent, nat.FilteringAddressPort},
	"symmetric":          {nat.MappingAddressPort, nat.FilteringAddressPort},
}

// router translates the addresses of one home.
type router struct {
	name     string
	outside  netip.Addr
	kind     kind
	next     uint16
	mapped   map[[2]netip.AddrPort]uint16 // outside port of an inner address, and of a destination as far as it matters
	inner    map[uint16]netip.AddrPort
	sent     map[uint16][]netip.AddrPort // destinations
	forwards map[uint16]netip.AddrPort   // what it was asked to let everybody reach
}

func newRouter(name string, outside netip.Addr, k kind, first uint16) *router {
	return &router{
		name: name, outside: outside, kind: k, next: first, mapped: map[[2]netip.AddrPort]uint16{}, inner: map[uint16]netip.AddrPort{},
		sent: map[uint16][]netip.AddrPort{}, forwards: map[uint16]netip.AddrPort{},
	}
}

// out translates a packet that leaves; opened: it has given out a port for it.
func (r *router) out(from, to netip.AddrPort) (shown netip.AddrPort, opened bool) {
	for port, inner := range r.forwards {
		if inner == from {
			return netip.AddrPortFrom(r.outside, port), false
		}
	}
	key := [2]netip.AddrPort{from}
	if r.kind.mapping != nat.MappingIndependent {
		key[1] = to
	}
	port, ok := r.mapped[key]
	if !ok {
		r.next++
		port = r.next
		r.mapped[key], r.inner[port] = port, from
	}
	if !slices.Contains(r.sent[port], to) {
		r.sent[port] = append(r.sent[port], to)
	}
	return netip.AddrPortFrom(r.outside, port), !ok
}

// in reports to whom a packet goes that comes, if it may come in.
func (r *router) in(from, to netip.AddrPort) (netip.AddrPort, bool) {
	if inner, ok := r.forwards[to.Port()]; ok {
		return inner, true
	}
	inner, ok := r.inner[to.Port()]
	return inner, ok && slices.ContainsFunc(r.sent[to.Port()], func(sent netip.AddrPort) bool {
		switch r.kind.filtering {
		case nat.FilteringAddressPort:
			return sent == from
		case nat.FilteringAddress:
			return sent.Addr() == from.Addr()
		}
		return true
	})
}
