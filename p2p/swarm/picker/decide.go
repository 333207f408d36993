package picker

import (
	"slices"
	"time"
)

// sweepEvery is how often all sources are looked at while something is asked for.
const sweepEvery = 50 * time.Millisecond

// wake makes Decide look at a source.
func (p *Picker) wake(s *source) {
	if !s.listed && !s.gone {
		s.listed = true
		p.ready = append(p.ready, s)
	}
}

func (p *Picker) sweepBy(t time.Duration) { p.sweepAt = min(p.sweepAt, t) }

// Decide says what to ask for and what to cancel now.
func (p *Picker) Decide(now time.Duration) Plan {
	if now >= p.sweepAt {
		p.sweep(now)
	}
	if p.missing > 0 {
		p.serveReaders(now)
		p.fillReady(now)
	} else {
		p.rest()
	}
	plan := p.plan
	plan.Wake = p.sweepAt
	p.plan = Plan{Cancel: p.spare.Cancel[:0], Ask: p.spare.Ask[:0]}
	p.spare = plan
	return plan
}

// rest forgets whom to look at: nothing is missing.
func (p *Picker) rest() {
	for _, s := range p.ready {
		s.listed = false
	}
	p.ready = p.ready[:0]
	p.sweepAt = Never
}

// fillReady fills the windows of the sources that something has changed for, those first that
// answer soonest. When enough is asked for, the others wait for their turn.
func (p *Picker) fillReady(now time.Duration) {
	for len(p.ready) > 0 && !p.enough() {
		i := p.nearest()
		s := p.ready[i]
		if s.gone || !p.fill(now, s) {
			last := len(p.ready) - 1
			p.ready[i], p.ready[last] = p.ready[last], nil
			p.ready = p.ready[:last]
			s.listed = false
		}
	}
}

// enough reports whether as much is asked for as comes in four seconds. More would only wait
// before the own downlink, where it looks as if others were slow. (Less than what waits at others
// with slow uplinks would be a trap: who asks for less gets less, and then asks for less.) What those owe
// who say nothing is not about to come: sixteen of them would be enough for ever.
func (p *Picker) enough() bool {
	short, _ := p.rate.rates()
	return p.outstanding-p.stuck >= int64(max(int(4*short), 16*p.o.PieceLen, 1<<20))
}

// nearest is the place in ready of the source that is to be asked first: the origin while there
// is something that nobody else has, then whoever sends a piece soonest; spared ones last.
func (p *Picker) nearest() int {
	best, least, rank := 0, Never, 0
	for i, s := range p.ready {
		r := s.rank()
		if r == 1 && p.classes[0].count > 0 && p.full == 0 {
			r = -1
		}
		if i > 0 && r > rank {
			continue
		}
		if eta := p.eta(s, p.o.PieceLen); i == 0 || r < rank || eta < least {
			best, least, rank = i, eta, r
		}
		if len(p.ready) == 1 {
			break
		}
	}
	return best
}

// fill asks a source for one piece, if it has room for one and there is one. It returns false
// if not.
func (p *Picker) fill(now time.Duration, s *source) bool {
	if s.until > now || p.room(s) <= 0 {
		return false
	}
	if piece := p.pick(s); piece >= 0 {
		if !s.snubbed && p.tooSlow(s, piece) {
			p.sweepBy(now + sweepEvery)
			return false
		}
		p.ask(now, s, piece)
		return true
	}
	if s.rank() > 0 && p.spares(s) {
		p.sweepBy(now + sweepEvery)
	}
	return !s.snubbed && (p.steal(now, s) || p.duplicate(now, s))
}

// pick is the piece that a source is to be asked for, -1: it has none that is to be asked for.
func (p *Picker) pick(s *source) int {
	if p.open.count == 0 || s.dry {
		return -1
	}
	have := &s.have
	if s.full {
		have = nil
	}
	last := classes - 1
	if rank := s.rank(); rank > 0 && p.spares(s) {
		// What others have they are to send.
		if p.full > 0 || rank > 1 && p.origin > 0 {
			return -1
		}
		last = 0
	}
	if s.info.Mirror {
		return p.side(s, have, last)
	}
	for c := 0; c <= last; c++ {
		class := &p.classes[c]
		if class.count == 0 {
			continue
		}
		if c == 0 {
			if piece := choose(class, have, p.slice[0], p.slice[1], p.rng.Uint64()); piece >= 0 {
				return piece
			}
			if s.rank() == 1 && p.slice[0] < p.slice[1] && p.hasMore(class.count) {
				continue // what is left belongs to others, who are about to ask for it
			}
		}
		if piece := choose(class, have, 0, p.o.Pieces, p.rng.Uint64()); piece >= 0 {
			return piece
		}
	}
	s.dry = last == classes-1
	return -1
}

// hasMore reports whether there is more than a second's worth to ask others for.
func (p *Picker) hasMore(own int) bool {
	short, _ := p.rate.rates()
	return float64(p.open.count-own)*float64(p.o.PieceLen) > short
}

// help is how much of what the better sources give a spared one has to give to be used like them.
const help = 0.5

// spares reports whether a source is spared: the better ones that are at work now give so much
// more that it would be of little help.
func (p *Picker) spares(s *source) bool {
	better := p.better[s.rank()]
	return better > 0 && p.speed(s) < help*better
}

// tooSlow reports whether a piece is better left to another source that has it, although that
// one is busy now: near the end, when s would be the last to finish.
func (p *Picker) tooSlow(s *source, piece int) bool {
	mine := p.eta(s, p.size(piece))
	rest := seconds(float64(p.open.count) * float64(p.o.PieceLen) / max(p.goodput, 1))
	if mine <= rest*13/10 || p.goodput <= 0 {
		return false
	}
	for _, other := range p.sources {
		if other != s && other.has(piece) && !other.snubbed && len(other.asks) > 0 && other.rank() <= s.rank() &&
			mine > max(rest, p.eta(other, p.size(piece)))*13/10 {
			return true
		}
	}
	return false
}

// steal moves a piece to a source that has nothing to do from the one that needs longest, if that
// is more than twice as long as s needs, and than what all together need for all that is asked
// for: then it is slow, and not just one of many before a downlink that is full. What is first
// with it may be on its way and stays, unless it is snubbed.
func (p *Picker) steal(now time.Duration, s *source) bool {
	var from *source
	var at int
	longest := 2*max(p.eta(s, p.o.PieceLen), 2*p.outstandingTime()) + s.rtt.min()
	if p.slowest <= longest && !p.snubs {
		return false
	}
	for _, other := range p.sources {
		if other == s || len(other.asks) == 0 || other.rank() < s.rank() && !other.snubbed && p.spares(s) {
			continue
		}
		eta := p.eta(other, 0)
		if eta <= longest && !other.snubbed {
			continue
		}
		least := 0
		if !other.snubbed && (other.ahead > 0 || !p.affords(p.o.Pieces-1)) {
			least = 1
		}
		for i := len(other.asks) - 1; i >= least; i-- {
			if piece := other.asks[i].piece; s.has(int(piece)) && p.asked[piece].only(other.snubbed) && !p.asked[piece].includes(s) {
				from, at, longest = other, i, eta
				break
			}
		}
	}
	if from == nil {
		return false
	}
	piece := int(from.asks[at].piece)
	p.cancel(now, from, at)
	p.ask(now, s, piece)
	return true
}

// outstandingTime is how long all that is asked for takes at the rate of the last second.
func (p *Picker) outstandingTime() time.Duration {
	short, _ := p.rate.rates()
	return seconds(float64(p.outstanding) / max(short, 1))
}

// duplicate asks a source for what others are asked for already, when nothing else is left to do
// and no more is missing than comes in a round trip.
func (p *Picker) duplicate(now time.Duration, s *source) bool {
	short, _ := p.rate.rates()
	tail := short * (s.rtt.min() + 50*time.Millisecond).Seconds()
	if p.open.count > 0 || len(s.asks) > 0 || p.missing > max(2, int(tail)/max(p.o.PieceLen, 1)) {
		return false
	}
	best := -1
	mine := max(p.eta(s, p.o.PieceLen), 2*p.outstandingTime())
	longest := mine + max(mine/2, s.rtt.min())
	if p.slowest <= longest {
		return false
	}
	for _, other := range p.sources {
		if other == s || len(other.asks) == 0 {
			continue
		}
		eta := p.eta(other, 0)
		if eta <= longest {
			continue
		}
		for i := len(other.asks) - 1; i >= 0; i-- {
			piece := int(other.asks[i].piece)
			if a := p.asked[int32(piece)]; s.has(piece) && a.n <= Duplicates && p.affords(piece) {
				best, longest = piece, eta
				break
			}
		}
	}
	if best < 0 {
		return false
	}
	p.ask(now, s, best)
	return true
}

// affords reports whether one more may be asked for a piece: no more than half a per cent of the
// file comes twice, or two pieces.
func (p *Picker) affords(piece int) bool {
	return p.waste+p.risk+int64(p.size(piece)) <= max(p.o.Size/200, 2*int64(p.o.PieceLen))
}

// only reports whether one source alone is asked, or if snubbed is true, snubbed ones alone.
func (a asking) only(snubbed bool) bool {
	if !snubbed {
		return a.n == 1
	}
	return !slices.ContainsFunc(a.by[:a.n], func(s *source) bool { return !s.snubbed })
}

func (a asking) includes(s *source) bool { return slices.Contains(a.by[:a.n], s) }

// ask asks.
func (p *Picker) ask(now time.Duration, s *source, piece int) {
	p.shut(piece)
	s.receive(now, 0)
	p.receive(now, 0)
	if len(s.asks) == 0 {
		s.heard = now
	}
	a := p.asked[int32(piece)]
	if a.n > 0 {
		p.risk += int64(p.size(piece))
	}
	a.by[a.n] = s
	a.n++
	p.asked[int32(piece)] = a
	s.asks = append(s.asks, ask{int32(piece), now})
	if s.info.Origin || s.info.Relayed {
		p.apart++
	}
	s.owed += p.size(piece)
	p.outstanding += int64(p.size(piece))
	if s.snubbed {
		p.stuck += int64(p.size(piece))
	}
	s.run = piece + 1
	p.plan.Ask = append(p.plan.Ask, Request{s.number, piece})
	p.sweepBy(now + sweepEvery)
}

// cancel takes back what a source was asked for, by its place in asks.
func (p *Picker) cancel(now time.Duration, s *source, i int) {
	r := Request{s.number, int(s.asks[i].piece)}
	if j := slices.Index(p.plan.Ask, r); j >= 0 {
		p.plan.Ask = slices.Delete(p.plan.Ask, j, j+1)
	} else {
		p.plan.Cancel = append(p.plan.Cancel, r)
		if i == 0 && s.ahead > 0 {
			p.waste += int64(min(s.ahead, p.size(r.Piece)))
			s.ahead = 0
		}
	}
	p.release(now, s, i)
	if s.snubbed {
		s.until = now + p.patience(s)
		p.sweepBy(s.until)
	}
	p.wake(s)
}

// release forgets that a source was asked for a piece, by its place in asks. If nobody else is
// asked, it can be asked for again.
func (p *Picker) release(now time.Duration, s *source, i int) {
	s.receive(now, 0)
	p.receive(now, 0)
	piece := s.asks[i].piece
	s.asks = slices.Delete(s.asks, i, i+1)
	if s.info.Origin || s.info.Relayed {
		p.apart--
	}
	s.owed -= p.size(int(piece))
	p.outstanding -= int64(p.size(int(piece)))
	if s.snubbed {
		p.stuck -= int64(p.size(int(piece)))
	}
	s.ahead = min(s.ahead, s.owed)
	a := p.asked[piece]
	j := slices.Index(a.by[:a.n], s)
	a.n--
	a.by[j], a.by[a.n] = a.by[a.n], nil
	if a.n > 0 {
		p.risk -= int64(p.size(int(piece)))
		p.asked[piece] = a
		return
	}
	delete(p.asked, piece)
	if p.wanted.has(int(piece)) && !p.here.has(int(piece)) {
		p.openUp(int(piece))
		for _, other := range p.sources {
			if other.has(int(piece)) {
				other.dry = false
				p.wake(other)
			}
		}
	}
}

// sweep looks at all sources: who is silent for too long, whose pause is over, how fast all are
// together, and who could help.
func (p *Picker) sweep(now time.Duration) {
	p.sweepAt = Never
	p.goodput, p.typical = 0, 0
	p.better = [3]float64{}
	p.slowest, p.snubs = 0, false
	known := 0
	for _, s := range p.sources {
		s.receive(now, 0)
		p.settle(now, s)
		if len(s.asks) > 0 {
			p.slowest = max(p.slowest, p.eta(s, 0))
			p.snubs = p.snubs || s.snubbed
		}
		if !s.rate.known() {
			continue
		}
		g := p.speed(s)
		p.typical += g
		known++
		if len(s.asks) > 0 && !s.snubbed {
			p.goodput += g
			for rank := s.rank() + 1; rank < len(p.better); rank++ {
				p.better[rank] += g
			}
		}
	}
	if known > 0 {
		p.typical /= float64(known)
	}
	for _, s := range p.sources {
		p.wake(s)
	}
	if len(p.asked) > 0 {
		p.sweepBy(now + sweepEvery)
	}
}

// settle does what is due for a source.
func (p *Picker) settle(now time.Duration, s *source) {
	for i := 0; i < len(s.refusals); {
		r := s.refusals[i]
		if r.until > now {
			p.sweepBy(r.until)
			i++
			continue
		}
		s.refusals = slices.Delete(s.refusals, i, i+1)
		p.gain(now, s, r.piece)
	}
	if s.until > now {
		p.sweepBy(s.until)
	}
	if len(s.asks) > 0 && !s.snubbed && now-s.heard >= p.patience(s) {
		s.snubbed = true
		p.stuck += int64(s.owed)
		for len(s.asks) > 1 {
			p.cancel(now, s, len(s.asks)-1)
		}
	}
}
