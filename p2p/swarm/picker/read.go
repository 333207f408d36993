package picker

import (
	"slices"
	"time"
)

// A reader is somebody who reads the file while it comes.
type reader struct {
	number      uint32
	first, last int
	ahead       int
}

// maxAhead is how many pieces of one reader are before all others.
const maxAhead = 256

// Urgent tells that a reader is at piece first of a range that ends with last: the next pieces,
// ahead of them at most, come in order and before all others. It is called again when the
// reader gets on. ahead 0 means that the reader has gone.
func (p *Picker) Urgent(now time.Duration, number uint32, first, last, ahead int) {
	i := slices.IndexFunc(p.readers, func(r reader) bool { return r.number == number })
	first, last = max(first, 0), min(last, p.o.Pieces-1)
	r := reader{number, first, last, min(ahead, maxAhead)}
	switch {
	case ahead <= 0 && i < 0:
		return
	case ahead <= 0:
		p.readers = slices.Delete(p.readers, i, i+1)
	case i < 0:
		p.readers = append(p.readers, r)
	default:
		p.readers[i] = r
	}
	if !p.all {
		p.rewant(now)
	}
}

// serveReaders asks for what readers wait for, of whoever sends it first. Windows are exceeded
// by two pieces for that.
func (p *Picker) serveReaders(now time.Duration) {
	for _, r := range p.readers {
		for piece := r.first; piece <= min(r.last, r.first+r.ahead-1); piece++ {
			if p.here.has(piece) {
				continue
			}
			a := p.asked[int32(piece)]
			if a.n > Duplicates || a.n > 0 && !p.affords(piece) {
				continue
			}
			s := p.soonest(now, piece, a)
			if s == nil {
				continue
			}
			p.ask(now, s, piece)
		}
	}
}

// soonest is the source that sends a piece first, nil if none can be asked or those that are
// asked are expected to need no more than twice as long.
func (p *Picker) soonest(now time.Duration, piece int, a asking) *source {
	bound := Never
	for _, s := range a.by[:a.n] {
		bound = min(bound, (p.eta(s, 0)-s.rtt.min())/2)
	}
	var best *source
	for _, s := range p.sources {
		if !s.has(piece) || s.until > now || s.snubbed || a.includes(s) || p.room(s) <= -2*p.o.PieceLen ||
			s.info.Limit > 0 && len(s.asks) >= s.info.Limit {
			continue
		}
		if eta := p.eta(s, p.size(piece)); eta < bound {
			best, bound = s, eta
		}
	}
	return best
}

// runLen is how many bytes side by side a mirror is asked for before it is sent elsewhere.
const runLen = 8 << 20

// side is the piece that a mirror is to be asked for: the next one of its run, or the first one
// of a new run, for which it looks at some places and takes the one with most room.
func (p *Picker) side(s *source, have *index, last int) int {
	fits := func(piece int) bool {
		return piece >= 0 && piece < p.o.Pieces && p.open.has(piece) && (have == nil || have.has(piece)) &&
			classOf(p.common[piece]) <= last
	}
	if s.run > 0 && fits(s.run) {
		return s.run
	}
	best, longest := -1, 0
	for range 8 {
		at := -1
		for c := 0; c <= last && at < 0; c++ {
			if p.classes[c].count > 0 {
				at = choose(&p.classes[c], have, 0, p.o.Pieces, p.rng.Uint64())
			}
		}
		if at < 0 {
			return -1
		}
		for back := 0; back*p.o.PieceLen < runLen && fits(at-1); back++ {
			at--
		}
		n := 1
		for n*p.o.PieceLen < runLen && fits(at+n) {
			n++
		}
		if n > longest {
			best, longest = at, n
		}
	}
	return best
}
