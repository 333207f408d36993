package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// maxOpen bounds the handles that are kept open.
	maxOpen = 4096
	locate  = 2 * time.Second // how long members have to say where a register is
)

// ErrDirectory: a register that nobody knows is looked for in the directory, and most of those
// who keep that cannot be asked.
var ErrDirectory = errors.New("most of the computers that keep the directory of registers are off")

type locateRequest struct {
	Register p2p.Key `cbor:"1,keyasint"`
	After    uint64  `cbor:"2,keyasint,omitempty"` // the steps to the epochs after this one are wanted,
	Value    bool    `cbor:"3,keyasint,omitempty"` // or what was accepted
}

type locateAnswer struct {
	Known    bool         `cbor:"1,keyasint,omitempty"`
	Config   paxos.Config `cbor:"2,keyasint"`
	Steps    []paxos.Step `cbor:"3,keyasint,omitempty"`
	Accepted paxos.Ballot `cbor:"4,keyasint"`
	Data     []byte       `cbor:"5,keyasint,omitempty"`
	Retired  bool         `cbor:"6,keyasint,omitempty"`
}

// handleLocate says what this node knows of a register as its acceptor.
func (r *Registers) handleLocate(ctx context.Context, _ p2p.ID, req []byte) ([]byte, error) {
	var m locateRequest
	if err := wire.Unmarshal(req, &m); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	a, err := r.where(ctx, m)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(a)
}

// where answers for this node.
func (r *Registers) where(ctx context.Context, m locateRequest) (a locateAnswer, err error) {
	s, err := r.state(ctx, m.Register)
	if err != nil || s.IsZero() {
		return a, err
	}
	a = locateAnswer{Known: true, Config: s.Config, Retired: s.Retired}
	switch {
	case m.Value:
		a.Accepted, a.Data = s.Accepted, s.Value.Data
	case m.After > 0 && m.After < s.Config.Epoch:
		a.Steps, err = r.o.Store.Steps(ctx, m.Register, m.After, paxos.MaxSteps)
	}
	return a, err
}

func (r *Registers) state(ctx context.Context, register p2p.Key) (s paxos.State, err error) {
	err = r.o.Store.Change(ctx, []p2p.Key{register}, func(states []paxos.State) error {
		s = states[0]
		return nil
	})
	return s, err
}

// known returns the configuration that this node's acceptor knows.
func (r *Registers) known(ctx context.Context, register p2p.Key) (c paxos.Config, known bool, err error) {
	s, err := r.state(ctx, register)
	return s.Config, !s.IsZero(), err
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
	if c, agreed := r.agreed(ctx, of, r.hear(ctx, of, ids(near))); agreed {
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
	best, known, err := r.known(ctx, at.Key)
	if err != nil || known && (best.Epoch > at.Config.Epoch || at.Config.Epoch == 1) && r.reachable(best) {
		return best, err
	}
	if !known || best.Epoch < at.Config.Epoch {
		best = at.Config
	}
	// All know how the root began, and hardly anything is kept there since.
	if r.reachable(best) && !(at.IsRoot() && best.Epoch == 1) {
		return best, nil
	}
	best, _, err = r.later(ctx, at.Key, best)
	return best, err
}

// later returns what has become of a configuration of a page, as far as members show it by steps,
// and those. What most of those who keep the page say is believed where nobody can show it:
// acceptors that have moved before steps were kept cannot.
func (r *Registers) later(ctx context.Context, key p2p.Key, best paxos.Config) (paxos.Config, []paxos.Step, error) {
	v, err := r.around(ctx, key)
	if err != nil {
		return best, nil, err
	}
	near := ids(v.replicas(key, 2*acceptorsWanted))
	began, newer, steps := best, []told(nil), []paxos.Step(nil)
	for _, x := range r.hear(ctx, key, append(near, best.Acceptors...)) {
		if x.config.Epoch > best.Epoch {
			to, taken := r.proven(ctx, key, best, x.by)
			best, steps = to, append(steps, taken...)
		}
		if x.config.Epoch > began.Epoch {
			newer = append(newer, x)
		}
	}
	if best.Epoch == began.Epoch {
		if c, agreed := r.agreed(ctx, key, newer); agreed {
			return c, nil, nil
		}
	}
	return best, steps, nil
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
		r.notePath(at)
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

// notePath remembers where a page is, which acceptors that are new to it are told.
func (r *Registers) notePath(at paxos.Place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.IsRoot() {
		return
	}
	for key := range r.paths { // it is noted again whenever the page is opened
		if len(r.paths) < maxOpen {
			break
		}
		delete(r.paths, key)
	}
	r.paths[at.Key] = at.Path()
}

func (r *Registers) pathOf(register p2p.Key) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paths[register]
}

// forget drops a handle.
func (r *Registers) forget(key p2p.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, key)
}

// around returns who is there around a register.
func (r *Registers) around(ctx context.Context, key p2p.Key) (view, error) {
	return r.o.Table.around(ctx, r.o.Table.begin("locate"), []p2p.Key{key}, 2*acceptorsWanted)
}

// hear asks members which configuration they know as acceptors.
func (r *Registers) hear(ctx context.Context, key p2p.Key, members []p2p.ID) (heard []told) {
	ask := setOf(members)
	delete(ask, r.self)
	var mu sync.Mutex // guards heard
	each(ask, func(to p2p.ID, _ struct{}) {
		a, err := r.askWhere(ctx, to, locateRequest{Register: key})
		if err != nil || !a.Known {
			return
		}
		// Open refuses what is no configuration.
		if _, err := r.client.Open(key, a.Config); err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, told{to, a.Config})
	})
	return heard
}

func ids(members []Member) []p2p.ID {
	out := make([]p2p.ID, len(members))
	for i, m := range members {
		out[i] = m.ID
	}
	return out
}
