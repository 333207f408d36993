package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	farewellTimeout = 2 * time.Second
	// doorEvery is how often somebody who was revoked gets a link to be told so.
	doorEvery = time.Minute

	// What comes unasked of one member: that many replacements of its contact or of
	// its offers at once, and one more each hurryEvery. What is turned away is found
	// by comparing, which each member does when it chooses.
	hurryEvery = time.Second
	hurryBurst = 10
)

// Farewell shows the peer of a link that it was revoked, so that it knows: call it
// before closing the link for that reason. It takes 2 seconds at most. To a member,
// and to who never was one, it says nothing.
func (s *Service) Farewell(ctx context.Context, l p2p.Link) error {
	give := s.revocation(l.Peer())
	if len(give) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	network := s.current.Load().network.ID
	req, err := wire.Marshal(syncRequest{Network: network[:], Give: give})
	if err != nil {
		return fmt.Errorf("member: farewell: %w", err)
	}
	if _, err := l.Call(ctx, ProtoMember, req); err != nil {
		return fmt.Errorf("member: farewell to %s: %w", l.Peer().Short(), err)
	}
	return nil
}

// revocation returns what shows somebody that it is no member any more; nothing if it
// is one, or never was.
func (s *Service) revocation(id p2p.ID) []Statement {
	if m, known := s.find(id); !known || !m.Revoked {
		return nil
	}
	shown := s.holders.last(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.revocation(id, shown)
}

// revocation lists the revocations that hold of whatever the admissions of id rest
// on, its own first, and exclusions of it, each with what it rests on itself, as many as fit a
// message. Of a holder they are those of what its certificates lead to.
func (ro *Roster) revocation(id p2p.ID, shown []*certificate) []Statement {
	var grounds []*record
	for _, a := range ro.byKey[id] {
		grounds = append(grounds, ro.records[a.hash])
	}
	for _, a := range ro.byKey[id] {
		grounds = append(grounds, ro.support(a.hash)...)
	}
	valid, excluded := ro.judged().valid, ro.judged().excluded
	var out []Statement
	size, in := 0, map[Hash]bool{}
	ends := slices.Clone(excluded[id])
	for _, c := range shown {
		if c.member != id {
			ends = append(ends, excluded[c.member]...)
		}
		if r := ro.records[c.under]; r != nil {
			grounds = append(grounds, ro.support(c.under)...)
		}
	}
	for _, a := range ends {
		for _, r := range ro.support(a.hash) {
			if size += r.size(); !in[r.hash] && size <= maxPage {
				in[r.hash] = true
				out = append(out, r.Statement)
			}
		}
	}
	for _, target := range grounds {
		for _, r := range ro.revoked[target.hash] {
			if in[r.hash] || !valid[r.hash] {
				continue
			}
			for _, r := range append(ro.support(target.hash), ro.support(r.hash)...) {
				if in[r.hash] {
					continue
				}
				if size += r.size(); size > maxPage {
					return out
				}
				in[r.hash] = true
				out = append(out, r.Statement)
			}
		}
	}
	return out
}

// learnRevoked asks the peer of a link what it knows, and reports whether this node
// has learnt that it is no member any more.
func (s *Service) learnRevoked(ctx context.Context, l p2p.Link) bool {
	return errors.Is(s.Linked(ctx, l), ErrRevoked)
}

// doors remembers when revoked members were let in last. There are no more of them
// than nodes that were ever admitted.
type doors struct {
	mu   sync.Mutex // guards last
	last map[p2p.ID]time.Time
}

func (d *doors) open(id p2p.ID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last, known := d.last[id]; known && now.Before(last.Add(doorEvery)) {
		return false
	}
	if d.last == nil {
		d.last = map[p2p.ID]time.Time{}
	}
	d.last[id] = now
	return true
}

// unhurried reports whether a statement that came unasked is taken in. Acts are: they
// cannot wait, and their signers are trusted. So is the first contact of a node and
// the first offer of a folder, of which there is a limited number. What replaces
// another one is limited for each signer, because each costs all members a write to
// the disk. The caller holds s.mu.
func (s *Service) unhurried(r *record) bool {
	if r.act != nil || r.author() == s.self {
		return true
	}
	old := s.roster.rival(r)
	if old == nil || !newer(r, old) {
		return true
	}
	l := s.hurry[r.author()]
	if l == nil {
		l = rate.NewLimiter(rate.Every(hurryEvery), hurryBurst)
		s.hurry[r.author()] = l
	}
	return l.AllowN(s.o.Now(), 1)
}
