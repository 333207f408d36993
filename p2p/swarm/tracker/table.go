package tracker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Table is what a tracker needs of the distributed table.
type Table interface {
	MultiPut(ctx context.Context, puts []dht.Put) ([]dht.PutResult, dht.Trace, error)
	Get(ctx context.Context, q dht.Query, o dht.ReadOptions) (dht.Found, dht.Trace, error)
}

const (
	// tableTTL is how long a record lives whose author has gone, and tableEvery how often it is put
	// again. It is longer than TTL: a record is a signature, a message to three members and a write to
	// their disks, so that a thousand seeds put every thirty seconds would cost each node some 30 KB and
	// a hundred such writes a second, for ever, for what only those need whom nobody else has told. A
	// source that has gone costs who asks it one question.
	tableTTL   = 10 * time.Minute
	tableEvery = 4 * time.Minute
	// tableMost is how many seeds of a node are in the table: the newest ones.
	tableMost    = 2000
	tableBatch   = 256
	tableTimeout = 30 * time.Second
	tableRetry   = 15 * time.Second
	tableRead    = 512 // records of one seed that are looked at
	tableContext = "shoal seed in the table 1\x00"
)

// Location is where the table keeps who has a seed.
func Location(id seed.ID) p2p.Key {
	return sha256.Sum256(append([]byte(tableContext), id[:]...))
}

// address is where this node says that it has a seed: in the domain of which the master is whoever
// has the node's key, so that nobody else can write there, or keep the node from it.
func (s *Service) address(id seed.ID) dht.Address {
	return dht.Address{Location: Location(id), Domain: p2p.Key(s.o.ID), Content: p2p.Key(s.o.ID)}
}

// record is the value. That a seed is gone is written over what was there, and ends with it: a tombstone
// would be kept for a month.
type record struct {
	Have have `cbor:"1,keyasint"`
	Gone bool `cbor:"2,keyasint,omitempty"`
}

// placing is what of this node's seeds is in the table.
type placing struct {
	woken chan struct{} // has room for one

	mu     sync.Mutex // guards placed
	placed map[seed.ID]placed
}

type placed struct {
	record record
	due    time.Time // when it is put again
	retry  time.Time // nothing is tried before
	ends   time.Time // when it is not there any more, unless it is put again
}

func newPlacing() *placing {
	return &placing{woken: make(chan struct{}, 1), placed: map[seed.ID]placed{}}
}

func (p *placing) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// again makes everything be put again.
func (p *placing) again() {
	p.mu.Lock()
	for id, one := range p.placed {
		one.due, one.retry = time.Time{}, time.Time{}
		p.placed[id] = one
	}
	p.mu.Unlock()
	p.wake()
}

// forget forgets all: it was another network's table.
func (p *placing) forget() {
	p.mu.Lock()
	clear(p.placed)
	p.mu.Unlock()
	p.wake()
}

func (p *placing) count() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.placed {
		if !one.record.Gone {
			n++
		}
	}
	return n
}

// brief is what the table is told of pieces: whether all are there, or some.
func brief(h Have) have {
	if h.All {
		return have{All: true}
	}
	return have{Count: uint32(min(h.Count, 1))}
}

func (r record) equal(o record) bool {
	return r.Gone == o.Gone && r.Have.All == o.Have.All && r.Have.Count == o.Have.Count
}

// runTable keeps the table in line with the seeds.
func (s *Service) runTable(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.table.woken:
			timer.Reset(debounce)
			continue
		case <-timer.C:
		}
		wait, err := s.placeDue(ctx)
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Debug("seeds not put into the table", "error", err)
			wait = tableRetry
		}
		timer.Reset(wait)
	}
}

// putting is a record that is to be put.
type putting struct {
	id     seed.ID
	record record
}

// duePlaces returns what is to be put now, and how long nothing else will be.
func (s *Service) duePlaces(now time.Time) (due []putting, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*own, 0, len(s.own))
	for _, o := range s.own {
		all = append(all, o)
	}
	ended := s.ended
	slices.SortFunc(all, func(a, b *own) int { return sign(int64(b.described - a.described)) })
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	wait = tableEvery
	wanted := map[seed.ID]bool{}
	for _, o := range all[:min(len(all), tableMost)] {
		id := o.Seed.ID()
		r := record{Have: brief(o.Have)}
		wanted[id] = o.Have.All || o.Have.Count > 0 // who has nothing helps nobody
		p, is := s.table.placed[id]
		switch {
		case ended:
			wanted[id] = false
		case !wanted[id]:
		case p.retry.After(now):
			wait = min(wait, p.retry.Sub(now))
		case !is || !p.record.equal(r) || !p.due.After(now):
			due = append(due, putting{id, r})
		default:
			wait = min(wait, p.due.Sub(now))
		}
	}
	for id, p := range s.table.placed {
		switch {
		case wanted[id]:
		case !p.ends.After(now):
			delete(s.table.placed, id) // it went by itself
		case p.retry.After(now) && !ended:
			wait = min(wait, p.retry.Sub(now))
		case !p.record.Gone:
			due = append(due, putting{id, record{Gone: true}})
		}
	}
	slices.SortFunc(due, func(a, b putting) int { return compareSeeds(a.id, b.id) })
	return due, wait
}

// placeDue puts what is to be put now, and returns how long nothing else will be.
func (s *Service) placeDue(ctx context.Context) (time.Duration, error) {
	due, wait := s.duePlaces(s.o.Now())
	for some := range slices.Chunk(due, tableBatch) {
		if err := s.put(ctx, some); err != nil {
			return 0, err
		}
	}
	return wait, nil
}

// put puts records. Before one is put it is noted that it may be there, so that it is taken back
// whatever happened.
func (s *Service) put(ctx context.Context, some []putting) error {
	puts := make([]dht.Put, len(some))
	now := s.o.Now()
	s.table.mu.Lock()
	for i, p := range some {
		value, err := wire.Marshal(p.record)
		if err != nil {
			s.table.mu.Unlock()
			return fmt.Errorf("tracker: record of %s: %w", p.id.Short(), err)
		}
		puts[i] = dht.Put{Address: s.address(p.id), Value: value, TTL: tableTTL, Protect: dht.ProtectDomain}
		old := s.table.placed[p.id]
		s.table.placed[p.id] = placed{record: old.record, retry: now.Add(tableRetry), ends: now.Add(tableTTL)}
	}
	s.table.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	results, _, err := s.o.Table.MultiPut(ctx, puts)
	if err != nil {
		return fmt.Errorf("tracker: put %d seeds into the table: %w", len(puts), err)
	}
	now = s.o.Now()
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	failed := 0
	for i, r := range results {
		one := s.table.placed[some[i].id]
		one.retry = time.Time{}
		if r.Copies > 0 {
			one.record = some[i].record
		}
		one.due = now.Add(tableEvery)
		if !r.Stored() {
			failed++
			one.due, one.retry = now, now.Add(tableRetry)
		}
		s.table.placed[some[i].id] = one
	}
	if failed > 0 {
		s.o.Logger.Debug("seeds are kept by too few members", "seeds", failed)
		s.table.wake()
	}
	return nil
}

// leaveTable writes that this node has nothing any more.
func (s *Service) leaveTable(ctx context.Context) error {
	due, _ := s.duePlaces(s.o.Now())
	for some := range slices.Chunk(due, tableBatch) {
		if err := s.put(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// askTable asks the table who has a seed.
func (s *Service) askTable(ctx context.Context, id seed.ID) {
	found, _, err := s.o.Table.Get(ctx, dht.Query{Location: Location(id), Domains: true, Limit: tableRead}, dht.ReadOptions{})
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.o.Logger.Debug("the table has not been asked for sources", "seed", id.Short(), "error", err)
		}
		return
	}
	var of []heard
	var gone []p2p.ID
	for _, c := range found.Records {
		author := p2p.IDOf(c.Author)
		var r record
		if c.Domain != p2p.Key(author) || author == s.o.ID || !s.o.Member(author) || wire.Unmarshal(c.Value, &r) != nil {
			continue
		}
		h, err := r.Have.unpack()
		switch {
		case err != nil:
		case r.Gone:
			gone = append(gone, author)
		default:
			of = append(of, heard{id: author, have: h, left: c.Left})
		}
	}
	now := s.o.Now()
	s.mu.Lock()
	changed := s.core.hear(now, id, TellsTable, of)
	for _, id2 := range gone {
		changed = append(changed, s.core.denied(now, id, id2)...)
	}
	s.mu.Unlock()
	s.changed(changed)
}
