package member

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// SetContact tells the network how to reach this node: the addresses best first,
// and the members that forward signalling to it. Addresses that mean nothing to
// another computer, duplicates, and what is more than the limits are left out.
// Nothing is signed when nothing changed.
func (s *Service) SetContact(addrs []netip.AddrPort, relays []p2p.ID) (changed bool, err error) {
	addrs = first(distinct(addrs, usableAddr), MaxAddrs)
	relays = first(distinct(relays, func(id p2p.ID) bool { return !id.IsZero() && id != s.self }), MaxRelays)
	err = s.do(func() (func(), error) {
		next := s.mine
		next.Addrs, next.Relays = addrs, relays
		if slices.Equal(addrs, s.mine.Addrs) && slices.Equal(relays, s.mine.Relays) {
			return nil, nil
		}
		changed = true
		return s.announce(next)
	})
	return changed && err == nil, err
}

// announce signs next as the contact of this node. The caller holds s.mu.
func (s *Service) announce(next p2p.Contact) (tell func(), err error) {
	next.Seq = s.nextSeq(max(s.mine.Seq, s.roster.contactSeq(s.self)))
	statement, err := contactStatement(s.o.Identity, next)
	if err != nil {
		return nil, err
	}
	if s.own != nil && len(s.roster.byKey[s.self]) == 0 {
		return s.announceOwn(next, statement)
	}
	tell, err = s.apply(update{statements: []Statement{statement}, own: true})
	if err == nil {
		s.mine = next
	}
	return tell, err
}

// contactSeq is the number of the newest contact of id; 0 when there is none.
func (ro *Roster) contactSeq(id p2p.ID) uint64 {
	if r := ro.contact[id]; r != nil {
		return r.contact.Seq
	}
	return 0
}

// distinct returns the elements that are good, each once, in their order.
func distinct[T comparable](in []T, good func(T) bool) []T {
	var out []T
	for _, x := range in {
		if good(x) && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// SetOffer offers a folder to the members, changes an offer, or, with Gone, takes
// it back. Only admins may do so for another creator (ErrNotAdmin). An offer that
// is in effect already is not signed again, but by a creator that an admin has spoken for:
// then it holds as long as the creator is a member.
func (s *Service) SetOffer(o Offer) error {
	if o.By.IsZero() {
		o.By = s.self
	}
	o.Label = CleanName(o.Label)
	return s.do(func() (func(), error) {
		v := s.current.Load()
		role, present := v.role(s.self)
		if o.By != s.self && role != RoleAdmin {
			return nil, fmt.Errorf("member: offer folder %s of %s: %w", o.Folder, o.By.Short(), ErrNotAdmin)
		}
		if !present {
			return nil, fmt.Errorf("member: offer folder %s: this node: %w", o.Folder, ErrUnknownMember)
		}
		if _, known := v.byID[o.By]; !known {
			return nil, fmt.Errorf("member: offer folder %s of %s: %w", o.Folder, o.By.Short(), ErrUnknownMember)
		}
		if o.By == s.self && !s.named() {
			return nil, fmt.Errorf("member: offer folder %s: %w", o.Folder, ErrNoSeat)
		}
		at, found := slices.BinarySearchFunc(v.offers, o, compareOffers)
		if !found && o.Gone || found && v.offers[at].same(o) && (o.By != s.self || v.offers[at].signer == s.self || o.Gone) {
			return nil, nil
		}
		statement, err := s.signOffer(o)
		if err != nil {
			return nil, err
		}
		return s.apply(update{statements: []Statement{statement}, own: true})
	})
}

// signOffer signs o as newer than what has effect of it, and than what this node
// has said of it before. Others' offers that have no effect do not count: their
// numbers may be anything. The caller holds s.mu.
func (s *Service) signOffer(o Offer) (Statement, error) {
	var last uint64
	for key, r := range s.roster.offers {
		if key.folder == o.Folder && key.creator == o.By && (key.signer == s.self || s.roster.empowered(r.offer)) {
			last = max(last, r.offer.Seq)
		}
	}
	o.Seq = s.nextSeq(last)
	return offerStatement(s.o.Identity, s.roster.network.ID, o)
}

// orphans returns the offers of a member that end with its membership: those that
// only itself has signed. A folder need not end because a computer was lost.
func (s *Service) orphans(id p2p.ID) []Offer {
	if id == s.self {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.current.Load().offers), func(o Offer) bool {
		return o.By != id || o.signer != id || o.Gone
	})
}

// decided returns what a member has decided about folders of others, that is in effect.
func (s *Service) decided(id p2p.ID) []Offer {
	return slices.DeleteFunc(slices.Clone(s.current.Load().offers), func(o Offer) bool {
		return o.signer != id || o.By == id
	})
}

// uphold signs what somebody has decided who had the power, and has it no more.
func (s *Service) uphold(by p2p.ID, all []Offer) {
	for _, o := range all {
		if err := s.SetOffer(o); err != nil {
			s.log.Warn("the access to a folder is as it was before an admin has decided", "admin", by.Short(), "folder", o.Folder, "error", err)
		}
	}
}

// adopt offers a folder of somebody who was revoked, unless another admin has done
// so.
func (s *Service) adopt(o Offer) error {
	return s.do(func() (func(), error) {
		v := s.current.Load()
		if role, _ := v.role(s.self); role != RoleAdmin {
			return nil, ErrNotAdmin
		}
		if _, found := slices.BinarySearchFunc(v.offers, o, compareOffers); found {
			return nil, nil
		}
		statement, err := s.signOffer(o)
		if err != nil {
			return nil, err
		}
		return s.apply(update{statements: []Statement{statement}, own: true})
	})
}

// SetName changes how this node calls itself; an empty name becomes the short ID.
func (s *Service) SetName(name string) error {
	return s.do(func() (func(), error) {
		next := s.mine
		if next.Name = cmp.Or(CleanName(name), s.self.Short()); next.Name == s.mine.Name {
			return nil, nil
		}
		return s.announce(next)
	})
}
