package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// How contacts are kept fresh in large networks.
const (
	// Fresh is how long what a lookup has found can be believed. Around this node it can be for
	// Around: who comes there asks this node, and of those who go links end.
	Fresh, Around = time.Minute, 10 * time.Minute
	refreshEvery  = 5 * time.Minute // a node looks for those around it, and in some far bucket
	settleEvery   = 5 * time.Second // who may be gone is asked
	refreshFirst  = 2 * time.Second // after its start
	farLookups    = 1               // keys that a refresh looks up to see who is far away
	lookupsAt     = 8               // lookups of a survey at the same time
	lookupAlpha   = 6               // members that a lookup asks at the same time
	openPaths     = 3               // of a lookup where anybody can be admitted
	estimates     = 9               // of which the median is the size of a network
	maxDoubts     = 64              // members that wait to be asked whether they are still there
	widest        = 64              // members of a region that a lookup looks for
)

// ContactsOptions say what Contacts are about.
type ContactsOptions struct {
	Router *Router
	// Large reports whether the network is so large that this node finds members by lookups:
	// then what it knows is kept fresh. Elsewhere it knows those to whom it has links.
	Large func() bool
	// Open reports whether anybody can be admitted; nil: nobody.
	Open func() bool
	// Changed is told that one of those nearest to this node came or went; it must not wait. Nil: nobody is.
	Changed func()
	// Relays returns the members that relay for this node, because nobody reaches it. They are given
	// snapshots, from which they answer for it. Nil: none.
	Relays func() []p2p.ID
	Logger *slog.Logger // nil: nothing is logged
}

// Contacts are the members that a node knows in a network in which it does not know all: a
// Table, which its links and its lookups fill, and an Atlas of what lookups have found. All
// methods may be used by several goroutines at once.
type Contacts struct {
	o ContactsOptions
	r *Router

	moved     atomic.Bool   // links came or went
	turn      chan struct{} // has one that who looks around takes
	sheltered chan struct{} // has room for one: relays have changed

	mu     sync.Mutex // guards all following fields
	table  *Table     // nil: this node is no member
	large  bool       // what the table was made for
	atlas  Atlas
	sizes  []float64           // estimates, the latest last
	links  map[p2p.ID]bool     // who had one when it was looked last
	doubts map[p2p.ID][]Member // who may be gone, and who wants the place
	giving giving
}

// NewContacts returns the contacts of a router's node.
func NewContacts(o ContactsOptions) *Contacts {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Open == nil {
		o.Open = func() bool { return false }
	}
	c := &Contacts{o: o, r: o.Router, doubts: map[p2p.ID][]Member{}, turn: make(chan struct{}, 1), sheltered: make(chan struct{}, 1)}
	c.moved.Store(true)
	c.turn <- struct{}{}
	return c
}

// Look tells that links came or went. It does not wait, nor look at once: who tells may hold
// what Options.Links needs.
func (c *Contacts) Look() { c.moved.Store(true) }

// sync brings the table up to date. The caller holds c.mu.
func (c *Contacts) sync() bool {
	self, ok := c.r.o.Member(c.r.self)
	large := c.o.Large()
	switch {
	case !ok:
		c.table = nil
		return false
	case c.table == nil || c.table.self.Position != self.Position || c.large != large:
		rule := KeepNearest
		if c.o.Open() {
			rule = KeepOldest
		}
		c.table, c.large, c.atlas, c.sizes = NewTable(self, rule), large, Atlas{}, nil
		c.moved.Store(true)
	case c.moved.Load() && !large:
		c.table = NewTable(self, c.table.rule)
	}
	if c.moved.Swap(false) {
		links := map[p2p.ID]bool{}
		for _, m := range c.r.linked() {
			links[m.ID] = true
			c.insert(m)
		}
		for id := range c.links {
			if large && !links[id] && c.doubts[id] == nil {
				c.doubts[id] = []Member{} // its link has ended: is it there?
			}
		}
		c.links = links
	}
	return true
}

// insert takes a member in that is alive, and reports whether it is one of the nearest and
// was not known. The caller holds c.mu.
func (c *Contacts) insert(m Member) (sibling bool) {
	was := at(c.table.siblings, m.ID) >= 0
	added, doubt := c.table.Insert(m)
	c.atlas.Insert(m)
	if !added && !doubt.ID.IsZero() && len(c.doubts) < maxDoubts && len(c.doubts[doubt.ID]) < K {
		c.doubts[doubt.ID] = append(c.doubts[doubt.ID], m)
	}
	return !was && at(c.table.siblings, m.ID) >= 0
}

// Heard tells that a member is alive.
func (c *Contacts) Heard(m Member) {
	c.mu.Lock()
	near := c.sync() && c.large && m.ID != c.r.self && c.insert(m)
	c.mu.Unlock()
	if near && c.o.Changed != nil {
		c.o.Changed()
	}
}

// Failed tells that a member could not be reached.
func (c *Contacts) Failed(id p2p.ID) {
	c.mu.Lock()
	near := false
	if c.sync() && c.large {
		near = at(c.table.siblings, id) >= 0
		c.table.Remove(id)
		c.atlas.Remove(id)
	}
	c.mu.Unlock()
	if near && c.o.Changed != nil {
		c.o.Changed()
	}
}

// Closest returns the n members nearest to a key of those that are known, nearest first: what
// Options.Nearest of the router is to be.
func (c *Contacts) Closest(key p2p.Key, n int) []Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sync() {
		return nil
	}
	return c.still(c.table.Closest(key, n+1), n)
}

// still leaves those out who are no members any more.
func (c *Contacts) still(members []Member, n int) []Member {
	members = slices.DeleteFunc(members, func(m Member) bool {
		now, ok := c.r.o.Member(m.ID)
		return !ok || now.Position != m.Position
	})
	return members[:min(len(members), n)]
}

// Members returns all that the table knows, in no order.
func (c *Contacts) Members() []Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sync() {
		return nil
	}
	all := c.table.Members()
	return c.still(all, len(all))
}

// Siblings returns the nearest members, nearest first.
func (c *Contacts) Siblings() []Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sync() {
		return nil
	}
	return c.still(c.table.Siblings(), Siblings)
}

// Buckets returns the table: the members that share 0, 1, 2, … bits with this node, of each
// number those that are known.
func (c *Contacts) Buckets() [][]Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sync() {
		return nil
	}
	out := make([][]Member, len(c.table.buckets))
	for i, b := range c.table.buckets {
		b = c.still(slices.Clone(b), K)
		slices.SortFunc(b, func(x, y Member) int { return x.Position.Compare(y.Position) })
		out[i] = b
	}
	return out
}

// Size returns how many members the network has, about, this one included: from how near those
// are that are nearest to this node, and to keys that it has chosen itself. Of several such
// estimates the median counts, so that nobody changes it by sitting around one of them. It is
// not known before this node has looked around: it may have been told of far members only.
func (c *Contacts) Size() (n float64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sync() {
		return 1, false
	}
	known = !c.large || len(c.sizes) > 0
	if len(c.table.siblings) < Siblings {
		return float64(1 + len(c.table.siblings)), known
	}
	all := append(slices.Clone(c.sizes), Estimate(c.table.self.Position, c.table.siblings))
	slices.Sort(all)
	return 1 + all[len(all)/2], known
}

// At returns the part of the key space that answers for a key, with at least n members, and
// who is there, as far as lookups have found since then; see Atlas.At.
func (c *Contacts) At(key p2p.Key, n int, since time.Time) (Part, []Member, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sync() {
		return Part{}, nil, false
	}
	c.atlas.Forget(time.Now().Add(-Around - Fresh)) // a little later than anybody's since: he may come again
	p, members, ok := c.atlas.At(key, n, since)
	return p, slices.Clone(members), ok
}

// Find looks up who is nearest to a key, and remembers it; see Router.Find.
func (c *Contacts) Find(ctx context.Context, key p2p.Key, want int, hear func(Asked)) (Finding, error) {
	return c.find(ctx, key, LookupOptions{Want: want, Alpha: lookupAlpha}, hear)
}

func (c *Contacts) find(ctx context.Context, key p2p.Key, o LookupOptions, hear func(Asked)) (Finding, error) {
	if c.o.Open() {
		o.Paths = openPaths
	}
	f, err := c.r.Find(ctx, key, o, func(a Asked) {
		switch {
		case a.Err == nil && a.By.Gone == 0:
			c.Heard(a.Member)
		case errors.Is(a.Err, p2p.ErrUnreachable), errors.Is(a.Err, context.DeadlineExceeded):
			if _, err := c.r.o.Link(a.ID); err != nil { // who has a link is slow
				c.Failed(a.ID)
			}
		}
		if hear != nil {
			hear(a)
		}
	})
	if err != nil {
		return f, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sync() {
		c.atlas.Add(f, time.Now())
	}
	return f, nil
}

// FindRegion looks up all members that share so many bits with a key, 64 at most. What it
// finds may be less, where there are more.
func (c *Contacts) FindRegion(ctx context.Context, key p2p.Key, bits int, hear func(Asked)) ([]Member, error) {
	for want := widest / 2; ; want *= 2 {
		f, err := c.Find(ctx, key, want, hear)
		if err != nil {
			return nil, err
		}
		if f.Bits <= bits || want >= widest {
			return slices.DeleteFunc(f.Members, func(m Member) bool { return key.CommonPrefixLen(m.Position) < bits }), nil
		}
	}
}

// SurveyOptions say what a survey wants.
type SurveyOptions struct {
	N       int       // members nearest to each key
	Since   time.Time // what lookups have found before does not count
	Lookups int       // that are made at most
}

// Survey looks keys up until At, asked about the same time, answers for all of them, by at most so many lookups:
// some at a time, far from each other, so that what one has found saves others. hear is
// told of each question, by several goroutines. That a lookup finds nobody is no error; left says
// for how many keys nobody looked. The error is the context's.
func (c *Contacts) Survey(ctx context.Context, keys []p2p.Key, o SurveyOptions, hear func(Asked)) (left int, err error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, p2p.Key.Compare)
	keys = slices.Compact(keys)
	want := min(max(4*o.N+4, K), widest)
	keys = slices.DeleteFunc(keys, func(k p2p.Key) bool {
		_, _, ok := c.At(k, o.N, o.Since)
		return ok
	})
	if len(keys) > 0 {
		c.look(ctx, c.new) // before anything depends on it
	}
	for atOnce := 1; ; atOnce = min(2*atOnce, lookupsAt) { // the first one may find all there is
		some := min(len(keys), atOnce, o.Lookups)
		if some == 0 {
			return len(keys), nil
		}
		o.Lookups -= some
		tried := map[p2p.Key]bool{}
		var running sync.WaitGroup
		for i := range some {
			key := keys[i*len(keys)/some]
			tried[key] = true
			running.Go(func() {
				if _, err := c.Find(ctx, key, want, hear); err != nil {
					c.o.Logger.Debug("a lookup found nobody", "key", fmt.Sprintf("%x", key[:4]), "error", err)
				}
			})
		}
		running.Wait()
		if err := ctx.Err(); err != nil {
			return len(keys), fmt.Errorf("route: look up %d keys: %w", len(keys), err)
		}
		keys = slices.DeleteFunc(keys, func(k p2p.Key) bool {
			_, _, ok := c.At(k, o.N, o.Since)
			return ok || tried[k]
		})
	}
}

// Run keeps what is known fresh in large networks, until ctx ends: from time to time it looks
// for those around this node and for some who are far, and asks who may be gone. In all networks it
// tells this node's relays whom it knows.
func (c *Contacts) Run(ctx context.Context) error {
	timer := time.NewTimer(refreshFirst/2 + rand.N(refreshFirst))
	defer timer.Stop()
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			if c.o.Large() {
				c.look(ctx, func() bool { return true })
			}
			timer.Reset(refreshEvery - rand.N(refreshEvery/4))
		case <-c.sheltered:
			c.give(ctx)
		case <-tick.C:
			if c.o.Large() {
				c.look(ctx, c.new) // it has just joined
			}
			c.settle(ctx)
			c.give(ctx)
		}
	}
}

// new reports whether this node has not looked around yet where it is now.
func (c *Contacts) new() bool {
	_, known := c.Size()
	return !known
}

// look looks around if it is due, when nobody else does.
func (c *Contacts) look(ctx context.Context, due func() bool) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return
	}
	defer func() { c.turn <- struct{}{} }()
	if due() {
		c.refresh(ctx)
	}
}

// refresh looks for those around this node, and around keys of its own choice.
func (c *Contacts) refresh(ctx context.Context) {
	c.mu.Lock()
	ok := c.sync()
	var self p2p.Key
	if ok {
		self = c.table.self.Position
	}
	c.mu.Unlock()
	if !ok {
		return
	}
	// Those around this node are to learn of it: what they know around themselves is believed for long.
	if _, err := c.find(ctx, self, LookupOptions{Want: 2 * K, Alpha: lookupAlpha, InPerson: true}, nil); err != nil && ctx.Err() == nil {
		c.o.Logger.Debug("nobody answers around this node", "error", err)
	}
	for range farLookups {
		var key p2p.Key
		for i := range key {
			key[i] = byte(rand.Uint32())
		}
		f, err := c.Find(ctx, key, 2*K, nil)
		if err != nil {
			continue
		}
		c.mu.Lock()
		c.sizes = append(c.sizes, Estimate(key, f.Members))
		c.sizes = c.sizes[max(len(c.sizes)-estimates, 0):]
		c.mu.Unlock()
	}
}

// settle asks those who have not been heard of for longest and whose places others want.
func (c *Contacts) settle(ctx context.Context) {
	c.mu.Lock()
	c.sync()
	doubts := c.doubts
	c.doubts = map[p2p.ID][]Member{}
	c.mu.Unlock()
	if len(doubts) == 0 {
		return
	}
	for id, others := range doubts {
		if m, ok := c.r.o.Member(id); ok {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			err := c.r.Ping(ctx, m)
			cancel()
			if err == nil {
				c.Heard(m)
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		c.Failed(id)
		for _, o := range others {
			c.Heard(o)
		}
	}
}
