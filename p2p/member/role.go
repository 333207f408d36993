package member

import (
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// pen signs acts of this node one after the other.
type pen struct {
	s          *Service
	grant      *act
	start      Hash // what the first one follows
	prev       Hash
	number     uint64
	statements []Statement
}

// pen returns the pen for what is signed under grant. The caller holds s.mu.
func (s *Service) pen(grant *act) *pen {
	p := &pen{s: s, grant: grant}
	p.prev, p.number = s.roster.head(s.self)
	p.start = p.prev
	return p
}

// adminPen is the pen of an admin; ErrNotAdmin if this node is none.
func (s *Service) adminPen() (*pen, error) {
	standing := s.roster.judged().standing[s.self]
	if standing.role != RoleAdmin {
		return nil, ErrNotAdmin
	}
	return s.pen(standing.grant), nil
}

func (p *pen) head() actHead {
	network := p.s.roster.network.ID
	return actHead{
		Network: network[:], By: p.s.o.Identity.PublicKey(), Under: p.grant.hash[:],
		Number: p.number + 1, Prev: p.prev.bytes(), Issued: p.s.o.Now().Unix(),
	}
}

func (p *pen) sign(kind Kind, body any) (Hash, error) {
	st, err := sign(p.s.o.Identity, kind, body)
	if err != nil {
		return Hash{}, err
	}
	p.statements = append(p.statements, st)
	p.prev, p.number = st.Hash(), p.number+1
	return p.prev, nil
}

// admit makes the holder of key a member. Base is the admission that is raised,
// nil for none.
func (p *pen) admit(key []byte, role Role, nonce [nonceSize]byte, base *act) (Hash, error) {
	b := admissionBody{actHead: p.head(), Member: key, Role: role, Nonce: nonce[:]}
	if base != nil {
		b.Base = base.hash[:]
	}
	return p.sign(KindAdmission, b)
}

// seat makes the roster name the holder of a certificate.
func (p *pen) seat(x *certificate) (Hash, error) {
	return p.sign(KindAdmission, admissionBody{actHead: p.head(), Member: x.key, Role: RoleMember, Nonce: x.nonce[:], Seat: true})
}

// revoke ends an admission. What its holder signed so far keeps its force.
func (p *pen) revoke(a *act) error {
	b := revocationBody{actHead: p.head(), Target: a.hash[:]}
	if a.role == RoleAdmin || p.s.roster.network.Mode == ModeOpen {
		for _, h := range p.heads(a.member) {
			b.Heads = append(b.Heads, h[:])
		}
	}
	_, err := p.sign(KindRevocation, b)
	return err
}

// exclude ends whatever certificates a node shows.
func (p *pen) exclude(id p2p.ID) error {
	_, err := p.sign(KindExclusion, exclusionBody{actHead: p.head(), Member: id[:]})
	return err
}

// heads is what a member's chain ends in now. What this pen has signed a moment
// ago is not in the roster yet.
func (p *pen) heads(id p2p.ID) []Hash {
	heads := p.s.roster.heads(id)
	if id != p.s.self || p.prev.IsZero() {
		return heads
	}
	heads = slices.DeleteFunc(heads, func(h Hash) bool { return h == p.start })
	return append([]Hash{p.prev}, first(heads, maxHeads-1)...)
}

// revokeAll ends admissions of one member, but for those that end with another one
// of them.
func (p *pen) revokeAll(admissions []*act) error {
	var ends []*act
	for _, a := range admissions {
		if !slices.ContainsFunc(admissions, func(b *act) bool { return b.hash == a.base }) {
			ends = append(ends, a)
		}
	}
	// When this node ends its own admissions, the one under which it signs that
	// comes last: what is signed after it would have no effect.
	slices.SortStableFunc(ends, func(a, b *act) int { return compareBool(p.restsOn(a), p.restsOn(b)) })
	for _, a := range ends {
		if err := p.revoke(a); err != nil {
			return err
		}
	}
	return nil
}

func (p *pen) restsOn(a *act) bool { return a.hash == p.grant.hash || a.hash == p.grant.base }

// SetRole promotes or demotes a member. Errors: ErrNotAdmin, ErrUnknownMember,
// ErrLastAdmin.
func (s *Service) SetRole(id p2p.ID, role Role) error {
	var decided []Offer
	err := s.do(func() (func(), error) {
		if !role.valid() {
			return nil, fmt.Errorf("role %.20q: %w", role, ErrMalformed)
		}
		p, err := s.adminPen()
		if err != nil {
			return nil, err
		}
		standing, present := s.roster.judged().standing[id]
		holder := s.holders.credential(id)
		switch {
		case !present && holder != nil && role == RoleAdmin:
			x := holder.holder() // it stays where it is
			_, err = p.admit(x.key, RoleAdmin, x.nonce, nil)
		case !present && holder != nil:
			return nil, nil
		case !present:
			return nil, ErrUnknownMember
		case standing.role == role:
			return nil, nil
		case role == RoleAdmin:
			// The entry raises no other admission itself: see older, and that one
			// that does is in force only together with what it raises.
			_, err = p.admit(standing.entry.key, RoleAdmin, standing.entry.nonce, standing.entry)
		case s.lastAdmin(id):
			err = ErrLastAdmin
		default:
			decided = s.decided(id)
			err = p.demote(standing)
		}
		if err != nil {
			return nil, err
		}
		return s.apply(update{statements: p.statements, own: true})
	})
	if err != nil {
		return fmt.Errorf("member: make %s %s: %w", id.Short(), role, err)
	}
	s.uphold(id, decided)
	return nil
}

// demote ends all admissions as admin, after making sure that one as member
// remains.
func (p *pen) demote(st standing) error {
	remains := false
	for _, a := range st.inForce {
		remains = remains || a.role == RoleMember && a.base.IsZero()
	}
	if !remains {
		if _, err := p.admit(st.entry.key, RoleMember, st.entry.nonce, nil); err != nil {
			return err
		}
	}
	return p.revokeAll(slices.DeleteFunc(slices.Clone(st.inForce), func(a *act) bool { return a.role != RoleAdmin }))
}

// Revoke ends the membership of a node, this one's too. When that is stored, and on
// its way to the members, folders that the node offered are offered on by this one,
// as far as that is possible: nothing that a member says of itself can keep it in. In a network that is
// Wide this node need not have met it.
// Errors: ErrNotAdmin, ErrUnknownMember, ErrLastAdmin.
func (s *Service) Revoke(id p2p.ID) error {
	var orphans, decided []Offer
	err := s.do(func() (func(), error) {
		p, err := s.adminPen()
		if err != nil {
			return nil, err
		}
		standing, present := s.roster.judged().standing[id]
		holds := s.holders.credential(id) != nil
		// Where certificates are, it may have one that was never shown here.
		if unmet := s.Wide() && len(s.current.Load().verdict.excluded[id]) == 0; !present && !holds && !unmet {
			return nil, ErrUnknownMember
		}
		if s.lastAdmin(id) {
			return nil, ErrLastAdmin
		}
		if v := s.current.Load(); holds || !present || v.wide || v.network.Mode == ModeOpen {
			if err := p.exclude(id); err != nil {
				return nil, err
			}
		}
		if err := p.revokeAll(standing.inForce); err != nil {
			return nil, err
		}
		orphans, decided = s.orphans(id), s.decided(id)
		return s.apply(update{statements: p.statements, own: true})
	})
	if err != nil {
		return fmt.Errorf("member: revoke %s: %w", id.Short(), err)
	}
	s.uphold(id, decided)
	for _, o := range orphans {
		if err := s.adopt(o); err != nil {
			s.log.Warn("folder of a revoked member not offered on", "member", id.Short(), "folder", o.Folder, "error", err)
		}
	}
	return nil
}

// lastAdmin reports whether id is the only admin.
func (s *Service) lastAdmin(id p2p.ID) bool {
	standing := s.roster.judged().standing
	if standing[id].role != RoleAdmin {
		return false
	}
	for other, st := range standing {
		if other != id && st.role == RoleAdmin {
			return false
		}
	}
	return true
}
