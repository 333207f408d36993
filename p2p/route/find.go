package route

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// FindProtocol is the call by which a member is asked whom it knows near a key.
const FindProtocol = "find/1"

// askTimeout is how long one member has for that.
const askTimeout = 3 * time.Second

// found is a member as it travels.
type found struct {
	Key      ed25519.PublicKey `cbor:"1,keyasint"`
	Position p2p.Key           `cbor:"2,keyasint"`
}

// findRequest asks for the members nearest to a key; findResponse has K at most, nearest first.
type (
	findRequest struct {
		Key p2p.Key `cbor:"1,keyasint"`
	}
	findResponse struct {
		Members []found `cbor:"1,keyasint"`
	}
)

// handleFind answers FindProtocol.
func (r *Router) handleFind(_ context.Context, from p2p.ID, b []byte) ([]byte, error) {
	var q findRequest
	if err := wire.Unmarshal(b, &q); err != nil {
		return nil, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	var a findResponse
	for _, m := range r.near(q.Key, K+1) {
		if m.ID != from && len(a.Members) < K {
			a.Members = append(a.Members, found{m.Key, m.Position})
		}
	}
	return wire.Marshal(a)
}

// near returns those whom this node knows near a key, itself not among them.
func (r *Router) near(key p2p.Key, n int) []Member {
	if r.o.Nearest != nil {
		return r.o.Nearest(key, n)
	}
	var linked []Member
	for _, l := range r.o.Links() {
		if m, ok := r.o.Member(l.Peer()); ok {
			linked = append(linked, m)
		}
	}
	return NewSpace(linked).Closest(key, n)
}

// decodeFound reads what a member has answered: those that are members, at the positions
// that they have. What a member only claims is left out.
func (r *Router) decodeFound(b []byte) ([]Member, error) {
	var a findResponse
	if err := wire.Unmarshal(b, &a); err != nil {
		return nil, err
	}
	if len(a.Members) > K {
		return nil, fmt.Errorf("route: %d members, at most %d: %w", len(a.Members), K, wire.ErrMalformed)
	}
	var members []Member
	for _, f := range a.Members {
		if len(f.Key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("route: member with a key of %d bytes: %w", len(f.Key), wire.ErrMalformed)
		}
		m, ok := r.o.Member(p2p.IDOf(f.Key))
		if ok && m.ID != r.self && m.Position == f.Position && bytes.Equal(m.Key, f.Key) {
			members = append(members, m)
		}
	}
	return members, nil
}

// Nearest returns the members that are nearest to a key and answer now, nearest first, without
// this one: it asks those that it knows, and whom they name, by forwarded calls. Where
// all members are known to all, who is nearest is known without asking; this is for where they
// are not, or where it matters who is there. Errors: p2p.ErrUnreachable when nobody
// answers, and the context's.
func (r *Router) Nearest(ctx context.Context, key p2p.Key, o LookupOptions) ([]Member, error) {
	req, err := wire.Marshal(findRequest{Key: key})
	if err != nil {
		return nil, err
	}
	type reply struct {
		from    p2p.ID
		members []Member
		err     error
	}
	l := NewLookup(key, r.near(key, K*max(o.Paths, 1)), o)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies := make(chan reply, l.o.Alpha) // as many are asked at once: sends never block
	for !l.Done() {
		for _, m := range l.Next() {
			go func() {
				ctx, cancel := context.WithTimeout(ctx, askTimeout)
				defer cancel()
				b, err := r.Call(ctx, m.ID, FindProtocol, req)
				a := reply{from: m.ID, err: err}
				if err == nil {
					a.members, a.err = r.decodeFound(b)
				}
				replies <- a
			}()
		}
		select {
		case a := <-replies:
			if a.err != nil {
				l.Failed(a.from)
			} else {
				l.Heard(a.from, a.members)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("route: nearest to %x: %w", key[:4], ctx.Err())
		}
	}
	nearest := l.Closest()
	if len(nearest) == 0 {
		return nil, fmt.Errorf("route: nearest to %x: none of %d members answers: %w", key[:4], l.Asked(), p2p.ErrUnreachable)
	}
	return nearest, nil
}
