package dht

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// voteContext is what the votes of acceptors are signed for.
const voteContext = "shoal acceptor vote"

// voter implements paxos.Signer with the identity of this node. A mark is a public key, of which
// an ID is the hash, and a signature.
type voter struct{ p2p.Identity }

func (v voter) Sign(text []byte) []byte {
	return append(slices.Clip([]byte(v.PublicKey())), v.Identity.Sign(voteContext, text)...)
}

func (voter) Check(by p2p.ID, text, mark []byte) bool {
	if len(mark) != ed25519.PublicKeySize+ed25519.SignatureSize {
		return false
	}
	key := ed25519.PublicKey(mark[:ed25519.PublicKeySize])
	return p2p.IDOf(key) == by && p2p.Verify(key, voteContext, text, mark[ed25519.PublicKeySize:])
}

// begin returns what the directory says of a register that is new to this node as an acceptor,
// and of one of its pages, to which a path leads. Of the root everybody knows how it began, and no
// page says what has become of it: the steps are kept, for when those who have shown them are off.
func (r *Registers) begin(ctx context.Context, m paxos.Request, path []byte) (paxos.Config, []paxos.Step, error) {
	first, err := r.first()
	switch {
	case err != nil:
		return first.Config, nil, err
	case m.Register == first.Key && m.Config.Epoch > 1:
		return r.later(ctx, first.Key, first.Config)
	case m.Register == first.Key:
		return first.Config, nil, nil
	}
	c, err := r.noted(ctx, m, path)
	return c, nil, err
}

// noted returns what the directory says of a register.
func (r *Registers) noted(ctx context.Context, m paxos.Request, path []byte) (paxos.Config, error) {
	r.mu.Lock()
	c, known := r.begun[m.Register]
	r.mu.Unlock()
	if known {
		return c, nil
	}
	if !r.mayWalk(m.Ballot.Proposer) {
		return c, errWalks
	}
	root, err := r.root(ctx)
	if err == nil {
		c, err = r.directory.Decided(ctx, root, m.Register, path)
	}
	if err != nil {
		return c, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.begun) >= maxOpen {
		clear(r.begun)
	}
	r.begun[m.Register] = c
	return c, nil
}

// How often a member may have this node look in the directory for registers that are new to it: as
// many as somebody could mean to make, and not so many that it keeps this node and those who keep the
// directory busy with registers that do not exist.
const (
	walkEvery   = 20 * time.Millisecond
	walksAtOnce = 500
)

// errWalks: a member has this node look in the directory more often than that. It may ask again.
var errWalks = errors.New("dht: too many registers that are new to this computer at once")

// mayWalk reports whether a member may have this node look in the directory now.
func (r *Registers) mayWalk(id p2p.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.walks[id]
	if l == nil {
		if len(r.walks) >= maxOpen {
			clear(r.walks)
		}
		l = rate.NewLimiter(rate.Every(walkEvery), walksAtOnce)
		r.walks[id] = l
	}
	return l.Allow()
}

// doubt drops what the directory has said of a register about which somebody was refused: it may be of
// long ago.
func (r *Registers) doubt(register p2p.Key, why error) {
	if !errors.Is(why, paxos.ErrNoQuorum) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.begun, register)
	r.directory.Forget()
}

// steps asks a member how the epochs of a register after one came about.
func (r *Registers) steps(ctx context.Context, id p2p.ID, register p2p.Key, after uint64) []paxos.Step {
	a, err := r.askWhere(ctx, id, locateRequest{Register: register, After: after})
	if err != nil {
		return nil
	}
	return a.Steps
}

// askWhere asks a member what it knows of a register as its acceptor.
func (r *Registers) askWhere(ctx context.Context, id p2p.ID, m locateRequest) (a locateAnswer, err error) {
	if id == r.self {
		return r.where(ctx, m)
	}
	if !r.o.Table.Alive(id) {
		return a, fmt.Errorf("dht: ask %s where a register is: %w", r.o.Table.nameOf(id), p2p.ErrUnreachable)
	}
	ctx, cancel := context.WithTimeout(ctx, locate)
	defer cancel()
	req, err := wire.Marshal(m)
	if err != nil {
		return a, err
	}
	resp, err := r.o.Caller.Call(ctx, id, ProtoLocate, req)
	if err != nil {
		return a, err
	}
	if err := wire.Unmarshal(resp, &a); err != nil {
		return a, err
	}
	if len(a.Steps) > paxos.MaxSteps {
		return a, fmt.Errorf("dht: %s tells %d steps: %w", r.o.Table.nameOf(id), len(a.Steps), paxos.ErrMalformed)
	}
	return a, nil
}

// peek implements paxos.Directory.Peek: most of those who keep a page have accepted the same.
func (r *Registers) peek(ctx context.Context, at paxos.Place) (data []byte, ok bool) {
	c, err := r.newest(ctx, at)
	if err != nil {
		return nil, false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type value struct {
		ballot paxos.Ballot
		data   string
	}
	var mu sync.Mutex // guards said, data and ok
	said := map[value]int{}
	each(setOf(c.Acceptors), func(id p2p.ID, _ struct{}) {
		a, err := r.askWhere(ctx, id, locateRequest{Register: at.Key, After: c.Epoch, Value: true})
		if err != nil || a.Retired || !a.Config.Equal(c) || a.Accepted.Epoch != c.Epoch {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		x := value{a.Accepted, string(a.Data)}
		if said[x]++; 2*said[x] > len(c.Acceptors) {
			data, ok = a.Data, true
			cancel() // the others need not be waited for
		}
	})
	return data, ok
}

func setOf(ids []p2p.ID) map[p2p.ID]struct{} {
	set := map[p2p.ID]struct{}{}
	for _, id := range ids {
		set[id] = struct{}{}
	}
	return set
}

// told is what one member says of a register.
type told struct {
	by     p2p.ID
	config paxos.Config
}

// agreed returns the newest configuration that members know of a register, if there is no doubt:
// one epoch leads to the next in what they say, and most of its acceptors say it, of whom there
// are at least two. Whoever makes up another one is in doubt with those who keep the register.
func (r *Registers) agreed(ctx context.Context, register p2p.Key, all []told) (paxos.Config, bool) {
	if len(all) == 0 {
		return paxos.Config{}, false
	}
	slices.SortFunc(all, func(a, b told) int { return cmp.Compare(a.config.Epoch, b.config.Epoch) })
	c := all[0].config
	for _, x := range all[1:] {
		for c.Epoch < x.config.Epoch {
			to, taken := paxos.Walk(register, c, r.steps(ctx, x.by, register, c.Epoch), voter{}.Check)
			if len(taken) == 0 {
				return c, false
			}
			c = to
		}
		if !c.Equal(x.config) {
			return c, false
		}
	}
	say := 0
	for _, x := range all {
		if x.config.Epoch == c.Epoch && slices.Contains(c.Acceptors, x.by) {
			say++
		}
	}
	return c, say > 1 && 2*say > len(c.Acceptors)
}

// proven goes from a configuration that was decided to what a member says has become of it, as
// far as the member shows it, by the steps that it returns.
func (r *Registers) proven(ctx context.Context, register p2p.Key, c paxos.Config, by p2p.ID) (_ paxos.Config, steps []paxos.Step) {
	for len(steps) < paxos.KeepSteps {
		to, taken := paxos.Walk(register, c, r.steps(ctx, by, register, c.Epoch), voter{}.Check)
		if len(taken) == 0 {
			break
		}
		c, steps = to, append(steps, taken...)
	}
	return c, steps
}
