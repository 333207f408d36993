package tracker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func (c *core) keptSource(k sourceKey) (KeptSource, bool, error) {
	out := KeptSource{Seed: k.seed, Member: k.member}
	e := c.seeds[k.seed]
	if e == nil || e.sources[k.member] == nil || e.sources[k.member].told != TellsItself {
		return out, false, nil
	}
	s := e.sources[k.member]
	state, err := wire.Marshal(keptState{
		Have: s.have.pack(), Up: s.up, Down: s.down, Wants: s.wants, Version: s.version, Text: slices.Index(e.texts, s.text) + 1,
	})
	if err != nil {
		return out, false, fmt.Errorf("tracker: source of %s: %w", k.seed.Short(), err)
	}
	out.State = state
	return out, true, nil
}

func (c *core) keptTexts(id seed.ID) (out []KeptText, err error) {
	e := c.seeds[id]
	if e == nil {
		return nil, nil
	}
	for _, t := range e.texts {
		s := textState{Raw: t.raw, First: t.first.UnixMilli(), By: t.by, Lies: t.lies}
		if t.what.brief {
			s.Name, s.Size = t.seed.Name, t.seed.Size
		}
		state, err := wire.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("tracker: text of %s: %w", id.Short(), err)
		}
		out = append(out, KeptText{Seed: id, State: state})
	}
	return out, nil
}

// restore takes what was kept, as far as it still holds. What cannot be read is not there.
func (c *core) restore(now time.Time, k Kept) {
	for _, m := range k.Members {
		left := m.Ends.Sub(now)
		if left <= 0 || m.ID == c.self {
			continue
		}
		c.accounts[m.ID] = &account{epoch: m.Epoch, seq: m.Seq, seeds: map[seed.ID]struct{}{}, ends: now.Add(min(left, TTL))}
	}
	texts := map[seed.ID][]*text{}
	for _, kept := range k.Texts {
		texts[kept.Seed] = append(texts[kept.Seed], readKeptText(kept))
	}
	for _, kept := range k.Sources {
		a := c.accounts[kept.Member]
		var s keptState
		if a == nil || wire.Unmarshal(kept.State, &s) != nil {
			continue
		}
		h, err := s.Have.unpack()
		if err != nil {
			continue
		}
		e, err := c.entry(now, kept.Seed)
		if err != nil || !c.room(e) || len(a.seeds) >= MaxSeeds {
			continue
		}
		src := &source{have: h, up: s.Up, down: s.Down, wants: s.Wants, told: TellsItself, account: a, version: s.Version}
		if i := s.Text - 1; i >= 0 && i < len(texts[kept.Seed]) {
			src.text = texts[kept.Seed][i]
		}
		e.sources[kept.Member] = src
		c.count++
		a.seeds[kept.Seed] = struct{}{}
		a.sum ^= mix(kept.Seed, s.Version)
	}
	for id, e := range c.seeds {
		for _, t := range texts[id] {
			if t == nil {
				continue
			}
			e.texts = append(e.texts, t)
			e.since = earlier(e.since, t.first)
			c.bytes += len(t.raw)
			if a := c.accounts[t.by]; a != nil {
				a.bytes += len(t.raw)
			}
		}
	}
	// What ended meanwhile goes with the next change: all is written once.
	c.dirty = dirty{cleared: true}
	for id := range c.accounts {
		c.dirty.member(id)
	}
	for id, e := range c.seeds {
		c.dirty.text(id)
		for of := range e.sources {
			c.dirty.source(id, of)
		}
	}
}

// readKeptText reads a text; nil: it cannot be read any more.
func readKeptText(k KeptText) *text {
	var s textState
	if wire.Unmarshal(k.State, &s) != nil {
		return nil
	}
	t := &text{raw: s.Raw, first: time.UnixMilli(s.First), by: s.By, lies: s.Lies, what: what{size: s.Size, brief: true}}
	t.seed.Name, t.seed.Size = CleanName(s.Name), s.Size
	if len(s.Raw) == 0 {
		return t
	}
	read, err := readText(k.Seed, s.Raw)
	if err != nil {
		return nil
	}
	t.seed, t.what = read, what{size: read.Size, list: read.List}
	return t
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Keep writes what has changed into the store. Run does it every two seconds, and when it ends.
func (s *Service) Keep(ctx context.Context) error {
	s.mu.Lock()
	c, err := s.core.change()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if c.empty() {
		return nil
	}
	if err := s.o.Store.Apply(ctx, c); err != nil {
		return fmt.Errorf("tracker: keep what members have said: %w", err)
	}
	return nil
}
