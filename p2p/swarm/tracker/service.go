package tracker

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Caller asks members, over links or through others (package route).
type Caller interface {
	Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error)
}

// Options of a Service. Without Caller and Links it is a tracker that knows what it is told.
type Options struct {
	ID     p2p.ID // of this node
	Caller Caller
	Links  func() []p2p.Link // to members
	// Member reports whether somebody is a member; nil: everybody is. Nobody else is told, asked or
	// answered.
	Member func(p2p.ID) bool
	// Table is the distributed table; nil: there is none.
	Table   Table
	Store   Store // nil: memory
	Publish p2p.Publish
	Logger  *slog.Logger     // nil: nothing is logged
	Now     func() time.Time // nil: time.Now
	// Changed is told that the sources of a seed are others than before, but for this node. It must not
	// wait.
	Changed func(seed.ID)
}

// Own is a seed that this node has, or wants.
type Own struct {
	Seed seed.Seed // the pieces are not needed
	Have Have
	// Up and Down are bytes per second that this node sends and receives of it. 0: not known.
	Up, Down int64
	Wants    bool // it is downloading
}

// Service is a node's tracker. Its methods may be used by several goroutines at once.
type Service struct {
	o     Options
	epoch uint64
	kick  chan struct{} // has room for one: there may be something to say
	table *placing      // what of them is in the table

	mu      sync.Mutex // guards all following fields
	core    *core
	own     map[seed.ID]*own
	version uint64 // of the last change of an own seed
	edits   uint64 // of own seeds; from 1
	seq     uint64 // of the last update
	targets map[p2p.ID]*target
	asked   map[seed.ID]asking
	random  *mathrand.Rand
	ended   bool // nothing is announced any more
}

// New returns a tracker. Run tells others; what members say is taken, and queries are answered, without
// it. Errors: those of the store.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Links == nil {
		o.Links = func() []p2p.Link { return nil }
	}
	if o.Member == nil {
		o.Member = func(p2p.ID) bool { return true }
	}
	if o.Store == nil {
		o.Store = &Memory{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(seed.ID) {}
	}
	kept, err := o.Store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracker: what members have said: %w", err)
	}
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	random := mathrand.NewPCG(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]))
	s := &Service{
		o: o, epoch: random.Uint64(), edits: 1, kick: make(chan struct{}, 1), core: newCore(o.ID), own: map[seed.ID]*own{},
		table: newPlacing(), targets: map[p2p.ID]*target{}, asked: map[seed.ID]asking{}, random: mathrand.New(random),
	}
	s.core.restore(o.Now(), kept)
	s.enter()
	return s, nil
}

// enter makes this node a source for itself.
func (s *Service) enter() {
	s.core.accounts[s.o.ID] = &account{seeds: map[seed.ID]struct{}{}}
}

// Announce says that this node has a seed, or wants it, from now on. Another announcement of the same
// seed takes its place.
func (s *Service) Announce(o Own) {
	id := o.Seed.ID()
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	next := &own{Own: o, text: announced(o.Seed), version: s.version + 1, described: s.version + 1, loud: s.version + 1}
	if old := s.own[id]; old != nil {
		if bytes.Equal(old.text, next.text) && old.Seed.Name == o.Seed.Name && old.Seed.Size == o.Seed.Size {
			next.described = old.described
			if old.stage() == next.stage() {
				next.loud = old.loud
				if old.Have.Equal(o.Have) && kib(old.Up) == kib(o.Up) && kib(old.Down) == kib(o.Down) {
					next.version = old.version
				}
			}
		}
	}
	if next.described == next.version {
		delete(s.asked, id) // there may be trackers to ask now
	}
	s.version = max(s.version, next.version)
	s.own[id] = next
	s.edits++
	changed := s.enlist(next)
	s.mu.Unlock()
	s.emit(changed)
	s.Kick()
	s.table.wake()
}

// enlist makes this node a source of a seed, for itself and who asks it. The caller holds s.mu.
func (s *Service) enlist(o *own) []seed.ID {
	var changed changes
	now := s.o.Now()
	a := o.announcement(true)
	if err := s.core.announce(now, s.o.ID, s.core.accounts[s.o.ID], &a, &changed); err != nil {
		s.o.Logger.Warn("a seed of this node is not listed", "seed", o.Seed.ID().Short(), "error", err)
		if e := s.core.seeds[o.Seed.ID()]; e != nil {
			s.core.tidy(now, e)
		}
	}
	return changed.list()
}

// Withdraw says that this node has a seed no more.
func (s *Service) Withdraw(id seed.ID) {
	s.mu.Lock()
	if s.own[id] == nil {
		s.mu.Unlock()
		return
	}
	delete(s.own, id)
	s.edits++
	var changed changes
	s.core.withdraw(s.o.Now(), s.o.ID, s.core.accounts[s.o.ID], id, &changed)
	s.mu.Unlock()
	s.emit(changed.list())
	s.Kick()
	s.table.wake()
}

// announced returns the text of a seed as it is told: the list of pieces comes from who has them. Nil:
// there is none yet, or it is too long.
func announced(o seed.Seed) []byte {
	if o.Legacy == nil && o.List == (chunk.Hash{}) {
		return nil
	}
	o.Pieces = nil
	if text := o.Text(); len(text) <= maxText {
		return text
	}
	return nil
}

// Kick makes Run look at once for links that came or went.
func (s *Service) Kick() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Forget forgets what others have said: this node is in another network now.
func (s *Service) Forget() {
	s.mu.Lock()
	var changed []seed.ID
	for id := range s.core.seeds {
		changed = append(changed, id)
	}
	s.core.clear()
	s.enter()
	clear(s.targets)
	clear(s.asked)
	for _, o := range s.own {
		s.enlist(o)
	}
	s.mu.Unlock()
	s.changed(changed)
	s.table.forget()
	s.Kick()
}

// HandleCall answers Proto.
func (s *Service) HandleCall(_ context.Context, from p2p.ID, req []byte) ([]byte, error) {
	if from != s.o.ID && !s.o.Member(from) {
		return nil, &p2p.CallError{Code: codeForbidden, Message: "not a member of this network"}
	}
	now := s.o.Now()
	s.mu.Lock()
	busy := !s.core.meter(now, from).call(1)
	s.mu.Unlock()
	if busy {
		return nil, errBusy
	}
	var r request
	if err := wire.Unmarshal(req, &r); err != nil {
		return nil, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	switch {
	case r.Update != nil:
		return s.handleUpdate(now, from, r.Update)
	case r.Query != nil:
		s.mu.Lock()
		answer := s.core.query(now, from, *r.Query, s.linked(), s.random)
		s.mu.Unlock()
		return wire.Marshal(answer)
	case r.Get != nil:
		return s.handleGet(*r.Get)
	case r.List != nil:
		return s.handleList(now, from, *r.List)
	}
	return nil, &p2p.CallError{Code: codeMalformed, Message: "a request for nothing"}
}

var errBusy = &p2p.CallError{Code: codeBusy, Message: "more than a member may say at once"}

func (s *Service) handleUpdate(now time.Time, from p2p.ID, u *update) ([]byte, error) {
	if from == s.o.ID {
		return nil, &p2p.CallError{Code: codeForbidden, Message: "this node knows what it has"}
	}
	s.mu.Lock()
	if !s.core.meter(now, from).entry(len(u.Has) + len(u.Gone)) {
		s.mu.Unlock()
		return nil, errBusy
	}
	answer, changed, err := s.core.update(now, from, u)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.changed(changed)
	return wire.Marshal(answer)
}

func (s *Service) handleGet(g get) ([]byte, error) {
	text := s.text(g.ID)
	if text == nil || int(g.From) > len(text) {
		return nil, &p2p.CallError{Code: codeNotFound, Message: ErrNotFound.Error()}
	}
	rest := text[g.From:]
	return wire.Marshal(part{Text: rest[:min(len(rest), maxPart)], Size: uint32(len(text))})
}

// text returns the text of a seed, as far as this node knows it.
func (s *Service) text(id seed.ID) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.own[id]; o != nil && (o.Seed.Legacy != nil || o.Seed.List != (chunk.Hash{})) {
		return o.Seed.Text()
	}
	if e := s.core.seeds[id]; e != nil {
		for _, t := range e.candidates() {
			if t.raw != nil && !t.lies {
				return t.raw
			}
		}
	}
	return nil
}

func (s *Service) handleList(now time.Time, from p2p.ID, l listCall) ([]byte, error) {
	if len(l.Query) > 4*maxQuery || len(l.After) > 4*maxName {
		return nil, &p2p.CallError{Code: codeMalformed, Message: "a query that is too long"}
	}
	s.mu.Lock()
	if !s.core.meter(now, from).call(listCost(len(s.core.seeds))) {
		s.mu.Unlock()
		return nil, errBusy
	}
	page, next := s.core.list(now, ListOptions{Query: l.Query, After: l.After, Limit: int(min(max(l.Limit, 1), maxListed))})
	s.mu.Unlock()
	out := listing{Next: next}
	for _, p := range page {
		out.Seeds = append(out.Seeds, listed{ID: p.ID, Name: p.Name, Size: p.Size, Whole: uint32(p.Whole), Partial: uint32(p.Partial), Since: p.Since.UnixMilli()})
	}
	return wire.Marshal(out)
}

// linked returns who is linked now.
func (s *Service) linked() func(p2p.ID) bool {
	links := map[p2p.ID]bool{}
	for _, l := range s.o.Links() {
		links[l.Peer()] = true
	}
	return func(id p2p.ID) bool { return links[id] }
}

// List returns the seeds that this node knows somebody to have, by name.
func (s *Service) List(o ListOptions) (page []Listed, next string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.list(s.o.Now(), o)
}

// Slice says that of the n who download a seed, as far as is known, this node is number i, from 0
// on: where it had best begin, so that those who begin at the same time fetch different pieces.
func (s *Service) Slice(id seed.ID) (i, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	i, n = s.core.slice(now, id, s.o.ID)
	if hint := s.asked[id]; hint.slices > n && now.Sub(hint.at) < TTL {
		return hint.slice, hint.slices
	}
	return i, n
}

// Own returns what this node has said of a seed of its own.
func (s *Service) Own(id seed.ID) (Own, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.own[id]
	if o == nil {
		return Own{}, false
	}
	return o.Own, true
}

// Missed says that a source had nothing, or was not there: it is left alone for a while, a longer one
// each time.
func (s *Service) Missed(id seed.ID, of p2p.ID) {
	s.mu.Lock()
	changed := s.core.miss(s.o.Now(), id, of)
	s.mu.Unlock()
	s.changed(changed)
}

// Refute says that what somebody told of a seed is a lie, such as its length: Text returns another
// description from now on, if there is one, and who told the lie is left alone.
func (s *Service) Refute(id seed.ID, lie seed.Seed) {
	s.mu.Lock()
	changed := s.core.refute(s.o.Now(), id, lie)
	s.mu.Unlock()
	s.changed(changed)
}

// Status says how much a tracker knows.
type Status struct {
	Seeds   int // that somebody has
	Sources int // of all of them
	Members int // that have said something
	Own     int // seeds of this node
	Told    int // members that know of them
	Placed  int // of them in the table
}

// Status returns it.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{Sources: s.core.count, Members: len(s.core.accounts) - 1, Own: len(s.own), Placed: s.table.count()}
	for _, e := range s.core.seeds {
		if len(e.sources) > 0 {
			out.Seeds++
		}
	}
	for _, t := range s.targets {
		if t.failed == 0 && !t.again {
			out.Told++
		}
	}
	return out
}
