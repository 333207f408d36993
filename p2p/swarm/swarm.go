package swarm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/mirror"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/p2p/swarm/upload"
)

// Errors that callers tell apart. What is returned wraps them and says more.
var (
	// ErrNotFound: there is no such seed here, or nobody who is asked knows it.
	ErrNotFound = errors.New("no such seed")
	// ErrUnusable: a path that leads to no file that can be shared, or to no place for one.
	ErrUnusable = errors.New("unusable path")
	// ErrFull: the disk has no room for the file.
	ErrFull = errors.New("the disk is full")
	// ErrTooLarge: the disk has no files as long as this one, whatever room it has: FAT32 has none of 4 GiB.
	ErrTooLarge = errors.New("the disk takes no file of this size, as FAT32 takes none of 4 GiB or more: another directory is needed")
	// ErrForgotten: the seed is not kept here any more.
	ErrForgotten = errors.New("the seed is not kept here any more")
)

// Tracker knows who has what (package tracker).
type Tracker interface {
	Announce(tracker.Own)
	Withdraw(seed.ID)
	Sources(ctx context.Context, id seed.ID, want int) ([]tracker.Peer, error)
	Text(ctx context.Context, id seed.ID) (seed.Seed, error)
	Slice(id seed.ID) (i, n int)
	Missed(id seed.ID, of p2p.ID)
}

// Options of a Service.
type Options struct {
	ID      p2p.ID
	Tracker Tracker
	// Link returns the link to a member, which it makes if there is none.
	Link func(ctx context.Context, to p2p.ID) (p2p.Link, error)
	// Through returns a link to the host of a pass, who is of another network. The caller calls release when it
	// does not use the link any more. Errors: pass.ErrRefused when the host does not take the pass. Nil: no
	// pass is of use.
	Through func(ctx context.Context, p pass.Pass) (l p2p.Link, release func(), err error)
	Store   Store // nil: memory
	// Dir is where files come that are downloaded to no other place; it is made when it is needed.
	// Keep is where those are kept that have no place of their own: what was dropped on the page, deltas,
	// what is only read. Without it such files cannot be kept.
	Dir, Keep string
	// Local finds what files on this disk have in common with one that is wanted; nil: nothing is found.
	Local Local
	// Rates returns how fast this node sends and receives at most, in bytes per second; 0: as fast as it can.
	Rates func() (up, down int64)
	// Outside returns the addresses at which others see this node; nil: none. See package mirror.
	Outside func() []netip.Addr
	Publish p2p.Publish
	Logger  *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Service keeps the seeds of a node. All methods may be used by several goroutines at once.
type Service struct {
	o       Options
	log     *slog.Logger
	now     func() time.Time
	buffers sync.Pool // of *[]byte: pieces that are sent
	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup

	web     *mirror.Client
	telling chan struct{} // room for the manifests that are told at once
	active  sync.Map      // of seed.ID to *download: those that run

	rows sync.Mutex // held while a row is kept or forgotten; before mu

	mu         sync.Mutex // guards all following fields
	closed     bool
	running    bool // Run was called
	entries    map[seed.ID]*entry
	order      []seed.ID // as they were added
	lastNumber uint32
	takers     map[uint32]*taker
	lastTaker  uint32
	outsiders  int // takers that are no members
	lastReader uint32
	queue      *upload.Queue
	underWay   int           // pieces that are being sent
	pace       time.Duration // how long that takes
	making     map[string]*making
	turns      map[seed.ID]chan struct{} // who begins to keep a seed, or forgets it; closed when that is done
}

// entry is one seed. The service's mu guards it.
type entry struct {
	row     Row
	number  uint32    // for the queue
	seed    seed.Seed // what is known of it; without pieces until somebody has told them
	c       *content  // nil: nothing is there that could be served
	d       *download // nil: nothing is being brought
	last    *download // that was, since the start
	web     []string  // servers that a person has named
	here    int       // pieces that are there, while c is nil
	copies  []Copy    // that were made since the start
	copying bool      // somebody makes them
	moving  bool      // to another directory: nothing is brought until that is done
	readers int       // that are open
	read    time.Time // when the last one was closed
	why     error     // why nothing is served: errChanged
	up      gauge
	peak    float64 // of up
	saved   int64   // row.Sent, as it was kept last
}

// New opens the seeds of a node. Run must be called for anything to happen.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Store == nil {
		o.Store = &Memory{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Publish == nil {
		o.Publish = func(p2p.Event) {}
	}
	if o.Rates == nil {
		o.Rates = func() (up, down int64) { return 0, 0 }
	}
	s := &Service{
		o: o, log: o.Logger, now: o.Now, entries: map[seed.ID]*entry{}, takers: map[uint32]*taker{},
		queue: upload.New(upload.Options{Flight: 1, Waiting: 2 * maxWants, Total: maxTakers * maxWants}), making: map[string]*making{},
		turns:   map[seed.ID]chan struct{}{},
		web:     mirror.NewClient(mirror.Options{Outside: o.Outside}),
		telling: make(chan struct{}, manifests),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	rows, err := o.Store.Rows(ctx)
	if err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	if err := s.clean(rows); err != nil {
		s.log.Error("what was left of files that were being taken in is not deleted", "directory", o.Keep, "error", err)
	}
	for _, r := range rows {
		if err := s.restore(ctx, r); err != nil {
			// Its file stays where it is; the others are not to suffer from it.
			s.log.Error("a seed cannot be taken up again", "seed", r.ID.Short(), "file", place{r.Dir, r.Name}.path(), "error", err)
		}
	}
	return s, nil
}

// restore takes up a seed that was kept.
func (s *Service) restore(ctx context.Context, r Row) error {
	known, err := s.describe(ctx, r)
	if err != nil {
		return err
	}
	e := s.enter(r, known)
	e.read = s.now()
	if r.Whole {
		if !r.Paused {
			c, why := whole(r, known)
			s.reopen(e, c, why)
		}
		return nil
	}
	have, err := s.o.Store.Have(ctx, r.ID)
	if err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	if b, err := picker.ParseBitmap(have, known.Count()); err == nil {
		e.here = b.Count()
	}
	return nil
}

// describe reads what a seed is, with the values of its pieces if they are known.
func (s *Service) describe(ctx context.Context, r Row) (seed.Seed, error) {
	known, err := seed.Parse(r.Text)
	if err != nil {
		link, linkErr := seed.ParseLink(string(r.Text))
		if linkErr != nil {
			return seed.Seed{}, fmt.Errorf("swarm: what is kept of %s: %w", r.ID.Short(), err)
		}
		if known, err = link.Seed(); err != nil {
			return seed.Seed{}, fmt.Errorf("swarm: what is kept of %s: %w", r.ID.Short(), err)
		}
	}
	if known.Pieces != nil || known.Legacy != nil {
		return known, nil
	}
	b, err := s.o.Store.Values(ctx, r.ID)
	if err != nil {
		return seed.Seed{}, fmt.Errorf("swarm: %w", err)
	}
	if b == nil {
		return known, nil
	}
	return withValues(known, b)
}

// withValues is the inverse of seed.Seed.PackPieces. Errors: those of seed.Seed.WithPieces.
func withValues(s seed.Seed, b []byte) (seed.Seed, error) {
	pieces := make([]chunk.Hash, len(b)/len(chunk.Hash{}))
	if len(b)%len(chunk.Hash{}) != 0 {
		pieces = nil // of no seed
	}
	for i := range pieces {
		copy(pieces[i][:], b[i*len(pieces[i]):])
	}
	return s.WithPieces(pieces)
}

// enter makes an entry.
func (s *Service) enter(r Row, known seed.Seed) *entry {
	s.lastNumber++
	e := &entry{row: r, number: s.lastNumber, seed: known}
	s.entries[r.ID] = e
	s.order = append(s.order, r.ID)
	return e
}

// whole is what is served of a seed whose file is there, and why it is not; whether it is still what it was is found out
// as it is read. It looks at the disk.
func whole(r Row, known seed.Seed) (*content, error) {
	c := newWhole(known, place{r.Dir, r.Name})
	st, err := c.at.stat()
	switch {
	case err != nil:
		return c, fmt.Errorf("%w: %w", errChanged, err)
	case st.Size() == r.Size && st.ModTime().UnixNano() == r.Modified:
		// As it was when all of it was verified.
		c.state = fileState{st.Size(), st.ModTime()}
		c.sound.SetRange(0, known.Count()-1)
	case st.Size() != known.Size:
		return c, fmt.Errorf("%w: it has %d bytes, not %d", errChanged, st.Size(), known.Size)
	}
	return c, nil
}

// reopen makes what is whole be served, unless there is a reason not to. s.mu is held.
func (s *Service) reopen(e *entry, c *content, why error) {
	if e.c = c; why != nil {
		s.spoiled(e, why)
	}
}

// lookAt finds out whether the file of what is whole is still there. s.mu is not held: a disk may be slow.
func (s *Service) lookAt(id seed.ID) {
	s.mu.Lock()
	e := s.entries[id]
	if e == nil || !e.row.Whole || e.why != nil {
		s.mu.Unlock()
		return
	}
	c, at, size := e.c, place{e.row.Dir, e.row.Name}, e.seed.Size
	s.mu.Unlock()
	st, err := at.stat()
	if err == nil && st.Size() != size {
		err = fmt.Errorf("it has %d bytes, not %d", st.Size(), size)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrUnusable) {
		return // that says nothing of the file
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.entries[id] == e && e.c == c {
		s.spoiled(e, fmt.Errorf("%w: %w", errChanged, err))
	}
}

// spoiled notes that the file of a seed is not any more what it was: nothing is served. s.mu is held.
func (s *Service) spoiled(e *entry, why error) {
	if e.why != nil || e.c == nil {
		return
	}
	e.why = why
	e.c.end(why)
	e.c = nil
	s.queue.Forget(e.number)
	s.log.Warn("a shared file is not what it was any more: nobody is served from it", "file", place{e.row.Dir, e.row.Name}.path(), "reason", why)
	id := e.row.ID
	if s.running && !s.closed {
		s.work.Go(func() { s.o.Tracker.Withdraw(id) })
	}
	s.o.Publish(Changed{Seed: id, Name: e.seed.Name, Reason: why.Error()})
}

// Run announces what is here, and brings what is not, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	for _, id := range s.order {
		e := s.entries[id]
		s.announce(e)
		s.copyOut(e)
		if !e.row.Whole && !e.row.Paused && e.row.Error == "" {
			s.begin(e)
		}
	}
	s.mu.Unlock()
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			s.sayAgain()
		}
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	s.web.Close()
	s.keepCounts(context.WithoutCancel(ctx))
	return nil
}

// announceEvery is how often it is said how far downloads are, and what was sent is kept.
const announceEvery = 10 * time.Second

// sayAgain announces downloads as far as they are, and keeps the counts.
func (s *Service) sayAgain() {
	s.mu.Lock()
	for _, e := range s.entries {
		s.announce(e)
	}
	s.mu.Unlock()
	s.keepCounts(s.ctx)
	s.forgetRead()
}

// keepCounts makes durable how much was sent of what is whole. Of downloads their own loop does.
func (s *Service) keepCounts(ctx context.Context) {
	type kept struct {
		row  Row
		have []byte
	}
	var all []kept
	s.mu.Lock()
	for _, e := range s.entries {
		if e.d == nil && e.c != nil && e.row.Whole && e.row.Sent != e.saved {
			e.saved = e.row.Sent
			all = append(all, kept{e.row, nil})
		}
	}
	s.mu.Unlock()
	for _, k := range all {
		if err := s.o.Store.Progress(ctx, k.row.ID, k.have, k.row.Counts); err != nil {
			s.log.Error("not kept how much was sent", "seed", k.row.ID.Short(), "error", err)
		}
	}
}

// announce tells the tracker what is here of a seed. s.mu is held.
func (s *Service) announce(e *entry) {
	if !s.running || s.closed {
		return
	}
	if e.c == nil && e.d == nil {
		return
	}
	own := tracker.Own{Seed: e.seed, Up: int64(e.peak), Wants: e.d != nil}
	if up, _ := s.o.Rates(); up > 0 {
		own.Up = up
	}
	if e.c != nil {
		if e.row.Whole {
			own.Have = tracker.Have{All: true}
		} else {
			have, _ := e.c.held()
			own.Have = tracker.HaveOf(have.Len(), have.Has)
		}
	}
	s.o.Tracker.Announce(own)
}

// SourcesChanged is to be called when the tracker knows other sources of a seed than before. It does not wait,
// and may be called by the tracker while this service calls it.
func (s *Service) SourcesChanged(id seed.ID) {
	if d, ok := s.active.Load(id); ok {
		d.(*download).look()
	}
}

// find returns the entry of a seed. s.mu is held.
func (s *Service) find(id seed.ID) (*entry, error) {
	if e := s.entries[id]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("swarm: %s: %w", id.Short(), ErrNotFound)
}

// remove takes an entry away. s.mu is held.
func (s *Service) remove(id seed.ID) {
	e := s.entries[id]
	delete(s.entries, id)
	s.order = slices.DeleteFunc(s.order, func(o seed.ID) bool { return o == id })
	s.queue.Forget(e.number)
	if e.c != nil {
		e.c.end(ErrForgotten)
	}
}
