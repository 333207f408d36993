package dht

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
)

const (
	// acceptorsWanted is how many members keep a register: it works while three of them do.
	acceptorsWanted = 5
	// absentFor is how long an acceptor is away before another member takes its place.
	absentFor = 10 * time.Minute
	// tendEvery is how often the one who has to looks whether the directory is kept by those
	// who should.
	tendEvery = 10 * time.Second
)

// Keepers returns who keeps the root of the directory, as far as this node knows.
func (r *Registers) Keepers(ctx context.Context) (paxos.Config, error) {
	at, err := r.first()
	if err != nil {
		return paxos.Config{}, err
	}
	best := at.Config
	c, _, err := r.known(ctx, at.Key)
	if err != nil {
		return best, err
	}
	if c.Epoch > best.Epoch {
		best = c
	}
	r.mu.Lock()
	h := r.open[at.Key]
	r.mu.Unlock()
	if h != nil {
		if c, err = h.Config(ctx); err == nil && c.Epoch > best.Epoch {
			best = c
		}
	}
	return best, err
}

// Tend gives the root of the directory the acceptors that it should have, if that is for this
// node to do: the first of its acceptors that can be asked does it. Run calls it.
func (r *Registers) Tend(ctx context.Context) error {
	at, err := r.first()
	if err != nil {
		return nil // there is no network yet
	}
	c, known, err := r.known(ctx, at.Key)
	if err != nil {
		return err
	}
	if !known {
		c = at.Config
	}
	able := func(id p2p.ID) bool {
		_, member := r.o.Table.o.Member(id)
		return member && r.o.Table.Alive(id) && r.lifeOf(id) == c.Life(id)
	}
	gone := r.gone(c) // all note since when, for whoever has to do it then
	if i := slices.IndexFunc(c.Acceptors, able); i < 0 || c.Acceptors[i] != r.self {
		return nil
	}
	if len(gone) == 0 && len(c.Acceptors) >= acceptorsWanted {
		return nil
	}
	v, err := r.around(ctx, at.Key)
	if err != nil {
		return err
	}
	next := nextKeepers(c.Acceptors, v, at.Key, gone)
	if next == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tendEvery)
	defer cancel()
	h, err := r.page(ctx, at)
	if err != nil {
		return err
	}
	changed, err := h.Replace(ctx, func(current paxos.Config) ([]p2p.ID, error) {
		if !current.Equal(c) {
			return current.Acceptors, nil // somebody else has been faster
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	r.o.Logger.Info("the directory of registers was given to others", "epoch", changed.Epoch, "acceptors", len(changed.Acceptors))
	return nil
}

// nextKeepers returns the acceptors that the root of the directory should have, or nil where
// it has them, or nothing better can be had: five or three of those who can be asked, those
// it has first. An even number would tolerate no more absent ones than the odd one below.
// Where few are on, it stays with those it has: they come back.
func nextKeepers(current []p2p.ID, v view, key p2p.Key, gone map[p2p.ID]bool) []p2p.ID {
	const least = 3
	var out []p2p.ID
	for _, id := range current {
		if !gone[id] {
			out = append(out, id)
		}
	}
	kept := len(out)
	for _, m := range v.replicas(key, 2*acceptorsWanted) {
		if len(out) < acceptorsWanted && !slices.Contains(out, m.ID) {
			out = append(out, m.ID)
		}
	}
	switch {
	case len(out) < least, len(out) < acceptorsWanted && kept > least:
		return nil
	case len(out) < acceptorsWanted:
		out = out[:least]
	}
	slices.SortFunc(out, p2p.ID.Compare)
	if slices.Equal(out, current) && !slices.ContainsFunc(out, func(id p2p.ID) bool { return gone[id] }) {
		return nil
	}
	return out
}

// tendTo replaces absent acceptors of a register, which the directory is told.
func (r *Registers) tendTo(ctx context.Context, key p2p.Key, h *paxos.Register) {
	of := r.keyOf(key)
	r.replaceAbsent(ctx, key, of, h, func(ctx context.Context, c paxos.Config) error {
		root, err := r.root(ctx)
		if err == nil {
			err = r.directory.Note(ctx, root, of, c)
		}
		return err
	})
}

// replaceAbsent puts other members, those nearest to key, in the place of acceptors that
// are members no more, or away for long, and has that noted. That it fails does no harm:
// the next one tries again.
func (r *Registers) replaceAbsent(ctx context.Context, key, of p2p.Key, h *paxos.Register, note func(context.Context, paxos.Config) error) {
	c, err := h.Config(ctx)
	if err != nil {
		return
	}
	gone := r.gone(c)
	if len(gone) == 0 && len(c.Acceptors) >= acceptorsWanted {
		return
	}
	v, err := r.around(ctx, key)
	if err != nil {
		return
	}
	next := nextAcceptors(c.Acceptors, v, key, gone)
	if next == nil {
		return
	}
	changed, err := h.Replace(ctx, func(current paxos.Config) ([]p2p.ID, error) {
		if !current.Equal(c) {
			return current.Acceptors, nil // somebody else has been faster
		}
		return next, nil
	})
	if err != nil {
		r.o.Logger.Info("acceptors not replaced", "error", err)
		return
	}
	if err := note(ctx, changed); err != nil {
		r.o.Logger.Debug("new acceptors not noted", "register", fmt.Sprintf("%x", of[:6]), "error", err)
	}
}

// gone returns those acceptors that are to be replaced. Who has begun a new life may come
// into its own place.
func (r *Registers) gone(c paxos.Config) map[p2p.ID]bool {
	t := r.o.Table
	now := r.o.Table.o.Now()
	out := map[p2p.ID]bool{}
	for _, id := range c.Acceptors {
		if r.lifeOf(id) > c.Life(id) {
			out[id] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range c.Acceptors {
		since, absent := r.absent[id]
		_, member := t.o.Member(id)
		switch {
		case !member:
			out[id] = true
		case t.Alive(id):
			delete(r.absent, id)
		case !absent:
			r.absent[id] = now
		case now.Sub(since) > absentFor:
			out[id] = true
		}
	}
	return out
}

// nextAcceptors returns the acceptors that a register should have, or nil where it has
// them: as many as are wanted, those it has first.
func nextAcceptors(current []p2p.ID, v view, key p2p.Key, gone map[p2p.ID]bool) []p2p.ID {
	var out []p2p.ID
	for _, id := range current {
		if !gone[id] {
			out = append(out, id)
		}
	}
	for _, m := range v.replicas(key, 2*acceptorsWanted) {
		if len(out) < acceptorsWanted && !slices.Contains(out, m.ID) {
			out = append(out, m.ID)
		}
	}
	slices.SortFunc(out, p2p.ID.Compare)
	same := slices.Equal(out, current) && !slices.ContainsFunc(out, func(id p2p.ID) bool { return gone[id] })
	if len(out) == 0 || same {
		return nil
	}
	return out
}
