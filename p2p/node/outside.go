package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// PassFor makes a link to a seed that is here, by which somebody who is no member fetches it. Errors:
// swarm.ErrNotFound, those of pass.Book.Make.
func (n *Node) PassFor(ctx context.Context, id seed.ID, o pass.MakeOptions) (seed.Link, pass.Info, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return seed.Link{}, pass.Info{}, err
	}
	defer leave()
	st, err := n.swarm.Get(id)
	if err != nil {
		return seed.Link{}, pass.Info{}, err
	}
	l := st.Seed.Link()
	l.Trackers = nil // members, whom nobody outside can ask
	return n.passes.Make(ctx, l, o)
}

// PassesFor lists those of a seed that is here. Errors: swarm.ErrNotFound.
func (n *Node) PassesFor(id seed.ID) ([]pass.Info, error) {
	if _, err := n.swarm.Get(id); err != nil {
		return nil, err
	}
	return n.passes.List(id), nil
}

// WithdrawPass ends one; who is fetching by it is cut off. Errors: pass.ErrUnknown.
func (n *Node) WithdrawPass(ctx context.Context, of seed.ID, id pass.ID) error {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return n.passes.Withdraw(ctx, of, id)
}

// PassIn returns the pass that a link has for somebody outside; nil: it has none, or this node needs none, since
// it is a member of that network. Errors: pass.ErrMalformed, pass.ErrExpired.
func (n *Node) PassIn(l seed.Link) (*pass.Pass, error) {
	p, ok, err := pass.Of(l)
	switch {
	case err != nil:
		return nil, fmt.Errorf("node: %w", err)
	case !ok || p.Network == n.members.Network().ID && n.isMember(n.id) || p.Host.ID() == n.id:
		return nil, nil
	case p.Expired(time.Now()):
		return nil, fmt.Errorf("node: %s, at %s: %w", l.Name, p.Expires.Local().Format(time.DateTime), pass.ErrExpired)
	}
	return &p, nil
}

// outings are the links that this node has to hosts of other networks: one to each, which those who fetch from there
// share. They are no links of members. The zero value is ready.
type outings struct {
	mu  sync.Mutex // guards all but the links
	all map[p2p.ID]*outing
}

type outing struct {
	dialling sync.Mutex // held while a link is made
	link     p2p.Link   // guarded by outings.mu; nil: there is none
	by       []pass.ID  // which the host has taken
	users    int
}

// through implements swarm.Options.Through.
func (n *Node) through(ctx context.Context, p pass.Pass) (l p2p.Link, release func(), err error) {
	host := p.Host.ID()
	if n.isMember(host) {
		l, err := n.links.need(ctx, host)
		return l, func() {}, err
	}
	o := n.outings.enter(host)
	release = sync.OnceFunc(func() {
		if l := n.outings.leave(host, o); l != nil {
			n.links.close(l)
		}
	})
	if l, err = n.goOut(ctx, o, p); err != nil {
		release()
		return nil, nil, err
	}
	return l, release, nil
}

// goOut returns the link to the host of a pass, which it makes if there is none or the host has not taken this pass.
func (n *Node) goOut(ctx context.Context, o *outing, p pass.Pass) (p2p.Link, error) {
	o.dialling.Lock()
	defer o.dialling.Unlock()
	n.outings.mu.Lock()
	l, known := o.link, slices.Contains(o.by, p.ID)
	n.outings.mu.Unlock()
	if l != nil && known && !ended(l) {
		return l, nil
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	fresh, err := n.knockAt(ctx, door{host: p.Host, relays: p.Relays, pass: p.Knock()})
	if errors.Is(err, p2p.ErrRefused) {
		err = fmt.Errorf("%w: %w", pass.ErrRefused, err)
	}
	if err != nil {
		return nil, fmt.Errorf("node: reach %s of another network: %w", p.Host.ID().Short(), err)
	}
	n.outings.mu.Lock()
	o.link = fresh
	o.by = append(slices.DeleteFunc(o.by, func(id pass.ID) bool { return id == p.ID }), p.ID)
	n.outings.mu.Unlock()
	if l != nil {
		n.links.close(l) // the host has just done so
	}
	// Who let this node in is not let in by it.
	n.running.Go(func() { // the caller is counted there
		for {
			_, conn, err := fresh.Accept(context.Background())
			if err != nil {
				return // the link has ended
			}
			reset(conn)
		}
	})
	return fresh, nil
}

func (os *outings) enter(host p2p.ID) *outing {
	os.mu.Lock()
	defer os.mu.Unlock()
	o := os.all[host]
	if o == nil {
		if os.all == nil {
			os.all = map[p2p.ID]*outing{}
		}
		o = new(outing)
		os.all[host] = o
	}
	o.users++
	return o
}

// leave returns the link that nobody uses any more; nil: somebody does, or there is none.
func (os *outings) leave(host p2p.ID, o *outing) p2p.Link {
	os.mu.Lock()
	defer os.mu.Unlock()
	if o.users--; o.users > 0 {
		return nil
	}
	delete(os.all, host)
	return o.link
}

// forgetting passes on what is published, and ends the passes for a seed that is not kept any more.
func (n *Node) forgetting(publish p2p.Publish) p2p.Publish {
	return func(e p2p.Event) {
		publish.Emit(e)
		r, ok := e.(swarm.Removed)
		if !ok {
			return
		}
		if err := n.passes.Forget(context.WithoutCancel(n.ctx), r.Seed); err != nil {
			n.log.Error("links for others are not forgotten with their file", "seed", r.Seed.Short(), "error", err)
		}
	}
}
