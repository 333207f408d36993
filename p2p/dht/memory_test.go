package dht_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dht/dhttest"
)

func TestMemory(t *testing.T) {
	dhttest.TestStore(t, func(*testing.T) dht.Store { return dht.NewMemory() })
}
