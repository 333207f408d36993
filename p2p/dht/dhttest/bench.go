package dhttest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// BenchmarkChange measures changes of 1 to 1000 names, each with a location of its own,
// that get a record with 100 bytes each.
func BenchmarkChange(b *testing.B, open func(b *testing.B) dht.Store) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b)
			made := 0
			fresh := func() []dht.Held {
				records := make([]dht.Held, n)
				for i := range records {
					records[i] = fill(made, dht.KeyOf(fmt.Sprint(made)), p2p.Key{})
					made++
				}
				slices.SortFunc(records, func(a, b dht.Held) int { return a.Compare(b.Address) })
				return records
			}
			var cpu time.Duration // on a busy machine it says more than the time that went by
			for b.Loop() {
				b.StopTimer()
				records := fresh()
				names := make([]dht.Name, n)
				for i := range records {
					names[i] = records[i].Name()
				}
				b.StartTimer()
				before := cpuTime(b)
				err := s.Change(b.Context(), names, func(cells []*dht.Cell) error {
					for i, c := range cells {
						c.Records = append(c.Records, records[i])
					}
					return nil
				})
				cpu += cpuTime(b) - before
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N*n), "cpu-ns/record")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
}

// fill returns a record with a value of 100 bytes that expires.
func fill(n int, location, content p2p.Key) dht.Held {
	value := make([]byte, 100)
	binary.BigEndian.PutUint64(value, uint64(n))
	r := Record(dht.Name{Location: location, Content: content}, dht.Version{}, author(1), uint64(n+1), value)
	r.TTL = 3600
	return dht.Held{Record: r, Expires: 1e12 + int64(n)}
}

// BenchmarkRead measures reading all contents of a location.
func BenchmarkRead(b *testing.B, open func(b *testing.B) dht.Store) {
	for _, n := range []int{1, 100, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b)
			var records []dht.Held
			for i := range n {
				records = append(records, fill(i, key(1), dht.KeyOf(fmt.Sprint(i))))
			}
			if err := Put(b.Context(), s, records...); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				got := 0
				for _, err := range s.Read(b.Context(), dht.Query{Location: key(1)}) {
					if err != nil {
						b.Fatal(err)
					}
					got++
				}
				if got != n {
					b.Fatalf("%d records, want %d", got, n)
				}
			}
		})
	}
}

// BenchmarkSums measures the sums over 100,000 locations with a record each.
func BenchmarkSums(b *testing.B, open func(b *testing.B) dht.Store) {
	s := open(b)
	const n = 100_000
	for i := 0; i < n; i += 1000 {
		var records []dht.Held
		for j := range 1000 {
			records = append(records, fill(i+j, dht.KeyOf(fmt.Sprint(i+j)), p2p.Key{}))
		}
		if err := Put(b.Context(), s, records...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		got := 0
		for _, err := range s.Sums(b.Context(), 1) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
		if got != n {
			b.Fatalf("%d locations, want %d", got, n)
		}
	}
}
