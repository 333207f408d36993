package member

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
)

// maxKept is of how many holders a node stores the proofs: enough to find the network again when those
// whom the roster names have gone.
const maxKept = 128

// stored is what the store has of one holder.
type stored struct {
	id     p2p.ID
	hashes []Hash
}

// named reports whether the roster names this node. The caller holds s.mu.
func (s *Service) named() bool { return len(s.roster.byKey[s.self]) > 0 }

// certify signs a certificate for the peer of a link. The caller holds s.mu.
func (s *Service) certify(from p2p.Link, in *invite, contact Statement) (joinResponse, func(), error) {
	nonce, err := s.nonce()
	if err != nil {
		return joinResponse{}, nil, err
	}
	certificates, number, err := s.sign(from.PublicKey(), nonce)
	if err != nil {
		return joinResponse{}, nil, err
	}
	c, err := credentialOf(certificates, &contact)
	if err != nil {
		return joinResponse{}, nil, err
	}
	var change Change
	if in != nil {
		change.Redemptions = []Redemption{{Invite: in.ID, Member: from.Peer(), Admission: c.holder().hash}}
	}
	if number > 0 { // so that none is used twice
		change.Add = certificates[len(certificates)-1:]
	}
	if err := s.o.Store.Save(change); err != nil {
		return joinResponse{}, nil, fmt.Errorf("member: save: %w", err)
	}
	s.keepInvites(change)
	if number > 0 {
		s.issued[c.holder().under] = number
	}
	if _, err := s.Present(c.encoded); err != nil {
		return joinResponse{}, nil, err
	}
	if m, met := s.holders.get(from.Peer()); met {
		words := Words(from.Binding())
		s.o.Publish.Emit(MemberJoined{ID: m.ID, Name: m.Name, Words: words[:]})
	}
	return s.welcome(c.holder().hash, c), func() { s.tell(nil) }, nil
}

// sign signs a certificate of a position, and returns it with what it rests on before it, and its
// number, which is 0 under an admin's admission. The caller holds s.mu.
func (s *Service) sign(key []byte, nonce [nonceSize]byte) ([]Statement, uint64, error) {
	v := s.current.Load()
	open := v.network.Mode == ModeOpen
	mine, present := v.verdict.standing[s.self]
	var before []Statement
	var under Hash
	var number uint64
	switch {
	case present && mine.role == RoleAdmin:
		under = mine.grant.hash
	case present && open:
		under, number = mine.grant.hash, s.issued[mine.grant.hash]+1
	case v.own != nil && open:
		x := v.shortest()
		if x == nil || x.depth(v.own.certificates) >= maxChain {
			return nil, 0, fmt.Errorf("%d members in between: %w", maxChain, ErrFull)
		}
		before, under, number = v.own.way(x), x.hash, s.issued[x.hash]+1
	default:
		return nil, 0, fmt.Errorf("%w: this node may not admit", ErrRefused)
	}
	if number > OpenQuota {
		return nil, 0, fmt.Errorf("%d admitted: %w", OpenQuota, ErrFull)
	}
	st, err := sign(s.o.Identity, KindCertificate, certificateBody{
		Network: v.network.ID[:], By: s.o.Identity.PublicKey(), Under: under[:], Member: key, Nonce: nonce[:],
		Issued: s.o.Now().Unix(), Number: number,
	})
	return append(before, st), number, err
}

// shortest returns that of this node's certificates in force that is nearest to the roster.
func (v *view) shortest() *certificate {
	var best *certificate
	for _, x := range v.inForce(v.own) {
		if best == nil || x.depth(v.own.certificates) < best.depth(v.own.certificates) {
			best = x
		}
	}
	return best
}

// announceOwn replaces the contact in this node's own proof. The caller holds s.mu.
func (s *Service) announceOwn(next p2p.Contact, statement Statement) (tell func(), err error) {
	reach, err := check(statement)
	if err != nil {
		return nil, err
	}
	own, err := credentialOf(s.own.Certificates, &statement)
	if err != nil {
		return nil, err
	}
	c := Change{Add: []Statement{statement}}
	if s.reach != nil {
		c.Drop = []Hash{s.reach.hash}
	}
	if err := s.o.Store.Save(c); err != nil {
		return nil, fmt.Errorf("member: save: %w", err)
	}
	s.own, s.reach, s.mine = own, reach, next
	return s.renewed(), nil
}

// renewed shows what has become of this node's own proof. The caller holds s.mu.
func (s *Service) renewed() (tell func()) {
	old, v := s.current.Load(), s.newView()
	s.current.Store(v)
	for _, e := range changes(old, v, nil) {
		s.o.Publish.Emit(e)
	}
	s.outbox.present()
	return func() { s.tell(nil) }
}

// keepHolder stores what a holder has shown to whom there is a link.
func (s *Service) keepHolder(id p2p.ID) error {
	c := s.holders.credential(id)
	if c == nil {
		return nil
	}
	return s.do(func() (func(), error) {
		now := stored{id: id}
		for _, st := range c.statements() {
			now.hashes = append(now.hashes, st.Hash())
		}
		at := slices.IndexFunc(s.kept, func(k stored) bool { return k.id == id })
		if at >= 0 && slices.Equal(s.kept[at].hashes, now.hashes) {
			return nil, nil
		}
		var drop []stored
		kept := slices.Clone(s.kept)
		if at >= 0 {
			drop, kept = append(drop, kept[at]), slices.Delete(kept, at, at+1)
		}
		for len(kept) >= maxKept {
			drop, kept = append(drop, kept[0]), kept[1:]
		}
		kept = append(kept, now)
		change := Change{Add: c.statements()}
		for _, k := range drop {
			for _, h := range k.hashes {
				if !s.stays(h, kept) {
					change.Drop = append(change.Drop, h)
				}
			}
		}
		if err := s.o.Store.Save(change); err != nil {
			return nil, fmt.Errorf("member: save what %s has shown: %w", id.Short(), err)
		}
		s.kept = kept
		return nil, nil
	})
}

// stays reports whether a statement is stored for something else, too. The caller holds s.mu.
func (s *Service) stays(h Hash, kept []stored) bool {
	if s.roster.Has(h) || s.own != nil && slices.ContainsFunc(s.own.certificates, func(c *certificate) bool { return c.hash == h }) {
		return true
	}
	return slices.ContainsFunc(kept, func(k stored) bool { return slices.Contains(k.hashes, h) })
}

// sortStored tells what the store has of the roster from what it has of holders.
func sortStored(all []Statement) (named, certificates, contacts []Statement) {
	holds := map[p2p.ID]bool{}
	for _, st := range all {
		if st.Kind != KindCertificate {
			continue
		}
		certificates = append(certificates, st)
		if c, _, err := readCertificate(st.Body); err == nil {
			holds[c.member] = true
		}
	}
	if len(certificates) == 0 {
		return all, nil, nil
	}
	for _, st := range all {
		switch st.Kind {
		case KindCertificate:
		case KindContact:
			if c, _, err := readContact(st); err == nil && holds[c.ID()] {
				contacts = append(contacts, st)
				continue
			}
			named = append(named, st)
		default:
			named = append(named, st)
		}
	}
	return named, certificates, contacts
}

// addContacts adds the contacts of those whom the roster names, and returns the others.
func (ro *Roster) addContacts(contacts []Statement) (rest []Statement, err error) {
	for _, st := range contacts {
		c, _, err := readContact(st)
		if err != nil {
			return nil, fmt.Errorf("member: contact: %w: %w", ErrMalformed, err)
		}
		if len(ro.byKey[c.ID()]) == 0 {
			rest = append(rest, st)
		} else if _, err := ro.Add(st); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// restoreHolders reads what the store has of holders, this node among them. The caller holds s.mu.
func (s *Service) restoreHolders(certificates, contacts []Statement) error {
	byHash := map[Hash]Statement{}
	parsed := map[Hash]*certificate{}
	of := map[p2p.ID][]Hash{}
	var ids []p2p.ID
	for _, st := range certificates {
		c, _, err := readCertificate(st.Body)
		if err != nil {
			return fmt.Errorf("member: certificate: %w: %w", ErrMalformed, err)
		}
		h := st.Hash()
		byHash[h], parsed[h] = st, c
		if len(of[c.member]) == 0 {
			ids = append(ids, c.member)
		}
		of[c.member] = append(of[c.member], h)
		if c.by == s.self && c.number > 0 {
			s.issued[c.under] = max(s.issued[c.under], c.number)
		}
	}
	reach := map[p2p.ID]Statement{}
	for _, st := range contacts {
		if c, _, err := readContact(st); err == nil {
			reach[c.ID()] = st
		}
	}
	for _, id := range ids {
		var all []Statement
		in := map[Hash]bool{}
		var climb func(Hash, int)
		climb = func(h Hash, left int) {
			c := parsed[h]
			if c == nil || in[h] || left == 0 {
				return
			}
			in[h] = true
			climb(c.under, left-1)
			all = append(all, byHash[h])
		}
		for _, h := range of[id][max(len(of[id])-maxOwn, 0):] {
			climb(h, maxChain)
		}
		var contact *Statement
		if st, ok := reach[id]; ok {
			contact = &st
		}
		c, err := credentialOf(all, contact)
		if err != nil {
			s.log.Warn("a stored proof is left out", "member", id.Short(), "error", err)
			continue
		}
		if id != s.self {
			if _, err := s.Present(c.encoded); err == nil {
				k := stored{id: id}
				for _, st := range c.statements() {
					k.hashes = append(k.hashes, st.Hash())
				}
				s.kept = append(s.kept, k)
			}
			continue
		}
		s.own = c
		if s.reach, err = c.verify(); err != nil {
			return err
		}
	}
	return nil
}

// Those who come to an open network without an invitation: of one household, and altogether.
const (
	newcomerEvery     = 10 * time.Second
	newcomersAtOnce   = 8
	newcomersEvery    = 100 * time.Millisecond
	newcomersTogether = 100
	maxHouseholds     = 1024
)

// newcomers bounds how many are admitted of those who need no invitation.
type newcomers struct {
	all        *rate.Limiter
	households map[netip.Prefix]*rate.Limiter
}

// allow reports whether somebody may be admitted who comes from an address now.
func (n *newcomers) allow(from netip.Addr, now time.Time) bool {
	if n.all == nil {
		n.all = rate.NewLimiter(rate.Every(newcomersEvery), newcomersTogether)
	}
	house := household(from)
	l := n.households[house]
	if l == nil {
		if n.households == nil || len(n.households) >= maxHouseholds {
			n.households = map[netip.Prefix]*rate.Limiter{} // those of a moment ago are bounded together
		}
		l = rate.NewLimiter(rate.Every(newcomerEvery), newcomersAtOnce)
		n.households[house] = l
	}
	if house.IsValid() && !l.AllowN(now, 1) {
		return false
	}
	return n.all.AllowN(now, 1)
}

// household is what one customer of a provider has: an address of IPv4, 56 bits of IPv6. It is not
// valid for a link that has no address.
func household(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Prefix{} // a program of this computer
	}
	bits := 56
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// errRevokedHere is for who comes back to an open network that has excluded him.
var errRevokedHere = errors.New("was revoked")

// mayCome decides about somebody who has no invitation, in an open network. The caller holds s.mu.
func (s *Service) mayCome(from p2p.Link) error {
	v := s.current.Load()
	if m, known := v.byID[from.Peer()]; known && m.Revoked || len(v.verdict.excluded[from.Peer()]) > 0 {
		return fmt.Errorf("%w: %w", ErrRefused, errRevokedHere)
	}
	if !s.coming.allow(from.Path().Remote.Addr(), s.o.Now()) {
		return fmt.Errorf("from %s: %w", from.Path().Remote.Addr(), ErrBusy)
	}
	return nil
}
