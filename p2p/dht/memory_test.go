package dht_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dht/dhttest"
)

func TestMemory(t *testing.T) {
	dhttest.TestStore(t, func(*testing.T) dht.Store { return dht.NewMemory() })
}

func openMemory(*testing.B) dht.Store { return dht.NewMemory() }

func BenchmarkChange(b *testing.B) {
	b.Run("memory", func(b *testing.B) { dhttest.BenchmarkChange(b, openMemory) })
}

func BenchmarkRead(b *testing.B) {
	b.Run("memory", func(b *testing.B) { dhttest.BenchmarkRead(b, openMemory) })
}

func BenchmarkSums(b *testing.B) {
	b.Run("memory", func(b *testing.B) { dhttest.BenchmarkSums(b, openMemory) })
}
