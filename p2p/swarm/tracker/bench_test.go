package tracker

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// BenchmarkUpdate: how many members a tracker serves that say every 30 seconds that all of their
// seeds still hold, and how many announcements of new seeds it takes, with their texts.
func BenchmarkUpdate(b *testing.B) {
	now := start
	tracker := func(b *testing.B) *Service {
		s, err := New(b.Context(), Options{ID: member(0), Now: func() time.Time { return now }})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	layout, err := seed.LayoutOf(64 << 20)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("holds", func(b *testing.B) {
		s := tracker(b)
		var from []p2p.ID
		for i := range 100 {
			from = append(from, member(i+1))
		}
		i := 0
		for b.Loop() {
			now = now.Add(time.Second)
			req, err := wire.Marshal(request{Update: &update{Epoch: 1, Seq: uint64(i + 1)}})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.HandleCall(b.Context(), from[i%len(from)], req); err != nil {
				b.Fatal(err)
			}
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	})
	b.Run("new", func(b *testing.B) {
		const each = 100
		s := tracker(b)
		seeds, n := 0, 0
		for b.Loop() {
			b.StopTimer()
			now = now.Add(time.Second)
			u := update{Epoch: 1, Seq: 1}
			for range each {
				one := seed.Seed{Name: fmt.Sprintf("lecture %d.mp4", seeds), Layout: layout, Root: chunk.Hash(number(seeds)), List: chunk.Hash(number(seeds + 1))}
				u.Has = append(u.Has, announcement{ID: one.ID(), Version: 1, Have: have{All: true}, Text: announced(one)})
				seeds++
			}
			req, err := wire.Marshal(request{Update: &u})
			if err != nil {
				b.Fatal(err)
			}
			if n++; n%500 == 0 {
				s.Forget()
			}
			from := member(n)
			b.StartTimer()
			if _, err := s.HandleCall(b.Context(), from, req); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*each/b.Elapsed().Seconds(), "announcements/s")
	})
	b.Run("refused", func(b *testing.B) { // of one member that says too much
		s := tracker(b)
		req, err := wire.Marshal(request{Update: &update{Epoch: 1, Seq: 1}})
		if err != nil {
			b.Fatal(err)
		}
		from := member(1)
		for b.Loop() {
			_, _ = s.HandleCall(b.Context(), from, req)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	})
}

// BenchmarkQuery: how many queries a tracker answers, of a seed with some sources.
func BenchmarkQuery(b *testing.B) {
	for _, n := range []int{8, 32, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			now := start
			s, err := New(b.Context(), Options{ID: member(0), Now: func() time.Time { return now }})
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				u := &update{Epoch: 1, Seq: 1, Has: []announcement{{ID: number(1), Version: 1, Have: have{Count: 40, Runs: []uint32{0, 20, 10, 20}}, Up: uint32(i)}}}
				if _, _, err := s.core.update(now, member(i+1), u); err != nil {
					b.Fatal(err)
				}
			}
			asker := member(5000)
			req, err := wire.Marshal(request{Query: &query{ID: number(1), Want: 16}})
			if err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				if i++; i%callsBurst == 0 {
					s.core.meters = map[p2p.ID]*meter{}
				}
				if _, err := s.HandleCall(b.Context(), asker, req); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
		})
	}
}
