package tracker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// surveyed is how many linked members are asked for their lists at once, and surveyPages how many
	// pages each.
	surveyed    = 16
	surveyPages = 10
)

// Survey is List of what linked members know, too: in a large network nobody is linked to everybody, so
// that each has another part of the whole. What this node knows itself it believes; the rest is
// hearsay. There are no pages: up to o.Limit seeds are returned, and more says that there would be more.
func (s *Service) Survey(ctx context.Context, o ListOptions) (all []Listed, more bool) {
	if o.Limit <= 0 {
		o.Limit = maxListed
	}
	o.After = ""
	own, next := s.List(o)
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	links := s.o.Links()
	s.mu.Lock()
	s.random.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
	s.mu.Unlock()
	var mu sync.Mutex // guards the following
	found := map[seed.ID]Listed{}
	more = next != ""
	var running sync.WaitGroup
	for _, l := range links[:min(len(links), surveyed)] {
		to := l.Peer()
		if !s.o.Member(to) {
			continue
		}
		running.Go(func() {
			page, rest, err := s.listOf(ctx, to, o)
			if err != nil {
				s.o.Logger.Debug("a tracker has not listed its seeds", "tracker", to.Short(), "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			more = more || rest
			for _, l := range page {
				if was, is := found[l.ID]; !is || l.Whole+l.Partial > was.Whole+was.Partial {
					found[l.ID] = l
				}
			}
		})
	}
	running.Wait()
	for _, l := range own {
		found[l.ID] = l
	}
	for _, l := range found {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Listed) int { return cmp.Compare(a.key(), b.key()) })
	if len(all) > o.Limit {
		return all[:o.Limit], true
	}
	return all, more
}

// listOf asks a member for its list.
func (s *Service) listOf(ctx context.Context, to p2p.ID, o ListOptions) (all []Listed, more bool, err error) {
	after := ""
	for range surveyPages {
		var page listing
		if err := s.call(ctx, to, request{List: &listCall{Query: o.Query, After: after, Limit: maxListed}}, &page); err != nil {
			return all, false, err
		}
		if len(page.Seeds) > maxListed || len(page.Next) > 4*maxName {
			return all, false, fmt.Errorf("%d seeds in one answer: %w", len(page.Seeds), wire.ErrMalformed)
		}
		for _, l := range page.Seeds {
			if l.Size < -1 || len(l.Name) > maxName || l.Whole > maxAll || l.Partial > maxAll {
				return all, false, fmt.Errorf("a seed that nobody can have: %w", wire.ErrMalformed)
			}
			since := time.UnixMilli(l.Since)
			if now := s.o.Now(); since.After(now) || now.Sub(since) > 100*365*24*time.Hour {
				since = now
			}
			all = append(all, Listed{ID: l.ID, Name: CleanName(l.Name), Size: l.Size, Whole: int(l.Whole), Partial: int(l.Partial), Since: since, Hearsay: true})
		}
		if page.Next == "" || page.Next <= after {
			return all, false, nil
		}
		if after = page.Next; len(all) > o.Limit {
			break
		}
	}
	return all, true, nil
}
