package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// crowd is the members of which a content is brought: those that have it, and those that are bringing
// it too. All of it is its goroutine's.
type crowd struct {
	u       *update
	ctx     context.Context
	members map[p2p.Link]*member
	happens chan happening
	live    int // goroutines, each of which ends with a happening
	hopes   int // of them: those that bring something, or find out for the first time whether there is something
	errs    []error
}

// member is one of a crowd.
type member struct {
	link     p2p.Link
	s        *sender            // that its streams are; nil: it is not asked for chunks
	streams  int                // that are at work
	unwatch  context.CancelFunc // of the stream that tells what it has; nil: there is none
	hope     bool               // of that: it is the first one, and was not answered yet
	again    time.Time          // when it is asked again what it has; zero: when it asks, or never
	wait     time.Duration      // from the last time until then
	failures int                // in a row, to bring what it has said that it has
	fault    error              // the last one, of the streams that are at work
}

// happening is what happens to a member.
type happening struct {
	m    *member
	what what
	s    *sender
	err  error
}

type what int

const (
	worked  what = iota // one of its streams has ended
	unknown             // it is not known what it has: it may be of an older version
	absent              // it has nothing
	whole               // it has all
	partial             // it is bringing it, too, and s is what brings chunks of it
	ended               // it tells nothing more
)

const (
	// askedAgain is how long a member is left alone that has nothing of a content, at first and at most,
	// unless it asks this node.
	askedAgain, seldomAgain = time.Second, 16 * time.Second
	// maxFailures is how often a member may fail in a row to bring what it has said that it has: it may
	// have begun anew.
	maxFailures = 3
	// maxErrs is how many errors are told in the end, the last ones: members may come and go for days.
	maxErrs = 16
)

// bringAll has all links work at once, and those that come to be while it lasts.
func (u *update) bringAll(ctx context.Context, links []p2p.Link) error {
	ctx, end := context.WithCancel(ctx)
	c := &crowd{u: u, ctx: ctx, members: map[p2p.Link]*member{}, happens: make(chan happening)}
	defer func() {
		end()
		for c.live > 0 {
			c.note(<-c.happens)
		}
	}()
	all := u.f.hopeful(u.x)
	var others []p2p.ID
	for _, l := range all {
		if id := l.Peer(); id != u.giver {
			others = append(others, id)
		}
	}
	u.mu.Lock()
	u.moved = time.Now()
	u.portions.from(u.f.r.s.self, others)
	u.mu.Unlock()
	for _, l := range append(links, all...) {
		if u.mayJoin(l) {
			c.use(l)
		}
	}
	tick := time.NewTicker(decideEvery)
	defer tick.Stop()
	for c.hopes > 0 {
		select {
		case h := <-c.happens:
			c.note(h)
			c.turn(h)
		case <-tick.C:
			u.look()
			c.look()
		}
	}
	return errors.Join(c.errs...)
}

// look looks for members, and whom to ask again.
func (c *crowd) look() {
	for _, l := range c.u.f.hopeful(c.u.x) {
		if c.u.mayJoin(l) {
			c.use(l)
		}
	}
	met := c.u.takeMet()
	for _, m := range c.members {
		if !c.u.mayJoin(m.link) {
			c.u.leave(m.s) // by now
			continue
		}
		if m.unwatch == nil && c.isPartly(m) && (met[m.link.Peer()] || !m.again.IsZero() && time.Now().After(m.again)) {
			c.watch(m, false)
		}
	}
	c.u.starve()
}

// isPartly reports whether a member may have a part: whoever has brought something else, or has broken
// off, is not asked again.
func (c *crowd) isPartly(m *member) bool {
	c.u.f.mu.Lock()
	defer c.u.f.mu.Unlock()
	id := m.link.Peer()
	return c.u.x.partly[id] || !c.u.x.tried[id]
}

// use begins with a member. Who has told what the content is made of has it.
func (c *crowd) use(l p2p.Link) {
	if c.members[l] != nil {
		return
	}
	m := &member{link: l, wait: askedAgain}
	c.members[l] = m
	c.u.f.mu.Lock()
	partly := c.u.x.partly[l.Peer()]
	c.u.f.mu.Unlock()
	if l.Peer() == c.u.giver && !partly {
		c.join(m)
		return
	}
	c.watch(m, !partly)
}

// join has a member asked for chunks that has all.
func (c *crowd) join(m *member) {
	u := c.u
	u.mu.Lock()
	if m.s != nil && !m.s.gone {
		u.portions.complete(m.s)
	} else {
		m.s = nil
	}
	s := m.s
	if s == nil {
		s = u.portions.join(m.link, segmentsPeer)
	}
	u.decide()
	u.mu.Unlock()
	c.work(m, s)
}

// work has streams bring chunks.
func (c *crowd) work(m *member, s *sender) {
	if m.s == s {
		return
	}
	if !c.u.mayJoin(m.link) {
		c.u.leave(s)
		return
	}
	m.s = s
	for range segmentsPeer {
		m.streams++
		c.live++
		c.hopes++
		go func() { c.happens <- happening{m: m, what: worked, s: s, err: c.u.work(c.ctx, s)} }()
	}
}

// watch has a member asked what it has.
func (c *crowd) watch(m *member, hope bool) {
	ctx, unwatch := context.WithCancel(c.ctx)
	m.unwatch, m.hope, m.again = unwatch, hope, time.Time{}
	c.live++
	if hope {
		c.hopes++
	}
	go func() {
		h := c.u.watch(ctx, m.link, func(s *sender) { c.happens <- happening{m: m, what: partial, s: s} })
		h.m = m
		c.happens <- h
	}()
}

// note counts who is at work.
func (c *crowd) note(h happening) {
	m := h.m
	switch h.what {
	case worked:
		c.live--
		c.hopes--
		m.streams--
	case partial:
	default:
		c.live--
		m.unwatch()
		m.unwatch = nil
	}
	if h.err != nil && (h.what == worked || m.hope) {
		if c.errs = append(c.errs, h.err); len(c.errs) > maxErrs {
			c.errs = slices.Delete(c.errs, 0, 1)
		}
	}
	if h.what != worked && m.hope {
		m.hope = false
		c.hopes--
	}
}

// turn does what follows of something that has happened.
func (c *crowd) turn(h happening) {
	m := h.m
	switch h.what {
	case worked:
		if errors.Is(h.err, errNotHere) {
			m.fault = h.err
		}
		if m.streams == 0 {
			c.stopped(m, h.s)
		}
	case unknown:
		// As ever: if it has not what it is asked for it says so.
		if c.isTried(m) {
			c.later(m)
		} else {
			c.join(m)
		}
	case whole:
		if c.isPartly(m) {
			c.u.f.mu.Lock()
			delete(c.u.x.tried, m.link.Peer())
			delete(c.u.x.partly, m.link.Peer())
			c.u.f.mu.Unlock()
			c.join(m)
		}
	case absent:
		c.u.leave(m.s)
		c.later(m)
	case partial:
		m.wait = askedAgain
		if c.u.leave(m.s); c.isPartly(m) {
			c.work(m, h.s)
		} else {
			c.u.leave(h.s)
		}
	case ended:
		c.later(m)
	}
}

func (c *crowd) isTried(m *member) bool {
	c.u.f.mu.Lock()
	defer c.u.f.mu.Unlock()
	return c.u.x.tried[m.link.Peer()]
}

// later has a member asked again what it has.
func (c *crowd) later(m *member) {
	if linkEnded(m.link) {
		c.u.leave(m.s)
		return
	}
	m.again, m.wait = time.Now().Add(m.wait), min(2*m.wait, seldomAgain)
}

// stopped is what follows when the last stream of a member has ended.
func (c *crowd) stopped(m *member, s *sender) {
	fault := m.fault
	m.s, m.fault = nil, nil
	if c.u.f.gone(m.link) {
		if m.unwatch == nil {
			delete(c.members, m.link) // it may come back
		}
		return
	}
	if m.unwatch != nil {
		m.unwatch() // when it is asked again it is another sender
	}
	c.later(m)
	if m.failures++; fault == nil || c.u.brought(s) {
		m.failures = 0
	}
	if m.failures == maxFailures {
		c.u.distrust(m.link, fault)
	}
}

// hopeful are the links to the members that can be asked for a content, or for a part of it.
func (f *fetcher) hopeful(x *fetch) []p2p.Link {
	all := f.askable(x)
	for _, p := range f.sources() {
		f.mu.Lock()
		partly := x.partly[p.link.Peer()]
		f.mu.Unlock()
		if partly {
			all = append(all, p.link)
		}
	}
	return all
}

// mayJoin reports whether a member may see what it is not asked for.
func (u *update) mayJoin(l p2p.Link) bool { return u.maySee(l.Peer()) }

// takeMet returns the members that have asked what is here since it was last called.
func (u *update) takeMet() map[p2p.ID]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	met := u.met
	u.met = nil
	return met
}

// starve has nobody waited for who has nothing that is missing, if nobody has all: not for ever, at
// least. What needs somebody who has all is brought otherwise, and so is what nobody has all of a
// portion of.
func (u *update) starve() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.portions.whole() || len(u.portions.senders) == 0 || len(u.running) > 0 || u.copying {
		return
	}
	hungry, most := time.Since(u.moved), u.f.r.s.o.Times.Stalled/4
	if hungry > min(lagging, most/2) {
		u.noDeltas()
		u.portions.splitUp(u)
		u.decide()
	}
	if hungry < most {
		return
	}
	for _, s := range u.portions.senders {
		u.portions.leave(s)
	}
	u.turned.Broadcast()
}

// leave has a member asked for nothing more.
func (u *update) leave(s *sender) {
	if s == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.portions.leave(s)
	u.divide()
	u.decide()
	u.turned.Broadcast()
}

// divide has other chunks brought first than others bring. The caller holds u.mu.
func (u *update) divide() {
	if u.portions.settled {
		u.portions.divide(u.f.r.s.self)
	}
}

// brought reports whether a sender has brought anything.
func (u *update) brought(s *sender) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return s.brought > 0
}

// distrust has a member not asked for the content any more.
func (u *update) distrust(l p2p.Link, why error) {
	u.f.mu.Lock()
	u.x.tried[l.Peer()] = true
	delete(u.x.partly, l.Peer())
	u.f.mu.Unlock()
	u.f.r.s.log.Warn("folder: a member has not what it says that it has of a content", "folder", u.f.r.label, "path", u.x.want.Path,
		"peer", l.Peer().Short(), "error", why)
}

// watch asks a member what it has, and takes what it tells until that ends. If it is bringing the
// content, too, begin is called with what chunks are asked of it by.
func (u *update) watch(ctx context.Context, l p2p.Link, begin func(*sender)) happening {
	conn, err := l.Open(ctx, PartsProtocol)
	if err != nil {
		return happening{what: unknown}
	}
	defer reset(conn)
	stop := context.AfterFunc(ctx, func() { reset(conn) })
	defer stop()
	in := bufio.NewReaderSize(conn, 4<<10)
	w, err := u.askParts(conn, in)
	switch {
	case err != nil || w.Code == codeBusy || w.Code == codeMalformed:
		return happening{what: unknown}
	case w.Code != "":
		err := refused(w.Code)
		if u.f.blames(l, err) {
			u.f.mu.Lock()
			u.x.lacks(l.Peer(), err)
			u.f.mu.Unlock()
		}
		return happening{what: absent, err: fmt.Errorf("from %s: %w", l.Peer().Short(), err)}
	case w.Whole:
		return happening{what: whole}
	}
	u.f.mu.Lock()
	u.x.lacks(l.Peer(), errNotHere)
	u.f.mu.Unlock()
	u.mu.Lock()
	s := u.portions.joinPart(u, l, segmentsPeer)
	u.divide()
	u.mu.Unlock()
	begin(s)
	if err := u.listen(s, in); errors.Is(err, wire.ErrMalformed) || errors.Is(err, p2p.ErrTooLarge) {
		u.distrust(l, err)
		u.leave(s)
	}
	return happening{what: ended}
}

// askParts asks a member what it has.
func (u *update) askParts(conn net.Conn, in *bufio.Reader) (w partsWelcome, err error) {
	r := u.f.r
	h := partsHello{Folder: r.id, Creator: r.creator[:], Hash: u.x.want.Hash[:], Path: u.x.want.Path, Sum: u.sum[:]}
	if err := wire.WriteMsg(timedWriter{conn, r.s.o.Times.Stalled}, h); err != nil {
		return w, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(r.s.o.Times.Hello)); err != nil {
		return w, err
	}
	if err := wire.ReadMsg(in, &w); err != nil {
		return w, err
	}
	return w, conn.SetReadDeadline(time.Time{})
}

// listen takes what a member tells that it has, until it ends. Errors: wire.ErrMalformed if it tells
// what cannot be.
func (u *update) listen(s *sender, in *bufio.Reader) error {
	for {
		var news partsNews
		if err := wire.ReadMsg(in, &news); err != nil {
			return err
		}
		runs, err := news.parse(u.m.Len())
		if err != nil {
			return err
		}
		u.mu.Lock()
		fresh := u.portions.gain(u, s, runs)
		u.decide()
		u.mu.Unlock()
		if !fresh {
			return fmt.Errorf("exchange: chunks that have come: %w: some twice", wire.ErrMalformed)
		}
	}
}
