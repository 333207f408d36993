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
