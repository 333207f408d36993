package rtc

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link/rtc/repair"
)

// mending repairs the losses of one connection, in both directions (see package
// repair). All muxConns of an agent share one.
type mending struct {
	mux   *mux
	keys  repair.Keys
	start time.Time

	mu    sync.Mutex // guards all that follows
	in    repair.Receiver
	out   repair.Sender
	held  []heldBack // the record of number n is at n modulo Window; nil while none is held
	conn  *muxConn   // through which the agent sends records
	to    netip.AddrPort
	timer *time.Timer // nil until it was needed
	due   time.Duration
	ended bool
}

type heldBack struct {
	d *datagram
	c *muxConn // that it came for
	n uint64
}

// mendGrain is the time between two looks at what is due.
const mendGrain = time.Millisecond

// mend repairs the losses of an agent from now on.
func (m *mux) mend(conns []*muxConn, keys repair.Keys) {
	r := &mending{mux: m, keys: keys, start: time.Now()}
	r.out.Begin(r.now())
	for _, c := range conns {
		c.mend.Store(r)
		if c.closed() {
			r.end()
		}
	}
}

// now is above 0.
func (r *mending) now() time.Duration { return time.Since(r.start) + 1 }

// arrive takes a datagram that came for c, if it is a record or about records.
func (r *mending) arrive(c *muxConn, b []byte, from netip.AddrPort) (taken bool) {
	n, isRecord := repair.Number(b)
	if !isRecord && !repair.IsControl(b) || r.mux.lossless(from) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if isRecord {
		r.out.Answered()
	}
	switch {
	case r.ended:
		return false
	case !isRecord:
		r.hear(c, b)
	case r.in.Pass(n):
		return false
	default:
		r.record(c, n, b, from)
	}
	r.settle(r.now())
	return true
}

func (r *mending) record(c *muxConn, n uint64, b []byte, from netip.AddrPort) {
	if !r.in.Arrive(n, r.now()) {
		c.queue(newDatagram(b, from))
		return
	}
	if r.held == nil {
		r.held = make([]heldBack, repair.Window)
	}
	h := &r.held[n%repair.Window]
	switch {
	case h.d == nil:
		*h = heldBack{newDatagram(b, from), c, n}
	case !bytes.Equal(h.d.b[:h.d.n], b): // one of them is forged, and DTLS knows which
		c.queue(newDatagram(b, from))
	}
}

// hear takes a control datagram.
func (r *mending) hear(c *muxConn, b []byte) {
	m, err := r.keys.Open(b)
	if err != nil {
		return // of somebody else, who is not to know
	}
	c.bytesIn.Add(uint64(len(b)))
	r.in.Heard(m, r.now())
	if answer, ok := r.out.Heard(m, r.now(), r.send); ok {
		r.tell(answer)
	}
}

// sent looks at a datagram that the agent sends through c.
func (r *mending) sent(c *muxConn, b []byte, to netip.AddrPort) {
	n, ok := repair.Number(b)
	if !ok || r.mux.lossless(to) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.to = c, to
	if !r.out.Keeping() {
		r.out.Pass(n)
		return
	}
	now := r.now()
	r.out.Keep(n, b, now)
	r.arm(now)
}

// settle hands on what is not held back any more, and says what is to be said.
func (r *mending) settle(now time.Duration) {
	first, last := r.in.Release(now)
	if r.held != nil {
		for n := first; n < last; n++ {
			if h := &r.held[n%repair.Window]; h.d != nil {
				h.c.queue(h.d)
				*h = heldBack{}
			}
		}
	}
	if m, ok := r.in.Due(now); ok {
		if r.in.Asking() {
			r.out.Want(now)
		}
		r.tell(m)
	}
	if m, ok := r.out.Due(now); ok {
		r.tell(m)
	}
	if !r.in.Repairing() {
		r.held = nil
	}
	r.arm(now)
}

// arm sets the timer, unless it is set to go off soon enough.
func (r *mending) arm(now time.Duration) {
	at := r.in.Wake(now)
	if out := r.out.Wake(); out != 0 && (at == 0 || out < at) {
		at = out
	}
	if at == 0 || r.ended {
		return
	}
	at = max(at, now+mendGrain)
	if r.due > now && r.due <= at {
		return
	}
	r.due = at
	if r.timer == nil {
		r.timer = time.AfterFunc(at-now, r.tick)
		return
	}
	r.timer.Reset(at - now)
}

func (r *mending) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.due = 0
	r.settle(r.now())
}

// tell sends a control datagram to where the agent sends records.
func (r *mending) tell(m repair.Message) {
	b := r.keys.Seal(make([]byte, 0, repair.MaxMessage), m)
	for range m.Copies() {
		r.send(b)
	}
}

func (r *mending) send(b []byte) {
	if r.conn == nil {
		return
	}
	if r.mux.send(b, r.to) == nil { // else it is lost, as any datagram may be
		r.conn.bytesOut.Add(uint64(len(b)))
	}
}

// end lets go of everything.
func (r *mending) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended, r.held, r.out = true, nil, repair.Sender{}
	if r.timer != nil {
		r.timer.Stop()
	}
}

// lossless reports whether datagrams to addr go over TCP: there nothing is lost
// that anybody could repair.
func (m *mux) lossless(addr netip.AddrPort) bool {
	r, ok := m.routeOf(addr)
	if !ok {
		return false
	}
	_, ok = r.via.(*stream)
	return ok
}
