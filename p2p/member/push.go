package member

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// repairEvery is how often rosters are compared, in case a push was lost;
	// repairWith bounds with how many members.
	repairEvery = time.Minute
	repairWith  = 8
	// passOnTo is to how many members news is passed on that is not urgent and not
	// of this node. Its author told all that it is linked to, so this only has to
	// cross gaps between them; a handful of random members reaches everybody with
	// high probability, and comparison the rest.
	passOnTo = 4

	pushTimeout = 10 * time.Second
	firstRetry  = time.Second
	lastRetry   = 30 * time.Second
	// maxQueue is how many statements may wait for one member; more than that are
	// found by comparing.
	maxQueue = 1024
)

// news is a statement that others may not have yet.
type news struct {
	hash   Hash
	from   p2p.ID // who sent it; zero: this node
	urgent bool   // for all: this node's own, and whatever changes who may be here
}

// outbox collects news until Run takes them.
type outbox struct {
	wake chan struct{} // has room for one

	mu     sync.Mutex // guards all following fields
	items  []news
	missed bool // there were more than fit: compare with everybody
	show   bool // what shows that this node is a member has changed
}

func newOutbox() outbox { return outbox{wake: make(chan struct{}, 1)} }

func (o *outbox) put(added []*record, from p2p.ID, own bool) {
	if len(added) == 0 {
		return
	}
	o.mu.Lock()
	for _, r := range added {
		o.items = append(o.items, news{hash: r.hash, from: from, urgent: own || r.act != nil})
	}
	if len(o.items) > maxQueue {
		o.items, o.missed = nil, true
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) take() (items []news, missed, show bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	items, missed, show = o.items, o.missed, o.show
	o.items, o.missed, o.show = nil, false, false
	return items, missed, show
}

// present makes Run show this node's proof to all that are linked.
func (o *outbox) present() {
	o.mu.Lock()
	o.show = true
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Run tells the linked members what is new, at once, and compares rosters with some
// of them each minute, until ctx ends; then it returns nil. linked lists who has a
// link now; caller reaches them.
func (s *Service) Run(ctx context.Context, caller p2p.Caller, linked func() []p2p.ID) error {
	p := &pusher{s: s, caller: caller, linked: linked, peers: map[p2p.ID]*recipient{}, done: make(chan outcome)}
	defer p.wg.Wait()
	repair := time.NewTicker(repairEvery)
	defer repair.Stop()
	retry := time.NewTimer(lastRetry)
	defer retry.Stop()
	for {
		retry.Reset(p.start(ctx, time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-s.outbox.wake:
			p.sort(s.outbox.take())
		case o := <-p.done:
			p.finish(o, time.Now())
		case <-repair.C:
			p.repair()
		case <-retry.C:
		}
	}
}

// pusher is the state of Run, in whose goroutine all its methods run, but deliver.
type pusher struct {
	s      *Service
	caller p2p.Caller
	linked func() []p2p.ID
	peers  map[p2p.ID]*recipient
	done   chan outcome
	wg     sync.WaitGroup
}

// recipient is a linked member that is to be told something.
type recipient struct {
	queue   []Hash
	compare bool // instead of the queue: find out what it lacks
	show    bool // this node's proof
	busy    bool
	fails   int
	due     time.Time
}

type outcome struct {
	to  p2p.ID
	err error
}

// members lists who is linked and a member, but for this node.
func (p *pusher) members() []p2p.ID {
	return slices.DeleteFunc(slices.Clone(p.linked()), func(id p2p.ID) bool {
		_, ok := p.s.Role(id)
		return !ok || id == p.s.self
	})
}

// sort decides who is told what.
func (p *pusher) sort(items []news, missed, show bool) {
	all := p.members()
	if show {
		for _, id := range all {
			p.recipient(id).show = true
		}
	}
	some := slices.Clone(all)
	rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	some = first(some, passOnTo)
	for _, n := range items {
		to := some
		if n.urgent {
			to = all
		}
		for _, id := range to {
			if id != n.from {
				r := p.recipient(id)
				r.queue = append(r.queue, n.hash)
			}
		}
	}
	for _, id := range all {
		if r := p.peers[id]; missed || r != nil && len(r.queue) > maxQueue {
			r = p.recipient(id)
			r.queue, r.compare = nil, true
		}
	}
}

func (p *pusher) recipient(id p2p.ID) *recipient {
	r := p.peers[id]
	if r == nil {
		r = &recipient{}
		p.peers[id] = r
	}
	return r
}

func (p *pusher) repair() {
	some := p.members()
	rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	for _, id := range first(some, repairWith) {
		p.recipient(id).compare = true
	}
}

// start begins the deliveries that are due and returns how long until the next one.
// Who is not linked any more is forgotten: a new link begins with a comparison.
func (p *pusher) start(ctx context.Context, now time.Time) time.Duration {
	wait := lastRetry
	if len(p.peers) == 0 {
		return wait
	}
	members := p.members()
	for id, r := range p.peers {
		idle := len(r.queue) == 0 && !r.compare && !r.show
		switch {
		case r.busy:
		case idle || !slices.Contains(members, id):
			delete(p.peers, id)
		case r.due.After(now):
			wait = min(wait, r.due.Sub(now))
		default:
			queue, compare, show := r.queue, r.compare, r.show
			r.queue, r.compare, r.show, r.busy = nil, false, false, true
			p.wg.Go(func() { p.deliver(ctx, id, queue, compare, show) })
		}
	}
	return wait
}

// deliver tells one member.
func (p *pusher) deliver(ctx context.Context, id p2p.ID, queue []Hash, compare, show bool) {
	limited, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	call := func(ctx context.Context, req []byte) ([]byte, error) {
		return p.caller.Call(ctx, id, ProtoMember, req)
	}
	var err error
	switch {
	case compare: // which shows it, too
		err = p.s.exchange(limited, id, call)
	case show:
		if err = p.s.show(limited, call); err == nil {
			err = p.s.push(limited, call, queue)
		}
	default:
		err = p.s.push(limited, call, queue)
	}
	select {
	case p.done <- outcome{id, err}:
	case <-ctx.Done():
	}
}

// show sends this node's proof.
func (s *Service) show(ctx context.Context, call func(context.Context, []byte) ([]byte, error)) error {
	v := s.current.Load()
	if v.own == nil {
		return nil
	}
	req, err := wire.Marshal(syncRequest{Network: v.network.ID[:], Proof: v.own.encoded})
	if err != nil {
		return err
	}
	_, err = call(ctx, req)
	return err
}

// push sends the named statements.
func (s *Service) push(ctx context.Context, call func(context.Context, []byte) ([]byte, error), names []Hash) error {
	network := s.current.Load().network.ID
	for len(names) > 0 {
		give := s.page(names, maxPage)
		if len(give) == 0 {
			return nil
		}
		req, err := wire.Marshal(syncRequest{Network: network[:], Give: give})
		if err != nil {
			return err
		}
		if _, err := call(ctx, req); err != nil {
			return err
		}
		names = remaining(names, len(names), give)
	}
	return nil
}

// finish notes how a delivery went. What failed is repeated as a comparison.
func (p *pusher) finish(o outcome, now time.Time) {
	r := p.recipient(o.to)
	r.busy = false
	if o.err == nil {
		r.fails = 0
		return
	}
	p.s.log.Debug("roster not delivered", "peer", o.to.Short(), "error", o.err)
	r.compare = true
	r.due = now.Add(min(firstRetry<<min(r.fails, 10), lastRetry))
	r.fails++
}
