package picker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/upload"
)

// A decider is what downloads: a Picker, or a simple policy to compare it with.
type decider interface {
	Join(now time.Duration, s picker.Source, info picker.Info)
	Leave(now time.Duration, s picker.Source)
	Has(now time.Duration, s picker.Source, pieces ...int)
	HasAll(now time.Duration, s picker.Source, have *picker.Bitmap)
	Arrived(now time.Duration, s picker.Source, piece int)
	Refused(now time.Duration, s picker.Source, piece int)
	Bad(now time.Duration, s picker.Source, piece int)
	Decide(now time.Duration) picker.Plan
	Done() bool
}

// A member is a node of a simulated swarm. Its uplink sends one piece after the other, each as a
// whole; its downlink takes what comes in the order in which it comes. What is queued there is
// bounded by what the member itself has asked for.
type member struct {
	number   int
	up, down float64 // bytes in a second
	links    []*member
	picker   decider // nil: it has all
	queue    *upload.Queue
	have     *picker.Bitmap
	starts   time.Duration

	gone, bad bool
	sending   bool
	downFree  time.Duration
	told      []int // pieces that the others are to be told of
	wakeAt    time.Duration
	finished  time.Duration

	sent, late int64 // bytes sent, and of those that came when they were not needed
}

const (
	evAsk = iota
	evCancel
	evRefused
	evSent
	evCame
	evTold
	evFlush
	evWake
	evDo
)

type event struct {
	at       time.Duration
	seq      uint64
	kind     uint8
	to, from *member
	piece    int32
	pieces   []int
	do       func()
}

// A world is a simulated swarm in virtual time. The same config gives the same run.
type world struct {
	c       config
	now     time.Duration
	seq     uint64
	heap    []event
	members []*member
	origin  *member
	rng     *rand.Rand
	left    int // members that are not finished
	bytes   int64
}

type config struct {
	seed     uint64
	size     int64
	pieceLen int
	up, down []float64     // of the downloaders
	originUp float64       // of the origin
	seeds    []float64     // uplinks of further members that have all
	rtt      time.Duration // between any two
	weigh    bool          // slices are as large as uplinks are fast
	degree   int           // links of each member, 0: to all others
	joins    func(i int) time.Duration
	decider  func(w *world, i, slice, slices int) decider
	setup    func(w *world)
	relayed  func(a, b int) bool
	limit    time.Duration // the longest run
}

func (c *config) pieces() int { return max(int((c.size+int64(c.pieceLen)-1)/int64(c.pieceLen)), 1) }

func (w *world) pieceSize(piece int) int {
	return int(min(int64(w.c.pieceLen), w.c.size-int64(piece)*int64(w.c.pieceLen)))
}

// real is the decider that is tested.
func real(w *world, i, slice, slices int) decider {
	p := picker.New(picker.Options{Pieces: w.c.pieces(), PieceLen: w.c.pieceLen, Size: w.c.size, Seed: w.c.seed<<20 + uint64(i)})
	if slices > 0 && w.c.weigh {
		var before, sum float64
		for j, up := range w.c.up {
			if sum += up; j+1 < i {
				before += up
			}
		}
		p.Share(before/sum, (before+w.c.up[i-1])/sum)
	} else if slices > 0 {
		p.Slice(slice, slices)
	}
	return p
}

func newWorld(c config) *world {
	if c.decider == nil {
		c.decider = real
	}
	if c.limit == 0 {
		c.limit = time.Hour
	}
	w := &world{c: c, rng: rand.New(rand.NewPCG(c.seed, 77))}
	n := len(c.up)
	w.left = n
	for i := 0; i <= n+len(c.seeds); i++ {
		m := &member{number: i, queue: upload.New(upload.Options{}), have: picker.NewBitmap(c.pieces()), wakeAt: picker.Never}
		if i == 0 {
			m.up, m.down = c.originUp, c.originUp
			m.have.SetRange(0, c.pieces()-1)
			w.origin = m
		} else if i <= n {
			m.up, m.down = c.up[i-1], c.down[i-1]
		} else {
			m.up, m.down = c.seeds[i-n-1], c.seeds[i-n-1]
			m.have.SetRange(0, c.pieces()-1)
		}
		w.members = append(w.members, m)
	}
	w.link()
	neighbours := 0 // of the origin, so far
	for _, m := range w.members[1 : n+1] {
		slice, of := 0, 0
		if slices.Contains(m.links, w.origin) {
			slice, of = neighbours, min(len(w.origin.links), n)
			neighbours++
		}
		m.picker = c.decider(w, m.number, slice, of)
		if c.joins != nil {
			m.starts = c.joins(m.number - 1)
		}
		w.do(m.starts, func() { w.join(m) })
	}
	if c.setup != nil {
		c.setup(w)
	}
	return w
}

func (w *world) link() {
	n := len(w.members)
	if w.c.degree == 0 || w.c.degree >= n-1 {
		for _, a := range w.members {
			for _, b := range w.members {
				if a != b {
					a.links = append(a.links, b)
				}
			}
		}
		return
	}
	for _, a := range w.members {
		for len(a.links) < w.c.degree {
			b := w.members[w.rng.IntN(n)]
			if b == a || slices.Contains(a.links, b) || len(b.links) >= 2*w.c.degree {
				continue
			}
			a.links = append(a.links, b)
			b.links = append(b.links, a)
			if len(a.links)+2 > w.c.degree && w.rng.IntN(2) == 0 {
				break
			}
		}
	}
}

// join links a member to those that are there.
func (w *world) join(m *member) {
	for _, o := range m.links {
		if o.gone || o.starts > w.now {
			continue
		}
		w.introduce(m, o)
		if o.picker != nil && !o.picker.Done() && (o.starts < w.now || o.number < m.number) {
			w.introduce(o, m)
			w.decide(o)
		}
	}
	w.decide(m)
}

func (w *world) introduce(m, o *member) {
	info := picker.Info{RTT: w.c.rtt, Origin: o == w.origin}
	if w.c.relayed != nil {
		info.Relayed = w.c.relayed(m.number, o.number)
	}
	m.picker.Join(w.now, picker.Source(o.number), info)
	if o.picker == nil || o.have.Count() == o.have.Len() {
		m.picker.HasAll(w.now, picker.Source(o.number), nil)
	} else {
		m.picker.HasAll(w.now, picker.Source(o.number), o.have)
	}
}

// leave takes a member out. The others notice at once, or not at all if it is silent.
func (w *world) leave(m *member, silent bool) {
	if m.gone {
		return
	}
	m.gone = true
	if m.picker != nil && m.finished == 0 {
		w.left--
	}
	for _, o := range m.links {
		o.queue.Leave(uint32(m.number))
		if o.picker != nil && !silent && !o.gone {
			o.picker.Leave(w.now, picker.Source(m.number))
			w.decide(o)
		}
	}
}

func (w *world) do(at time.Duration, f func()) { w.push(event{at: at, kind: evDo, do: f}) }

// decide does what a member's picker says.
func (w *world) decide(m *member) {
	if m.gone || m.picker == nil {
		return
	}
	plan := m.picker.Decide(w.now)
	for _, r := range plan.Cancel {
		w.push(event{at: w.now + w.c.rtt/2, kind: evCancel, to: w.members[r.Source], from: m, piece: int32(r.Piece)})
	}
	for _, r := range plan.Ask {
		if w.members[r.Source] == m {
			panic("a member asks itself")
		}
		w.push(event{at: w.now + w.c.rtt/2, kind: evAsk, to: w.members[r.Source], from: m, piece: int32(r.Piece)})
	}
	if plan.Wake < m.wakeAt || m.wakeAt <= w.now {
		m.wakeAt = plan.Wake
		if plan.Wake != picker.Never {
			w.push(event{at: max(plan.Wake, w.now), kind: evWake, to: m})
		}
	}
}

// run plays until all are finished, and returns when that is; false if that does not happen.
func (w *world) run() bool {
	for w.left > 0 && len(w.heap) > 0 {
		e := w.pop()
		w.now = e.at
		if w.now > w.c.limit {
			return false
		}
		w.happen(e)
	}
	return w.left == 0
}

func (w *world) happen(e event) {
	m := e.to
	switch e.kind {
	case evDo:
		e.do()
	case evWake:
		if m.wakeAt == e.at {
			m.wakeAt = picker.Never
			w.decide(m)
		}
	case evAsk:
		if m.gone || e.from.gone {
			return
		}
		if !m.have.Has(int(e.piece)) && !m.bad {
			panic(fmt.Sprintf("member %d is asked for piece %d, which it does not have", m.number, e.piece))
		}
		if !m.queue.Ask(uint32(e.from.number), upload.Piece{Index: uint32(e.piece)}, w.pieceSize(int(e.piece))) {
			w.push(event{at: w.now + w.c.rtt/2, kind: evRefused, to: e.from, from: m, piece: e.piece})
		}
		w.send(m)
	case evCancel:
		m.queue.Cancel(uint32(e.from.number), upload.Piece{Index: uint32(e.piece)})
	case evRefused:
		if !m.gone {
			m.picker.Refused(w.now, picker.Source(e.from.number), int(e.piece))
			w.decide(m)
		}
	case evSent:
		m.sending = false
		w.send(m)
	case evCame:
		if !m.gone {
			w.came(m, e.from, int(e.piece))
		}
	case evFlush:
		told := m.told
		m.told = nil
		w.push(event{at: w.now + w.c.rtt/2, kind: evTold, to: m, pieces: told})
	case evTold:
		for _, o := range m.links {
			if o.picker != nil && o.finished == 0 && !o.gone && o.starts <= w.now && !m.gone {
				o.picker.Has(w.now, picker.Source(m.number), e.pieces...)
				w.decide(o)
			}
		}
	}
}

// send lets a member's uplink begin with the next piece.
func (w *world) send(m *member) {
	if m.sending || m.gone {
		return
	}
	id, piece, size, ok := m.queue.Next()
	if !ok {
		return
	}
	m.sending = true
	m.sent += int64(size)
	w.bytes += int64(size)
	to := w.members[id]
	took := seconds(float64(size) / m.up)
	w.push(event{at: w.now + took, kind: evSent, to: m})
	arrives := w.now + took + w.c.rtt/2
	to.downFree = max(arrives, to.downFree+seconds(float64(size)/to.down))
	w.push(event{at: to.downFree, kind: evCame, to: to, from: m, piece: int32(piece.Index)})
}

func seconds(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }

func (w *world) came(m, from *member, piece int) {
	switch {
	case m.have.Has(piece):
		m.late += int64(w.pieceSize(piece))
		m.picker.Arrived(w.now, picker.Source(from.number), piece)
	case from.bad:
		m.picker.Bad(w.now, picker.Source(from.number), piece)
	default:
		m.have.Set(piece)
		m.picker.Arrived(w.now, picker.Source(from.number), piece)
		if m.told = append(m.told, piece); len(m.told) == 1 {
			wait := 50*time.Millisecond + time.Duration(w.rng.IntN(50))*time.Millisecond
			w.push(event{at: w.now + wait, kind: evFlush, to: m})
		}
	}
	if m.picker.Done() && m.finished == 0 {
		m.finished = w.now
		w.left--
	}
	w.decide(m)
}

// bound is LB: no schedule at all is faster.
func (w *world) bound() time.Duration {
	f := float64(w.c.size)
	sum, slowest := w.c.originUp, w.c.down[0]
	sum += sumOf(w.c.seeds)
	for i := range w.c.up {
		sum += w.c.up[i]
		slowest = min(slowest, w.c.down[i])
	}
	return seconds(max(f/(w.c.originUp+sumOf(w.c.seeds)), f/slowest, float64(len(w.c.up))*f/sum))
}

func sumOf(v []float64) (sum float64) {
	for _, x := range v {
		sum += x
	}
	return sum
}

// A result is what a run came to, in multiples of the bound and of the file.
type result struct {
	median, p99, last float64
	origin            float64 // what the origin sent, in files
	waste             float64 // of what was sent
}

func (w *world) result() result {
	var took []float64
	lb := w.bound().Seconds()
	for _, m := range w.members[1:] {
		if m.finished > 0 {
			took = append(took, (m.finished-m.starts).Seconds()/lb)
		}
	}
	slices.Sort(took)
	useful := int64(len(took)) * w.c.size
	return result{
		median: took[len(took)/2],
		p99:    took[min(len(took)*99/100, len(took)-1)],
		last:   took[len(took)-1],
		origin: float64(w.origin.sent) / float64(w.c.size),
		waste:  float64(w.bytes-useful) / float64(useful),
	}
}

func (r result) String() string {
	return fmt.Sprintf("median %.3f p99 %.3f last %.3f × LB, origin %.3f F, waste %.2f %%", r.median, r.p99, r.last, r.origin, 100*r.waste)
}

// worst is the worse of both in every respect.
func (r result) worst(o result) result {
	return result{max(r.median, o.median), max(r.p99, o.p99), max(r.last, o.last), max(r.origin, o.origin), max(r.waste, o.waste)}
}

func (w *world) push(e event) {
	e.seq = w.seq
	w.seq++
	w.heap = append(w.heap, e)
	h := w.heap
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

func (w *world) pop() event {
	h := w.heap
	top, e := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	w.heap = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		least := -1
		for c := 4*i + 1; c <= 4*i+4 && c < len(h); c++ {
			if least < 0 || h[c].before(&h[least]) {
				least = c
			}
		}
		if least < 0 || !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
	return top
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }
