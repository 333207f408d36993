package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// viaOf is the link that is kept of a download with a pass; empty: it has none.
func viaOf(o GetOptions) (string, error) {
	if o.Pass == nil {
		return "", nil
	}
	l, err := o.Pass.Into(o.Seed.Link())
	if err != nil {
		return "", fmt.Errorf("swarm: %w", err)
	}
	return l.String(), nil
}

// passIn is the inverse of viaOf; nil: there is none.
func passIn(via string) *pass.Pass {
	if via == "" {
		return nil
	}
	l, err := seed.ParseLink(via)
	if err != nil {
		return nil // a later version wrote it
	}
	p, ok, err := pass.Of(l)
	if err != nil || !ok {
		return nil
	}
	return &p
}

// enterBy gives a download that there is already another pass.
func (s *Service) enterBy(ctx context.Context, id seed.ID, via string, p *pass.Pass) error {
	s.mu.Lock()
	e, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	e.row.Via = via
	d := e.d
	s.mu.Unlock()
	if err := s.save(ctx, e); err != nil {
		return err
	}
	if d != nil {
		d.do(func() {
			d.pass = p
			delete(d.failures, p.Host.ID().String())
			d.outside(d.s.now())
		})
	}
	return nil
}

// outside begins with the host of the pass, unless it is a source already.
func (d *download) outside(now time.Time) {
	if d.pass == nil || d.s.o.Through == nil {
		return
	}
	host := d.pass.Host.ID()
	if host == d.s.o.ID || d.byPeer[host.String()] != nil {
		return
	}
	if f := d.failures[host.String()]; f != nil && (f.bad || now.Before(f.until)) {
		return
	}
	d.add(&source{d: d, peer: host, pass: d.pass})
}

// turnedAway ends a download whose pass is of no use when nobody else has the file: a person has to get another
// link. Where others have it, it goes on without.
func (d *download) turnedAway(src *source, why error) error {
	if src.pass == nil || src.pass != d.pass || !errors.Is(why, pass.ErrRefused) && !errors.Is(why, pass.ErrExpired) {
		return nil
	}
	d.failureOf(src).bad = true
	servers := d.lacking == "" && len(d.seed.Web)+len(d.named()) > 0
	others := slices.ContainsFunc(d.peers, func(p tracker.Peer) bool {
		return p.ID != d.s.o.ID && (p.Have.All || p.Have.Count > 0)
	})
	if len(d.sources) > 0 || servers || others {
		return nil
	}
	if errors.Is(why, pass.ErrExpired) {
		return pass.ErrExpired
	}
	return pass.ErrRefused
}
