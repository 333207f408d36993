package rtc

import (
	"bytes"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link/rtc/repair"
)

// mending repairs the losses of one connection, in both directions (see package
// repair).
type mending struct {
	keys    repair.Keys
	start   time.Time
	deliver func(b []byte) // to DTLS
	write   func(b []byte) // to the peer

	mu    sync.Mutex // guards all that follows
	in    repair.Receiver
	out   repair.Sender
	held  []heldBack  // the record of number n is at n modulo Window; nil while none is held
	timer *time.Timer // nil until it was needed
	due   time.Duration
	ended bool
}

type heldBack struct {
	p *packet
	n uint64
}

// mendGrain is the time between two looks at what is due.
const mendGrain = time.Millisecond

func newMending(keys repair.Keys, deliver, write func(b []byte)) *mending {
	r := &mending{keys: keys, start: time.Now(), deliver: deliver, write: write}
	r.out.Begin(r.now())
	return r
}

// now is above 0.
func (r *mending) now() time.Duration { return time.Since(r.start) + 1 }

// arrive takes a datagram of the peer, if it is a record or about records.
func (r *mending) arrive(b []byte) (taken bool) {
	n, isRecord := repair.Number(b)
	if !isRecord && !repair.IsControl(b) {
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
		r.hear(b)
	case r.in.Pass(n):
		return false
	default:
		r.record(n, b)
	}
	r.settle(r.now())
	return true
}

func (r *mending) record(n uint64, b []byte) {
	if !r.in.Arrive(n, r.now()) {
		r.deliver(b)
		return
	}
	if r.held == nil {
		r.held = make([]heldBack, repair.Window)
	}
	h := &r.held[n%repair.Window]
	switch {
	case h.p == nil:
		*h = heldBack{newPacket(b), n}
	case !bytes.Equal(h.p.b, b): // one of them is forged, and DTLS knows which
		r.deliver(b)
	}
}

// hear takes a control datagram.
func (r *mending) hear(b []byte) {
	m, err := r.keys.Open(b)
	if err != nil {
		return // of somebody else, who is not to know
	}
	r.in.Heard(m, r.now())
	if answer, ok := r.out.Heard(m, r.now(), r.write); ok {
		r.tell(answer)
	}
}

// sent looks at a datagram that is sent to the peer.
func (r *mending) sent(b []byte) {
	n, ok := repair.Number(b)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
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
			if h := &r.held[n%repair.Window]; h.p != nil {
				r.deliver(h.p.b)
				h.p.free()
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

// tell sends a control datagram.
func (r *mending) tell(m repair.Message) {
	b := r.keys.Seal(make([]byte, 0, repair.MaxMessage), m)
	for range m.Copies() {
		r.write(b)
	}
}

// end lets go of everything.
func (r *mending) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.held {
		if h.p != nil {
			h.p.free()
		}
	}
	r.ended, r.held, r.out = true, nil, repair.Sender{}
	if r.timer != nil {
		r.timer.Stop()
	}
}
