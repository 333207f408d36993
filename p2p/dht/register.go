package dht

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	// tendEvery is how often the one who has to looks whether the directory is kept by those
	// who should.
	tendEvery = 10 * time.Second
)

// ErrDirectory: a register that nobody knows is looked for in the directory, and most of those
// who keep that cannot be asked.
var ErrDirectory = errors.New("most of the computers that keep the directory of registers are off")

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
	ears   map[p2p.Key][]*ear
	absent map[p2p.ID]time.Time // since when acceptors of some register cannot be asked
}

// NewRegisters returns the registers of a node.
func NewRegisters(o RegistersOptions) *Registers {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registers{o: o, self: o.Table.self, open: map[p2p.Key]*paxos.Register{}, ears: map[p2p.Key][]*ear{}, absent: map[p2p.ID]time.Time{}}
	r.client = paxos.NewClient(r.self, r, r.tell)
	r.acceptor = paxos.Acceptor{Self: r.self, Store: o.Store}
	r.directory.Page, r.directory.Lives = r.page, r.lifeOf
	r.client.SetLives(r.lifeOf)
	r.ages.began = o.Table.o.Now()
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
	Own     paxos.Attest  `cbor:"2,keyasint"` // how old the sender is, as an acceptor itself
	Seen    paxos.Attest  `cbor:"3,keyasint"` // and has seen the one who is asked
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
	req, err := wire.Marshal(casRequest{Request: m, Own: own, Seen: r.seenOf(to)})
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
	r.ages.serving.RLock()
	replies, err := r.acceptor.Answer(ctx, from, []paxos.Request{m.Request})
	r.ages.serving.RUnlock()
	switch {
	case errors.Is(err, paxos.ErrFull):
		r.o.Logger.Warn("a proposal was refused", "from", r.o.Table.nameOf(from), "error", err)
		return nil, &p2p.CallError{Code: "refused", Message: err.Error()}
	case err != nil:
		return nil, err
	}
	own, err := r.age(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(casAnswer{Reply: replies[0], Own: own})
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
	return r.handle(r.keyOf(key), func() (paxos.Config, error) { return r.find(ctx, key) })
}

// handle returns the handle of a register of package paxos, which begins with what find finds.
func (r *Registers) handle(key p2p.Key, find func() (paxos.Config, error)) (*paxos.Register, error) {
	r.mu.Lock()
	h := r.open[key]
	r.mu.Unlock()
	if h != nil {
		return h, nil
	}
	c, err := find()
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
	of := r.keyOf(key)
	if c, known, err := r.known(ctx, of); err != nil || known {
		return c, err
	}
	v, err := r.around(ctx, key)
	if err != nil {
		return paxos.Config{}, err
	}
	near := v.replicas(key, 2*acceptorsWanted)
	if c, known := r.hear(ctx, of, ids(near)); known {
		return c, nil
	}
	root, err := r.root(ctx)
	if err != nil {
		return paxos.Config{}, fmt.Errorf("dht: register %x: %w", key[:6], err)
	}
	c, err := r.directory.Locate(ctx, root, of, ids(near[:min(len(near), acceptorsWanted)]))
	if err != nil {
		return c, fmt.Errorf("dht: register %x: %w", key[:6], err)
	}
	return c, nil
}

// first returns the root of the directory with the configuration that it began with.
func (r *Registers) first() (paxos.Place, error) {
	founder, ok := r.o.Founder()
	if !ok {
		return paxos.Place{}, fmt.Errorf("nobody has founded the network: %w", ErrDirectory)
	}
	c, err := paxos.NewConfig([]p2p.ID{founder})
	return paxos.Root(r.o.Table.o.Network(), c), err
}

// root returns where the directory begins.
func (r *Registers) root(ctx context.Context) (paxos.Place, error) {
	at, err := r.first()
	if err != nil {
		return at, err
	}
	h, err := r.handle(at.Key, func() (paxos.Config, error) { return r.newest(ctx, at) })
	if err == nil {
		at.Config, err = h.Config(ctx)
	}
	return at, err
}

// newest returns the newest configuration of a page that can be found out. Any that was decided
// will do, as long as most of its acceptors can be asked: they know whether there is a newer one.
func (r *Registers) newest(ctx context.Context, at paxos.Place) (paxos.Config, error) {
	best := at.Config
	if c, known, err := r.known(ctx, at.Key); err != nil {
		return best, err
	} else if known && c.Epoch > best.Epoch {
		best = c
	}
	if !r.reachable(best) {
		v, err := r.around(ctx, at.Key)
		if err != nil {
			return best, err
		}
		near := ids(v.replicas(at.Key, 2*acceptorsWanted))
		if c, known := r.hear(ctx, at.Key, append(near, best.Acceptors...)); known && c.Epoch > best.Epoch {
			best = c
		}
	}
	return best, nil
}

// reachable reports whether a majority of acceptors can be asked.
func (r *Registers) reachable(c paxos.Config) bool { return len(r.off(c))*2 < len(c.Acceptors) }

// off returns the acceptors that cannot be asked.
func (r *Registers) off(c paxos.Config) []p2p.ID {
	return slices.DeleteFunc(slices.Clone(c.Acceptors), r.o.Table.Alive)
}

// page opens a page of the directory, for paxos.Directory.
func (r *Registers) page(ctx context.Context, at paxos.Place) (*paxos.Register, error) {
	open := func() (*paxos.Register, paxos.Config, error) {
		h, err := r.handle(at.Key, func() (paxos.Config, error) { return r.newest(ctx, at) })
		if err != nil {
			return nil, paxos.Config{}, err
		}
		c, err := h.Config(ctx)
		return h, c, err
	}
	h, c, err := open()
	if err == nil && !r.reachable(c) {
		r.forget(at.Key) // others may know newer ones
		h, c, err = open()
	}
	if err != nil {
		return nil, err
	}
	if !r.reachable(c) {
		r.forget(at.Key)
		var names []string
		for _, id := range r.off(c) {
			names = append(names, r.o.Table.nameOf(id))
		}
		return nil, fmt.Errorf("%w: %s", ErrDirectory, strings.Join(names, ", "))
	}
	if !at.IsRoot() {
		r.replaceAbsent(ctx, at.Key, at.Key, h, func(ctx context.Context, c paxos.Config) error {
			return r.directory.NotePage(ctx, at, c)
		})
	}
	return h, nil
}

// forget drops a handle.
func (r *Registers) forget(key p2p.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, key)
}

// Keepers returns who keeps the root of the directory, as far as this node knows.
func (r *Registers) Keepers(ctx context.Context) (paxos.Config, error) {
	at, err := r.first()
	if err != nil {
		return paxos.Config{}, err
	}
	best := at.Config
	c, _, err := r.known(ctx, at.Key)
	if err != nil {
		return best, err
	}
	if c.Epoch > best.Epoch {
		best = c
	}
	r.mu.Lock()
	h := r.open[at.Key]
	r.mu.Unlock()
	if h != nil {
		if c, err = h.Config(ctx); err == nil && c.Epoch > best.Epoch {
			best = c
		}
	}
	return best, err
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

// Tend gives the root of the directory the acceptors that it should have, if that is for this
// node to do: the first of its acceptors that can be asked does it. Run calls it.
func (r *Registers) Tend(ctx context.Context) error {
	at, err := r.first()
	if err != nil {
		return nil // there is no network yet
	}
	c, known, err := r.known(ctx, at.Key)
	if err != nil {
		return err
	}
	if !known {
		c = at.Config
	}
	able := func(id p2p.ID) bool {
		_, member := r.o.Table.o.Member(id)
		return member && r.o.Table.Alive(id) && r.lifeOf(id) == c.Life(id)
	}
	if i := slices.IndexFunc(c.Acceptors, able); i < 0 || c.Acceptors[i] != r.self {
		return nil
	}
	gone := r.gone(c)
	if len(gone) == 0 && len(c.Acceptors) >= acceptorsWanted {
		return nil
	}
	v, err := r.around(ctx, at.Key)
	if err != nil {
		return err
	}
	next := nextKeepers(c.Acceptors, v, at.Key, gone)
	if next == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tendEvery)
	defer cancel()
	h, err := r.page(ctx, at)
	if err != nil {
		return err
	}
	changed, err := h.Replace(ctx, func(current paxos.Config) ([]p2p.ID, error) {
		if !current.Equal(c) {
			return current.Acceptors, nil // somebody else has been faster
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	r.o.Logger.Info("the directory of registers was given to others", "epoch", changed.Epoch, "acceptors", len(changed.Acceptors))
	return nil
}

// nextKeepers returns the acceptors that the root of the directory should have, or nil where
// it has them, or nothing better can be had: five or three of those who can be asked, those
// it has first. An even number would tolerate no more absent ones than the odd one below.
// Where few are on, it stays with those it has: they come back.
func nextKeepers(current []p2p.ID, v view, key p2p.Key, gone map[p2p.ID]bool) []p2p.ID {
	const least = 3
	var out []p2p.ID
	for _, id := range current {
		if !gone[id] {
			out = append(out, id)
		}
	}
	kept := len(out)
	for _, m := range v.replicas(key, 2*acceptorsWanted) {
		if len(out) < acceptorsWanted && !slices.Contains(out, m.ID) {
			out = append(out, m.ID)
		}
	}
	switch {
	case len(out) < least, len(out) < acceptorsWanted && kept > least:
		return nil
	case len(out) < acceptorsWanted:
		out = out[:least]
	}
	slices.SortFunc(out, p2p.ID.Compare)
	if slices.Equal(out, current) && !slices.ContainsFunc(out, func(id p2p.ID) bool { return gone[id] }) {
		return nil
	}
	return out
}

// around returns who is there around a register.
func (r *Registers) around(ctx context.Context, key p2p.Key) (view, error) {
	return r.o.Table.around(ctx, r.o.Table.begin("locate"), []p2p.Key{key}, 2*acceptorsWanted)
}

// hear asks members which configuration they know as acceptors; the newest is returned.
func (r *Registers) hear(ctx context.Context, key p2p.Key, members []p2p.ID) (best paxos.Config, known bool) {
	ctx, cancel := context.WithTimeout(ctx, locate)
	defer cancel()
	req, err := wire.Marshal(locateRequest{key})
	if err != nil {
		return best, false
	}
	var mu sync.Mutex // guards best and known
	ask := map[p2p.ID]struct{}{}
	for _, id := range members {
		if id != r.self {
			ask[id] = struct{}{}
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

// tendTo replaces absent acceptors of a register, which the directory is told.
func (r *Registers) tendTo(ctx context.Context, key p2p.Key, h *paxos.Register) {
	of := r.keyOf(key)
	r.replaceAbsent(ctx, key, of, h, func(ctx context.Context, c paxos.Config) error {
		root, err := r.root(ctx)
		if err == nil {
			err = r.directory.Note(ctx, root, of, c)
		}
		return err
	})
}

// replaceAbsent puts other members, those nearest to key, in the place of acceptors that
// are members no more, or away for long, and has that noted. That it fails does no harm:
// the next one tries again.
func (r *Registers) replaceAbsent(ctx context.Context, key, of p2p.Key, h *paxos.Register, note func(context.Context, paxos.Config) error) {
	c, err := h.Config(ctx)
	if err != nil {
		return
	}
	gone := r.gone(c)
	if len(gone) == 0 && len(c.Acceptors) >= acceptorsWanted {
		return
	}
	v, err := r.around(ctx, key)
	if err != nil {
		return
	}
	next := nextAcceptors(c.Acceptors, v, key, gone)
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
	if err := note(ctx, changed); err != nil {
		r.o.Logger.Debug("new acceptors not noted", "register", fmt.Sprintf("%x", of[:6]), "error", err)
	}
}

// gone returns those acceptors that are to be replaced. Who has begun a new life may come
// into its own place.
func (r *Registers) gone(c paxos.Config) map[p2p.ID]bool {
	t := r.o.Table
	now := r.o.Table.o.Now()
	out := map[p2p.ID]bool{}
	for _, id := range c.Acceptors {
		if r.lifeOf(id) > c.Life(id) {
			out[id] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range c.Acceptors {
		since, absent := r.absent[id]
		_, member := t.o.Member(id)
		switch {
		case !member:
			out[id] = true
		case t.Alive(id):
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
	same := slices.Equal(out, current) && !slices.ContainsFunc(out, func(id p2p.ID) bool { return gone[id] })
	if len(out) == 0 || same {
		return nil
	}
	return out
}
