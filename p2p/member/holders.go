package member

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// maxHolders is how many holders of certificates a node remembers. Who is asked about is used: those to
// whom there are links and who are in the table of contacts stay, whoever else shows up.
const maxHolders = 4096

// maxShown is how many bytes of proofs it remembers. What is ordinary has some 600 each; in an open
// network somebody can make as many as he likes that have MaxProof.
const maxShown = 8 << 20

// holder is somebody who has shown a certificate.
type holder struct {
	*credential
	contact *record // nil: none was shown
	member  *Member // is replaced, never changed
	used    atomic.Uint64
}

// holders are those that this node has met.
type holders struct {
	clock atomic.Uint64

	mu    sync.RWMutex // guards all following fields
	byID  map[p2p.ID]*holder
	shown int // bytes of their proofs
}

// get returns a holder as a member; it may be revoked.
func (hs *holders) get(id p2p.ID) (*Member, bool) {
	hs.mu.RLock()
	defer hs.mu.RUnlock()
	h := hs.byID[id]
	if h == nil {
		return nil, false
	}
	h.used.Store(hs.clock.Add(1))
	return h.member, true
}

// all returns the holders that are members, in no order.
func (hs *holders) all() []*Member {
	hs.mu.RLock()
	defer hs.mu.RUnlock()
	out := make([]*Member, 0, len(hs.byID))
	for _, h := range hs.byID {
		if !h.member.Revoked {
			out = append(out, h.member)
		}
	}
	return out
}

// credential returns what a holder has shown; nil if it is none.
func (hs *holders) credential(id p2p.ID) *credential {
	hs.mu.RLock()
	defer hs.mu.RUnlock()
	if h := hs.byID[id]; h != nil && !h.member.Revoked {
		return h.credential
	}
	return nil
}

// last returns the certificates that somebody has shown last, whether or not they count.
func (hs *holders) last(id p2p.ID) []*certificate {
	hs.mu.RLock()
	defer hs.mu.RUnlock()
	if h := hs.byID[id]; h != nil {
		return h.certificates
	}
	return nil
}

func (hs *holders) size() int {
	hs.mu.RLock()
	defer hs.mu.RUnlock()
	return len(hs.byID)
}

// judge judges all holders again, and returns who is no member any more.
func (hs *holders) judge(v *view) (gone []*Member) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for id, h := range hs.byID {
		if h.credential.holder().network != v.network.ID {
			hs.shown -= len(h.encoded)
			delete(hs.byID, id)
			continue
		}
		out := len(v.inForce(h.credential)) == 0
		if out == h.member.Revoked {
			continue
		}
		m := *h.member
		m.Revoked = out
		h.member = &m
		if out {
			gone = append(gone, &m)
		}
	}
	return gone
}

// evict makes room for one. The caller holds hs.mu.
func (hs *holders) evict() {
	var least p2p.ID
	for id, h := range hs.byID {
		if least.IsZero() || h.used.Load() < hs.byID[least].used.Load() {
			least = id
		}
	}
	hs.shown -= len(hs.byID[least].encoded)
	delete(hs.byID, least)
}

// Present takes in what somebody shows, or what is shown for it, and returns who that is: a member,
// if there is no error. Of one that is known a newer contact is taken over, and a certificate of
// another signer, for the same position.
//
// Nothing is verified before the certificates lead to the roster, so that a stranger costs no more
// than one signature, unless he shows somebody else's proof, which proves something about that one.
func (s *Service) Present(encoded []byte) (p2p.ID, error) {
	c, err := readProof(encoded)
	if err != nil {
		return p2p.ID{}, err
	}
	id := c.holder().member
	if id == s.self {
		return id, nil
	}
	v, hs := s.current.Load(), &s.holders
	if m, known := v.byID[id]; known && !m.Revoked {
		return id, nil // the roster names it
	}
	if old := hs.credential(id); old != nil && bytes.Equal(old.encoded, encoded) {
		return id, nil
	}
	refused := fmt.Errorf("member: certificate of %s leads to nobody who may sign it: %w", id.Short(), p2p.ErrRefused)
	if len(v.inForce(c)) == 0 {
		return id, refused
	}
	contact, err := c.verify()
	if err != nil {
		return id, err
	}
	hs.mu.Lock()
	defer hs.mu.Unlock()
	// Who ends certificates shows the new view before it looks through the holders.
	if v = s.current.Load(); len(v.inForce(c)) == 0 {
		return id, refused
	}
	old := hs.byID[id]
	if old != nil && !old.member.Revoked {
		if c, contact, err = old.with(v, c, contact); err != nil || c == nil {
			return id, err
		}
	}
	if old != nil {
		hs.shown -= len(old.encoded)
		delete(hs.byID, id)
	}
	for len(hs.byID) >= maxHolders || hs.shown+len(c.encoded) > maxShown {
		hs.evict()
	}
	hs.shown += len(c.encoded)
	h := &holder{credential: c, contact: contact}
	var reach *p2p.Contact
	if contact != nil {
		reach = contact.contact
	}
	h.member = v.describe(c, reach)
	h.used.Store(hs.clock.Add(1))
	hs.byID[id] = h
	return id, nil
}

// with returns what a holder that is known has shown with what it shows now; nil: nothing new. It stays
// where it was seen first.
func (h *holder) with(v *view, c *credential, contact *record) (*credential, *record, error) {
	if c.holder().nonce != h.credential.holder().nonce {
		return nil, nil, nil
	}
	newest := h.contact
	if contact != nil && (newest == nil || newer(contact, newest)) {
		newest = contact
	}
	certificates := c
	if len(v.inForce(c)) < len(v.inForce(h.credential)) {
		certificates = h.credential
	}
	if newest == h.contact && certificates == h.credential {
		return nil, nil, nil
	}
	var statement *Statement
	if newest != nil {
		statement = &newest.Statement
	}
	next, err := credentialOf(certificates.Certificates, statement)
	return next, newest, err
}

// Prove returns what shows that a member is one, if the roster does not name it and this node knows:
// its own proof, or another one's. Nil: there is nothing to show.
func (s *Service) Prove(id p2p.ID) []byte {
	if id == s.self {
		if own := s.current.Load().own; own != nil {
			return own.encoded
		}
		return nil
	}
	if m, named := s.current.Load().byID[id]; named && !m.Revoked {
		return nil
	}
	if c := s.holders.credential(id); c != nil {
		return c.encoded
	}
	return nil
}

// Proof is what this node shows to who does not know it, in at most so many bytes: without its
// contact, and by its shortest way to the roster, if that is needed. Nil: the roster names it, or
// it does not fit.
func (s *Service) Proof(limit int) []byte {
	own := s.current.Load().own
	if own == nil {
		return nil
	}
	if len(own.encoded) <= limit {
		return own.encoded
	}
	best := slices.MinFunc(own.own(), func(a, b *certificate) int {
		return cmp.Compare(a.depth(own.certificates), b.depth(own.certificates))
	})
	encoded, err := wire.Marshal(proof{Certificates: own.way(best)})
	if err != nil || len(encoded) > limit {
		return nil
	}
	return encoded
}

// way returns the certificates that lead from x to the roster, x last.
func (c *credential) way(x *certificate) []Statement {
	var out []Statement
	for range maxChain {
		at := slices.Index(c.certificates, x)
		out = append(out, c.Certificates[at])
		i := slices.IndexFunc(c.certificates, func(y *certificate) bool { return y.hash == x.under })
		if i < 0 {
			break
		}
		x = c.certificates[i]
	}
	slices.Reverse(out)
	return out
}

// judgeHolders judges holders again if what they depend on has changed.
func (s *Service) judgeHolders(from, to *view) []*Member {
	// Acts are never dropped, so that as many are the same ones.
	if len(from.verdict.valid) == len(to.verdict.valid) && from.network == to.network {
		return nil
	}
	return s.holders.judge(to)
}
