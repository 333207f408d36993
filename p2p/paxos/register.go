package paxos

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Acceptors carries requests to acceptors, over links, and brings back what their
// Acceptor.Answer replies. It may be called by several goroutines at once.
type Acceptors interface {
	Ask(ctx context.Context, to p2p.ID, m Request) (Reply, error)
}

// NewOp returns an Op for a change that has not been tried yet.
func NewOp() Op {
	var op Op
	rand.Read(op.ID[:]) //nolint:errcheck // it never fails
	return op
}

// Client holds what the registers of a node have in common. It may be used by several
// goroutines at once.
type Client struct {
	self      p2p.ID
	acceptors Acceptors
	publish   p2p.Publish
	lives     func(p2p.ID) byte
	check     Check
	ctx       context.Context // of messages on their way
	cancel    context.CancelFunc
	asking    sync.WaitGroup
}

// SetLives says in which life everybody is who becomes an acceptor by Replace, before the
// first register is opened. Otherwise it is that in which it is one already, or the first.
func (c *Client) SetLives(lives func(p2p.ID) byte) { c.lives = lives }

// SetSigner has registers show acceptors the majorities that they found, before the first one is
// opened: as they must if the acceptors have a Signer.
func (c *Client) SetSigner(s Signer) { c.check = s.Check }

// NewClient returns the client of the node self. Events may be nil.
func NewClient(self p2p.ID, acceptors Acceptors, events p2p.Publish) *Client {
	c := &Client{self: self, acceptors: acceptors, publish: events}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close gives up messages on their way: those to acceptors without which operations were
// done. No operation may run or follow.
func (c *Client) Close() {
	c.cancel()
	c.asking.Wait()
}

// Register is a node's handle of a register: it runs a Proposer. Its operations wait
// for each other, so that they may be called by several goroutines at once.
type Register struct {
	client   *Client
	key      p2p.Key
	busy     chan struct{} // holds the one who uses the proposer
	proposer *Proposer     // guarded by busy
}

// Open returns a handle of a register, which begins with a configuration that was
// decided once, as Directory.Locate finds. Errors: ErrMalformed.
func (c *Client) Open(key p2p.Key, config Config) (*Register, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("paxos: open register %x: %w", key[:6], err)
	}
	p := NewProposer(c.self, key, config, newRand())
	p.lives, p.check = c.lives, c.check
	return &Register{client: c, key: key, busy: make(chan struct{}, 1), proposer: p}, nil
}

// newRand returns randomness that no other run of the program has: the first number of
// it tells this proposer's ballots from all others.
func newRand() *mathrand.Rand {
	var seed [16]byte
	rand.Read(seed[:]) //nolint:errcheck // it never fails
	return mathrand.New(mathrand.NewPCG(binary.BigEndian.Uint64(seed[:8]), binary.BigEndian.Uint64(seed[8:])))
}

// Config returns the newest configuration that this node knows.
func (r *Register) Config(ctx context.Context) (Config, error) {
	if err := r.lock(ctx); err != nil {
		return Config{}, err
	}
	defer r.unlock()
	return r.proposer.Config(), nil
}

// Update changes the register by f, in one or two round trips to a majority of its
// acceptors, or more if others do so at the same time. All operations on a register, by
// whomever, are as if they happened one after the other, each between its call and its
// return (linearizable).
//
// op is from NewOp, or zero. If Update returns ErrUnknown, because ctx ended, the change may have
// been made, or may yet be: call Update again with the same op, and it is made once, or
// found to have been (Result.Again), or Update returns ErrForgotten. Update sets op.From
// before anything is sent that has the change. Who wants to try again after a restart
// sets it before, to one more than the version of a Read, and keeps op on disk.
//
// Errors of f, ErrVersion and p2p.ErrTooLarge mean that nothing has been changed by op, and nothing
// will be.
func (r *Register) Update(ctx context.Context, op *Op, f Transform) (Result, error) {
	if op.ID == (OpID{}) {
		op.ID = NewOp().ID
	}
	result, err := r.run(ctx, func(p *Proposer) Output { return p.Update(op, f) })
	if err != nil {
		return result, fmt.Errorf("paxos: update register %x: %w", r.key[:6], err)
	}
	return result, nil
}

// Read returns what the register has: the identity transform, which is proposed and
// accepted like a change.
func (r *Register) Read(ctx context.Context) (Result, error) {
	result, err := r.run(ctx, (*Proposer).Read)
	if err != nil {
		return result, fmt.Errorf("paxos: read register %x: %w", r.key[:6], err)
	}
	return result, nil
}

// Replace gives the register other acceptors: those that f returns, which gets the
// current ones and may be called several times. To return the same means that all is
// well. A majority of the old ones and one of the new must answer, and until they do the
// register stands still: name only acceptors that are there. When Replace returns nil,
// the new ones have the value and the old ones are not needed.
//
// If it returns ErrUnknown, the acceptors may be replaced by and by, by whoever uses the
// register next.
func (r *Register) Replace(ctx context.Context, f func(current Config) ([]p2p.ID, error)) (Config, error) {
	result, err := r.run(ctx, func(p *Proposer) Output { return p.Replace(f) })
	if err != nil {
		return result.Config, fmt.Errorf("paxos: replace acceptors of register %x: %w", r.key[:6], err)
	}
	return result.Config, nil
}

func (r *Register) lock(ctx context.Context) error {
	select {
	case r.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Register) unlock() { <-r.busy }

type answer struct {
	from   p2p.ID
	ballot Ballot
	reply  Reply
	err    error
}

// run is the loop around the proposer.
func (r *Register) run(ctx context.Context, begin func(*Proposer) Output) (Result, error) {
	if err := r.lock(ctx); err != nil {
		return Result{}, err
	}
	defer r.unlock()
	p := r.proposer
	answers, done := make(chan answer), make(chan struct{})
	defer close(done)
	timer := time.NewTimer(RoundTimeout)
	defer timer.Stop()
	for out := begin(p); ; {
		r.carryOut(out, answers, done)
		if out.Timer > 0 {
			timer.Reset(out.Timer)
		}
		if out.Done {
			return out.Result, out.Err
		}
		select {
		case a := <-answers:
			if a.err != nil {
				out = p.Fail(a.from, a.ballot)
				continue
			}
			if e := a.reply.Event(r.key, a.from); e != nil {
				r.client.publish.Emit(e)
			}
			out = p.Receive(a.from, a.reply)
		case <-timer.C:
			out = p.Timeout()
		case <-ctx.Done():
			if p.Abandon() {
				return Result{}, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
			}
			return Result{}, context.Cause(ctx)
		}
	}
}

// carryOut sends what is to be sent, all at once, but first of all to this node itself: what it
// tells others with a message about how far its own memory has come is then true of the
// message (see "What must hold"). What a message brings is dropped when the operation is
// done; the message itself goes on, for the acceptors that are late.
func (r *Register) carryOut(out Output, answers chan<- answer, done <-chan struct{}) {
	for _, e := range out.Events {
		r.client.publish.Emit(e)
	}
	ask := func(s Send) answer {
		ctx, cancel := context.WithTimeout(r.client.ctx, RoundTimeout)
		defer cancel()
		a := answer{from: s.To, ballot: s.Request.Ballot}
		a.reply, a.err = r.client.acceptors.Ask(ctx, s.To, s.Request)
		return a
	}
	self := make(chan struct{})
	if !slices.ContainsFunc(out.Send, func(s Send) bool { return s.To == r.client.self }) {
		close(self)
	}
	for _, s := range out.Send {
		if e := s.Event(); e != nil {
			r.client.publish.Emit(e)
		}
		r.client.asking.Go(func() {
			if s.To != r.client.self {
				<-self
			}
			a := ask(s)
			if s.To == r.client.self {
				close(self)
			}
			select {
			case answers <- a:
			case <-done:
			}
		})
	}
}
