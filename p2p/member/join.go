package member

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// The protocols of this package.
const (
	ProtoJoin   = "join/1"
	ProtoMember = "member/1"
)

// Codes of the refusals of "join/1" and "member/1".
const (
	CodeInviteRefused = "invite_refused"
	CodeInviteExpired = "invite_expired"
	CodeNetworkFull   = "network_full"
	CodeMalformed     = "malformed"
	CodeForbidden     = "forbidden"
	CodeBusy          = "busy"
)

// Allowed reports whether a protocol may be used over a link whose peer is a member
// or is not. A guest may join and, if it was a member, be told by "member/1" that it
// is none any more; it learns nothing else there.
func Allowed(proto string, isMember bool) bool {
	return isMember || proto == ProtoJoin || proto == ProtoMember
}

// joinRequest asks to be admitted. Invite and MAC are empty in open networks.
type joinRequest struct {
	Invite  []byte    `cbor:"1,keyasint,omitempty"`
	MAC     []byte    `cbor:"2,keyasint,omitempty"`
	Contact Statement `cbor:"3,keyasint"`
}

// joinResponse brings the admission, all that it rests on, and as much of the
// rest of the roster as fits.
type joinResponse struct {
	Admission  []byte      `cbor:"1,keyasint"`
	Statements []Statement `cbor:"2,keyasint"`
	More       bool        `cbor:"3,keyasint,omitempty"`
	Proof      []byte      `cbor:"4,keyasint,omitempty"` // the joiner's, if the roster is not to name it
}

// maxPage bounds the statements in one message, in bytes.
const maxPage = 56 << 10

// Joined tells the joiner what it has joined.
type Joined struct {
	Network Network
	Members int       // known so far, this node included
	Words   [4]string // the inviter sees the same
	Already bool      // this node was a member before
	More    bool      // the inviter knows more: call Linked
}

// serveJoin is the inviter's side of "join/1".
func (s *Service) serveJoin(_ context.Context, from p2p.Link, req []byte) ([]byte, error) {
	var r joinRequest
	if err := wire.Unmarshal(req, &r); err != nil {
		return nil, &p2p.CallError{Code: CodeMalformed, Message: "not a join request"}
	}
	contact, err := check(r.Contact)
	if err != nil || contact.contact == nil || contact.contact.ID() != from.Peer() {
		return nil, &p2p.CallError{Code: CodeMalformed, Message: "not the joiner's contact"}
	}
	var resp joinResponse
	err = s.do(func() (tell func(), err error) {
		resp, tell, err = s.redeem(from, r)
		return tell, err
	})
	if err != nil {
		if !errors.Is(err, errManyProofs) {
			s.complaints.Do(func() { s.log.Info("join refused", "peer", from.Peer().Short(), "error", err) })
		}
		return nil, refusal(err)
	}
	return wire.Marshal(resp)
}

// refusal tells the joiner no more than it may know.
func refusal(err error) *p2p.CallError {
	switch {
	case errors.Is(err, ErrExpired):
		return &p2p.CallError{Code: CodeInviteExpired, Message: "the invitation has expired"}
	case errors.Is(err, ErrRefused):
		return &p2p.CallError{Code: CodeInviteRefused, Message: "the invitation is not accepted"}
	case errors.Is(err, ErrFull):
		return &p2p.CallError{Code: CodeNetworkFull, Message: "this member cannot admit anybody"}
	case errors.Is(err, ErrBusy):
		return &p2p.CallError{Code: CodeBusy, Message: "too many came a moment ago"}
	}
	return &p2p.CallError{Code: "internal", Message: "the inviter could not admit"}
}

// redeem admits the peer of a link, once: asked again, because the answer was lost,
// it answers the same. The caller holds s.mu.
func (s *Service) redeem(from p2p.Link, r joinRequest) (joinResponse, func(), error) {
	in, err := s.proven(from, r)
	if err != nil {
		return joinResponse{}, nil, err
	}
	joiner := from.Peer()
	if st, present := s.roster.judged().standing[joiner]; present {
		return s.welcome(st.entry.hash, nil), nil, nil
	}
	if c := s.holders.credential(joiner); c != nil {
		return s.welcome(c.holder().hash, c), nil, nil
	}
	role := RoleMember
	if in != nil {
		role = in.Role
		if err := in.live(s.o.Now(), joiner); errors.Is(err, ErrExpired) {
			return joinResponse{}, nil, err
		} else if err != nil {
			return joinResponse{}, nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
	} else if err := s.mayCome(from); err != nil {
		return joinResponse{}, nil, err
	}
	return s.admit(from, in, role, r.Contact)
}

// errManyProofs is a wrong proof that is one too many for the log.
var errManyProofs = fmt.Errorf("%w: wrong proofs", ErrRefused)

// proven returns the invitation whose secret the peer knows; nil in an open
// network, where none is needed.
func (s *Service) proven(from p2p.Link, r joinRequest) (*invite, error) {
	if len(r.Invite) == 0 && s.roster.network.Mode == ModeOpen {
		return nil, nil
	}
	if len(r.Invite) != 16 {
		return nil, fmt.Errorf("%w: no invitation", ErrRefused)
	}
	in, now := s.invites[[16]byte(r.Invite)], s.o.Now()
	if in == nil {
		return nil, fmt.Errorf("%w: unknown invitation", ErrRefused)
	}
	want := joinProof(s.roster.network.ID, in.ID, in.Secret, from.Binding(), from.PublicKey())
	if !hmac.Equal(want, r.MAC) {
		if !in.failures.AllowN(now, 1) {
			return nil, errManyProofs
		}
		return nil, fmt.Errorf("%w: wrong proof", ErrRefused)
	}
	return in, nil
}

// admit signs the admission of the peer, and stores it together with the use of
// the invitation before anybody sees it.
func (s *Service) admit(from p2p.Link, in *invite, role Role, contact Statement) (joinResponse, func(), error) {
	standing := s.roster.judged().standing
	mine, present := standing[s.self]
	open := s.roster.network.Mode == ModeOpen && role == RoleMember
	v := s.current.Load()
	if role == RoleMember && (v.wide || !present) && len(v.verdict.excluded[from.Peer()]) == 0 {
		return s.certify(from, in, contact)
	}
	if !present || mine.role != RoleAdmin && !open {
		return joinResponse{}, nil, fmt.Errorf("%w: this node may not admit any more", ErrRefused)
	}
	p := s.pen(mine.grant)
	if mine.role != RoleAdmin && p.number >= OpenQuota {
		return joinResponse{}, nil, fmt.Errorf("%d admitted: %w", OpenQuota, ErrFull)
	}
	nonce, err := s.nonce()
	if err != nil {
		return joinResponse{}, nil, err
	}
	hash, err := p.admit(from.PublicKey(), role, nonce, nil)
	if err != nil {
		return joinResponse{}, nil, err
	}
	// The joiner gets its news with the answer; before that it could make nothing of
	// them.
	u := update{statements: p.statements, own: true, from: from.Peer(), words: map[p2p.ID][4]string{from.Peer(): Words(from.Binding())}}
	// A node that was here before can have a newer contact in the roster already.
	if old := s.roster.contactSeq(from.Peer()); old == 0 {
		u.statements = append(u.statements, contact)
	}
	if in != nil {
		u.change.Redemptions = []Redemption{{Invite: in.ID, Member: from.Peer(), Admission: hash}}
	}
	tell, err := s.apply(u)
	if err != nil {
		return joinResponse{}, nil, err
	}
	return s.welcome(hash, nil), tell, nil
}

// welcome answers a joiner who was admitted by the statement named, a certificate if there is
// a credential. The caller holds s.mu.
func (s *Service) welcome(admission Hash, c *credential) joinResponse {
	resp := joinResponse{Admission: admission[:]}
	size, in := 0, map[Hash]bool{}
	rests := []Hash{admission}
	if c != nil {
		resp.Proof, size, rests = c.encoded, len(c.encoded), nil
		for _, x := range c.certificates {
			rests = append(rests, x.under)
		}
	}
	put := func(r *record) bool {
		if in[r.hash] {
			return true
		}
		if size += r.size(); size > maxPage {
			return false
		}
		in[r.hash] = true
		resp.Statements = append(resp.Statements, r.Statement)
		return true
	}
	put(s.roster.records[s.roster.genesis.hash])
	for _, h := range rests {
		for _, r := range s.roster.support(h) {
			put(r)
		}
	}
	for _, r := range s.roster.sorted() {
		if !put(r) {
			resp.More = true
			break
		}
	}
	return resp
}
