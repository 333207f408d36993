package upload

import "slices"

// Piece is a piece of a seed, by the caller's number for the seed.
type Piece struct {
	Seed, Index uint32
}

// Options bound a queue. The zero value is a good one.
type Options struct {
	// Waiting is how many pieces of one requester may wait: 0 means 512.
	Waiting int
	// Total is how many pieces of all requesters together may wait: 0 means 16384.
	Total int
	// Quantum is how many bytes a requester may be sent in its turn, before the next one has
	// its own: 0 means 64 KiB. A larger piece is sent when several turns have been saved for it.
	Quantum int
	// Flight is how many pieces of one requester may be on their way, handed out by Next and not
	// over yet by Sent: 0 means any number. A requester who takes slowly then keeps others
	// from nothing.
	Flight int
}

// Queue is what a node has been asked to send. Create one with New.
type Queue struct {
	o          Options
	requesters map[uint32]*requester
	turn       *requester // whose turn it is; nil: nobody waits
	waiting    int
	sent       map[uint32][]uint16 // by seed, then piece: how often this node has sent it
	flying     map[uint32]int      // by requester: pieces on their way
}

// A requester is who waits, one of a ring in the order of their turns.
type requester struct {
	id         uint32
	waiting    []waiting
	deficit    int // what it may be sent in this turn, in bytes
	fresh      bool
	parked     bool // not in the ring: enough is on its way
	prev, next *requester
}

type waiting struct {
	piece Piece
	size  int
}

// New returns a queue in which nothing waits.
func New(o Options) *Queue {
	if o.Waiting <= 0 {
		o.Waiting = 512
	}
	if o.Total <= 0 {
		o.Total = 16384
	}
	if o.Quantum <= 0 {
		o.Quantum = 64 << 10
	}
	return &Queue{o: o, requesters: map[uint32]*requester{}, sent: map[uint32][]uint16{}, flying: map[uint32]int{}}
}

// Ask puts a piece of size bytes into the queue for a requester. It returns false if too many
// wait already: the requester is to be told that it is refused. What waits already for the same
// requester does not wait twice.
func (q *Queue) Ask(id uint32, piece Piece, size int) bool {
	r := q.requesters[id]
	if r != nil && r.find(piece) >= 0 {
		return true
	}
	if q.waiting >= q.o.Total || r != nil && len(r.waiting) >= q.o.Waiting {
		return false
	}
	if r == nil {
		r = &requester{id: id}
		q.requesters[id] = r
		if r.parked = q.busy(id); !r.parked {
			q.enter(r)
		}
	}
	r.waiting = append(r.waiting, waiting{piece, max(size, 0)})
	q.waiting++
	return true
}

// Cancel takes back what a requester asked for. It returns false if that does not wait: it was
// never asked for, or Next has handed it out already.
func (q *Queue) Cancel(id uint32, piece Piece) bool {
	r := q.requesters[id]
	if r == nil {
		return false
	}
	i := r.find(piece)
	if i < 0 {
		return false
	}
	q.remove(r, i)
	return true
}

// Leave forgets what a requester waits for.
func (q *Queue) Leave(id uint32) {
	if r := q.requesters[id]; r != nil {
		q.waiting -= len(r.waiting)
		r.waiting = nil
		q.exit(r)
	}
}

// Forget forgets a seed: what waits of it, and how often its pieces were sent.
func (q *Queue) Forget(seed uint32) {
	for _, r := range q.requesters {
		before := len(r.waiting)
		r.waiting = slices.DeleteFunc(r.waiting, func(w waiting) bool { return w.piece.Seed == seed })
		q.waiting -= before - len(r.waiting)
		if len(r.waiting) == 0 {
			q.exit(r)
		}
	}
	delete(q.sent, seed)
}

// Waiting is how many pieces wait.
func (q *Queue) Waiting() int { return q.waiting }

// Times is how often this node has sent a piece.
func (q *Queue) Times(piece Piece) int {
	if counts := q.sent[piece.Seed]; int(piece.Index) < len(counts) {
		return int(counts[piece.Index])
	}
	return 0
}

// busy reports whether enough is on its way to a requester.
func (q *Queue) busy(id uint32) bool { return q.o.Flight > 0 && q.flying[id] >= q.o.Flight }

// Next takes the piece that is to be sent now out of the queue. It returns false if nothing
// waits for anybody to whom not enough is on its way. What it returns counts as sent; Sent tells if it was not, or not all of it.
//
// A turn goes on until the requester's next piece is larger than what is left of its deficit,
// which it then keeps. A call looks at what one requester waits for, and at each of the others
// as often as a piece has quanta.
func (q *Queue) Next() (id uint32, piece Piece, size int, ok bool) {
	if q.turn == nil {
		return 0, Piece{}, 0, false
	}
	for {
		r := q.turn
		if r.fresh {
			r.deficit += q.o.Quantum
			r.fresh = false
		}
		i := q.first(r)
		w := r.waiting[i]
		if w.size > r.deficit {
			q.pass()
			continue
		}
		r.deficit -= w.size
		q.count(w.piece, 1)
		q.flying[r.id]++
		q.remove(r, i)
		if len(r.waiting) > 0 && q.busy(r.id) {
			q.unlink(r)
			r.parked = true
		}
		return r.id, w.piece, w.size, true
	}
}

// Sent tells that the sending of what Next returned is over, and how many bytes of it went out.
// If that was not all, the rest is given back to the requester, and the piece counts as not
// sent.
func (q *Queue) Sent(id uint32, piece Piece, size, bytes int) {
	if q.flying[id]--; q.flying[id] <= 0 {
		delete(q.flying, id)
	}
	if r := q.requesters[id]; r != nil && r.parked && !q.busy(id) {
		r.parked = false
		q.enter(r)
	}
	if bytes >= size {
		return
	}
	q.count(piece, -1)
	if r := q.requesters[id]; r != nil {
		r.deficit += size - max(bytes, 0)
	}
}

// first is the place of what a requester, who waits for something, is to be sent first.
func (q *Queue) first(r *requester) int {
	best, least := 0, q.Times(r.waiting[0].piece)
	for i := 1; i < len(r.waiting) && least > 0; i++ {
		if n := q.Times(r.waiting[i].piece); n < least {
			best, least = i, n
		}
	}
	return best
}

// count changes how often a piece was sent, which stays within 16 bits.
func (q *Queue) count(piece Piece, by int) {
	counts := q.sent[piece.Seed]
	if n := int(piece.Index) + 1; n > len(counts) {
		if by < 0 {
			return
		}
		counts = append(counts, make([]uint16, n-len(counts))...)
		q.sent[piece.Seed] = counts
	}
	counts[piece.Index] = uint16(min(max(int(counts[piece.Index])+by, 0), 1<<16-1))
}

func (r *requester) find(piece Piece) int {
	return slices.IndexFunc(r.waiting, func(w waiting) bool { return w.piece == piece })
}

func (q *Queue) remove(r *requester, i int) {
	r.waiting = slices.Delete(r.waiting, i, i+1)
	q.waiting--
	if len(r.waiting) == 0 {
		q.exit(r)
	}
}

// enter gives a requester the last turn of this round.
func (q *Queue) enter(r *requester) {
	r.fresh = true
	if q.turn == nil {
		r.prev, r.next = r, r
		q.turn = r
		return
	}
	r.prev, r.next = q.turn.prev, q.turn
	r.prev.next, r.next.prev = r, r
}

// exit takes a requester that waits for nothing out of the round. Its deficit is lost: nobody
// saves turns by asking for nothing.
func (q *Queue) exit(r *requester) {
	delete(q.requesters, r.id)
	if !r.parked {
		q.unlink(r)
	}
}

// unlink takes a requester out of the ring.
func (q *Queue) unlink(r *requester) {
	if r.next == r {
		q.turn = nil
		return
	}
	if q.turn == r {
		q.pass()
	}
	r.prev.next, r.next.prev = r.next, r.prev
}

// pass gives the turn to the next requester.
func (q *Queue) pass() {
	q.turn = q.turn.next
	q.turn.fresh = true
}
