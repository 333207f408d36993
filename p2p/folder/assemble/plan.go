package assemble

import (
	"encoding/binary"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// Run is a run of chunks of the new version.
type Run struct{ First, N int }

// end returns the chunk after the run.
func (r Run) end() int { return r.First + r.N }

// Place is where the bytes of a chunk are on this node.
type Place struct {
	File   int   // the caller's number of a file; Base is that of the base
	Offset int64 // in bytes
}

// Base is the number of the base among the files.
const Base = 0

// Copy is a run of chunks that are one after the other in a file that is here.
type Copy struct {
	Run
	Place
}

// Gap is a run of chunks that are nowhere here, with the parts of the base that they were
// probably made from.
type Gap struct {
	Run
	Old []Extent
	// Flush: what comes after the gap is what comes after Old in the base.
	Flush bool
}

// Extent is a part of a file, in bytes.
type Extent struct{ Offset, Length int64 }

// End returns where the part ends.
func (e Extent) End() int64 { return e.Offset + e.Length }

// Repeat is a chunk of the new version that is equal to one before it that is not here yet.
type Repeat struct{ Chunk, Of int }

// Plan says how a version is put together. Each chunk that is not there already is in
// exactly one of its parts, which are in the order of the new version.
type Plan struct {
	Copies  []Copy
	Gaps    []Gap
	Fetch   []Run
	Repeats []Repeat // for the end, when the rest is there
}

// Sources is what is on this node.
type Sources struct {
	Base      *chunk.Manifest           // nil: none
	Elsewhere func(i int) (Place, bool) // where chunk i of the new version is besides; nil: nowhere
	Have      func(i int) bool          // chunk i of the new version is in its place already; nil: none is
}

// Make plans the version that a manifest describes.
func Make(m *chunk.Manifest, s Sources) Plan {
	p := planner{m: m, s: s, old: match(m, s.Base)}
	missing := map[uint64]int{}
	for i := 0; i < m.Len(); i++ {
		if s.Have != nil && s.Have(i) {
			p.close(i)
			continue
		}
		if at, ok := p.here(i); ok {
			p.close(i)
			p.copy(i, at)
			continue
		}
		k := key(m.Chunk(i).Hash)
		if of, ok := missing[k]; ok && m.Chunk(of).Hash == m.Chunk(i).Hash {
			p.close(i)
			p.plan.Repeats = append(p.plan.Repeats, Repeat{i, of})
			continue
		}
		missing[k] = i
		if p.open.N == 0 {
			p.open.First = i
		}
		p.open.N++
	}
	p.close(m.Len())
	return p.plan
}

type planner struct {
	m    *chunk.Manifest
	s    Sources
	old  []int32 // of each new chunk the one of the base that is equal, or none
	open Run     // chunks that are not here, up to the one looked at
	plan Plan
}

const none = -1

// match finds for each chunk of m an equal one of the base. Of several it takes the one
// after the last, so that runs stay runs.
func match(m, base *chunk.Manifest) []int32 {
	old := make([]int32, m.Len())
	var index map[uint64]int32
	if base != nil {
		index = make(map[uint64]int32, base.Len())
		for i := base.Len() - 1; i >= 0; i-- { // the first of several stays
			index[key(base.Chunk(i).Hash)] = int32(i)
		}
	}
	next := 0
	for i := range old {
		old[i] = none
		h := m.Chunk(i).Hash
		j, ok := index[key(h)]
		if base != nil && next < base.Len() && base.Chunk(next).Hash == h {
			j, ok = int32(next), true
		}
		if ok && base.Chunk(int(j)).Hash == h {
			old[i], next = j, int(j)+1
		}
	}
	return old
}

// key is enough of a hash to find it by; the rest is compared.
func key(h chunk.Hash) uint64 { return binary.LittleEndian.Uint64(h[:]) }

// here returns where chunk i is on this node.
func (p *planner) here(i int) (Place, bool) {
	if j := p.old[i]; j != none {
		return Place{Base, p.s.Base.Chunk(int(j)).Offset}, true
	}
	if p.s.Elsewhere == nil {
		return Place{}, false
	}
	return p.s.Elsewhere(i)
}

// copy adds chunk i, which is at a place.
func (p *planner) copy(i int, at Place) {
	if n := len(p.plan.Copies); n > 0 {
		last := &p.plan.Copies[n-1]
		c := p.m.Chunk(last.First)
		if last.end() == i && last.File == at.File && last.Offset+p.m.Chunk(i).Offset-c.Offset == at.Offset {
			last.N++
			return
		}
	}
	p.plan.Copies = append(p.plan.Copies, Copy{Run{i, 1}, at})
}

// close ends the run of what is not here before chunk i.
func (p *planner) close(i int) {
	r := p.open
	p.open = Run{}
	if r.N == 0 {
		return
	}
	if g := p.gap(r); len(g.Old) > 0 {
		p.plan.Gaps = append(p.plan.Gaps, g)
		return
	}
	p.plan.Fetch = append(p.plan.Fetch, r)
}

// By how much more than a gap's own length is looked at of the base: margin where the equal
// chunks next to it tell where that is, slack where it has to be guessed.
const (
	margin = 16 << 10
	slack  = 128 << 10
)

// gap finds the parts of the base between the chunks that are next to a run on both
// sides.
func (p *planner) gap(r Run) Gap {
	g := Gap{Run: r}
	base := p.s.Base
	if base == nil {
		return g
	}
	at, length := span(p.m, r)
	from, to := int64(0), base.Size()
	left, right := p.nearest(r.First-1, -1), p.nearest(r.end(), 1)
	switch {
	case left != none:
		c := base.Chunk(int(p.old[left]))
		from = c.Offset + int64(c.Length)
	case r.First > 0: // it is not known where in the base this is: where it is in the new version
		from = min(max(0, at-slack), base.Size())
	}
	switch {
	case right != none:
		to = base.Chunk(int(p.old[right])).Offset
		g.Flush = right == r.end()
	case r.end() < p.m.Len():
		to = min(base.Size(), from+length+2*slack)
	}
	if to == from {
		return g // it was put in between
	}
	most := length + margin
	switch {
	case to < from: // what follows has another place in the base
		g.Old = []Extent{{from, min(most, base.Size()-from)}, {max(0, to-most), min(most, to)}}
	case to-from > 2*most: // much was taken out: what is left of it was at its ends
		g.Old = []Extent{{from, most}, {to - most, most}}
	default:
		g.Old = []Extent{{from, to - from}}
	}
	g.Old = slices.DeleteFunc(g.Old, func(e Extent) bool { return e.Length == 0 })
	return g
}

// span returns where a run begins in the new version, and how long it is.
func span(m *chunk.Manifest, r Run) (offset, length int64) {
	first, last := m.Chunk(r.First), m.Chunk(r.end()-1)
	return first.Offset, last.Offset + int64(last.Length) - first.Offset
}

// near is how far away an equal chunk may be to say where in the base a gap belongs.
const near = 64

// nearest returns the first chunk from i on in a direction that the base has, or none.
func (p *planner) nearest(i, step int) int {
	for n := 0; n < near && i >= 0 && i < len(p.old); n++ {
		if p.old[i] != none {
			return i
		}
		i += step
	}
	return none
}
