package store

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker/trackertest"
)

func TestTrackerStore(t *testing.T) {
	trackertest.Store(t, func(t *testing.T) (tracker.Store, func() tracker.Store) {
		s := openSearch(t, t.TempDir())
		return s.Tracker(), func() tracker.Store { return trackerStore{s.index} }
	})
}
