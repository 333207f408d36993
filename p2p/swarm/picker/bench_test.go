package picker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkArrived is what one piece costs: its arrival, the news of it at another source, and
// the plan; with 100 sources that have a half of all pieces each.
func BenchmarkArrived(b *testing.B) {
	for _, pieces := range []int{1 << 12, 1 << 17, 1 << 22} {
		b.Run(fmt.Sprint(pieces), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			make := func() (*Picker, []Request) {
				p := New(Options{Pieces: pieces, PieceLen: 1 << 20, Size: int64(pieces) << 20, Seed: 1})
				for s := range Source(100) {
					p.Join(0, s, Info{RTT: 20 * ms, Origin: s == 0})
					if s == 0 {
						p.HasAll(0, s, nil)
						continue
					}
					have := NewBitmap(pieces)
					for w := range have.words {
						have.words[w] = rng.Uint64()
					}
					p.HasAll(0, s, have)
				}
				return p, append([]Request(nil), p.Decide(0).Ask...)
			}
			p, asked := make()
			now := time.Duration(0)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				if p.Missing() < pieces/2 || len(asked) == 0 {
					b.StopTimer()
					p, asked = make()
					b.StartTimer()
				}
				i := rng.IntN(len(asked))
				r := asked[i]
				asked[i] = asked[len(asked)-1]
				asked = asked[:len(asked)-1]
				now += 100 * time.Microsecond
				if st, _ := p.State(r.Piece); st == Asked {
					p.Arrived(now, r.Source, r.Piece)
				}
				p.Has(now, Source(1+rng.IntN(99)), rng.IntN(pieces))
				asked = append(asked, p.Decide(now).Ask...)
			}
		})
	}
}
