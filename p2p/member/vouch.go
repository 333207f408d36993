package member

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ProtoVouch is the call by which the holder of a certificate asks an admin for another one, so that it
// does not depend on a single signer, or for a place in the roster.
const ProtoVouch = "vouch/1"

const (
	// seatEvery and seatsAtOnce bound to how many holders an admin gives a place in the roster, each of
	// which costs all members a write to the disk.
	seatEvery   = time.Second
	seatsAtOnce = 30
	// vouchTries is how many admins are asked, and vouchTimeout how long each has.
	vouchTries   = 4
	vouchTimeout = 5 * time.Second
)

type vouchRequest struct {
	Seat  bool   `cbor:"1,keyasint,omitempty"`
	Proof []byte `cbor:"2,keyasint"`
}

// vouchResponse brings what was asked for, and what it rests on in the roster.
type vouchResponse struct {
	Certificate *Statement  `cbor:"1,keyasint,omitempty"`
	Statements  []Statement `cbor:"2,keyasint"`
}

// HandleVouch is the admin's side of ProtoVouch. The request comes from the member from, whichever way.
func (s *Service) HandleVouch(_ context.Context, from p2p.ID, b []byte) ([]byte, error) {
	var r vouchRequest
	if err := wire.Unmarshal(b, &r); err != nil {
		return nil, &p2p.CallError{Code: CodeMalformed, Message: "not a request to vouch"}
	}
	s.shown(from, r.Proof)
	var resp vouchResponse
	err := s.do(func() (tell func(), err error) {
		resp, tell, err = s.vouch(from, r.Seat)
		return tell, err
	})
	switch {
	case err == nil:
		return wire.Marshal(resp)
	case errors.Is(err, ErrBusy):
		return nil, &p2p.CallError{Code: CodeBusy, Message: "too many ask at once"}
	case errors.Is(err, ErrFull):
		return nil, &p2p.CallError{Code: CodeNetworkFull, Message: "the roster is full"}
	case errors.Is(err, ErrNotAdmin), errors.Is(err, ErrUnknownMember):
		return nil, &p2p.CallError{Code: CodeForbidden, Message: err.Error()}
	}
	return nil, &p2p.CallError{Code: "internal", Message: "not stored"}
}

// vouch gives a holder another certificate, for the position that it has, or makes the roster name it.
// The caller holds s.mu.
func (s *Service) vouch(id p2p.ID, seat bool) (vouchResponse, func(), error) {
	p, err := s.adminPen()
	if err != nil {
		return vouchResponse{}, nil, err
	}
	if st, named := s.roster.judged().standing[id]; named {
		return vouchResponse{Statements: statementsOf(s.roster.support(st.entry.hash))}, nil, nil
	}
	c := s.holders.credential(id)
	if c == nil {
		return vouchResponse{}, nil, ErrUnknownMember
	}
	x := c.holder()
	if !seat {
		all, _, err := s.sign(x.key, x.nonce)
		if err != nil {
			return vouchResponse{}, nil, err
		}
		return vouchResponse{Certificate: &all[len(all)-1], Statements: statementsOf(s.roster.support(p.grant.hash))}, nil, nil
	}
	if s.seats == nil {
		s.seats = rate.NewLimiter(rate.Every(seatEvery), seatsAtOnce)
	}
	if !s.seats.AllowN(s.o.Now(), 1) {
		return vouchResponse{}, nil, ErrBusy
	}
	hash, err := p.seat(x)
	if err != nil {
		return vouchResponse{}, nil, err
	}
	tell, err := s.apply(update{statements: p.statements, own: true})
	if err != nil {
		return vouchResponse{}, nil, err
	}
	return vouchResponse{Statements: statementsOf(s.roster.support(hash))}, tell, nil
}

func statementsOf(rs []*record) []Statement {
	out := make([]Statement, len(rs))
	for i, r := range rs {
		out[i] = r.Statement
	}
	return out
}

// Alone reports whether this node's membership depends on a single signer, while there is
// somebody else who could sign for it, too: then it should ask, see Vouch.
func (s *Service) Alone() bool {
	v := s.current.Load()
	return v.own != nil && len(v.inForce(v.own)) < maxOwn && len(s.vouchers(v)) > 0
}

// vouchers lists the admins that have not signed for this node, in no order.
func (s *Service) vouchers(v *view) []p2p.ID {
	var out []p2p.ID
	signed := v.inForce(v.own)
	for _, m := range v.members {
		if m.Role == RoleAdmin && !m.Self && !slices.ContainsFunc(signed, func(c *certificate) bool { return c.by == m.ID }) {
			out = append(out, m.ID)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Vouch asks admins, one after the other, for a second certificate, or with seat for a place in the
// roster, without which this node cannot offer folders. It is no error if this node has it.
// Errors: those of the last call; p2p.ErrUnreachable if there is nobody to ask.
func (s *Service) Vouch(ctx context.Context, caller p2p.Caller, seat bool) error {
	v := s.current.Load()
	if v.own == nil {
		return nil
	}
	req, err := wire.Marshal(vouchRequest{Seat: seat, Proof: v.own.encoded})
	if err != nil {
		return fmt.Errorf("member: ask an admin: %w", err)
	}
	ask := s.vouchers(v)
	if seat { // who has signed for it can do that as well
		for _, c := range v.inForce(v.own) {
			if m, ok := v.byID[c.by]; ok && !m.Revoked && m.Role == RoleAdmin && c.by != s.self {
				ask = append(ask, c.by)
			}
		}
	}
	err = fmt.Errorf("no admin is known: %w", p2p.ErrUnreachable)
	for _, id := range first(ask, vouchTries) {
		if err = s.askVouch(ctx, caller, id, req); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("member: ask an admin: %w", err)
}

func (s *Service) askVouch(ctx context.Context, caller p2p.Caller, admin p2p.ID, req []byte) error {
	network := s.current.Load().network.ID
	ctx, cancel := context.WithTimeout(ctx, vouchTimeout)
	defer cancel()
	b, err := caller.Call(ctx, admin, ProtoVouch, req)
	if err != nil {
		return err
	}
	var resp vouchResponse
	if err := wire.Unmarshal(b, &resp); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := s.receive(update{statements: resp.Statements, from: admin}, network); err != nil {
		return err
	}
	return s.do(func() (func(), error) {
		if resp.Certificate == nil || s.roster.network.ID != network || s.own == nil {
			return nil, nil
		}
		return s.takeSecond(*resp.Certificate)
	})
}

// takeSecond adds a certificate to this node's own proof, in the place of those that do not count any
// more. The caller holds s.mu.
func (s *Service) takeSecond(st Statement) (func(), error) {
	r, err := check(st)
	if err != nil {
		return nil, err
	}
	v := s.current.Load()
	if r.certificate == nil || r.certificate.member != s.self || v.own == nil || r.certificate.nonce != v.own.holder().nonce {
		return nil, fmt.Errorf("a certificate of somebody else: %w", ErrMalformed)
	}
	if !v.leads(r.certificate, []*certificate{r.certificate}) {
		return nil, fmt.Errorf("a certificate that leads to nobody who may sign it: %w", ErrMalformed)
	}
	var all []Statement
	for _, x := range first(v.inForce(v.own), maxOwn-1) {
		all = append(all, v.own.way(x)...)
	}
	all = append(all, st)
	var contact *Statement
	if s.reach != nil {
		contact = &s.reach.Statement
	}
	own, err := credentialOf(all, contact)
	if err != nil {
		return nil, err
	}
	change := Change{Add: []Statement{st}}
	for _, x := range s.own.certificates {
		if !slices.ContainsFunc(own.certificates, func(y *certificate) bool { return y.hash == x.hash }) {
			change.Drop = append(change.Drop, x.hash)
		}
	}
	if err := s.o.Store.Save(change); err != nil {
		return nil, fmt.Errorf("member: save: %w", err)
	}
	s.own = own
	return s.renewed(), nil
}
