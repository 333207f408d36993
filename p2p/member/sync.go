package member

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// syncRequest is one step of "member/1". A member that only tells news sends Give;
// one that compares sends Sum first, then asks with List for hashes, with Want for
// statements.
type syncRequest struct {
	Network []byte      `cbor:"1,keyasint"`
	Sum     []byte      `cbor:"2,keyasint,omitempty"` // of all that the sender holds
	List    []byte      `cbor:"3,keyasint,omitempty"` // selected buckets
	From    []byte      `cbor:"4,keyasint,omitempty"` // where in List to go on
	Want    []byte      `cbor:"5,keyasint,omitempty"` // hashes, one after the other
	Give    []Statement `cbor:"6,keyasint,omitempty"`
	Proof   []byte      `cbor:"7,keyasint,omitempty"` // of the sender, if the roster does not name it
}

// syncResponse answers a syncRequest field by field. To a Sum that is not its own, a
// small roster answers with all its Hashes at once, a large one with Sums.
type syncResponse struct {
	Same   bool        `cbor:"1,keyasint,omitempty"`
	Sums   []byte      `cbor:"2,keyasint,omitempty"`
	Hashes []byte      `cbor:"3,keyasint,omitempty"` // sorted, one after the other
	Next   []byte      `cbor:"4,keyasint,omitempty"` // From of the next request
	Give   []Statement `cbor:"5,keyasint,omitempty"`
	Proof  []byte      `cbor:"6,keyasint,omitempty"` // as in the request
}

const (
	// maxHashes bounds a list of hashes in one message: 32 KiB.
	maxHashes = 1024
	// smallRoster is up to how many statements hashes are sent without asking for
	// sums first: what that wastes is less than a round trip.
	smallRoster = 512
	// maxRounds bounds an exchange, whatever the other side answers: the largest
	// rosters that differ in everything need 2 · maxHeld · MaxBody / maxPage.
	maxRounds = 2*maxHeld*MaxBody/maxPage + 16
)

// Handlers returns the handlers of "join/1" and "member/1".
func (s *Service) Handlers() map[string]p2p.Handler {
	return map[string]p2p.Handler{ProtoJoin: s.serveJoin, ProtoMember: s.serveSync}
}

// serveSync is the answering side of "member/1".
func (s *Service) serveSync(_ context.Context, from p2p.Link, req []byte) ([]byte, error) {
	v := s.current.Load()
	var r syncRequest
	err := wire.Unmarshal(req, &r)
	if err == nil {
		s.shown(from.Peer(), r.Proof)
	}
	if _, ok := s.Role(from.Peer()); !ok {
		if give := s.revocation(from.Peer()); len(give) > 0 {
			return wire.Marshal(syncResponse{Give: give})
		}
		return nil, &p2p.CallError{Code: CodeForbidden, Message: "not a member"}
	}
	if err != nil || !r.wellFormed() {
		return nil, &p2p.CallError{Code: CodeMalformed, Message: "not a roster request"}
	}
	if p2p.ID(r.Network) != v.network.ID {
		return nil, &p2p.CallError{Code: CodeForbidden, Message: "of another network"}
	}
	if err := s.receive(update{statements: r.Give, from: from.Peer(), pushed: true}, v.network.ID); errors.Is(err, ErrMalformed) {
		return nil, &p2p.CallError{Code: CodeMalformed, Message: "a statement that is none"}
	} else if err != nil {
		s.log.Error("roster not updated", "peer", from.Peer().Short(), "error", err)
		return nil, &p2p.CallError{Code: "internal", Message: "not stored"}
	}
	return wire.Marshal(s.answer(r))
}

// shown takes in what a peer shows of itself. What it shows of others does not belong here.
func (s *Service) shown(peer p2p.ID, proof []byte) {
	if len(proof) == 0 {
		return
	}
	if id, err := s.Present(proof); err != nil || id != peer {
		s.complaints.Do(func() { s.log.Info("a proof that is none", "peer", peer.Short(), "of", id.Short(), "error", err) })
	}
}

func (r syncRequest) wellFormed() bool {
	return len(r.Network) == len(p2p.ID{}) &&
		(len(r.Sum) == 0 || len(r.Sum) == len(Hash{})) &&
		(len(r.List) == 0 || len(r.List) == len(selection{})) &&
		(len(r.From) == 0 || len(r.From) == len(Hash{})) &&
		len(r.Want)%len(Hash{}) == 0
}

// answer answers the questions of a well-formed request.
func (s *Service) answer(r syncRequest) syncResponse {
	var resp syncResponse
	d := s.current.Load().digest()
	switch {
	case len(r.List) > 0:
		var from Hash
		copy(from[:], r.From)
		resp.list(d, selection(r.List), from)
	case len(r.Sum) == 0:
	case Hash(r.Sum) == d.sum:
		resp.Same = true
	case len(d.hashes) <= smallRoster:
		resp.list(d, everything(), Hash{})
	default:
		resp.Sums = d.sums()
	}
	if len(r.Sum) > 0 {
		resp.Proof = s.Prove(s.self)
	}
	if len(r.Want) > 0 {
		resp.Give = s.page(split(r.Want), maxPage-len(resp.Hashes))
	}
	return resp
}

func (r *syncResponse) list(d digest, sel selection, from Hash) {
	hashes, next := d.list(sel, from, maxHashes)
	r.Hashes, r.Next = join(hashes), next.bytes()
}

// page returns those of the named statements that are held, as many as fit into
// limit bytes, in the order of arrival, so that what they rest on comes first.
func (s *Service) page(names []Hash, limit int) []Statement {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Statement
	size := 0
	for _, r := range s.roster.pick(names) {
		if size += r.size(); size > limit && len(out) > 0 {
			break
		}
		out = append(out, r.Statement)
	}
	return out
}

// receive takes in statements that a member of a network sent.
func (s *Service) receive(u update, network p2p.ID) error {
	if len(u.statements) == 0 {
		return nil
	}
	return s.do(func() (func(), error) {
		if s.roster.network.ID != network {
			return nil, fmt.Errorf("member: receive: this node has left network %s", network.Short())
		}
		tell, err := s.apply(u)
		unsaid := s.own != nil && s.named() && s.roster.contact[s.self] == nil
		if err != nil || s.roster.contactSeq(s.self) <= s.mine.Seq && !unsaid {
			return tell, err
		}
		// Somebody holds a contact of this node that it does not remember: its store
		// is older than that. Or the roster has just begun to name it. It says again what it says
		// now.
		again, err := s.announce(s.mine)
		return func() {
			if tell != nil {
				tell()
			}
			if again != nil {
				again()
			}
		}, err
	})
}

// Linked makes the rosters of both ends of a link the same: call it for each new
// link to a member. Ordinary networks need at most two calls. ErrRevoked: the peer
// has shown that this node is no member any more, and this node knows now.
func (s *Service) Linked(ctx context.Context, l p2p.Link) error {
	err := s.exchange(ctx, l.Peer(), func(ctx context.Context, req []byte) ([]byte, error) {
		return l.Call(ctx, ProtoMember, req)
	})
	if err != nil {
		return err
	}
	return s.keepHolder(l.Peer())
}

// exchange is one run of "member/1" as the asking side.
type exchange struct {
	s       *Service
	peer    p2p.ID
	network p2p.ID
	call    func(ctx context.Context, req []byte) ([]byte, error)
	rounds  int
}

func (s *Service) exchange(ctx context.Context, peer p2p.ID, call func(context.Context, []byte) ([]byte, error)) error {
	v := s.current.Load()
	e := &exchange{s: s, peer: peer, network: v.network.ID, call: call}
	if err := e.run(ctx, v.digest()); err != nil {
		return fmt.Errorf("member: exchange rosters with %s: %w", peer.Short(), err)
	}
	return nil
}

// run compares and trades. What is missing comes in pages sorted by hash, and so
// what a statement rests on can come long after it; when there were many pages, a
// second comparison finds what could not wait so long.
func (e *exchange) run(ctx context.Context, mine digest) error {
	for {
		missing, extra, err := e.compare(ctx, mine)
		if err != nil {
			return err
		}
		if err := e.trade(ctx, missing, extra); err != nil || len(missing) <= maxHashes {
			return err
		}
		mine = e.s.current.Load().digest()
	}
}

// compare returns what only the peer holds, and what only this node holds.
func (e *exchange) compare(ctx context.Context, mine digest) (missing, extra []Hash, err error) {
	resp, err := e.ask(ctx, syncRequest{Sum: mine.sum[:]})
	if err != nil || resp.Same {
		return nil, nil, err
	}
	sel := everything()
	if len(resp.Sums) > 0 {
		if sel = mine.differing(resp.Sums); sel.isEmpty() {
			return nil, nil, nil
		}
		if resp, err = e.ask(ctx, syncRequest{List: sel[:]}); err != nil {
			return nil, nil, err
		}
	}
	theirs := split(resp.Hashes)
	for len(resp.Next) > 0 && len(theirs) <= maxHeld {
		if resp, err = e.ask(ctx, syncRequest{List: sel[:], From: resp.Next}); err != nil {
			return nil, nil, err
		}
		theirs = append(theirs, split(resp.Hashes)...)
	}
	if !slices.IsSortedFunc(theirs, compareHash) {
		return nil, nil, fmt.Errorf("hashes out of order: %w", ErrMalformed)
	}
	missing, extra = mine.compare(sel, theirs)
	return missing, extra, nil
}

// trade gives what is extra and takes what is missing, a page each at a time.
func (e *exchange) trade(ctx context.Context, missing, extra []Hash) error {
	for len(missing) > 0 || len(extra) > 0 {
		want := first(missing, maxHashes)
		give := e.s.page(extra, maxPage-len(want)*len(Hash{}))
		resp, err := e.ask(ctx, syncRequest{Want: join(want), Give: give})
		if err != nil {
			return err
		}
		missing = remaining(missing, len(want), resp.Give)
		extra = remaining(extra, len(extra), give)
	}
	return nil
}

// remaining takes from hashes those of the statements. When none of the first n,
// which were asked for, has come, nobody holds them any more: these go too.
func remaining(hashes []Hash, n int, came []Statement) []Hash {
	here := make(map[Hash]bool, len(came))
	for _, s := range came {
		here[s.Hash()] = true
	}
	rest := slices.DeleteFunc(slices.Clone(hashes), func(h Hash) bool { return here[h] })
	if len(rest) == len(hashes) {
		return hashes[n:]
	}
	return rest
}

// ask sends one request and takes in the statements that come back.
func (e *exchange) ask(ctx context.Context, r syncRequest) (syncResponse, error) {
	if e.rounds++; e.rounds > maxRounds {
		return syncResponse{}, fmt.Errorf("%d requests and no end: %w", maxRounds, ErrMalformed)
	}
	r.Network = e.network[:]
	if len(r.Sum) > 0 {
		r.Proof = e.s.Prove(e.s.self)
	}
	req, err := wire.Marshal(r)
	if err != nil {
		return syncResponse{}, err
	}
	answer, err := e.call(ctx, req)
	if err != nil {
		return syncResponse{}, err
	}
	var resp syncResponse
	if err := wire.Unmarshal(answer, &resp); err != nil {
		return syncResponse{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !resp.wellFormed() {
		return syncResponse{}, fmt.Errorf("answer: %w", ErrMalformed)
	}
	e.s.shown(e.peer, resp.Proof)
	_, before := e.s.Role(e.s.self)
	err = e.s.receive(update{statements: asked(resp.Give, r.Want), from: e.peer}, e.network)
	if _, after := e.s.Role(e.s.self); err == nil && before && !after {
		err = ErrRevoked
	}
	return resp, err
}

// asked leaves out contacts and offers that nobody asked for: what comes unasked is
// limited, see unhurried.
func asked(give []Statement, want []byte) []Statement {
	wanted := map[Hash]bool{}
	for _, h := range split(want) {
		wanted[h] = true
	}
	return slices.DeleteFunc(slices.Clone(give), func(st Statement) bool {
		return (st.Kind == KindContact || st.Kind == KindOffer) && !wanted[st.Hash()]
	})
}

func (r syncResponse) wellFormed() bool {
	return (len(r.Sums) == 0 || len(r.Sums) == buckets*bucketSum) &&
		len(r.Hashes)%len(Hash{}) == 0 &&
		(len(r.Next) == 0 || len(r.Next) == len(Hash{}))
}

// join writes hashes one after the other; split reads them.
func join(hashes []Hash) []byte {
	out := make([]byte, 0, len(hashes)*len(Hash{}))
	for _, h := range hashes {
		out = append(out, h[:]...)
	}
	return out
}

func split(b []byte) []Hash {
	out := make([]Hash, 0, len(b)/len(Hash{}))
	for ; len(b) >= len(Hash{}); b = b[len(Hash{}):] {
		out = append(out, Hash(b))
	}
	return out
}
