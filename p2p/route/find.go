package route

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// FindProtocol is the call by which a member is asked whom it knows near a key.
const FindProtocol = "find/1"

const (
	// askTimeout is how long one member has for that.
	askTimeout = 3 * time.Second
	// MaxFound is how many members an answer can have. It is part of the protocol.
	MaxFound = 32
	// maxProofs bounds the proofs in an answer, in bytes. Who is named beyond that has to be known
	// to the one who asks.
	maxProofs = 48 << 10
)

// found is a member as it travels.
type found struct {
	Key      ed25519.PublicKey `cbor:"1,keyasint"`
	Position p2p.Key           `cbor:"2,keyasint"`
	Proof    []byte            `cbor:"3,keyasint,omitempty"` // that it is one, for those who do not know
}

// findRequest asks for the members nearest to a key, K or as many as it says; findResponse
// has them, nearest first.
type (
	findRequest struct {
		Key   p2p.Key `cbor:"1,keyasint"`
		Count int     `cbor:"2,keyasint,omitempty"`
	}
	findResponse struct {
		Members []found `cbor:"1,keyasint"`
	}
)

// count is how many members are asked for.
func (q findRequest) count() int {
	if q.Count <= 0 {
		return K
	}
	return min(q.Count, MaxFound)
}

// handleFind answers FindProtocol.
func (r *Router) handleFind(_ context.Context, from p2p.ID, b []byte) ([]byte, error) {
	var q findRequest
	if err := wire.Unmarshal(b, &q); err != nil {
		return nil, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	if m, ok := r.o.Member(from); ok && r.o.Heard != nil && from != r.self {
		r.o.Heard(m)
	}
	var a findResponse
	proofs := 0
	for _, m := range r.near(q.Key, q.count()+1) {
		if m.ID == from || len(a.Members) == q.count() {
			continue
		}
		proof := r.prove(m.ID)
		if proofs += len(proof); proofs > maxProofs {
			proof = nil
		}
		a.Members = append(a.Members, found{m.Key, m.Position, proof})
	}
	return wire.Marshal(a)
}

// near returns those whom this node knows near a key, itself not among them.
func (r *Router) near(key p2p.Key, n int) []Member {
	if r.o.Nearest != nil {
		return r.o.Nearest(key, n)
	}
	return NewSpace(r.linked()).Closest(key, n)
}

// prove returns what shows that somebody is a member.
func (r *Router) prove(id p2p.ID) []byte {
	if r.o.Prove == nil {
		return nil
	}
	return r.o.Prove(id)
}

// present returns the member id, of which somebody has shown a proof, or none.
func (r *Router) present(id p2p.ID, proof []byte) (Member, bool) {
	if r.o.Present != nil && len(proof) > 0 {
		r.o.Present(id, proof)
	}
	return r.o.Member(id)
}

// linked returns the members to whom there are links.
func (r *Router) linked() []Member {
	var linked []Member
	for _, l := range r.o.Links() {
		if m, ok := r.o.Member(l.Peer()); ok {
			linked = append(linked, m)
		}
	}
	return linked
}

// decodeFound reads what a member has answered to q: those that are members, at the positions
// that they have. What a member only claims is left out, and counted.
func (r *Router) decodeFound(q findRequest, b []byte) (members []Member, strangers int, err error) {
	var a findResponse
	if err := wire.Unmarshal(b, &a); err != nil {
		return nil, 0, err
	}
	if len(a.Members) > q.count() {
		return nil, 0, fmt.Errorf("route: %d members, at most %d: %w", len(a.Members), q.count(), wire.ErrMalformed)
	}
	for _, f := range a.Members {
		if len(f.Key) != ed25519.PublicKeySize {
			return nil, 0, fmt.Errorf("route: member with a key of %d bytes: %w", len(f.Key), wire.ErrMalformed)
		}
		switch m, ok := r.present(p2p.IDOf(f.Key), f.Proof); {
		case !ok || m.Position != f.Position || !bytes.Equal(m.Key, f.Key):
			strangers++
		case m.ID != r.self:
			members = append(members, m)
		}
	}
	return members, strangers, nil
}

// Asked is one question of a lookup, and what came of it.
type Asked struct {
	Member
	Named     p2p.ID // who has named it first; zero: this node knew it
	Round     int    // so many answers had to come one after the other; from 1
	Way              // how the question came there
	At, Took  time.Duration
	Out, In   int      // bytes
	Heard     []Member // whom it named, as it did
	Strangers int      // whom it named that are no members, or not where it says
	By        StandIn  // the relay that has answered for it from a snapshot, if one has; then Way leads there
	Err       error
}

// Finding is what a lookup has found.
type Finding struct {
	Key     p2p.Key
	Members []Member // the nearest that answer, nearest first, without this node
	// Bits: all members that share so many bits with the key are among Members, as far as
	// anybody knows. 0: these are all there are. More than a key has: that is not known.
	Bits   int
	Asked  int // how many were
	Rounds int // of answers that had to come one after the other
}

// Find looks for the members that are nearest to a key and answer now: it asks those that this
// node knows, and whom they name, by forwarded calls. hear is told of each question when it
// is over, by this goroutine; nil: nobody is. Errors: p2p.ErrUnreachable when nobody answers, and
// the context's.
func (r *Router) Find(ctx context.Context, key p2p.Key, o LookupOptions, hear func(Asked)) (Finding, error) {
	if o.Want > K {
		o.Answer = min(o.Want, MaxFound)
	}
	q := findRequest{Key: key}
	if o.Answer > K {
		q.Count = o.Answer
	}
	req, err := wire.Marshal(q)
	if err != nil {
		return Finding{}, err
	}
	seeds := r.near(key, max(o.Want, K)*max(o.Paths, 1))
	l := NewLookup(key, seeds, o)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	replies := make(chan Asked, l.o.Alpha) // as many are asked at once: sends never block
	first := map[p2p.ID]Asked{}            // by whom a member was named first, and when
	f := Finding{Key: key}
	failed := false
	for !l.Done() {
		for _, m := range l.Next() {
			a := Asked{Member: m, Named: first[m.ID].Named, Round: first[m.ID].Round + 1, At: time.Since(began), Out: len(req)}
			go func() { replies <- r.find(ctx, a, q, req, o.InPerson) }()
		}
		select {
		case a := <-replies:
			if a.Err != nil {
				l.Failed(a.ID)
				failed = true
			} else {
				l.Heard(a.ID, a.Heard)
				failed = failed || a.Strangers > 0 // they may be members that this node cannot tell yet
				f.Rounds = max(f.Rounds, a.Round)
				for _, m := range a.Heard {
					if _, known := first[m.ID]; !known && at(seeds, m.ID) < 0 {
						first[m.ID] = Asked{Named: a.ID, Round: a.Round}
					}
				}
			}
			if hear != nil {
				hear(a)
			}
		case <-ctx.Done():
			return Finding{}, fmt.Errorf("route: nearest to %x: %w", key[:4], ctx.Err())
		}
	}
	f.Members, f.Asked = l.Closest(), l.Asked()
	if err := ctx.Err(); err != nil && len(f.Members) == 0 {
		return Finding{}, fmt.Errorf("route: nearest to %x: %w", key[:4], err) // not that nobody answers
	}
	if len(f.Members) == 0 {
		return Finding{}, fmt.Errorf("route: nearest to %x: none of %d members answers: %w", key[:4], l.Asked(), p2p.ErrUnreachable)
	}
	f.Bits = whole(key, f.Members, l.o.Want, failed || l.Asked() >= l.o.MaxAsked)
	return f, nil
}

// whole returns how many bits the prefix of a key has of which a lookup for want members has
// found all: the farthest one of so many does not share it.
func whole(key p2p.Key, found []Member, want int, failed bool) int {
	switch {
	case len(found) >= want:
		return key.CommonPrefixLen(found[want-1].Position) + 1
	case failed: // others may be behind those that did not answer, or are not known
		return 8*len(key) + 1
	}
	return 0
}

// find asks one member, or its relay.
func (r *Router) find(ctx context.Context, a Asked, q findRequest, req []byte, inPerson bool) Asked {
	began := time.Now()
	if !inPerson {
		if s, by, way, size, err := r.inPlace(ctx, a.Member, false); err == nil {
			a.Heard, a.Strangers = nearest(s, q.Key, q.count(), r.o.Member, r.self, a.ID)
			a.By, a.Way, a.In, a.Took = by, way, size, time.Since(began)
			return a
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var b []byte
	b, a.Way, a.Err = r.Ask(ctx, a.ID, FindProtocol, req)
	if a.Took, a.In = time.Since(began), len(b); a.Err == nil {
		a.Heard, a.Strangers, a.Err = r.decodeFound(q, b)
	}
	if a.Strangers > 0 {
		r.o.Logger.Debug("members that are none were named", "by", a.ID.Short(), "how_many", a.Strangers)
	}
	slices.SortFunc(a.Heard, func(m, n Member) int { return m.Position.Distance(q.Key).Compare(n.Position.Distance(q.Key)) })
	return a
}
