package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// The protocols of registers: what proposers and acceptors say, and where a register is.
const (
	ProtoCas    = "dht-cas/1"
	ProtoLocate = "dht-locate/1"
)

// How registers are kept.
const (
	// acceptorsWanted is how many members keep a register: it works while three of them do.
	acceptorsWanted = 5
	// absentFor is how long an acceptor is away before another member takes its place.
	absentFor = 10 * time.Minute
	// maxOpen bounds the handles that are kept open.
	maxOpen = 4096
	locate  = 2 * time.Second // how long members have to say where a register is
)

// ErrFounder: a new register needs the member that has founded the network, which is where
// all members agree to look for registers first.
var ErrFounder = errors.New("a new register needs the computer that made the network")

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
// first. For a register that nobody knows, the founder of the network decides once who
// they are, because two members that see different others must not begin with different
// acceptors.
type Registers struct {
	o        RegistersOptions
	self     p2p.ID
	client   *paxos.Client
	acceptor paxos.Acceptor

	mu     sync.Mutex // guards all following fields
	open   map[p2p.Key]*paxos.Register
	absent map[p2p.ID]time.Time // since when acceptors of some register cannot be asked
}

// NewRegisters returns the registers of a node.
func NewRegisters(o RegistersOptions) *Registers {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registers{o: o, self: o.Table.self, open: map[p2p.Key]*paxos.Register{}, absent: map[p2p.ID]time.Time{}}
	r.client = paxos.NewClient(r.self, r, o.Publish)
	r.acceptor = paxos.Acceptor{Self: r.self, Store: o.Store}
	return r
}

// Close gives up what is on its way. No operation may run or follow.
func (r *Registers) Close() { r.client.Close() }

// Ask implements paxos.Acceptors.
func (r *Registers) Ask(ctx context.Context, to p2p.ID, m paxos.Request) (paxos.Reply, error) {
	req, err := wire.Marshal(m)
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
	var reply paxos.Reply
	err = wire.Unmarshal(resp, &reply)
	return reply, err
}

// Handlers returns who answers the protocols of registers.
func (r *Registers) Handlers() map[string]Handler {
	return map[string]Handler{ProtoCas: r.handleCas, ProtoLocate: r.handleLocate}
}

// handleCas is the acceptor.
func (r *Registers) handleCas(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
	var m paxos.Request
	if err := wire.Unmarshal(req, &m); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	replies, err := r.acceptor.Answer(ctx, from, []paxos.Request{m})
	switch {
	case errors.Is(err, paxos.ErrMalformed), errors.Is(err, paxos.ErrNotAcceptor), errors.Is(err, paxos.ErrConfig), errors.Is(err, paxos.ErrFull):
		r.o.Logger.Warn("a proposal was refused", "from", r.o.Table.nameOf(from), "error", err)
		return nil, &p2p.CallError{Code: "refused", Message: err.Error()}
	case err != nil:
		return nil, err
	}
	return wire.Marshal(replies[0])
}

type locateRequest struct {
	Register p2p.Key `cbor:"1,keyasint"`
}

type locateAnswer struct {
	Known  bool         `cbor:"1,keyasint,omitempty"`
	Config paxos.Config `cbor:"2,keyasint"`
}

// handleLocate says which configuration of a register this node has as its acceptor.
func (r *Registers) handleLocate(ctx context.Context, _ p2p.ID, req []byte) ([]byte, error) {
	var m locateRequest
	if err := wire.Unmarshal(req, &m); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	c, known, err := r.known(ctx, m.Register)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(locateAnswer{Known: known, Config: c})
}

// known returns the configuration that this node's acceptor knows.
func (r *Registers) known(ctx context.Context, register p2p.Key) (c paxos.Config, known bool, err error) {
	err = r.o.Store.Change(ctx, []p2p.Key{register}, func(states []paxos.State) error {
		c, known = states[0].Config, !states[0].IsZero()
		return nil
	})
	return c, known, err
}

// register returns the handle of a register.
func (r *Registers) register(ctx context.Context, key p2p.Key) (*paxos.Register, error) {
	r.mu.Lock()
	h := r.open[key]
	r.mu.Unlock()
	if h != nil {
		return h, nil
	}
	c, err := r.find(ctx, key)
	if err != nil {
		return nil, err
	}
	if h, err = r.client.Open(key, c); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if there := r.open[key]; there != nil {
		return there, nil
	}
	if len(r.open) >= maxOpen {
		clear(r.open) // those that are in use are found again
	}
	r.open[key] = h
	return h, nil
}

// find finds a configuration of a register: at this node, at members near to it, or by the
// directory.
func (r *Registers) find(ctx context.Context, key p2p.Key) (paxos.Config, error) {
	if c, known, err := r.known(ctx, key); err != nil || known {
		return c, err
	}
	near := r.o.Table.view().replicas(key, 2*acceptorsWanted)
	if c, known := r.hear(ctx, key, near); known {
		return c, nil
	}
	founder, ok := r.o.Founder()
	if !ok || !r.o.Table.Alive(founder) {
		return paxos.Config{}, fmt.Errorf("dht: register %x: nobody knows it, and %s cannot be asked: %w", key[:6], r.o.Table.nameOf(founder), ErrFounder)
	}
	anchors, err := paxos.NewConfig([]p2p.ID{founder})
	if err != nil {
		return paxos.Config{}, err
	}
	return paxos.Directory{Client: r.client, Anchors: anchors}.Locate(ctx, key, ids(near[:min(len(near), acceptorsWanted)]))
}

// hear asks members which configuration they know as acceptors; the newest is returned.
func (r *Registers) hear(ctx context.Context, key p2p.Key, members []Member) (best paxos.Config, known bool) {
	ctx, cancel := context.WithTimeout(ctx, locate)
	defer cancel()
	req, err := wire.Marshal(locateRequest{key})
	if err != nil {
		return best, false
	}
	var mu sync.Mutex // guards best and known
	ask := map[p2p.ID]struct{}{}
	for _, m := range members {
		if m.ID != r.self {
			ask[m.ID] = struct{}{}
		}
	}
	each(ask, func(to p2p.ID, _ struct{}) {
		var a locateAnswer
		resp, err := r.o.Caller.Call(ctx, to, ProtoLocate, req)
		if err != nil || wire.Unmarshal(resp, &a) != nil || !a.Known {
			return
		}
		// Open refuses what is no configuration.
		if _, err := r.client.Open(key, a.Config); err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !known || a.Config.Epoch > best.Epoch {
			best, known = a.Config, true
		}
	})
	return best, known
}

func ids(members []Member) []p2p.ID {
	out := make([]p2p.ID, len(members))
	for i, m := range members {
		out[i] = m.ID
	}
	return out
}

// Update changes a register; see paxos.Register.Update.
func (r *Registers) Update(ctx context.Context, key p2p.Key, op *paxos.Op, f paxos.Transform) (paxos.Result, error) {
	h, err := r.register(ctx, key)
	if err != nil {
		return paxos.Result{}, err
	}
	r.replaceAbsent(ctx, key, h)
	return h.Update(ctx, op, f)
}

// Read returns what a register has.
func (r *Registers) Read(ctx context.Context, key p2p.Key) (paxos.Result, error) {
	h, err := r.register(ctx, key)
	if err != nil {
		return paxos.Result{}, err
	}
	r.replaceAbsent(ctx, key, h)
	return h.Read(ctx)
}

// replaceAbsent puts other members in the place of acceptors that are members no more, or
// away for long. That it fails does no harm: the next one tries again.
func (r *Registers) replaceAbsent(ctx context.Context, key p2p.Key, h *paxos.Register) {
	c, err := h.Config(ctx)
	if err != nil {
		return
	}
	v := r.o.Table.view()
	next := nextAcceptors(c.Acceptors, v, key, r.gone(c.Acceptors, v))
	if next == nil {
		return
	}
	changed, err := h.Replace(ctx, func(current paxos.Config) ([]p2p.ID, error) {
		if !current.Equal(c) {
			return current.Acceptors, nil // somebody else has been faster
		}
		return next, nil
	})
	if err != nil {
		r.o.Logger.Info("acceptors not replaced", "error", err)
		return
	}
	founder, ok := r.o.Founder()
	if !ok {
		return
	}
	if anchors, err := paxos.NewConfig([]p2p.ID{founder}); err == nil {
		if err := (paxos.Directory{Client: r.client, Anchors: anchors}).Note(ctx, key, changed); err != nil {
			r.o.Logger.Debug("new acceptors not noted", "error", err)
		}
	}
}

// gone returns those acceptors that are to be replaced.
func (r *Registers) gone(acceptors []p2p.ID, v view) map[p2p.ID]bool {
	now := r.o.Table.o.Now()
	out := map[p2p.ID]bool{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range acceptors {
		since, absent := r.absent[id]
		switch {
		case !slices.ContainsFunc(v.members, func(m Member) bool { return m.ID == id }):
			out[id] = true
		case v.alive[id]:
			delete(r.absent, id)
		case !absent:
			r.absent[id] = now
		case now.Sub(since) > absentFor:
			out[id] = true
		}
	}
	return out
}

// nextAcceptors returns the acceptors that a register should have, or nil where it has
// them: as many as are wanted, those it has first.
func nextAcceptors(current []p2p.ID, v view, key p2p.Key, gone map[p2p.ID]bool) []p2p.ID {
	var out []p2p.ID
	for _, id := range current {
		if !gone[id] {
			out = append(out, id)
		}
	}
	for _, m := range v.replicas(key, 2*acceptorsWanted) {
		if len(out) < acceptorsWanted && !slices.Contains(out, m.ID) {
			out = append(out, m.ID)
		}
	}
	slices.SortFunc(out, p2p.ID.Compare)
	if len(out) == 0 || slices.Equal(out, current) {
		return nil
	}
	return out
}
