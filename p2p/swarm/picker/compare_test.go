package picker_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
)

var compare = flag.Bool("picker.compare", false, "compare with simple policies (a table for BENCHMARKS.md)")

// A simple is a policy to compare with. It asks for every piece once, and again only if the
// source leaves or refuses.
type simple struct {
	kind    string // random, rarest or sequential
	window  int    // pieces asked of a source at once; sequential: of all together
	n       int
	first   int // sequential: the first piece of the own slice
	rng     *rand.Rand
	sources []*simpleSource
	here    *picker.Bitmap
	asked   []int // by piece: 1 + the source that is asked for it
	asks    int
	count   []int // how many have a piece
	missing int
}

type simpleSource struct {
	number picker.Source
	have   *picker.Bitmap
	asks   int
}

func newSimple(kind string, window int) func(w *world, i, slice, slices int) decider {
	return func(w *world, i, slice, slices int) decider {
		n := w.c.pieces()
		return &simple{
			kind: kind, window: window, n: n, first: n * slice / max(slices, 1), rng: rand.New(rand.NewPCG(w.c.seed, uint64(i))),
			here: picker.NewBitmap(n), asked: make([]int, n), count: make([]int, n), missing: n,
		}
	}
}

func (p *simple) source(number picker.Source) *simpleSource {
	for _, s := range p.sources {
		if s.number == number {
			return s
		}
	}
	return nil
}

func (p *simple) Join(_ time.Duration, s picker.Source, _ picker.Info) {
	p.sources = append(p.sources, &simpleSource{number: s, have: picker.NewBitmap(p.n)})
}

func (p *simple) Leave(_ time.Duration, s picker.Source) {
	p.sources = slices.DeleteFunc(p.sources, func(o *simpleSource) bool { return o.number == s })
	for piece, by := range p.asked {
		if by == 1+int(s) {
			p.asked[piece] = 0
			p.asks--
		}
	}
}

func (p *simple) Bad(now time.Duration, s picker.Source, _ int) { p.Leave(now, s) }

func (p *simple) Has(_ time.Duration, number picker.Source, pieces ...int) {
	s := p.source(number)
	for _, piece := range pieces {
		s.have.Set(piece)
		p.count[piece]++
	}
}

func (p *simple) HasAll(now time.Duration, number picker.Source, have *picker.Bitmap) {
	for piece := range p.n {
		if have == nil || have.Has(piece) {
			p.Has(now, number, piece)
		}
	}
}

func (p *simple) Arrived(now time.Duration, number picker.Source, piece int) {
	if !p.here.Has(piece) {
		p.here.Set(piece)
		p.missing--
	}
	p.Refused(now, number, piece)
}

func (p *simple) Refused(_ time.Duration, number picker.Source, piece int) {
	if p.asked[piece] == 1+int(number) {
		p.asked[piece] = 0
		p.asks--
		if s := p.source(number); s != nil {
			s.asks--
		}
	}
}

func (p *simple) Done() bool { return p.missing == 0 }

func (p *simple) Decide(time.Duration) picker.Plan {
	plan := picker.Plan{Wake: picker.Never}
	ask := func(s *simpleSource, piece int) {
		p.asked[piece] = 1 + int(s.number)
		p.asks++
		s.asks++
		plan.Ask = append(plan.Ask, picker.Request{Source: s.number, Piece: piece})
	}
	free := func(piece int) bool { return p.asked[piece] == 0 && !p.here.Has(piece) }
	if p.kind == "sequential" {
		for i := 0; i < p.n && p.asks < p.window; i++ {
			piece := (p.first + i) % p.n
			if !free(piece) {
				continue
			}
			var least *simpleSource
			for _, s := range p.sources {
				if s.have.Has(piece) && (least == nil || s.asks < least.asks) {
					least = s
				}
			}
			if least != nil {
				ask(least, piece)
			}
		}
		return plan
	}
	for _, s := range p.sources {
		for s.asks < p.window {
			best, rarest, ties := -1, 0, 0
			for piece := range p.n {
				if !free(piece) || !s.have.Has(piece) {
					continue
				}
				count := 0
				if p.kind == "rarest" {
					count = p.count[piece]
				}
				if best < 0 || count < rarest {
					best, rarest, ties = piece, count, 1
				} else if count == rarest {
					if ties++; p.rng.IntN(ties) == 0 {
						best = piece
					}
				}
			}
			if best < 0 {
				break
			}
			ask(s, best)
		}
	}
	return plan
}

// TestCompare prints how long the same swarms take with simple policies.
func TestCompare(t *testing.T) {
	if !*compare {
		t.Skip("without -picker.compare")
	}
	speeds := half(16, 5*mbit, 50*mbit)
	for _, k := range []struct {
		name string
		c    config
	}{
		{"16 equal", lecture(16, equal(16, 20*mbit), equal(16, 20*mbit), 20*mbit)},
		{"32 equal", lecture(32, equal(32, 20*mbit), equal(32, 20*mbit), 20*mbit)},
		{"16, half of them ten times as fast", lecture(16, speeds, speeds, 50*mbit)},
		{"16, half of the uplinks ten times as fast", lecture(16, speeds, equal(16, 200*mbit), 50*mbit)},
	} {
		for _, policy := range []struct {
			name    string
			decider func(w *world, i, slice, slices int) decider
		}{
			{"picker", real},
			{"rarest first", newSimple("rarest", 4)},
			{"random", newSimple("random", 4)},
			{"own slice, then in order, of whom least is asked", newSimple("sequential", 32)},
		} {
			var all result
			for s := range *seeds {
				c := k.c
				c.seed, c.decider, c.weigh = *first+uint64(s), policy.decider, true
				w := newWorld(c)
				if !w.run() {
					t.Fatalf("%s, %s: not finished", k.name, policy.name)
				}
				all = all.worst(w.result())
			}
			fmt.Printf("| %s | %s | %.2f / %.2f | %.2f | %.2f %% |\n", k.name, policy.name, all.median, all.last, all.origin, 100*all.waste)
		}
	}
}
