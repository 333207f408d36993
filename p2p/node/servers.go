package node

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/nat"
)

const (
	lookUpEvery = 10 * time.Minute
	lookUpRetry = 20 * time.Second
)

// servers are those that the owner names, and where they are now.
type servers struct {
	names []string
	log   *slog.Logger

	mu    sync.Mutex // guards what follows
	found []netip.AddrPort
}

func newServers(names []string, log *slog.Logger) *servers { return &servers{names: names, log: log} }

// addrs returns the addresses that were found last.
func (s *servers) addrs() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found
}

// run looks the names up, again and again: addresses change.
func (s *servers) run(ctx context.Context) error {
	for len(s.names) > 0 {
		wait := lookUpEvery
		var found []netip.AddrPort
		for _, name := range s.names {
			addrs, err := nat.LookUp(ctx, name)
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				s.log.Warn("a STUN server was not found", "server", name, "error", err)
				wait = lookUpRetry
			}
			found = append(found, addrs...)
		}
		s.mu.Lock()
		s.found = found
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
	return nil
}
