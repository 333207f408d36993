package tracker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// askEvery is how long others are not asked again who has a seed, and askLongest at most, when asking
	// has led to nobody new.
	askEvery   = 3 * time.Second
	askLongest = 48 * time.Second
	askTimeout = 4 * time.Second
	// askLinked is how many linked members are asked, beside the trackers that a seed names: each of
	// them is a tracker, and may know members that this node has no link to.
	askLinked  = 3
	askSources = 4                      // of whom a text is asked for
	askSilence = 500 * time.Millisecond // after which the next one is asked, too
)

// asking is when others were asked for the sources of a seed last, and what they said of slices.
type asking struct {
	at            time.Time
	wait          time.Duration
	slice, slices int
}

// known returns the sources that this node knows, best first.
func (s *Service) known(id seed.ID) []Peer {
	linked := s.linked()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(s.core.peers(s.o.Now(), id, s.o.ID, linked, s.random), func(p Peer) bool { return !s.o.Member(p.ID) })
}

// Sources returns up to want sources of a seed, this node left out, best first: those that it knows, and
// if these are fewer, those that the seed's trackers, some linked members and the table name. They are
// asked at once and for a few seconds only, at most every few seconds, and less often when nobody new
// was found. That there are none is no error. Errors: that of ctx.
func (s *Service) Sources(ctx context.Context, id seed.ID, want int) ([]Peer, error) {
	peers := s.known(id)
	if before := useful(peers); before < want && s.mayAsk(id) {
		s.ask(ctx, id, want)
		peers = s.known(id)
		s.mu.Lock()
		a := s.asked[id]
		a.at = s.o.Now() // who was asked may have been silent for some seconds
		if a.wait = min(2*a.wait, askLongest); useful(peers) > before {
			a.wait = askEvery
		}
		s.asked[id] = a
		s.mu.Unlock()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("tracker: sources of %s: %w", id.Short(), err)
	}
	return peers[:min(len(peers), max(want, 0))], nil
}

// useful counts the sources that are worth a question.
func useful(peers []Peer) (n int) {
	for _, p := range peers {
		if !p.Missed {
			n++
		}
	}
	return n
}

// mayAsk reports whether others may be asked now, and notes that they are.
func (s *Service) mayAsk(id seed.ID) bool {
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.asked[id]; now.Sub(a.at) < max(a.wait, askEvery) {
		return false
	}
	if len(s.asked) >= MaxSeeds {
		for other, a := range s.asked {
			if now.Sub(a.at) > TTL {
				delete(s.asked, other)
			}
		}
		if len(s.asked) >= MaxSeeds {
			clear(s.asked)
		}
	}
	a := s.asked[id]
	a.at, a.wait = now, max(a.wait, askEvery)
	s.asked[id] = a
	return true
}

// ask asks trackers and the table at once, until enough sources are known or all have answered.
func (s *Service) ask(ctx context.Context, id seed.ID, want int) {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	trackers := s.trackers(id)
	n := len(trackers)
	if s.o.Table != nil {
		n++
	}
	done := make(chan struct{}, n) // sends never block
	for _, to := range trackers {
		running.Go(func() {
			s.askTracker(ctx, to, id, want)
			done <- struct{}{}
		})
	}
	if s.o.Table != nil {
		running.Go(func() {
			s.askTable(ctx, id)
			done <- struct{}{}
		})
	}
	for range n {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
		if useful(s.known(id)) >= want {
			return
		}
	}
}

// trackers returns whom to ask for a seed: the members that its texts name as its trackers, and some
// linked ones.
func (s *Service) trackers(id seed.ID) []p2p.ID {
	links := s.o.Links()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []p2p.ID
	add := func(of p2p.ID) {
		if of != s.o.ID && !slices.Contains(out, of) && s.o.Member(of) {
			out = append(out, of)
		}
	}
	if o := s.own[id]; o != nil {
		for _, of := range o.Seed.Trackers {
			add(of)
		}
	}
	if e := s.core.seeds[id]; e != nil {
		for _, t := range e.texts {
			for _, of := range t.seed.Trackers {
				add(of)
			}
		}
	}
	s.random.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
	for _, l := range links[:min(len(links), askLinked)] {
		add(l.Peer())
	}
	return out
}

// call makes one call of Proto.
func (s *Service) call(ctx context.Context, to p2p.ID, r request, answer any) error {
	req, err := wire.Marshal(r)
	if err != nil {
		return err
	}
	resp, err := s.o.Caller.Call(ctx, to, Proto, req)
	if err != nil {
		return err
	}
	return wire.Unmarshal(resp, answer)
}

// askTracker asks another tracker who has a seed, and takes what it says: of itself for sure, of
// others as hearsay.
func (s *Service) askTracker(ctx context.Context, to p2p.ID, id seed.ID, want int) {
	var a sources
	err := s.call(ctx, to, request{Query: &query{ID: id, Want: uint32(min(max(want, 1), MaxWant))}}, &a)
	if err == nil && len(a.Peers) > MaxWant {
		err = fmt.Errorf("%d sources: %w", len(a.Peers), wire.ErrMalformed)
	}
	if err != nil {
		s.o.Logger.Debug("a tracker has not answered", "tracker", to.Short(), "seed", id.Short(), "error", err)
		return
	}
	var of []heard
	for _, p := range a.Peers {
		h, err := p.Have.unpack()
		if err != nil || !s.o.Member(p.ID) {
			continue
		}
		of = append(of, heard{id: p.ID, have: h, up: p.Up, down: p.Down, wants: p.Wants, left: time.Duration(p.Left) * time.Millisecond})
	}
	s.mu.Lock()
	changed := s.core.hear(s.o.Now(), id, TellsTracker, of)
	if n := int(a.Slices); n > 1 && n <= maxAll && int(a.Slice) < n {
		hint := s.asked[id]
		hint.slice, hint.slices = int(a.Slice), n
		s.asked[id] = hint
	}
	s.mu.Unlock()
	s.changed(changed)
}

// Text returns what a seed is: from what this node knows, else from its trackers, its sources, or those
// that the table names. They are asked one after the other; who says nothing for a moment has the next
// one asked beside him. The list of pieces may be left out. Errors:
// ErrNotFound, that of ctx.
func (s *Service) Text(ctx context.Context, id seed.ID) (seed.Seed, error) {
	if raw := s.text(id); raw != nil {
		return readText(id, raw)
	}
	peers, err := s.Sources(ctx, id, askSources)
	if err != nil {
		return seed.Seed{}, err
	}
	var of []p2p.ID
	for _, p := range peers {
		of = append(of, p.ID)
	}
	for _, t := range s.trackers(id) {
		if !slices.Contains(of, t) {
			of = append(of, t)
		}
	}
	t, ok := s.fetchAny(ctx, of, id)
	if err := ctx.Err(); err != nil && !ok {
		return seed.Seed{}, fmt.Errorf("tracker: text of %s: %w", id.Short(), err)
	}
	if !ok {
		return seed.Seed{}, fmt.Errorf("tracker: text of %s: %w", id.Short(), ErrNotFound)
	}
	return t, nil
}

// fetchAny asks members for the text of a seed until one has it.
func (s *Service) fetchAny(ctx context.Context, of []p2p.ID, id seed.ID) (seed.Seed, bool) {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	found := make(chan *seed.Seed, len(of)) // sends never block
	hurry := time.NewTimer(0)
	defer hurry.Stop()
	for asked, pending := 0, 0; asked < len(of) || pending > 0; {
		var next <-chan time.Time
		if asked < len(of) {
			next = hurry.C
		}
		select {
		case t := <-found:
			if pending--; t != nil {
				return *t, true
			}
			hurry.Reset(0)
		case <-next:
			from := of[asked]
			asked++
			pending++
			hurry.Reset(askSilence)
			running.Go(func() {
				t, err := s.fetch(ctx, from, id)
				if err != nil {
					s.o.Logger.Debug("a member does not know what a seed is", "member", from.Short(), "seed", id.Short(), "error", err)
					found <- nil
					return
				}
				found <- &t
			})
		}
	}
	return seed.Seed{}, false
}

// fetch asks a member for the text of a seed.
func (s *Service) fetch(ctx context.Context, from p2p.ID, id seed.ID) (seed.Seed, error) {
	var text []byte
	for {
		var p part
		if err := s.call(ctx, from, request{Get: &get{ID: id, From: uint32(len(text))}}, &p); err != nil {
			return seed.Seed{}, err
		}
		text = append(text, p.Text...)
		switch {
		case p.Size > seed.MaxText || len(text) > int(p.Size) || len(p.Text) == 0:
			return seed.Seed{}, fmt.Errorf("%d of %d bytes: %w", len(text), p.Size, wire.ErrMalformed)
		case len(text) == int(p.Size):
			t, err := readText(id, text)
			if err == nil && s.refuted(id, t) {
				err = fmt.Errorf("it was found to be a lie: %w", wire.ErrMalformed)
			}
			return t, err
		}
	}
}

// refuted reports whether a text says what was found to be a lie.
func (s *Service) refuted(id seed.ID, t seed.Seed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.core.seeds[id]
	return e != nil && slices.ContainsFunc(e.texts, func(o *text) bool {
		return o.lies && o.what.size == t.Size && (o.what.brief || o.what.list == t.List)
	})
}

// Candidates returns all that is said here of what a seed is, the likeliest first: where the first one is
// found to be a lie, another may be true. The seeds have no lists of pieces.
func (s *Service) Candidates(id seed.ID) (out []seed.Seed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.own[id]; o != nil && (o.Seed.Legacy != nil || o.Seed.List != (chunk.Hash{})) {
		out = append(out, o.Seed)
	}
	if e := s.core.seeds[id]; e != nil {
		for _, t := range e.candidates() {
			if !t.what.brief && !t.lies && (len(out) == 0 || out[0].Size != t.what.size || out[0].List != t.what.list) {
				out = append(out, t.seed)
			}
		}
	}
	return out
}
