package swarm

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// turn waits until nobody else begins to keep a seed, or forgets it with its files, and keeps others from both until
// done is called: a file that is being deleted is not that of who wants the seed again, and of two who share one
// content the second sees the first. Whoever has the turn may take Service.rows, not the other way round.
func (s *Service) turn(ctx context.Context, id seed.ID) (done func(), err error) {
	for {
		s.mu.Lock()
		taken := s.turns[id]
		if taken == nil {
			over := make(chan struct{})
			s.turns[id] = over
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.turns, id)
				s.mu.Unlock()
				close(over)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return nil, fmt.Errorf("swarm: %s: %w", id.Short(), context.Cause(ctx))
		}
	}
}
