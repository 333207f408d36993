package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// pull brings a member's entries as long as there is a link to it.
type pull struct {
	r       *runner
	link    p2p.Link
	cancel  context.CancelFunc
	again   chan struct{} // has room for one: ask at once
	granted atomic.Bool   // the member has the folder and lets this node read it
	writes  bool          // it may change the folder
	renewed time.Time     // when what nobody had was asked for again because of it; of its goroutine
	without atomic.Bool   // the member has said that it has not the folder, or keeps it to itself

	mu     sync.Mutex // guards all following fields
	merged uint64     // all up to here of the member's entries is merged
	last   uint64     // what the member had when it was asked, as it says
	at     time.Time  // when something of it came last
	acked  uint64
	acks   chan uint64 // has room for one; nil while there is no stream
	afresh bool        // everything is asked for again
}

// meet starts a pull from each linked member, and ends those whose link has ended.
func (r *runner) meet(ctx context.Context, wg *sync.WaitGroup, links map[p2p.ID]p2p.Link, paused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paused != paused {
		r.paused = paused
		r.wake()
		r.fetch.kick()
		r.news.wake() // who is told of them is told no more
	}
	if own := r.s.o.Access(r.id, r.creator, r.s.self); r.own != own {
		// What was kept back is told, or the other way round.
		r.own, r.all = own, r.all || r.own.Write != own.Write
		r.wake()
	}
	for id, p := range r.pulls {
		if l := links[id]; l != p.link || paused || !r.follows(id) || p.writes != r.writer(id) {
			p.cancel()
			delete(r.pulls, id)
		}
	}
	if paused {
		return
	}
	for id, l := range links {
		if r.pulls[id] != nil || !r.follows(id) {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		p := &pull{r: r, link: l, cancel: cancel, again: make(chan struct{}, 1), writes: r.writer(id)}
		// What was refused of a member that may change the folder now is asked for again.
		p.afresh = p.writes && r.readers[id]
		r.readers[id] = !p.writes
		r.pulls[id] = p
		wg.Go(func() { p.run(ctx) })
	}
}

// follows reports whether anything of a member is taken over: what somebody says who
// may not read the folder cannot be about it.
func (r *runner) follows(id p2p.ID) bool { return r.s.o.Access(r.id, r.creator, id).Read }

func (r *runner) writer(id p2p.ID) bool { return r.s.o.Access(r.id, r.creator, id).Write }

// heardOf notes that a member has the folder.
func (r *runner) heardOf(id p2p.ID) {
	r.mu.Lock()
	p := r.pulls[id]
	r.mu.Unlock()
	if p == nil {
		r.s.Kick()
		return
	}
	if !p.granted.Load() {
		select {
		case p.again <- struct{}{}:
		default:
		}
	}
}

// askEvery is how often a member that has not the folder is asked for it, besides when it
// shows that it has.
const askEvery = 30 * time.Second

func (p *pull) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		select {
		case <-p.link.Done():
		case <-p.r.ended:
		case <-ctx.Done():
		}
		cancel()
	})
	nonsense := 0 // in a row
	for ctx.Err() == nil {
		wait := askEvery
		err := p.once(ctx)
		if p.granted.Swap(false) {
			p.r.wake() // less is to come than was said
		}
		p.r.fetch.kick()
		var refused refusal
		switch {
		case errors.As(err, &refused):
			if refused.code == codeNotReady {
				wait = 500 * time.Millisecond
			} else if !p.without.Swap(true) {
				p.r.wake()
			}
		case errors.Is(err, wire.ErrMalformed), errors.Is(err, p2p.ErrTooLarge):
			wait = min(p.r.s.o.Times.Retry<<min(nonsense, 8), longestRetry)
			nonsense++
			p.r.s.log.Warn("folder: a member sends what are no entries", "folder", p.r.label, "peer", p.link.Peer().Short(), "error", err)
		case err != nil:
			wait = p.r.s.o.Times.Retry
			if ctx.Err() == nil && !isEnd(err) {
				p.r.s.log.Debug("folder: entries of a member stopped coming", "folder", p.r.label, "peer", p.link.Peer().Short(), "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-p.again:
		case <-time.After(wait):
		}
	}
}

// refusal is a welcome that is none.
type refusal struct{ code string }

func (r refusal) Error() string { return fmt.Sprintf("refused: %.40q", r.code) }

// once reads one stream to its end.
func (p *pull) once(ctx context.Context) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	var cursor struct{ incarnation, seq uint64 }
	err := p.r.do(ctx, func(context.Context) error {
		c := p.r.core.Cursor(p.link.Peer())
		cursor.incarnation, cursor.seq = c.Incarnation, c.Seq
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.afresh {
			cursor.seq, p.afresh = 0, false
		}
		return nil
	})
	if err != nil {
		return err
	}
	conn, err := p.link.Open(ctx, IndexProtocol)
	if err != nil {
		return err
	}
	defer reset(conn)
	stop := context.AfterFunc(ctx, func() { reset(conn) })
	defer stop()
	h := hello{Folder: p.r.id, Creator: p.r.creator[:], Incarnation: cursor.incarnation, After: cursor.seq}
	if err := wire.WriteMsg(conn, h); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 32<<10)
	var w welcome
	if err := wire.ReadMsg(in, &w); err != nil {
		return err
	}
	if w.Code != "" {
		return refusal{w.Code}
	}
	merged := cursor.seq
	if w.Incarnation != cursor.incarnation || cursor.seq > w.Last {
		merged = 0
	}
	p.begin(merged, w.Last)
	p.granted.Store(true)
	if time.Since(p.renewed) > p.r.s.o.Times.Retry {
		p.renewed = time.Now()
		p.r.fetch.anew()
	}
	p.r.caughtUp(p)
	p.r.fetch.kick()
	ctx, cancel := context.WithCancel(ctx)
	ended := context.AfterFunc(ctx, func() { reset(conn) })
	var wg sync.WaitGroup
	defer func() {
		ended()
		cancel()
		p.end()
		wg.Wait()
	}()
	wg.Go(func() { p.writeAcks(ctx, conn) })
	wg.Go(func() {
		p.compare(ctx)
		cancel()
	})
	// What is settled already is acknowledged, and what nobody had may be there.
	err = p.r.do(ctx, func(context.Context) error {
		p.r.core.Reachable()
		return nil
	})
	if err != nil {
		return err
	}
	return p.read(ctx, in, w.Incarnation)
}

// ready waits until entries can be merged.
func (p *pull) ready(ctx context.Context) error {
	for !p.r.ready.Load() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// read merges page after page.
func (p *pull) read(ctx context.Context, in *bufio.Reader, of uint64) error {
	for {
		pg, err := readPage(in)
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		select {
		case p.r.incoming <- incoming{pull: p, page: pg, of: of, done: done}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-p.r.ended:
			return p2p.ErrClosed
		}
	}
}

// reach returns how far a page leads: that of a part only as far as before.
func (p *pull) reach(pg page) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(pg.upto, p.merged)
}

// reached notes how far is merged.
func (p *pull) reached(upto uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.merged, p.at = upto, time.Now()
}

func (p *pull) begin(merged, last uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.at = last, time.Now()
	p.merged, p.acked, p.acks = merged, 0, make(chan uint64, 1)
}

func (p *pull) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.acks)
	p.acks = nil
}

// brings is how long a member is believed that more is to come without bringing any.
const brings = 20 * time.Second

// behind reports whether the member has had more than is merged, and brings it.
func (p *pull) behind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.granted.Load() && p.merged < p.last && time.Since(p.at) < brings
}

// had reports whether the member had anything.
func (p *pull) had() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last > 0 || p.merged > 0
}

// settled tells the member that all that is merged is on the disk.
func (p *pull) settled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.acks == nil || p.merged == p.acked {
		return
	}
	select {
	case <-p.acks: // an older one that was not sent yet
	default:
	}
	p.acks <- p.merged
	p.acked = p.merged
}

func (p *pull) writeAcks(ctx context.Context, conn net.Conn) {
	p.mu.Lock()
	acks := p.acks
	p.mu.Unlock()
	if acks == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case applied, open := <-acks:
			if !open {
				return
			}
			if wire.WriteMsg(timedWriter{conn, p.r.s.o.Times.Stalled}, ack{Applied: applied}) != nil {
				return // the reader meets it too
			}
		}
	}
}
