package exchange

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
)

// portions is what is brought whole, cut into parts of about the same length, and who brings them:
// a picker decides whom to ask for how many, and when.
//
// The picker's pieces have one length, chunks have not. While all who are asked have all chunks, a
// piece is only a number at first: which portion it stands for is decided when a request for it
// begins, and it is the next one of the file. Whoever is asked reads on from where it is, then, the
// file is written in its order, and what comes side by side goes in one request. That begins where
// nobody else does who may want the content now (from).
//
// As soon as one is asked that is bringing the content too, and has a part of it, each piece stands for
// a portion at once (settle), so that the picker can be told who has which, and others have other parts
// first: that is worth more than the order.
//
// All of it is guarded by update.mu.
type portions struct {
	picker  *picker.Picker
	began   time.Time // from which the picker's time counts
	cut     []portion // in the order in which they are brought
	of      []int     // the portion of each piece; unbound: none yet
	taken   []bool    // portions that pieces stand for
	next    int       // the portion that a piece stands for next, or one before it
	ordered []bool    // chunks that are in a portion
	senders map[picker.Source]*sender
	number  picker.Source

	settled bool  // all pieces stand for portions
	pieces  []int // then, of each chunk: the piece in whose portion it is; unbound: none
	sorted  []int // then: pieces that stood for none before, in the order of the file
	split   bool  // portions for which nobody was asked have one chunk each
}

// portion is some chunks of a content.
type portion []assemble.Run

const unbound = -1

const (
	// portionBytes is how long a portion is, give or take a chunk: what a slow member is late by in
	// the end, and long against what it costs to ask.
	portionBytes = 128 << 10
	// askBytes is the most that is asked for at once.
	askBytes = 4 << 20
	// askRuns is the most runs of a request. Each is an item.
	askRuns = 128
	// decideEvery is how often it is decided whom to ask, besides when something comes.
	decideEvery = 50 * time.Millisecond
	// rests is how many times as long as an answer needs to begin a member is to have something to do:
	// a stream is used again only when the last answer on it has come as a whole.
	rests = 4
)

// sender is a member that brings portions.
type sender struct {
	link    p2p.Link
	number  picker.Source
	streams int          // that it sends on
	queue   []int        // pieces that it is to be asked for
	asked   map[int]bool // the same, and those that are on their way
	gone    bool

	has     *picker.Bitmap // the chunks that it has of a content that it is bringing too; nil: it has all
	brought int            // portions
}

// partial reports whether it may have a part only.
func (s *sender) partial() bool { return s.has != nil }

// errand is some pieces that a sender was asked for at once.
type errand struct {
	runs   []assemble.Run
	pieces []int
	last   []int              // of each piece the last chunk
	size   []int              // of each piece in bytes
	stop   context.CancelFunc // nil: it has not begun

	// What follows tells how far the answer is.
	at   int // in pieces
	got  int // of that piece, in bytes
	told int // of it to the picker, as if its length were portionBytes
	bad  bool
}

func newPortions(u *update) portions {
	n := u.m.Len()
	return portions{
		// No portion has less than a chunk. The last piece, for which the picker has another length,
		// stands for none.
		picker:  picker.New(picker.Options{Pieces: n + 1, PieceLen: portionBytes, Size: u.m.Size(), Seed: rand.Uint64(), Idle: true}),
		began:   time.Now(),
		ordered: make([]bool, n),
		senders: map[picker.Source]*sender{},
	}
}

func (p *portions) now() time.Duration { return time.Since(p.began) }

// add cuts runs into portions, as far as their chunks are in none.
func (p *portions) add(u *update, runs []assemble.Run) {
	var some portion
	size := 0
	flush := func() {
		if len(some) > 0 {
			p.cut, p.of, p.taken = append(p.cut, some), append(p.of, unbound), append(p.taken, false)
			if p.settled {
				p.bind(len(p.of) - 1)
			}
		}
		some, size = nil, 0
	}
	first := len(p.cut)
	p.split = false
	for _, r := range runs {
		for i := r.First; i < r.First+r.N; i++ {
			if p.ordered[i] {
				continue
			}
			p.ordered[i] = true
			n := u.m.Chunk(i).Length
			if size > 0 && size+n/2 > portionBytes {
				flush()
			}
			some, size = join(some, assemble.Run{First: i, N: 1}), size+n
		}
	}
	flush()
	if len(p.cut) > 0 {
		p.picker.Want(p.now(), picker.Range{Last: len(p.cut) - 1})
	}
	for _, s := range p.senders {
		for piece := first; piece < len(p.cut) && s.partial(); piece++ {
			p.offer(u, s, piece)
		}
	}
}

// bind has a piece stand for the next portion.
func (p *portions) bind(piece int) {
	if p.of[piece] == unbound {
		for p.taken[p.next] { // there are as many pieces as portions
			p.next = (p.next + 1) % len(p.taken)
		}
		p.of[piece], p.taken[p.next] = p.next, true
	}
	if p.settled {
		for _, r := range p.cut[p.of[piece]] {
			for i := r.First; i < r.First+r.N; i++ {
				p.pieces[i] = piece
			}
		}
	}
}

// from has what is brought begin where nobody else of some members begins, who all want it now, perhaps.
func (p *portions) from(self p2p.ID, others []p2p.ID) {
	i, n := rankOf(self, others)
	p.next = len(p.cut) * i / n
}

// rankOf returns how many of others come before a member in the order of IDs, and how many they are with it.
func rankOf(self p2p.ID, others []p2p.ID) (i, n int) {
	all := map[p2p.ID]bool{self: true}
	for _, id := range others {
		if !all[id] && id.Compare(self) < 0 {
			i++
		}
		all[id] = true
	}
	return i, len(all)
}

// settle has all pieces stand for portions.
func (p *portions) settle(u *update) {
	if p.settled {
		return
	}
	p.settled, p.pieces, p.next = true, slices.Repeat([]int{unbound}, u.m.Len()), 0
	for piece := range p.of {
		if p.of[piece] == unbound {
			p.sorted = append(p.sorted, piece)
		}
		p.bind(piece)
	}
}

// offer tells the picker that a member has a piece, if it has all chunks of it that are missing.
func (p *portions) offer(u *update, s *sender, piece int) {
	for _, r := range p.cut[p.of[piece]] {
		for i := r.First; i < r.First+r.N; i++ {
			if !u.have[i] && !s.has.Has(i) {
				return
			}
		}
	}
	p.picker.Has(p.now(), s.number, piece)
}

// splitUp has each chunk be a portion of its own where nobody is asked for it: a member that has only
// some of a portion is asked for these. All pieces stand for portions by now.
func (p *portions) splitUp(u *update) {
	if p.split {
		return
	}
	p.split = true
	asked := map[int]bool{}
	for _, s := range p.senders {
		for piece := range s.asked {
			asked[piece] = true
		}
	}
	for piece := range p.of {
		if asked[piece] {
			p.split = false // not all of it, this time
			continue
		}
		missing := portion{}
		for _, r := range p.cut[p.of[piece]] {
			for _, r := range u.lacking(r) {
				for i := r.First; i < r.First+r.N; i++ {
					missing = append(missing, assemble.Run{First: i, N: 1})
				}
			}
		}
		if len(missing) == 0 {
			p.picker.Arrived(p.now(), 0, piece) // otherwise
			continue
		}
		p.cut[p.of[piece]] = missing[:1:1]
		for k := 1; k < len(missing); k++ {
			p.cut, p.of, p.taken = append(p.cut, missing[k:k+1:k+1]), append(p.of, unbound), append(p.taken, false)
			p.bind(len(p.of) - 1)
		}
	}
	if len(p.cut) > 0 {
		p.picker.Want(p.now(), picker.Range{Last: len(p.cut) - 1})
	}
	for _, s := range p.senders {
		for piece := 0; piece < len(p.of) && s.partial(); piece++ {
			p.offer(u, s, piece)
		}
	}
}

// gain notes that a member that is bringing the content too has some more of it, and reports whether it
// had none of that.
func (p *portions) gain(u *update, s *sender, runs []assemble.Run) (fresh bool) {
	if !s.partial() || s.gone {
		return true
	}
	for _, r := range runs {
		for i := r.First; i < r.First+r.N; i++ {
			if s.has.Has(i) {
				return false
			}
			s.has.Set(i)
		}
	}
	last := unbound
	for _, r := range runs {
		for i := r.First; i < r.First+r.N; i++ {
			if piece := p.pieces[i]; piece != unbound && piece != last {
				last = piece
				p.offer(u, s, piece)
			}
		}
	}
	return true
}

// complete notes that a member that had a part has all.
func (p *portions) complete(s *sender) {
	if s.partial() && !s.gone {
		s.has = nil
		p.picker.HasAll(p.now(), s.number, nil)
	}
}

// divide says which part of what is missing is to be brought first: all who are known to be bringing it
// have other ones. They may miss other chunks, and then not agree about that; but what others have
// already nobody brings first.
func (p *portions) divide(self p2p.ID) {
	var others []p2p.ID
	for _, s := range p.senders {
		if s.partial() {
			others = append(others, s.link.Peer())
		}
	}
	i, n := rankOf(self, others)
	if n == 1 || len(p.sorted) == 0 {
		p.picker.Share(0, 0)
		return
	}
	portions := len(p.cut)
	from, to := portions*i/n, portions*(i+1)/n
	first, end := 0, 0
	for _, piece := range p.sorted {
		if at := p.of[piece]; at >= from && at < to {
			if end == 0 {
				first = piece
			}
			end = piece + 1
		}
	}
	pieces := float64(len(p.ordered) + 1) // as the picker counts them
	p.picker.Share((float64(first)+0.5)/pieces, (float64(end)+0.5)/pieces)
}

// join adds a run, to the last one if it follows that.
func join(runs []assemble.Run, r assemble.Run) []assemble.Run {
	if k := len(runs); k > 0 && runs[k-1].First+runs[k-1].N == r.First {
		runs[k-1].N += r.N
		return runs
	}
	return append(runs, r)
}

// join lets a member be asked that has all.
func (p *portions) join(l p2p.Link, streams int) *sender {
	s := p.enter(l, streams, true)
	p.picker.HasAll(p.now(), s.number, nil)
	return s
}

// joinPart lets a member be asked for what it has, which is not known yet.
func (p *portions) joinPart(u *update, l p2p.Link, streams int) *sender {
	p.settle(u)
	s := p.enter(l, streams, false)
	s.has = picker.NewBitmap(u.m.Len())
	return s
}

func (p *portions) enter(l p2p.Link, streams int, origin bool) *sender {
	p.number++
	s := &sender{link: l, number: p.number, streams: streams, asked: map[int]bool{}}
	p.senders[s.number] = s
	p.picker.Join(p.now(), s.number, picker.Info{
		RTT: rests * l.Stats().RTT, Relayed: l.Path().Kind == p2p.PathRelayed, Origin: origin,
	})
	return s
}

// whole reports whether a member is asked that has all.
func (p *portions) whole() bool {
	for _, s := range p.senders {
		if !s.partial() {
			return true
		}
	}
	return false
}

// leave has a member asked for nothing more.
func (p *portions) leave(s *sender) {
	if !s.gone {
		p.picker.Leave(p.now(), s.number)
		p.forget(s)
	}
}

// ban is leave of one that has sent something else.
func (p *portions) ban(s *sender, e *errand) {
	if !s.gone && e.at < len(e.pieces) {
		p.picker.Bad(p.now(), s.number, e.pieces[e.at])
	}
	p.leave(s)
}

func (p *portions) forget(s *sender) {
	s.gone, s.queue = true, nil
	clear(s.asked)
	delete(p.senders, s.number)
}

// answered notes how long an answer took to begin.
func (p *portions) answered(s *sender, d time.Duration) {
	if !s.gone {
		p.picker.RTT(p.now(), s.number, rests*d)
	}
}

// decide asks the picker what to do. It returns the members that have lost something that they were
// asked for, and whether one was asked for something.
func (p *portions) decide() (lost []*sender, asked bool) {
	plan := p.picker.Decide(p.now())
	for _, q := range plan.Cancel {
		if s := p.senders[q.Source]; s != nil {
			delete(s.asked, q.Piece)
			s.queue = slices.DeleteFunc(s.queue, func(piece int) bool { return piece == q.Piece })
			lost = append(lost, s)
		}
	}
	for _, q := range plan.Ask {
		if s := p.senders[q.Source]; s != nil {
			s.asked[q.Piece] = true
			s.queue = append(s.queue, q.Piece)
			asked = true
		}
	}
	return lost, asked
}

// take makes a request of what a member is to be asked for: of no more than its share of that, so
// that its other streams have something to do and the rest can still be taken back. Nil: there is
// nothing.
func (p *portions) take(u *update, s *sender) *errand {
	e := &errand{}
	size, most := 0, min(len(s.queue), max(1, len(s.queue)/segmentsPeer))
	if p.settled {
		slices.SortFunc(s.queue[:most], func(a, b int) int { return p.of[a] - p.of[b] })
	}
	for ; len(s.queue) > 0 && len(e.pieces) < most; s.queue = s.queue[1:] {
		piece := s.queue[0]
		p.bind(piece)
		n, last := 0, 0
		var some []assemble.Run
		for _, r := range p.cut[p.of[piece]] {
			for _, r := range u.lacking(r) {
				some, n, last = append(some, r), n+int(u.extent(r).Length), r.First+r.N-1
			}
		}
		if n == 0 { // it has come otherwise
			delete(s.asked, piece)
			p.picker.Arrived(p.now(), 0, piece)
			continue
		}
		if len(e.pieces) > 0 && (size+n > askBytes || len(e.runs)+len(some) > askRuns) {
			break
		}
		for _, r := range some {
			e.runs = join(e.runs, r)
		}
		e.pieces, e.last, e.size = append(e.pieces, piece), append(e.last, last), append(e.size, n)
		size += n
	}
	if len(e.pieces) == 0 {
		return nil
	}
	return e
}

// took notes that a chunk has come, or that something else has in its place, and reports whether a
// piece is whole by that.
func (p *portions) took(s *sender, e *errand, chunk, length int, ok bool) bool {
	if e.at == len(e.pieces) {
		return false
	}
	e.got += length
	e.bad = e.bad || !ok
	if told := int(int64(portionBytes) * int64(e.got) / int64(e.size[e.at])); told > e.told {
		p.picker.Received(p.now(), s.number, told-e.told)
		e.told = told
	}
	if chunk != e.last[e.at] || e.bad {
		return false
	}
	piece := e.pieces[e.at]
	p.picker.Arrived(p.now(), s.number, piece)
	delete(s.asked, piece)
	s.brought++
	e.at, e.got, e.told = e.at+1, 0, 0
	return true
}

// back has what has not come of a request asked of the same member again.
func (p *portions) back(s *sender, e *errand) {
	var again []int
	for _, piece := range e.pieces[e.at:] {
		if s.asked[piece] {
			again = append(again, piece)
		}
	}
	s.queue = append(again, s.queue...)
}

// line is a stream on which one request for portions follows the other: how much may be on its way
// grows with what has come on it.
type line struct {
	u     *update
	to    p2p.Link
	on    *asked    // nil: there is none, or it has ended
	since time.Time // when the last answer on it had come
}

// ask asks for what q says. The stream lives as long as ctx, for requests to come.
func (n *line) ask(ctx context.Context, q request) (*asked, error) {
	r := n.u.f.r
	// Nobody waits for ever for the next request.
	if n.on != nil && time.Since(n.since) > r.s.o.Times.Stalled/4 {
		n.end()
	}
	if n.on != nil {
		return n.on, r.askMore(n.on, q)
	}
	a, err := r.askWith(ctx, n.to, q, nil, n.u.x.t)
	n.on = a
	return a, err
}

// came notes that an answer has come as a whole. Where many contents come at once, of this folder or of
// all, the stream is not kept: a member serves maxServedStreams, and others wait.
func (n *line) came() {
	n.since = time.Now()
	f := n.u.f
	f.mu.Lock()
	many := f.larges > largeAtOnce
	f.mu.Unlock()
	if many || f.r.s.larges.Load() > manyAtOnce/2 {
		n.end()
	}
}

// end ends the stream.
func (n *line) end() {
	if n.on != nil {
		_ = n.on.complete() // it is reset anyway
		n.on.end()
		n.on = nil
	}
}

// idle reports whether nothing of a request is waited for any more.
func (e *errand) idle(s *sender) bool {
	return !slices.ContainsFunc(e.pieces[e.at:], func(piece int) bool { return s.asked[piece] })
}
