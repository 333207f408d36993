package tracker_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker/trackertest"
)

func TestMemory(t *testing.T) {
	trackertest.Store(t, func(*testing.T) (tracker.Store, func() tracker.Store) {
		m := &tracker.Memory{}
		return m, func() tracker.Store { return m }
	})
}
