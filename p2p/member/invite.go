package member

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
)

// Limits of invitations.
const (
	DefaultExpiry = 24 * time.Hour
	PublicExpiry  = 365 * 24 * time.Hour // of an invitation to an open network
	MaxExpiry     = 10 * 365 * 24 * time.Hour
	MaxUses       = 1000

	maxInvites = 1000
	// keepExpired is how long an invitation is remembered after its end, so that
	// whoever comes late is told so.
	keepExpired = 30 * 24 * time.Hour
	// Wrong proofs per invitation that are logged one by one. Nobody is turned away
	// for others' wrong proofs: the secret has 128 bits and cannot be guessed, to
	// compare costs a few microseconds, and whoever saw the invitation's ID could
	// otherwise close it to the one who holds the secret.
	failuresAtOnce   = 20
	failuresRecovery = 3 * time.Second
)

// invite is an invitation that this node made.
type invite struct {
	Invite
	uses     map[p2p.ID]Hash // who was admitted, by which statement
	failures *rate.Limiter
}

func newInvite(in Invite) *invite {
	return &invite{Invite: in, uses: map[p2p.ID]Hash{}, failures: rate.NewLimiter(rate.Every(failuresRecovery), failuresAtOnce)}
}

// InviteOptions says what an invitation is good for.
type InviteOptions struct {
	Expires time.Duration // from now; zero: 24 hours, to an open network a year
	MaxUses int           // 1 to 1000; zero: 1
	Role    Role          // empty: member
}

// InviteInfo tells the inviter what became of an invitation.
type InviteInfo struct {
	ID               [16]byte
	Role             Role
	Uses, MaxUses    int
	Created, Expires time.Time
	Ended            bool // withdrawn, or somebody whom it admitted was revoked
}

// Invite makes an invitation, which only this node can redeem. In an open network
// every member may, and the invitation has no secret and no number of uses: it only
// tells where to knock. Errors: ErrNotAdmin, ErrMalformed (options), ErrFull.
func (s *Service) Invite(o InviteOptions) (Invitation, error) {
	if o.Expires == 0 {
		o.Expires = DefaultExpiry
		if cmp.Or(o.Role, RoleMember) == RoleMember && s.Network().Mode == ModeOpen {
			o.Expires = PublicExpiry
		}
	}
	o.MaxUses = cmp.Or(o.MaxUses, 1)
	o.Role = cmp.Or(o.Role, RoleMember)
	if o.Expires < 0 || o.Expires > MaxExpiry || o.MaxUses < 1 || o.MaxUses > MaxUses || !o.Role.valid() {
		return Invitation{}, fmt.Errorf("member: invite for %s, %d uses, role %.20q: %w", o.Expires, o.MaxUses, o.Role, ErrMalformed)
	}
	var inv Invitation
	err := s.do(func() (func(), error) {
		v := s.current.Load()
		role, present := v.role(s.self)
		open := v.network.Mode == ModeOpen && o.Role == RoleMember
		if !present || role != RoleAdmin && !open {
			return nil, ErrNotAdmin
		}
		inv = s.invitation(o.Role)
		inv.Expires = s.o.Now().Add(o.Expires).UTC().Truncate(time.Second)
		if open {
			return nil, nil
		}
		return nil, s.keep(&inv, o.MaxUses)
	})
	if err != nil {
		return Invitation{}, fmt.Errorf("member: invite: %w", err)
	}
	return inv, nil
}

// invitation returns an invitation that says where this node is.
func (s *Service) invitation(role Role) Invitation {
	v := s.current.Load()
	self := v.self.Contact
	inv := Invitation{
		Network: v.network.ID, Role: role,
		Inviter: p2p.Contact{PublicKey: self.PublicKey, Name: v.self.Name, Addrs: first(self.Addrs, maxInviteAddrs)},
	}
	for _, id := range self.Relays {
		relay, ok := s.find(id)
		if !ok || relay.Revoked || len(relay.Contact.Addrs) == 0 || len(inv.Relays) == maxInviteRelays {
			continue
		}
		c := relay.Contact
		inv.Relays = append(inv.Relays, p2p.Contact{PublicKey: c.PublicKey, Addrs: first(c.Addrs, maxInviteRelayAddrs)})
		inv.Inviter.Relays = append(inv.Inviter.Relays, id)
	}
	return inv
}

// keep gives inv an ID and a secret and stores it. The caller holds s.mu.
func (s *Service) keep(inv *Invitation, uses int) error {
	now := s.o.Now()
	var c Change
	for id, old := range s.invites {
		if now.After(old.Expires.Add(keepExpired)) {
			c.DropInvites = append(c.DropInvites, id)
		}
	}
	if len(s.invites)-len(c.DropInvites) >= maxInvites {
		return fmt.Errorf("%d invitations: %w", maxInvites, ErrFull)
	}
	secret, err := s.nonce()
	if err != nil {
		return err
	}
	if inv.ID, err = s.nonce(); err != nil {
		return err
	}
	inv.Secret = secret
	c.Invites = []Invite{{
		ID: inv.ID, Secret: inv.Secret, Role: inv.Role, MaxUses: uses,
		Created: now.UTC().Truncate(time.Second), Expires: inv.Expires,
	}}
	_, err = s.apply(update{change: c})
	return err
}

// Invites lists the invitations of this node, newest first. In open networks there
// are none.
func (s *Service) Invites() []InviteInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]InviteInfo, 0, len(s.invites))
	for _, in := range s.invites {
		out = append(out, InviteInfo{
			ID: in.ID, Role: in.Role, Uses: len(in.uses), MaxUses: in.MaxUses,
			Created: in.Created, Expires: in.Expires, Ended: in.Ended,
		})
	}
	slices.SortFunc(out, func(a, b InviteInfo) int {
		return cmp.Or(b.Created.Compare(a.Created), slices.Compare(a.ID[:], b.ID[:]))
	})
	return out
}

// Withdraw ends an invitation of this node; nobody is admitted by it any more. One
// that does not exist has ended.
func (s *Service) Withdraw(id [16]byte) error {
	return s.do(func() (func(), error) {
		in := s.invites[id]
		if in == nil || in.Ended {
			return nil, nil
		}
		ended := in.Invite
		ended.Ended = true
		return s.apply(update{change: Change{Invites: []Invite{ended}}})
	})
}

// betrayed returns, as ended, the invitations by which somebody came who is not a
// member any more: the secret is known to one who is not wanted. The caller holds
// s.mu.
func (s *Service) betrayed(gone []p2p.ID) []Invite {
	var out []Invite
	for _, in := range s.invites {
		used := func(id p2p.ID) bool { _, ok := in.uses[id]; return ok }
		if !in.Ended && slices.ContainsFunc(gone, used) {
			ended := in.Invite
			ended.Ended = true
			out = append(out, ended)
		}
	}
	return out
}

// keepInvites takes over what a change that was stored says of invitations. The
// caller holds s.mu.
func (s *Service) keepInvites(c Change) {
	for _, in := range c.Invites {
		if known := s.invites[in.ID]; known != nil {
			known.Invite = in
		} else {
			s.invites[in.ID] = newInvite(in)
		}
	}
	for _, id := range c.DropInvites {
		delete(s.invites, id)
	}
	for _, r := range c.Redemptions {
		if in := s.invites[r.Invite]; in != nil {
			in.uses[r.Member] = r.Admission
		}
	}
}

// Gate decides whether a knock gets a link. It is a p2p.Gate. Members of this
// network do, and whoever shows by a MAC that it holds a live invitation of this
// node; in open networks everybody who asks for this network; and now and then who was
// revoked, to learn that. All but members are guests, who may only call what Allowed
// allows.
func (s *Service) Gate(k p2p.Knock) error {
	v := s.current.Load()
	id := p2p.IDOf(k.From)
	if k.Network != v.network.ID {
		return fmt.Errorf("member: knock of %s for network %s: %w", id.Short(), k.Network.Short(), p2p.ErrRefused)
	}
	m, known := s.find(id)
	if known && !m.Revoked {
		return nil
	}
	if len(k.Proof) > 0 {
		if who, err := s.Present(k.Proof); err == nil && who == id {
			return nil
		}
	}
	if k.Invite == [16]byte{} {
		if v.network.Mode == ModeOpen {
			return nil
		}
		if known && m.Revoked && s.doors.open(id, s.o.Now()) {
			return nil // to be told so, see serveSync
		}
		return fmt.Errorf("member: knock of %s, who is no member: %w", id.Short(), p2p.ErrRefused)
	}
	if err := s.admits(k); err != nil {
		return fmt.Errorf("member: knock of %s with an invitation: %w: %w", id.Short(), p2p.ErrRefused, err)
	}
	return nil
}

// admits verifies the MAC of a knock, then that its invitation is live. A MAC is
// computed and compared in constant time for an unknown invitation too.
func (s *Service) admits(k p2p.Knock) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, now := s.invites[k.Invite], s.o.Now()
	var secret Secret
	if in != nil {
		secret = in.Secret
	}
	key := passKey(k.Network, k.Invite, secret)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(k.Message)
	if !hmac.Equal(mac.Sum(nil), k.MAC) || in == nil {
		return errors.New("unknown, or a wrong proof")
	}
	return in.live(now, p2p.IDOf(k.From))
}

// live says why an invitation is of no use to a joiner: nil if it is.
func (in *invite) live(now time.Time, joiner p2p.ID) error {
	_, again := in.uses[joiner]
	switch {
	case !now.Before(in.Expires):
		return ErrExpired
	case in.Ended:
		return errors.New("withdrawn")
	case len(in.uses) >= in.MaxUses && !again:
		return errors.New("used up")
	}
	return nil
}

// restoreInvites reads what the store holds of invitations.
func (s *Service) restoreInvites(state State) {
	s.keepInvites(Change{Invites: state.Invites, Redemptions: state.Redemptions})
}

// Doorway returns where somebody who is no member finds this node, as an invitation says
// it, without names: its network, its key and addresses, and members that forward
// signalling to it. It is not ok when this node is no member any more.
func (s *Service) Doorway() (network p2p.ID, self p2p.Contact, relays []p2p.Contact, ok bool) {
	if _, ok := s.Role(s.self); !ok || s.Self().Revoked {
		return network, self, nil, false
	}
	inv := s.invitation(RoleMember)
	inv.Inviter.Name = ""
	return inv.Network, inv.Inviter, inv.Relays, true
}
