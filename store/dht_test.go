package store

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dht/dhttest"
)

func TestDHT(t *testing.T) {
	dhttest.TestStore(t, func(t *testing.T) dht.Store { return open(t, t.TempDir()).DHT() })
}

func openDHT(b *testing.B) dht.Store {
	s, err := Open(b.Context(), b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s.DHT()
}

func BenchmarkChange(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { dhttest.BenchmarkChange(b, openDHT) })
}

func BenchmarkRead(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { dhttest.BenchmarkRead(b, openDHT) })
}

func BenchmarkSums(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { dhttest.BenchmarkSums(b, openDHT) })
}
