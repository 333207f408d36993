package picker

import (
	"math"
	"math/rand/v2"
	"time"
)

// Source is somebody who may have pieces, by the caller's number.
type Source uint32

// Info is what is known about a source when it joins.
type Info struct {
	// RTT is its round-trip time, 0 if that is not known yet.
	RTT time.Duration
	// Origin: it had the whole file before the others began. It is asked for what nobody else
	// has, and for the rest only if the others are slow.
	Origin bool
	// Relayed: the way to it costs others; it is asked for what nobody else has, and for the
	// rest only if the others are slow.
	Relayed bool
	// Mirror: a server that is best asked for pieces that lie side by side.
	Mirror bool
	// Limit is how many pieces it wants to be asked for at once, 0: no limit.
	Limit int
}

// Options say what is to be downloaded.
type Options struct {
	// Pieces is how many pieces the file has, PieceLen how long each of them but the last is,
	// Size how long they are together.
	Pieces   int
	PieceLen int
	Size     int64
	// Have is what is here already, nil: nothing. It is read by New only.
	Have *Bitmap
	// Seed decides between what is equally good. Downloaders of one file should have different
	// ones.
	Seed uint64
	// Idle: nothing is wanted until Want or Urgent say so.
	Idle bool
}

// Request asks a source for a piece.
type Request struct {
	Source Source
	Piece  int
}

// Plan is what to do now: first cancel, then ask. Its slices are the picker's own and hold until
// the next call of Decide.
type Plan struct {
	Cancel []Request // to be told to sources that are still there; what comes nevertheless is welcome
	Ask    []Request
	// Wake is when to call Decide at the latest if nothing happens before; Never if something
	// has to.
	Wake time.Duration
}

// Never is later than all times.
const Never = time.Duration(math.MaxInt64)

// State is what is known of a piece.
type State uint8

// States of a piece.
const (
	Missing State = iota // nobody is asked for it
	Asked                // somebody is asked for it
	Here                 // it has arrived
)

// Duplicates is how many sources at most are asked for a piece besides the first.
const Duplicates = 2

// asking is who is asked for a piece.
type asking struct {
	n  int
	by [1 + Duplicates]*source
}

// Picker decides for one download. Create one with New.
type Picker struct {
	o   Options
	rng *rand.PCG

	here    index
	wanted  index            // whole file, or what Want and readers say
	asked   map[int32]asking // pieces that somebody is asked for
	common  []uint16         // of each piece that is not here: how many partial sources have it, relayed ones not counted
	classes [classes]index   // the pieces that are wanted, not here and not asked, by class of common
	open    index            // the union of classes
	missing int              // wanted and not here

	sources  []*source // in the order of joining
	byNumber map[Source]*source
	banned   map[Source]bool
	ready    []*source // those to look at in the next Decide

	full   int // how many sources that are neither relayed nor origins have all
	origin int // how many origins that are not relayed have all

	slice [2]int // of the pieces that only the origin has, which to take first: from, to

	all     bool // all is wanted
	want    []Range
	readers []reader

	goodput     float64       // of all that are asked for something, when last summed up
	better      [3]float64    // of those of a better rank than the index
	typical     float64       // the mean of those whose goodput is known
	slowest     time.Duration // the longest eta, and whether a snubbed source is asked for something: as of then
	snubs       bool
	sweepAt     time.Duration // when to look at all sources again
	outstanding int64         // bytes asked for
	stuck       int64         // of them, of snubbed sources
	apart       int           // pieces that origins and relayed sources are asked for
	rate        meter         // of all sources together
	metered     time.Duration // up to when rate was measured
	waste       int64         // bytes that were not needed
	risk        int64         // bytes asked for a second or third time

	plan, spare Plan // being made, and the buffers of the next
}

// Range is the pieces from First to Last, both included.
type Range struct{ First, Last int }

// New returns a picker for a download in which nobody has joined yet.
func New(o Options) *Picker {
	o.Pieces = max(o.Pieces, 0)
	p := &Picker{
		o:        o,
		rng:      rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15),
		here:     newIndex(o.Pieces),
		wanted:   newIndex(o.Pieces),
		open:     newIndex(o.Pieces),
		asked:    map[int32]asking{},
		common:   make([]uint16, o.Pieces),
		byNumber: map[Source]*source{},
		banned:   map[Source]bool{},
		sweepAt:  Never,
		all:      !o.Idle,
	}
	if o.Have != nil {
		for i := range o.Pieces {
			if o.Have.Has(i) {
				p.here.set(i)
			}
		}
	}
	if p.all {
		for i := range o.Pieces {
			p.wanted.set(i)
			if !p.here.has(i) {
				p.missing++
				p.openUp(i)
			}
		}
	}
	return p
}

// size is how long a piece is.
func (p *Picker) size(piece int) int {
	if piece == p.o.Pieces-1 {
		return int(p.o.Size - int64(piece)*int64(p.o.PieceLen))
	}
	return p.o.PieceLen
}

// Missing is how many wanted pieces are not here.
func (p *Picker) Missing() int { return p.missing }

// Done reports whether all that is wanted is here.
func (p *Picker) Done() bool { return p.missing == 0 }

// State is what is known of a piece, and who is asked for it.
func (p *Picker) State(piece int) (State, []Source) {
	if uint(piece) >= uint(p.o.Pieces) {
		return Missing, nil
	}
	if p.here.has(piece) {
		return Here, nil
	}
	a, ok := p.asked[int32(piece)]
	if !ok {
		return Missing, nil
	}
	by := make([]Source, a.n)
	for i := range by {
		by[i] = a.by[i].number
	}
	return Asked, by
}

// Waste is how many bytes came although they were not needed: twice, or wrong, or in part and
// then cancelled.
func (p *Picker) Waste() int64 { return p.waste }

// Join adds a source, of which nothing is known but info: it has no pieces before Has or HasAll
// say so. One that was bad does not join again, and one that is there stays as it is.
func (p *Picker) Join(now time.Duration, number Source, info Info) {
	if p.banned[number] || p.byNumber[number] != nil {
		return
	}
	s := &source{number: number, info: info, have: newIndex(p.o.Pieces), heard: now, metered: now}
	if info.RTT > 0 {
		s.rtt.add(now, info.RTT)
	}
	p.byNumber[number] = s
	p.sources = append(p.sources, s)
}

// Leave removes a source. What it was asked for is asked of others.
func (p *Picker) Leave(now time.Duration, number Source) {
	if s := p.byNumber[number]; s != nil {
		p.remove(now, s)
	}
}

// Bad tells that a piece that a source sent did not verify. The source is never asked again,
// not for other pieces either.
func (p *Picker) Bad(now time.Duration, number Source, piece int) {
	p.banned[number] = true
	if s := p.byNumber[number]; s != nil {
		for _, a := range s.asks {
			if int(a.piece) != piece {
				p.plan.Cancel = append(p.plan.Cancel, Request{number, int(a.piece)})
			}
		}
		p.waste += int64(p.size(min(max(piece, 0), p.o.Pieces-1)))
		p.remove(now, s)
	}
}

func (p *Picker) remove(now time.Duration, s *source) {
	for len(s.asks) > 0 {
		p.release(now, s, len(s.asks)-1)
	}
	if s.full {
		p.countFull(s, -1)
	} else if s.counted() {
		p.countAll(s, -1)
	}
	delete(p.byNumber, s.number)
	for i, other := range p.sources {
		if other == s {
			p.sources = append(p.sources[:i], p.sources[i+1:]...)
			break
		}
	}
	s.gone = true
	for _, other := range p.sources {
		p.wake(other) // what it had may now be theirs to send
	}
}

// Has tells that a source has pieces, besides those that it had before.
func (p *Picker) Has(now time.Duration, number Source, pieces ...int) {
	s := p.byNumber[number]
	if s == nil || s.full {
		return
	}
	for _, piece := range pieces {
		if uint(piece) < uint(p.o.Pieces) && !s.refused(piece) {
			p.gain(now, s, piece)
		}
	}
}

// HasAll tells that a source has what is in the set, besides what it had before; nil: all
// pieces.
func (p *Picker) HasAll(now time.Duration, number Source, have *Bitmap) {
	s := p.byNumber[number]
	if s == nil || s.full {
		return
	}
	if have != nil && (have.n != p.o.Pieces || have.Count() < have.n) {
		for w, word := range have.words {
			for ; word != 0; word &= word - 1 {
				if piece := w*64 + trailing(word); piece < p.o.Pieces && !s.refused(piece) {
					p.gain(now, s, piece)
				}
			}
		}
		return
	}
	if len(s.refusals) > 0 {
		for piece := range p.o.Pieces {
			if !s.refused(piece) {
				p.gain(now, s, piece)
			}
		}
		return
	}
	if s.counted() {
		p.countAll(s, -1)
	}
	s.full, s.dry = true, false
	p.countFull(s, 1)
	p.wake(s)
}

// gain notes that a source has one more piece. A piece that is here already interests nobody.
func (p *Picker) gain(now time.Duration, s *source, piece int) {
	if p.here.has(piece) || s.have.has(piece) {
		return
	}
	s.have.set(piece)
	if s.counted() {
		p.recount(piece, 1)
	}
	if p.open.has(piece) {
		s.dry = false
		p.wake(s)
	} else if p.apart > 0 && s.rank() == 0 {
		p.rather(now, s, piece)
	}
}

// rather takes a piece back from an origin or a relayed source that has not begun to send it,
// now that s has it too.
func (p *Picker) rather(now time.Duration, s *source, piece int) {
	a, ok := p.asked[int32(piece)]
	if !ok || a.n != 1 || a.by[0].rank() <= s.rank() || !p.spares(a.by[0]) {
		return
	}
	o := a.by[0]
	if i := o.find(piece); i > 0 || o.ahead == 0 && now-o.asks[0].at < o.answer.mean*4/5 {
		p.cancel(now, o, i)
	}
}

// RTT tells a round-trip time that was measured.
func (p *Picker) RTT(now time.Duration, number Source, d time.Duration) {
	if s := p.byNumber[number]; s != nil && d > 0 {
		s.rtt.add(now, d)
	}
}

// Received tells that a part of a piece has come. Who calls it for all bytes lets a picker know
// sooner how fast a source is, and that one is slow and not dead; Arrived counts what is
// missing.
func (p *Picker) Received(now time.Duration, number Source, bytes int) {
	s := p.byNumber[number]
	if s == nil || bytes <= 0 {
		return
	}
	s.receive(now, bytes)
	p.receive(now, bytes)
	s.ahead += bytes
	p.hear(now, s)
}

// receive measures the rate of all together; only time in which something is asked for counts.
func (p *Picker) receive(now time.Duration, bytes int) {
	switch {
	case p.outstanding > 0 && now > p.metered:
		p.rate.add(bytes, now-p.metered)
	case bytes > 0 && p.rate.known():
		p.rate.add(bytes, 0)
	}
	p.metered = max(p.metered, now)
}

// hear notes that a source sends.
func (p *Picker) hear(now time.Duration, s *source) {
	s.heard = now
	s.backoff = 0
	s.until = 0
	if s.snubbed {
		s.snubbed = false
		p.stuck -= int64(s.owed)
		p.wake(s)
	}
}

// Arrived tells that a piece from a source is whole and verified.
func (p *Picker) Arrived(now time.Duration, number Source, piece int) {
	if uint(piece) >= uint(p.o.Pieces) {
		return
	}
	late := p.here.has(piece)
	if !late {
		p.shut(piece)
		p.here.set(piece)
		if p.wanted.has(piece) {
			p.missing--
		}
	}
	if s := p.byNumber[number]; s != nil {
		size := p.size(piece)
		rest := max(size-s.ahead, 0)
		s.receive(now, rest)
		p.receive(now, rest)
		s.ahead = max(s.ahead-size, 0)
		s.arrivals++
		p.hear(now, s)
		if i := s.find(piece); i >= 0 {
			s.answered(now - s.asks[i].at)
			p.release(now, s, i)
		}
		p.wake(s)
	}
	if late {
		p.waste += int64(p.size(piece))
		return
	}
	p.cancelAll(now, piece)
}

// cancelAll takes back a piece from all who are asked for it.
func (p *Picker) cancelAll(now time.Duration, piece int) {
	for {
		a, ok := p.asked[int32(piece)]
		if !ok {
			return
		}
		s := a.by[a.n-1]
		p.cancel(now, s, s.find(piece))
	}
}

// Refused tells that a source will not send a piece, or cannot. It is asked for nothing for a
// little while, longer each time, and for that piece later still.
func (p *Picker) Refused(now time.Duration, number Source, piece int) {
	s := p.byNumber[number]
	if s == nil {
		return
	}
	i := s.find(piece)
	if i < 0 {
		return
	}
	p.release(now, s, i)
	if now >= s.until { // what is refused at the same time is refused once
		s.backoff = min(max(2*s.backoff, minBackoff), maxBackoff)
		s.until = now + s.backoff
	}
	p.lose(s, piece, now+max(10*s.backoff, 2*time.Second))
	p.sweepBy(s.until)
}

// lose takes a piece from what a source has, until a time.
func (p *Picker) lose(s *source, piece int, until time.Duration) {
	if s.full {
		s.full = false
		p.countFull(s, -1)
		for i := range p.o.Pieces {
			if !p.here.has(i) {
				s.have.set(i)
			}
		}
		if s.counted() {
			p.countAll(s, 1)
		}
	}
	if s.have.has(piece) {
		s.have.clear(piece)
		if s.counted() {
			p.recount(piece, -1)
		}
	}
	s.refusals = append(s.refusals, refusal{piece, until})
}

// Slice tells that n downloaders want the same file from the same origin at the same time, and
// that this one is number i of them, the first being 0.
func (p *Picker) Slice(i, n int) {
	if i < 0 || i >= n {
		i, n = 0, 1
	}
	p.Share(float64(i)/float64(n), float64(i+1)/float64(n))
}

// Share is Slice for downloaders of different speed: this one's slice is what lies between two
// fractions of the file. Slices that are as large as their owners are fast are finished at the
// same time, and nobody takes from the origin what another one is about to take.
func (p *Picker) Share(from, to float64) {
	n := float64(p.o.Pieces)
	p.slice = [2]int{int(n * min(max(from, 0), 1)), int(n * min(max(to, 0), 1))}
}

// Want says which pieces are wanted from now on, besides those that somebody reads: no ranges
// means none, All means all.
func (p *Picker) Want(now time.Duration, ranges ...Range) {
	p.want = append(p.want[:0], ranges...)
	p.all = false
	p.rewant(now)
}

// All is the range of all pieces.
var All = Range{0, math.MaxInt}

// rewant makes wanted what is wanted, and looks only at pieces for which that is a change.
func (p *Picker) rewant(now time.Duration) {
	b := NewBitmap(p.o.Pieces)
	for _, r := range p.want {
		b.SetRange(r.First, r.Last)
	}
	if p.all {
		b.SetRange(0, p.o.Pieces-1)
	}
	for _, r := range p.readers {
		b.SetRange(r.first, r.last)
	}
	for w := range b.words {
		for change := b.words[w] ^ p.wanted.words[w]; change != 0; change &= change - 1 {
			piece := w*64 + trailing(change)
			if b.Has(piece) {
				p.wanted.set(piece)
				if !p.here.has(piece) {
					p.missing++
					if _, ok := p.asked[int32(piece)]; !ok {
						p.openUp(piece)
					}
				}
				continue
			}
			p.wanted.clear(piece)
			p.shut(piece)
			if !p.here.has(piece) {
				p.missing--
			}
			p.cancelAll(now, piece)
		}
	}
	for _, s := range p.sources {
		s.dry = false
		p.wake(s)
	}
}
