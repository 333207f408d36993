package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Join redeems an invitation over a link to its inviter, and leaves this node's own
// network, which must have no other members, for the inviter's. It is safe to
// repeat. For the network that this node is a member of already it changes nothing
// and needs no link; with one, it first finds out whether that is still so.
//
// Errors: ErrExpired; ErrRefused when the invitation is used up, withdrawn or
// forged; ErrNotEmpty; ErrMalformed when the answer does not prove what it must.
func (s *Service) Join(ctx context.Context, l p2p.Link, inv Invitation) (Joined, error) {
	joined, err := s.join(ctx, l, inv)
	if err != nil {
		return Joined{}, fmt.Errorf("member: join network %s: %w", inv.Network.Short(), err)
	}
	return joined, nil
}

func (s *Service) join(ctx context.Context, l p2p.Link, inv Invitation) (Joined, error) {
	err := s.mayJoin(inv)
	if errors.Is(err, ErrAlready) && l != nil && s.learnRevoked(ctx, l) {
		err = s.mayJoin(inv)
	}
	if errors.Is(err, ErrAlready) {
		v := s.current.Load()
		joined := Joined{Network: v.network, Members: len(v.members), Already: true}
		if l != nil {
			joined.Words = Words(l.Binding())
		}
		return joined, nil
	}
	if err != nil {
		return Joined{}, err
	}
	if l.Peer() != p2p.IDOf(inv.Inviter.PublicKey) {
		return Joined{}, fmt.Errorf("%s is not the inviter: %w", l.Peer().Short(), ErrRefused)
	}
	resp, err := s.askToJoin(ctx, l, inv)
	if err != nil {
		return Joined{}, err
	}
	roster, own, err := verifyWelcome(inv, s.self, resp)
	if err != nil {
		return Joined{}, err
	}
	var joined Joined
	err = s.do(func() (tell func(), err error) {
		joined, err = s.install(roster, own, Words(l.Binding()))
		return func() { s.tell(nil) }, err
	})
	// It was none when it asked, even if the news of its admission was faster than the answer.
	joined.More, joined.Already = resp.More, false
	return joined, err
}

// MayJoin says, before anybody is dialled, why Join would fail: nil if nothing
// is known to stand in its way. ErrAlready: this node is a member of that network,
// as far as it knows, and Join would change nothing. ErrNotEmpty, ErrExpired: as
// Join. A node that knows that it was revoked may join any network, the same one too.
func (s *Service) MayJoin(inv Invitation) error {
	if err := s.mayJoin(inv); err != nil {
		return fmt.Errorf("member: join network %s: %w", inv.Network.Short(), err)
	}
	return nil
}

func (s *Service) mayJoin(inv Invitation) error {
	v := s.current.Load()
	if _, present := v.role(s.self); present && v.network.ID == inv.Network {
		return ErrAlready
	}
	if err := s.leavable(v); err != nil {
		return err
	}
	if inv.Expired(s.o.Now()) {
		return ErrExpired
	}
	return nil
}

// leavable reports whether the node would leave nobody behind. One that was revoked
// has left already.
func (s *Service) leavable(v *view) error {
	others := len(v.members) - 1
	for _, m := range s.holders.all() {
		if !v.names(m.ID) {
			others++
		}
	}
	if _, present := v.role(v.self.ID); present && others > 0 {
		return fmt.Errorf("%d of them: %w", others, ErrNotEmpty)
	}
	return nil
}

func (s *Service) askToJoin(ctx context.Context, l p2p.Link, inv Invitation) (joinResponse, error) {
	s.mu.Lock()
	contact, err := contactStatement(s.o.Identity, s.mine)
	s.mu.Unlock()
	if err != nil {
		return joinResponse{}, err
	}
	r := joinRequest{Contact: contact}
	if inv.ID != [16]byte{} {
		r.Invite = inv.ID[:]
		r.MAC = joinProof(inv.Network, inv.ID, inv.Secret, l.Binding(), s.o.Identity.PublicKey())
	}
	req, err := wire.Marshal(r)
	if err != nil {
		return joinResponse{}, err
	}
	answer, err := l.Call(ctx, ProtoJoin, req)
	if err != nil {
		return joinResponse{}, joinFailure(err)
	}
	var resp joinResponse
	if err := wire.Unmarshal(answer, &resp); err != nil {
		return joinResponse{}, fmt.Errorf("the inviter's answer: %w: %w", ErrMalformed, err)
	}
	return resp, nil
}

// joinFailure gives the codes of a refusal back their errors.
func joinFailure(err error) error {
	var refused *p2p.CallError
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case CodeInviteRefused, CodeForbidden:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case CodeInviteExpired:
		return fmt.Errorf("%w: %w", ErrExpired, err)
	case CodeNetworkFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case CodeBusy:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// verifyWelcome makes a roster of what an inviter answered. It holds the inviter's
// word for nothing: the genesis must be of the network that the invitation names,
// and from it a line of admissions must lead to the inviter, with the power to
// admit, and to this node. Or the inviter must have signed a certificate for this node that leads
// there: then the credential is returned, too.
func verifyWelcome(inv Invitation, self p2p.ID, resp joinResponse) (*Roster, *credential, error) {
	roster, err := rosterOf(resp.Statements...)
	if err != nil {
		return nil, nil, err
	}
	if roster.network.ID == inv.Network && len(resp.Proof) > 0 {
		own, err := verifyCertified(roster.view(self), inv, self, resp)
		return roster, own, err
	}
	inviter := p2p.IDOf(inv.Inviter.PublicKey)
	standing := roster.judged().standing
	by, present := standing[inviter]
	mine, admitted := standing[self]
	switch {
	case roster.network.ID != inv.Network:
		return nil, nil, fmt.Errorf("the inviter answered for network %s: %w", roster.network.ID.Short(), ErrMalformed)
	case !present || by.role != RoleAdmin && roster.network.Mode != ModeOpen:
		return nil, nil, fmt.Errorf("the inviter %s cannot show that it may admit: %w", inviter.Short(), ErrMalformed)
	case !admitted || !slices.ContainsFunc(mine.inForce, func(a *act) bool { return bytes.Equal(a.hash[:], resp.Admission) }):
		return nil, nil, fmt.Errorf("the inviter did not admit this node: %w", ErrMalformed)
	}
	return roster, nil, nil
}

func verifyCertified(v *view, inv Invitation, self p2p.ID, resp joinResponse) (*credential, error) {
	c, err := readProof(resp.Proof)
	if err != nil {
		return nil, err
	}
	x := c.holder()
	switch {
	case x.member != self || !bytes.Equal(x.hash[:], resp.Admission):
		return nil, fmt.Errorf("the inviter did not admit this node: %w", ErrMalformed)
	case x.by != p2p.IDOf(inv.Inviter.PublicKey) || !v.leads(x, c.certificates):
		return nil, fmt.Errorf("the inviter %s cannot show that it may admit: %w", x.by.Short(), ErrMalformed)
	}
	_, err = c.verify()
	return c, err
}

// install makes roster that of this node's network, all in one transaction. Folders
// that this node offered are offered again. The caller holds s.mu.
func (s *Service) install(roster *Roster, own *credential, words [4]string) (Joined, error) {
	old := s.current.Load()
	if _, present := old.role(s.self); present && old.network.ID == roster.network.ID {
		return Joined{Network: old.network, Members: len(old.members), Words: words, Already: true}, nil
	}
	if err := s.leavable(old); err != nil {
		return Joined{}, err
	}
	contact, offers, err := s.carryOver(roster)
	if err != nil {
		return Joined{}, err
	}
	var added Added
	var reach *record
	state := State{Network: roster.network.ID}
	if own == nil {
		if added, err = roster.Add(append([]Statement{contact}, offers...)...); err != nil {
			return Joined{}, err
		}
		state.Statements = roster.Statements()
	} else {
		// Folders are offered when the roster names this node, see Vouch.
		if own, err = credentialOf(own.Certificates, &contact); err == nil {
			reach, err = check(contact)
		}
		if err != nil {
			return Joined{}, err
		}
		state.Statements = append(roster.Statements(), own.statements()...)
	}
	if err := s.o.Store.Install(state); err != nil {
		return Joined{}, fmt.Errorf("install: %w", err)
	}
	s.roster, s.invites, s.hurry = roster, map[[16]byte]*invite{}, map[p2p.ID]*rate.Limiter{}
	s.own, s.reach, s.kept, s.issued = own, reach, nil, map[Hash]uint64{}
	v := s.newView()
	s.mine = v.self.Contact
	s.current.Store(v)
	s.holders.judge(v)
	s.o.Publish.Emit(NetworkJoined{ID: v.network.ID, Name: v.network.Name, Mode: v.network.Mode, Members: len(v.members), Words: words[:]})
	for _, e := range offerChanges(nil, v.offers) {
		s.o.Publish.Emit(e)
	}
	s.outbox.put(added.added, p2p.ID{}, true)
	return Joined{Network: v.network, Members: len(v.members), Words: words}, nil
}

// carryOver signs for another network what this node says of itself: its contact
// and the folders that it offers. In an open network nobody may see these before their owner has
// said so there. The caller holds s.mu.
func (s *Service) carryOver(to *Roster) (contact Statement, offers []Statement, err error) {
	next := s.mine
	next.Seq = s.nextSeq(max(s.mine.Seq, to.contactSeq(s.self)))
	contact, err = contactStatement(s.o.Identity, next)
	if err != nil {
		return Statement{}, nil, err
	}
	for _, o := range s.current.Load().offers {
		if o.By != s.self || o.Gone {
			continue
		}
		o.Seq = s.nextSeq(o.Seq)
		if to.network.Mode == ModeOpen {
			o.Access, o.Grants = p2p.AccessNone, nil
		}
		statement, err := offerStatement(s.o.Identity, to.network.ID, o)
		if err != nil {
			return Statement{}, nil, err
		}
		offers = append(offers, statement)
	}
	return contact, offers, nil
}
