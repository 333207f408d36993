package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// CallOptions are the conditions between any two nodes of Calls. The zero value is a
// perfect network.
type CallOptions struct {
	Seed      uint64
	Latency   time.Duration // one way
	Jitter    time.Duration // up to so much more
	Loss      float64       // probability that a request or an answer is lost
	Duplicate float64       // probability that a request arrives twice, the second one up to a minute later
	// Timeout is how long who asks waits at most. 0: 2 s.
	Timeout time.Duration
}

// Calls is a network that carries calls and nothing else, for thousands of nodes in one
// process: without connections, so that a node costs what it keeps. It is fit for bubbles
// of testing/synctest. What a call meets on its way depends only on the seed, on the two
// nodes and how many calls went before between them.
type Calls struct {
	// mu guards all following fields.
	mu      sync.Mutex
	options CallOptions
	nodes   map[p2p.ID]*callNode
	cuts    map[pairKey]bool // from the first to the second
	calls   map[pairKey]uint64
	stats   CallStats
	// running counts calls that have arrived: duplicates outlive who asked.
	running sync.WaitGroup
}

// CallStats counts what went over the network.
type CallStats struct {
	Calls int // that were sent
	Bytes int // of requests and answers
	Lost  int
}

// AnswerCall answers a call.
type AnswerCall func(ctx context.Context, from p2p.ID, proto string, req []byte) ([]byte, error)

type callNode struct {
	answer AnswerCall
	ctx    context.Context // ends when it crashes
	crash  context.CancelFunc
}

// NewCalls returns a network without nodes.
func NewCalls(o CallOptions) *Calls {
	return &Calls{options: o.defaults(), nodes: map[p2p.ID]*callNode{}, cuts: map[pairKey]bool{}, calls: map[pairKey]uint64{}}
}

func (o CallOptions) defaults() CallOptions {
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	return o
}

// Change makes o the conditions of the calls that are made from now on.
func (c *Calls) Change(o CallOptions) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.options = o.defaults()
}

// Add connects a node to the network. One with the same ID that is there already is crashed
// first: this is its restart.
func (c *Calls) Add(id p2p.ID, answer AnswerCall) *CallEnd {
	c.Crash(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &callNode{answer: answer}
	n.ctx, n.crash = context.WithCancel(context.Background())
	c.nodes[id] = n
	return &CallEnd{calls: c, id: id, ctx: n.ctx}
}

// Crash takes a node away: what it is doing ends, and nobody hears of it.
func (c *Calls) Crash(id p2p.ID) {
	c.mu.Lock()
	n := c.nodes[id]
	delete(c.nodes, id)
	c.mu.Unlock()
	if n != nil {
		n.crash()
	}
}

// Up reports whether a node is there.
func (c *Calls) Up(id p2p.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[id] != nil
}

// Cut stops what goes from one node to another, and not what goes back; on says whether it
// does so from now on.
func (c *Calls) Cut(from, to p2p.ID, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on {
		c.cuts[pairKey{from, to}] = true
	} else {
		delete(c.cuts, pairKey{from, to})
	}
}

// Reaches reports whether what one node sends would arrive at another one.
func (c *Calls) Reaches(from, to p2p.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[to] != nil && !c.cuts[pairKey{from, to}]
}

// Stats returns what went over the network so far.
func (c *Calls) Stats() CallStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Wait returns when nothing is on its way any more.
func (c *Calls) Wait() { c.running.Wait() }

// CallEnd is a node's end of the network.
type CallEnd struct {
	calls *Calls
	id    p2p.ID
	ctx   context.Context
}

// Limit implements the limit of bytes in one call, that of links.
func (*CallEnd) Limit(p2p.ID) int { return 4 << 20 }

// Exchange is Call: there is no difference between short and long ones.
func (e *CallEnd) Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	return e.Call(ctx, to, proto, req)
}

// trip is what one call meets.
type trip struct {
	timeout             time.Duration
	there, back         time.Duration
	lostThere, lostBack bool
	twice               time.Duration // 0: it arrives once
}

// draw decides what the next call between two nodes meets.
func (c *Calls) draw(from, to p2p.ID) trip {
	c.mu.Lock()
	key := pairKey{from, to}
	nth := c.calls[key]
	c.calls[key]++
	c.stats.Calls++
	o := c.options
	c.mu.Unlock()
	a, b := binary.BigEndian.Uint64(from[:]), binary.BigEndian.Uint64(to[:])
	r := rand.New(rand.NewPCG(o.Seed^a, b+nth*0x9e3779b97f4a7c15))
	late := func() time.Duration {
		if o.Jitter == 0 {
			return o.Latency
		}
		return o.Latency + time.Duration(r.Int64N(int64(o.Jitter)))
	}
	t := trip{timeout: o.Timeout, there: late(), back: late()}
	t.lostThere, t.lostBack = r.Float64() < o.Loss, r.Float64() < o.Loss
	if r.Float64() < o.Duplicate {
		t.twice = time.Duration(1 + r.Int64N(int64(time.Minute)))
	}
	return t
}

// Call asks another node. Errors: p2p.ErrUnreachable when nothing comes back in time, and
// those of who answers.
func (e *CallEnd) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	t := e.calls.draw(e.id, to)
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	if t.twice > 0 {
		e.calls.running.Go(func() {
			if pause(e.ctx, t.twice) == nil {
				_, _ = e.calls.arrive(context.Background(), e.id, to, proto, req)
			}
		})
	}
	resp, err := e.calls.travel(ctx, e.id, to, proto, req, t)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("sim: no answer of %s to %s: %w", to.Short(), proto, p2p.ErrUnreachable)
	}
	return resp, err
}

// travel takes a request there and the answer back, or waits in vain.
func (c *Calls) travel(ctx context.Context, from, to p2p.ID, proto string, req []byte, t trip) ([]byte, error) {
	if err := pause(ctx, t.there); err != nil {
		return nil, err
	}
	if t.lostThere || !c.Reaches(from, to) {
		c.lose()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	resp, err := c.wait(ctx, from, to, proto, req)
	if perr := pause(ctx, t.back); perr != nil {
		return nil, perr
	}
	if t.lostBack || !c.Reaches(to, from) {
		c.lose()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return resp, err
}

// wait lets a node answer, and gives up when ctx ends, which the node does not notice.
func (c *Calls) wait(ctx context.Context, from, to p2p.ID, proto string, req []byte) (resp []byte, err error) {
	done := make(chan struct{})
	var heard []byte
	var why error
	c.running.Go(func() {
		defer close(done)
		heard, why = c.arrive(ctx, from, to, proto, req)
	})
	select {
	case <-done:
		return heard, why
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Calls) lose() {
	c.mu.Lock()
	c.stats.Lost++
	c.mu.Unlock()
}

// arrive lets the node answer that is there now.
func (c *Calls) arrive(ctx context.Context, from, to p2p.ID, proto string, req []byte) ([]byte, error) {
	c.mu.Lock()
	n := c.nodes[to]
	c.mu.Unlock()
	if n == nil {
		return nil, p2p.ErrUnreachable
	}
	// It goes on answering when the one who asked has given up, unless it crashes.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	resp, err := n.answer(ctx, from, proto, append([]byte(nil), req...))
	c.mu.Lock()
	c.stats.Bytes += len(req) + len(resp)
	c.mu.Unlock()
	if n.ctx.Err() != nil {
		return nil, p2p.ErrUnreachable
	}
	return resp, err
}

// pause waits for d.
func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
