package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

const (
	dialsAtOnce  = 16
	dialTimeout  = 10 * time.Second
	firstRetry   = 250 * time.Millisecond
	longestRetry = 20 * time.Second
	// yieldToSmaller is how long the larger ID of a pair waits before its first
	// attempt. Both sides learn of each other at the same time; the smaller ID's
	// offer wins anyway, so the other one is mostly wasted.
	yieldToSmaller = 200 * time.Millisecond
)

// roster is what links needs to know of the network.
type roster interface {
	// meet takes in what the peer of a new link has shown of itself.
	meet(p2p.Link)
	isMember(p2p.ID) bool
	nameOf(p2p.ID) string
	contacts() []p2p.Contact // of all other members
	// want returns the members to whom links are to be kept, of those whom without does not
	// name; nil: to all.
	want(linked []p2p.ID, without map[p2p.ID]bool) map[p2p.ID]bool
	// farewell tells the peer of a link why it is about to be closed, if it is one
	// that was revoked. It takes no longer than a moment.
	farewell(context.Context, p2p.Link)
}

// links keeps one link to every other member, or in a large network to as many as lead
// to all (want.go): it takes the links that come in,
// dials the members that have none, and tells who is linked. Links of nodes that
// are not members yet are guests' (guest.go).
type links struct {
	self      p2p.ID
	log       *slog.Logger
	publish   p2p.Publish
	transport p2p.Transport // set before run, as the three below
	roster    roster
	serve     func(context.Context, p2p.Link) // runs for each link until it ends
	greet     func(context.Context, p2p.Link) // runs once for each link of a member
	kicked    chan struct{}                   // has room for one: look again at once
	// nearby says where else a member may be; missed is told that one was lost. Nil: nobody
	// knows, or cares.
	nearby func(p2p.ID) []netip.AddrPort
	missed func()
	// byPass reports whether a pass for a seed has let the peer of a link in, and grants what it may have. Nil: no
	// pass does.
	byPass func(p2p.Link) bool
	grants func(p2p.ID) map[seed.ID]time.Time
	// altered is told that a member's link came or went.
	altered func()

	// wg counts everything that was started for a link. It grows only from
	// goroutines that it counts, or with mu held while closed is false, so never
	// once run waits for it.
	wg sync.WaitGroup

	mu       sync.Mutex // guards all following fields
	closed   bool
	held     bool   // nobody is dialled for the time being
	arriving p2p.ID // not dialled: the link by which this node joins at it is about to be added
	peers    map[p2p.ID]*peer
	guests   []*guest // the one that came first is first
	visitors []*visitor
	wanted   map[p2p.ID]bool // to whom links are kept; nil: to all
	up       chan struct{}   // closed and replaced when a member's link came up
	added    chan struct{}   // closed and replaced when a link was added
}

// peer is what links remembers of one other node since this one started.
type peer struct {
	link     p2p.Link // nil when there is none
	since    time.Time
	in, out  uint64       // bytes over earlier links
	err      error        // why there is no link
	kind     p2p.PathKind // of the link, as people were told
	there    said         // what the other end says of it
	leaving  bool         // the link is of a node that is no member any more
	dialling bool
	hurry    func() // gives the dial up for another one; nil: it must run to its end
	again    bool   // the dial was given up for another one
	failures int
	next     time.Time // when to dial again
	tried    time.Time // when it was dialled last

	ours   bool      // this end has made the link
	needed time.Time // until then somebody wants it for what only a link can do
	use    usage
}

func newLinks(self p2p.ID, log *slog.Logger, publish p2p.Publish) *links {
	return &links{
		self: self, log: log, publish: publish,
		kicked: make(chan struct{}, 1), peers: map[p2p.ID]*peer{}, up: make(chan struct{}), added: make(chan struct{}), altered: func() {},
	}
}

// run accepts and dials until ctx ends, then closes all links.
func (ls *links) run(ctx context.Context) error {
	ls.wg.Go(func() { ls.accept(ctx) })
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			ls.closeAll()
			ls.wg.Wait()
			return nil
		case <-ls.kicked:
		case <-tick.C:
		}
		tick.Reset(ls.dialDue(ctx, time.Now()))
	}
}

// kick makes run look at once for members without a link and for links without a
// member: the roster changed, or a link was lost.
func (ls *links) kick() {
	select {
	case ls.kicked <- struct{}{}:
	default:
	}
}

// hold stops dialling, or lets it begin.
func (ls *links) hold(on bool) {
	ls.mu.Lock()
	ls.held = on
	ls.mu.Unlock()
	ls.kick()
}

// arrives keeps run from dialling id until the returned function is called. Whoever joins
// is a member, and knows the inviter as one, before the link by which it joined is a
// member's: a dial in between would replace that link while others use it.
func (ls *links) arrives(id p2p.ID) (done func()) {
	set := func(id p2p.ID) {
		ls.mu.Lock()
		ls.arriving = id
		ls.mu.Unlock()
	}
	set(id)
	return func() {
		set(p2p.ID{})
		ls.kick()
	}
}

func (ls *links) accept(ctx context.Context) {
	for {
		l, err := ls.transport.Accept(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, p2p.ErrClosed) {
				ls.log.Error("accepting links stopped", "error", err)
			}
			return
		}
		ls.add(ctx, l)
	}
}

// dialDue starts the dials whose time has come, drops the links of nodes that
// are no longer members, and returns how long to wait for the next dial.
func (ls *links) dialDue(ctx context.Context, now time.Time) time.Duration {
	contacts := ls.roster.contacts()
	wanted := ls.roster.want(ls.linked(), ls.absent(now))
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.wanted = wanted
	ls.sortOut(ctx)
	ls.shed(now)
	if ls.held {
		return longestRetry
	}
	wait, running := longestRetry, 0
	for _, p := range ls.peers {
		if p.dialling {
			running++
		}
	}
	for _, c := range contacts {
		p := ls.peers[c.ID()]
		if !ls.wants(c.ID(), now) {
			continue
		}
		if p == nil {
			p = &peer{next: now}
			if ls.self.Compare(c.ID()) > 0 {
				p.next = now.Add(yieldToSmaller)
			}
			ls.peers[c.ID()] = p
		}
		if p.link != nil || p.dialling || c.ID() == ls.arriving {
			continue
		}
		if due := p.next.Sub(now); due > 0 || running >= dialsAtOnce {
			wait = min(wait, max(due, firstRetry))
			continue
		}
		dctx, cancel := context.WithTimeout(ctx, dialTimeout)
		p.dialling, p.hurry, p.tried = true, cancel, now
		if p.again {
			p.again, p.hurry = false, nil
		}
		running++
		ls.wg.Go(func() {
			defer cancel()
			ls.dial(ctx, dctx, c)
		})
	}
	return wait
}

// sortOut closes the links of nodes that are no longer members and takes in the
// guests that have become members. The caller holds ls.mu.
func (ls *links) sortOut(ctx context.Context) {
	for id, p := range ls.peers {
		switch {
		case ls.roster.isMember(id):
		case p.link != nil && !p.leaving:
			p.leaving = true
			l := p.link
			ls.wg.Go(func() {
				ls.roster.farewell(ctx, l)
				ls.close(l)
			})
		case p.link == nil && !p.dialling:
			delete(ls.peers, id)
		}
	}
	ls.promote(ctx)
}

// found makes run dial a member at once if it has no link: there is an address that was
// not known. A dial that is on its way to the old ones is given up for that, but not the
// next one, so that nobody can keep the two apart by naming addresses.
func (ls *links) found(id p2p.ID) {
	ls.mu.Lock()
	if p := ls.peers[id]; p != nil && p.link == nil {
		switch {
		case !p.dialling:
			p.next = time.Now()
		case p.hurry != nil:
			p.again = true
			p.hurry()
			p.hurry = nil
		}
	}
	ls.mu.Unlock()
	ls.kick()
}

// dial makes one attempt within the time of dctx; a link then lives as long as ctx.
func (ls *links) dial(ctx, dctx context.Context, c p2p.Contact) {
	to := c
	if ls.nearby != nil {
		to = near(c, ls.nearby(c.ID()))
	}
	l, err := ls.transport.Dial(dctx, to, nil)
	if err == nil {
		ls.add(ctx, l)
	}
	ls.mu.Lock()
	p := ls.peers[c.ID()]
	p.dialling, p.hurry = false, nil
	p.ours = p.ours || err == nil && p.link == l
	p.again = p.again && p.link == nil
	switch {
	case p.link != nil || err == nil:
	case p.again:
		p.next = time.Now()
	default:
		p.err = err
		p.next = time.Now().Add(backoff(p.failures))
		p.failures++
	}
	ls.mu.Unlock()
	if err != nil {
		ls.log.Debug("no link", "peer", c.ID().Short(), "name", c.Name, "error", err)
	}
	ls.kick()
}

// backoff doubles from firstRetry to longestRetry, with a quarter of jitter so
// that nodes which lost each other together do not return together.
func backoff(failures int) time.Duration {
	d := min(firstRetry<<min(failures, 16), longestRetry)
	return d - d/8 + rand.N(d/4+1)
}

// add takes a new link in: of a member at once, of a stranger as a guest, or as a visitor.
func (ls *links) add(ctx context.Context, l p2p.Link) {
	ls.roster.meet(l)
	ls.mu.Lock()
	if ls.closed {
		ls.mu.Unlock()
		ls.close(l)
		return
	}
	defer ls.mu.Unlock()
	close(ls.added)
	ls.added = make(chan struct{})
	ls.wg.Go(func() {
		ls.serve(ctx, l)
		ls.close(l)
	})
	switch {
	case ls.roster.isMember(l.Peer()):
		ls.adopt(ctx, l)
	case ls.byPass != nil && ls.byPass(l):
		ls.visit(ctx, l, ls.grants(l.Peer()))
	default:
		ls.receive(ctx, l)
	}
}

// afterAdd has h answer a call only once the link over which it came is added. A link answers
// as soon as it is up, and an answer that makes its peer a member would otherwise have that
// peer dialled while the link is about to come in: the second one would replace it.
func (ls *links) afterAdd(h p2p.Handler) p2p.Handler {
	return func(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) {
		ls.awaitAdded(ctx, from)
		return h(ctx, from, req)
	}
}

// awaitAdded returns when l was added, or has ended, or is not added in the time of a dial.
func (ls *links) awaitAdded(ctx context.Context, l p2p.Link) {
	late := time.NewTimer(dialTimeout)
	defer late.Stop()
	for {
		ls.mu.Lock()
		known, added := ls.has(l), ls.added
		ls.mu.Unlock()
		if known {
			return
		}
		select {
		case <-added:
		case <-l.Done():
			return
		case <-ctx.Done():
			return
		case <-late.C:
			return
		}
	}
}

// has reports whether l is a link that was added and not given up. The caller holds ls.mu.
func (ls *links) has(l p2p.Link) bool {
	if p := ls.peers[l.Peer()]; p != nil && p.link == l {
		return true
	}
	return slices.ContainsFunc(ls.guests, func(g *guest) bool { return g.link == l }) ||
		slices.ContainsFunc(ls.visitors, func(v *visitor) bool { return v.link == l })
}

// adopt makes l the link to its peer. A link that is there already is replaced:
// when the peer dialled again it knew of no living link, and of two dials at
// once the transport lets only one through. The caller holds ls.mu.
func (ls *links) adopt(ctx context.Context, l p2p.Link) {
	p := ls.peers[l.Peer()]
	if p == nil {
		p = &peer{}
		ls.peers[l.Peer()] = p
	}
	if p.link != nil {
		ls.retire(p)
	}
	p.link, p.since, p.err, p.leaving, p.failures = l, time.Now(), nil, false, 0
	p.ours, p.use = false, usage{}
	close(ls.up)
	ls.up = make(chan struct{})
	p.kind, p.there = l.Path().Kind, said{}
	ls.altered()
	ls.publish.Emit(Linked{ID: l.Peer(), Name: ls.roster.nameOf(l.Peer()), Path: p.kind})
	ls.wg.Go(func() { ls.greet(ctx, l) })
	ls.wg.Go(func() {
		<-l.Done()
		ls.lost(l)
	})
}

// retire counts what went over p's link and closes it. The caller holds ls.mu.
func (ls *links) retire(p *peer) {
	s := p.link.Stats()
	p.in, p.out = p.in+s.BytesIn, p.out+s.BytesOut
	ls.closeLater(p.link)
	p.link = nil
}

// lost forgets a member's link that has ended.
func (ls *links) lost(l p2p.Link) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	p := ls.peers[l.Peer()]
	if p == nil || p.link != l {
		return // it was replaced
	}
	ls.retire(p)
	p.since, p.err = time.Now(), l.Err()
	if p.err == nil {
		p.err = p2p.ErrClosed
	}
	p.next = time.Now().Add(backoff(0))
	if !ls.closed {
		if ls.missed != nil {
			ls.missed()
		}
		ls.altered()
		ls.publish.Emit(Lost{ID: l.Peer(), Name: ls.roster.nameOf(l.Peer()), Error: p.err.Error()})
	}
	ls.kick()
}

// closeLater closes l without waiting: closing says goodbye to the peer, which
// can take a moment that nobody who holds ls.mu has.
func (ls *links) closeLater(l p2p.Link) { ls.wg.Go(func() { ls.close(l) }) }

func (ls *links) close(l p2p.Link) {
	if err := l.Close(); err != nil && !errors.Is(err, p2p.ErrClosed) {
		ls.log.Debug("closing a link", "peer", l.Peer().Short(), "error", err)
	}
}

func (ls *links) closeAll() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.closed = true
	for _, p := range ls.peers {
		if p.link != nil {
			ls.closeLater(p.link)
		}
	}
	for _, g := range ls.guests {
		ls.closeLater(g.link)
	}
	for _, v := range ls.visitors {
		ls.closeLater(v.link)
	}
}

// to returns the link to a member.
func (ls *links) to(id p2p.ID) (p2p.Link, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	p := ls.peers[id]
	if p == nil || p.link == nil || p.leaving {
		return nil, fmt.Errorf("node: no link to %s: %w", id.Short(), p2p.ErrUnreachable)
	}
	return p.link, nil
}

// Call implements p2p.Caller.
func (ls *links) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	l, err := ls.to(to)
	if err != nil {
		return nil, err
	}
	return l.Call(ctx, proto, req)
}

// gone returns for how long a member has had no link: 0 if it has one. known is false if it
// never had.
func (ls *links) gone(id p2p.ID) (gone time.Duration, known bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	p := ls.peers[id]
	switch {
	case p == nil || p.since.IsZero():
		return 0, false
	case p.link != nil && !p.leaving:
		return 0, true
	}
	return max(time.Since(p.since), 1), true
}

// linked returns the members that have a link now.
func (ls *links) linked() []p2p.ID {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var ids []p2p.ID
	for id, p := range ls.peers {
		if p.link != nil && !p.leaving {
			ids = append(ids, id)
		}
	}
	return ids
}

// all returns the links to members that there are now.
func (ls *links) all() []p2p.Link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var all []p2p.Link
	for _, p := range ls.peers {
		if p.link != nil && !p.leaving {
			all = append(all, p.link)
		}
	}
	return all
}

// state describes what links knows of the member id.
func (ls *links) state(id p2p.ID) Peer {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	p := ls.peers[id]
	through := ls.wanted != nil && !ls.wanted[id]
	if p == nil {
		return Peer{ID: id, Through: through}
	}
	out := Peer{ID: id, Connected: p.link != nil, Since: p.since, Through: through && p.link == nil}
	if p.link != nil {
		out.Path, out.Stats = agree(p.link.Path(), p.there), p.link.Stats()
	} else if p.err != nil && !through {
		out.Error = p.err.Error()
	}
	out.Stats.BytesIn += p.in
	out.Stats.BytesOut += p.out
	return out
}
