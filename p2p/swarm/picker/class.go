package picker

import (
	"math/bits"
)

// classes of availability: 0, 1, 2, 3, 4, 5–6, 7–8, 9–12, 13–16, 17–24 and so on, two for each
// doubling, the last with all above.
const classes = 16

func classOf(common uint16) int {
	if common <= 4 {
		return int(common)
	}
	c := uint(common - 1)
	n := bits.Len(c) // 3 for 4..7
	return min(5+2*(n-3)+int(c>>(n-2)&1), classes-1)
}

func trailing(w uint64) int { return bits.TrailingZeros64(w) }

// openUp makes a piece one that can be asked for.
func (p *Picker) openUp(piece int) {
	p.open.set(piece)
	p.class(piece).set(piece)
}

// shut takes a piece from those that can be asked for.
func (p *Picker) shut(piece int) {
	if p.open.has(piece) {
		p.open.clear(piece)
		p.class(piece).clear(piece)
	}
}

func (p *Picker) class(piece int) *index {
	c := &p.classes[classOf(p.common[piece])]
	if c.words == nil {
		*c = newIndex(p.o.Pieces)
	}
	return c
}

// recount changes how many have a piece.
func (p *Picker) recount(piece, by int) {
	old := p.common[piece]
	n := uint16(int(old) + by)
	if p.open.has(piece) && classOf(n) != classOf(old) {
		p.class(piece).clear(piece)
		p.common[piece] = n
		p.class(piece).set(piece)
		return
	}
	p.common[piece] = n
}

// countAll changes how many have the pieces that a source has. Those that are here count for
// nothing.
func (p *Picker) countAll(s *source, by int) {
	for w, word := range s.have.words {
		for word &^= p.here.words[w]; word != 0; word &= word - 1 {
			p.recount(w*64+trailing(word), by)
		}
	}
}

func (p *Picker) countFull(s *source, by int) {
	switch {
	case s.info.Relayed:
	case s.info.Origin:
		p.origin += by
	default:
		p.full += by
	}
}
