package dht

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// What a member can do that is admitted and hostile is bounded here.

// maxSkew is how far the clocks of honest members may be apart. Sequence numbers are the
// microseconds of their authors' clocks, or one more than what was there.
const maxSkew = 24 * time.Hour

// maxStep is how much further than what is there a number may be: writers reserve several at
// once.
const maxStep = uint64(time.Second / time.Microsecond)

// timely reports whether the numbers of a record can be those of a clock: StatusOK, or
// why not, with the sequence number that would do. A record with the largest of all numbers
// would hold for ever, and no version could follow the one with the largest.
//
// What has ended more than maxSkew ago by its author's clock is a copy that somebody has
// kept: else it could live again and again.
func (c *Cell) timely(h Header, now int64) (Status, uint64) {
	at := micros(now)
	seq, number := at+uint64(maxSkew.Microseconds()), at+uint64(maxSkew.Microseconds())
	for i := range c.Records {
		r := &c.Records[i]
		if r.Version == h.Version {
			seq = max(seq, beyond(r.Seq))
		}
		number = max(number, beyond(r.Version.Number()))
	}
	switch {
	case h.Seq > seq || h.Version.Number() > number:
		return StatusFuture, at
	case h.ended(now, maxSkew):
		return StatusExpired, at
	}
	return StatusOK, 0
}

// replace forgets the record at an address that is to be written by somebody whose number is
// in order, if it can only be from a time when this node's clock was wrong: nobody believes it,
// and nothing would be newer.
func (c *Cell) replace(h Header, now int64) {
	if i, found := c.find(h.Version); found && !c.Records[i].ended(now, 0) && !c.Records[i].credible(now) {
		c.Records = slices.Delete(c.Records, i, i+1)
	}
}

// credible reports whether a reader can believe in the numbers of a record: what an honest
// replica has taken, whose clock is as wrong as can be.
func (h Header) credible(now int64) bool {
	latest := micros(now) + uint64(3*maxSkew.Microseconds())
	return h.Seq <= latest && h.Version.Number() <= latest && !h.ended(now, 2*maxSkew)
}

// ended reports whether a record has ended by its author's clock, and so much time besides.
func (h Header) ended(now int64, besides time.Duration) bool {
	ttl, ends := h.TimeToLive()
	return ends && h.Seq < micros(now) && micros(now)-h.Seq > uint64((ttl+besides).Microseconds())
}

// micros returns microseconds for milliseconds.
func micros(ms int64) uint64 { return uint64(max(ms, 0)) * 1000 }

// beyond returns the largest number that may follow another one.
func beyond(n uint64) uint64 {
	if n > math.MaxUint64-maxStep {
		return math.MaxUint64
	}
	return n + maxStep
}

// What one member can have under way here: more is refused, and not queued.
const (
	maxAtOnce      = 64
	maxBytesAtOnce = 16 << 20
)

// gate counts what members have under way here.
type gate struct {
	mu    sync.Mutex // guards under
	under map[p2p.ID]load
}

type load struct{ calls, bytes int }

// enter reports whether a request of so many bytes may come in.
func (g *gate) enter(from p2p.ID, bytes int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.under[from]
	if l.calls == maxAtOnce || l.calls > 0 && l.bytes+bytes > maxBytesAtOnce {
		return false
	}
	if g.under == nil {
		g.under = map[p2p.ID]load{}
	}
	g.under[from] = load{l.calls + 1, l.bytes + bytes}
	return true
}

func (g *gate) leave(from p2p.ID, bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := load{g.under[from].calls - 1, g.under[from].bytes - bytes}
	if l.calls == 0 {
		delete(g.under, from)
		return
	}
	g.under[from] = l
}

// guard lets a handler answer no more than it should at once, and logs who sends what nobody
// can have meant.
func (t *Table) guard(h Handler) Handler {
	return func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
		if from == t.self {
			return h(ctx, from, req)
		}
		if !t.gate.enter(from, len(req)) {
			t.o.Logger.Warn("request refused", "from", t.nameOf(from), "why", "busy")
			return nil, &p2p.CallError{Code: "busy", Message: fmt.Sprintf("more than %d requests or %d bytes of one member at once", maxAtOnce, maxBytesAtOnce)}
		}
		defer t.gate.leave(from, len(req))
		resp, err := h(ctx, from, req)
		if coded := (*p2p.CallError)(nil); errors.As(err, &coded) {
			t.o.Logger.Warn("request refused", "from", t.nameOf(from), "why", coded.Code, "error", coded.Message)
		}
		return resp, err
	}
}

// suspect logs who has answered what no honest member does.
func (t *Table) suspect(of p2p.ID, err error) {
	if errors.Is(err, ErrMalformed) || errors.Is(err, ErrSignature) || errors.Is(err, p2p.ErrTooLarge) {
		t.o.Logger.Warn("answer not believed", "from", t.nameOf(of), "error", err)
	}
}

// strangers knows whose records a member has brought who are no members, of which copies are
// taken all the same: their authors were members once. All that one member brings of theirs is
// bounded as what one author has is, or anybody could fill this disk under invented names.
type strangers struct {
	mu      sync.Mutex // guards brought
	brought map[p2p.ID][]p2p.ID
}

// maxStrangers is of how many authors who are no members one member can bring records.
const maxStrangers = 256

// maxBringers is of how many members that is remembered: in an open network one person can be
// any number, but what all have here is bounded there, see Table.quota.
const maxBringers = 4096

// usage returns what is here of those that a member has brought.
func (s *strangers) usage(ctx context.Context, from p2p.ID, store Store) (sum Usage, err error) {
	s.mu.Lock()
	authors := slices.Clone(s.brought[from])
	s.mu.Unlock()
	for _, author := range authors {
		u, err := store.Usage(ctx, author)
		if err != nil {
			return sum, fmt.Errorf("dht: what %s has here: %w", author.Short(), err)
		}
		sum.Records += u.Records
		sum.Bytes += u.Bytes
	}
	return sum, nil
}

// brings notes that a member brings a record of an author, and reports whether it may.
func (s *strangers) brings(from, author p2p.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	authors := s.brought[from]
	if slices.Contains(authors, author) {
		return true
	}
	if len(authors) == maxStrangers {
		return false
	}
	if s.brought == nil {
		s.brought = map[p2p.ID][]p2p.ID{}
	}
	for other := range s.brought {
		if len(authors) > 0 || len(s.brought) < maxBringers {
			break
		}
		delete(s.brought, other)
	}
	s.brought[from] = append(authors, author)
	return true
}
