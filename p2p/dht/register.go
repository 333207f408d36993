package dht

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// The protocols of registers: what proposers and acceptors say, and where a register is.
const (
	ProtoCas    = "dht-cas/2"
	ProtoLocate = "dht-locate/2"
)

// RegistersOptions configure Registers.
type RegistersOptions struct {
	Table  *Table
	Caller Caller
	Store  paxos.Store
	// Founder is who was member first, the same for all members for ever; false: it is
	// not known.
	Founder func() (p2p.ID, bool)
	Publish p2p.Publish
	Logger  *slog.Logger
}

// Registers are values that all agree upon: of changes made at the same time each sees the
// one before it (linearizable; see package paxos). A register is kept by the members that
// were nearest to its key when it was made; who is away for long is replaced.
//
// Where a register is: whoever has used it knows, and so do its acceptors, which are asked
// first. For a register that nobody knows, the directory decides once who they are, because
// two members that see different others must not begin with different acceptors. The
// directory is made of registers itself (paxos.Directory). The first of them, its root, began
// with the founder of the network as its only acceptor, the same for all members for ever;
// Run gives it five, or three, as soon as so many are there, and a majority of those does
// without the founder.
type Registers struct {
	o         RegistersOptions
	self      p2p.ID
	client    *paxos.Client
	acceptor  paxos.Acceptor
	directory paxos.Directory
	ages      ages

	mu     sync.Mutex                  // guards all following fields
	open   map[p2p.Key]*paxos.Register // by their keys in paxos
	paths  map[p2p.Key][]byte          // of those that are pages of the directory
	begun  map[p2p.Key]paxos.Config    // what the directory has said of registers that were new to this node
	ears   map[p2p.Key][]*ear
	absent map[p2p.ID]time.Time // since when acceptors of some register cannot be asked
	walks  map[p2p.ID]*rate.Limiter
}

// NewRegisters returns the registers of a node.
func NewRegisters(o RegistersOptions) *Registers {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registers{o: o, self: o.Table.self, open: map[p2p.Key]*paxos.Register{}, paths: map[p2p.Key][]byte{}, begun: map[p2p.Key]paxos.Config{}, ears: map[p2p.Key][]*ear{}, absent: map[p2p.ID]time.Time{}, walks: map[p2p.ID]*rate.Limiter{}}
	r.client = paxos.NewClient(r.self, r, r.tell)
	signer := voter{o.Table.o.Identity}
	r.acceptor = paxos.Acceptor{Self: r.self, Store: o.Store, Signer: signer}
	r.directory.Page, r.directory.Peek, r.directory.Lives = r.page, r.peek, r.lifeOf
	r.client.SetLives(r.lifeOf)
	r.client.SetSigner(signer)
	r.ages.began, r.ages.asking = o.Table.o.Now(), make(chan struct{}, 1)
	r.ages.seen, r.ages.news, r.ages.asked = map[p2p.ID]paxos.Attest{}, map[p2p.ID]bool{}, map[p2p.ID]bool{}
	return r
}

// keyOf returns the key that a register of this network has in package paxos: what this node
// has promised in a network that it was in before is of other registers.
func (r *Registers) keyOf(key p2p.Key) p2p.Key {
	network := r.o.Table.o.Network()
	return sha256.Sum256(slices.Concat([]byte("shoal register\x00"), network[:], key[:]))
}

// ear hears what happens to a register while somebody listens.
type ear struct{ hear func(p2p.Event) }

// Listen calls hear with each event of a register at this node, one at a time, until stop
// is called: how a change came about. hear must not wait.
func (r *Registers) Listen(key p2p.Key, hear func(p2p.Event)) (stop func()) {
	e := &ear{hear}
	key = r.keyOf(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ears[key] = append(r.ears[key], e)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ears[key] = slices.DeleteFunc(r.ears[key], func(o *ear) bool { return o == e })
		if len(r.ears[key]) == 0 {
			delete(r.ears, key)
		}
	}
}

// tell publishes an event, and tells those who listen.
func (r *Registers) tell(e p2p.Event) {
	r.o.Publish.Emit(e)
	key, ok := registerOf(e)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ear := range r.ears[key] {
		ear.hear(e)
	}
}

// registerOf returns the register that an event is about.
func registerOf(e p2p.Event) (p2p.Key, bool) {
	switch e := e.(type) {
	case paxos.Prepared:
		return e.Register, true
	case paxos.Promised:
		return e.Register, true
	case paxos.Proposed:
		return e.Register, true
	case paxos.Accepted:
		return e.Register, true
	case paxos.Conflicted:
		return e.Register, true
	case paxos.Chosen:
		return e.Register, true
	case paxos.Moved:
		return e.Register, true
	}
	return p2p.Key{}, false
}

// Close gives up what is on its way. No operation may run or follow.
func (r *Registers) Close() { r.client.Close() }

// casRequest is what a proposer sends.
type casRequest struct {
	Request paxos.Request `cbor:"1,keyasint"`
	Own     paxos.Attest  `cbor:"2,keyasint"`           // how old the sender is, as an acceptor itself
	Seen    paxos.Attest  `cbor:"3,keyasint"`           // and has seen the one who is asked
	Path    []byte        `cbor:"4,keyasint,omitempty"` // to the register, if it is a page of the directory
}

// casAnswer is what an acceptor answers. Without a reply it is none of the register, or not
// in its present life.
type casAnswer struct {
	Reply paxos.Reply  `cbor:"1,keyasint"`
	Own   paxos.Attest `cbor:"2,keyasint"` // how old it is, with what it has answered
}

// Ask implements paxos.Acceptors.
func (r *Registers) Ask(ctx context.Context, to p2p.ID, m paxos.Request) (paxos.Reply, error) {
	own, err := r.age(ctx)
	if err != nil {
		return paxos.Reply{}, err
	}
	req, err := wire.Marshal(casRequest{Request: m, Own: own, Seen: r.seenOf(to), Path: r.pathOf(m.Register)})
	if err != nil {
		return paxos.Reply{}, err
	}
	var resp []byte
	if to == r.self {
		resp, err = r.handleCas(ctx, r.self, req)
	} else {
		resp, err = r.o.Caller.Call(ctx, to, ProtoCas, req)
	}
	if err != nil {
		return paxos.Reply{}, err
	}
	var a casAnswer
	if err := wire.Unmarshal(resp, &a); err != nil {
		return paxos.Reply{}, err
	}
	r.saw(to, a.Own)
	if a.Reply.Kind == 0 {
		return paxos.Reply{}, fmt.Errorf("dht: %s, in its life %d: %w", r.o.Table.nameOf(to), a.Own.Age.Life, paxos.ErrNotAcceptor)
	}
	return a.Reply, nil
}

// Handlers returns who answers the protocols of registers.
func (r *Registers) Handlers() map[string]Handler {
	return map[string]Handler{ProtoCas: r.handleCas, ProtoLocate: r.handleLocate, ProtoAge: r.handleAge}
}

// handleCas is the acceptor.
func (r *Registers) handleCas(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
	var m casRequest
	if err := wire.Unmarshal(req, &m); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	r.saw(from, m.Own)
	if err := r.told(ctx, from, m.Seen); err != nil {
		return nil, err
	}
	if err := r.remind(ctx); errors.Is(err, errSettling) {
		return nil, &p2p.CallError{Code: "starting", Message: err.Error()}
	} else if err != nil {
		return nil, err
	}
	var why error
	acceptor := r.acceptor
	acceptor.Serving = r.ages.serving.RLocker()
	asking, cancel := context.WithTimeout(ctx, locate) // for all that is to be found out
	defer cancel()
	acceptor.Ask = func(_ context.Context, id p2p.ID, register p2p.Key, after uint64) []paxos.Step {
		return r.steps(asking, id, register, after)
	}
	acceptor.Refused = func(_ p2p.ID, _ paxos.Request, err error) { why = err }
	acceptor.Begin = func(ctx context.Context, q paxos.Request) (paxos.Config, []paxos.Step, error) {
		return r.begin(ctx, q, m.Path)
	}
	replies, err := acceptor.Answer(ctx, from, []paxos.Request{m.Request})
	switch {
	case errors.Is(err, paxos.ErrFull):
		r.o.Logger.Warn("a proposal was refused", "from", r.o.Table.nameOf(from), "error", err)
		return nil, &p2p.CallError{Code: "refused", Message: err.Error()}
	case errors.Is(err, errWalks):
		return nil, &p2p.CallError{Code: "busy", Message: err.Error()}
	case err != nil:
		return nil, err
	case why != nil:
		r.doubt(m.Request.Register, why)
		code := refusalOf(why)
		r.o.Logger.Warn("a proposal was refused", "from", r.o.Table.nameOf(from), "why", code, "error", why)
		return nil, &p2p.CallError{Code: code, Message: why.Error()}
	}
	own, err := r.age(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(casAnswer{Reply: replies[0], Own: own})
}

// refusalOf is the code of what no honest member proposes.
func refusalOf(why error) string {
	switch {
	case errors.Is(why, paxos.ErrForeign):
		return "foreign_ballot"
	case errors.Is(why, paxos.ErrFuture):
		return StatusFuture.String()
	case errors.Is(why, paxos.ErrNoQuorum):
		return "no_quorum"
	}
	return StatusMalformed.String()
}

// Run keeps the root of the directory with those who should have it, until ctx ends.
func (r *Registers) Run(ctx context.Context) error {
	if err := r.loadAges(ctx); err != nil {
		return err
	}
	tick, write := time.NewTicker(tendEvery), time.NewTicker(agesEvery)
	defer tick.Stop()
	defer write.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ageWait)
			defer cancel()
			return r.writeAges(ctx)
		case <-write.C:
			if err := r.writeAges(ctx); err != nil && ctx.Err() == nil {
				r.o.Logger.Warn("not written down", "error", err)
			}
		case <-tick.C:
			r.again()
			if err := r.remind(ctx); err != nil && ctx.Err() == nil {
				r.o.Logger.Info("others were not asked how old they have seen this node", "error", err)
			}
			if err := r.Tend(ctx); err != nil && ctx.Err() == nil {
				r.o.Logger.Info("the directory of registers was not given to others", "error", err)
			}
		}
	}
}

// Update changes a register; see paxos.Register.Update.
func (r *Registers) Update(ctx context.Context, key p2p.Key, op *paxos.Op, f paxos.Transform) (paxos.Result, error) {
	h, err := r.register(ctx, key)
	if err != nil {
		return paxos.Result{}, err
	}
	r.tendTo(ctx, key, h)
	return h.Update(ctx, op, f)
}

// Read returns what a register has.
func (r *Registers) Read(ctx context.Context, key p2p.Key) (paxos.Result, error) {
	h, err := r.register(ctx, key)
	if err != nil {
		return paxos.Result{}, err
	}
	r.tendTo(ctx, key, h)
	return h.Read(ctx)
}
