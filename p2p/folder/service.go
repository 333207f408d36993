package folder

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Options configure Open. The zero value works.
type Options struct {
	Store Store // nil: NewMemory
	Sink  Sink  // nil: nobody is told
	// DataDir is the node's own directory, which no folder may contain or be in.
	// Empty: there is none.
	DataDir string
	// Allowed says who may read files of a folder over the network. Nil: nobody.
	Allowed func(from p2p.ID, folder string) bool
	Publish p2p.Publish
	Logger  *slog.Logger  // nil: discard
	Rand    io.Reader     // of folder IDs; nil: crypto/rand.Reader
	Workers int           // that read at once, per folder; 0: one per CPU, at most 4
	Rescan  time.Duration // between complete scans; 0: 1 hour
	// Unwatched is the time between complete scans while not all directories can
	// be watched. 0: 1 minute.
	Unwatched time.Duration
	Retry     time.Duration // between looks at a folder in StateError; 0: 5 s
	Quiet     time.Duration // from a file system event to the look at it; 0: 120 ms
	// Changed is called after a scan that has found something to be different, and
	// after every complete one, when all of it is in the index; also if it is nothing that
	// Dirty names, since what was not known in its state is known now. A scan of a part that
	// finds much that is new, and nothing missing, calls it as it goes, and every scan when
	// it has found directories that were moved. It is called by a goroutine of the scan,
	// which waits for it. Nil: nobody is told.
	Changed func(folder string, d Dirty)
}

// Service looks after all folders of a node. Its methods may be used by several
// goroutines at once.
type Service struct {
	options Options
	store   Store
	sink    Sink
	log     *slog.Logger
	gate    gate
	watch   func(root string) (*watcher, error) // newWatcher, but in tests

	registry sync.Mutex // serialises Add, Remove and Update; before mu and any share's mu

	mu     sync.Mutex // guards all following fields; before any share's mu
	shares map[string]*share
	run    context.Context // of Run, while it runs
	group  *sync.WaitGroup // of what Run has started
}

// Open reads the registry. Nothing is scanned before Run.
func Open(o Options) (*Service, error) {
	if o.Store == nil {
		o.Store = NewMemory()
	}
	if o.Sink == nil {
		o.Sink = discard{}
	}
	if o.Allowed == nil {
		o.Allowed = func(p2p.ID, string) bool { return false }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	o.Workers = cmp.Or(o.Workers, min(runtime.NumCPU(), 4))
	o.Rescan = cmp.Or(o.Rescan, time.Hour)
	o.Unwatched = cmp.Or(o.Unwatched, time.Minute)
	o.Retry = cmp.Or(o.Retry, 5*time.Second)
	o.Quiet = cmp.Or(o.Quiet, 120*time.Millisecond)
	if o.DataDir != "" {
		abs, err := filepath.Abs(o.DataDir)
		if err != nil {
			return nil, fmt.Errorf("folder: data directory: %w", err)
		}
		// One that does not exist yet has no links.
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			abs = real
		}
		o.DataDir = abs
	}
	s := &Service{
		options: o, store: o.Store, sink: o.Sink, log: o.Logger,
		watch: newWatcher, shares: make(map[string]*share),
	}
	return s, s.load(context.Background())
}

// discard is the Sink of nobody.
type discard struct{}

func (discard) Put(context.Context, []Update) error { return nil }

func (s *Service) load(ctx context.Context) error {
	records, err := s.store.Folders(ctx)
	if err != nil {
		return fmt.Errorf("folder: read the registry: %w", err)
	}
	for _, r := range records {
		sh := newShare(s, r)
		if err := sh.count(ctx); err != nil {
			return err
		}
		s.shares[r.ID] = sh
	}
	return nil
}

// Run scans and watches the folders until ctx ends, and then returns nil when
// everything it started has ended. It may be called again after that.
func (s *Service) Run(ctx context.Context) error {
	var group sync.WaitGroup
	s.mu.Lock()
	if s.run != nil {
		s.mu.Unlock()
		return errors.New("folder: runs already")
	}
	s.run, s.group = ctx, &group
	for _, sh := range s.shares {
		s.start(sh)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.run, s.group = nil, nil
	s.mu.Unlock()
	group.Wait()
	return nil
}

// start starts a share if Run runs. The caller holds s.mu.
func (s *Service) start(sh *share) {
	if s.run == nil {
		return
	}
	ctx, cancel := context.WithCancel(s.run)
	ended := make(chan struct{})
	sh.cancel, sh.ended = cancel, ended
	s.group.Go(func() {
		defer close(ended)
		defer cancel()
		var telling sync.WaitGroup
		telling.Go(func() { sh.tell(ctx) })
		sh.run(ctx)
		telling.Wait()
		sh.catchUp()
	})
}

// Remove forgets a folder here and touches nothing in it. The marker stays too: it
// may be that of another node that shares the same directory, and a directory that
// is added again is the same folder again. The Sink is not told: whoever removes a
// folder drops what it made of it. Errors: ErrNotFound.
func (s *Service) Remove(ctx context.Context, id string) error {
	s.registry.Lock()
	defer s.registry.Unlock()
	s.mu.Lock()
	sh := s.shares[id]
	delete(s.shares, id)
	s.mu.Unlock()
	if sh == nil {
		return fmt.Errorf("folder: remove %.30q: %w", id, ErrNotFound)
	}
	sh.end()
	r := sh.record()
	if err := s.store.DeleteFolder(ctx, id); err != nil {
		s.mu.Lock()
		s.shares[id] = sh
		s.start(sh)
		s.mu.Unlock()
		return fmt.Errorf("folder: remove %s: %w", r.Path, err)
	}
	s.options.Publish.Emit(Removed{ID: r.ID, Label: r.Label})
	return nil
}

// Changes are what Update changes; nil leaves as it is.
type Changes struct {
	Label  *string
	Access *string
	Grants *p2p.Grants       // all
	Grant  map[p2p.ID]string // single ones; empty: the member has none
	Paused *bool             // while paused, a folder is neither scanned nor watched
}

// Granted returns what grants become.
func (c Changes) Granted(had p2p.Grants) p2p.Grants {
	if c.Grants != nil {
		had = slices.Clone(*c.Grants)
	}
	for id, access := range c.Grant {
		had = had.With(id, access)
	}
	return had
}

// Update changes a folder. Errors: ErrNotFound, ErrInvalid.
func (s *Service) Update(ctx context.Context, id string, c Changes) (Folder, error) {
	s.registry.Lock()
	defer s.registry.Unlock()
	sh, err := s.share(id)
	if err != nil {
		return Folder{}, err
	}
	r := sh.record()
	if c.Label != nil {
		err = errors.Join(err, checkLabel(*c.Label))
		r.Label = *c.Label
	}
	if c.Access != nil {
		err = errors.Join(err, checkAccess(*c.Access))
		r.Access = *c.Access
	}
	r.Grants = c.Granted(r.Grants)
	if e := r.Grants.Check(); e != nil {
		err = errors.Join(err, fmt.Errorf("folder: %w: %w", ErrInvalid, e))
	}
	if c.Paused != nil {
		r.Paused = *c.Paused
	}
	if err != nil {
		return Folder{}, err
	}
	if err := s.store.SaveFolder(ctx, r); err != nil {
		return Folder{}, fmt.Errorf("folder: update %s: %w", r.Path, err)
	}
	sh.update(r)
	return sh.snapshot(), nil
}

// List returns all folders in the order of their creation.
func (s *Service) List() []Folder {
	shares := s.all()
	list := make([]Folder, len(shares))
	for i, sh := range shares {
		list[i] = sh.snapshot()
	}
	slices.SortFunc(list, func(a, b Folder) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// Get returns one folder. Errors: ErrNotFound.
func (s *Service) Get(id string) (Folder, error) {
	sh, err := s.share(id)
	if err != nil {
		return Folder{}, err
	}
	return sh.snapshot(), nil
}

// Scan has a folder looked at completely, and returns at once. Requests that come
// while a scan runs are merged into one more scan. Errors: ErrNotFound.
func (s *Service) Scan(id string) error {
	sh, err := s.share(id)
	if err != nil {
		return err
	}
	sh.ask()
	return nil
}

// Wait returns when all scans that were asked for before have ended, well or not.
// A folder that was added has been asked for. Errors: ErrNotFound, that of ctx.
func (s *Service) Wait(ctx context.Context, id string) error {
	sh, err := s.share(id)
	if err != nil {
		return err
	}
	return sh.wait(ctx)
}

// WaitTold returns when the sink was told of everything that was found before. As
// long as the sink fails it does not return. Errors: ErrNotFound, that of ctx.
func (s *Service) WaitTold(ctx context.Context, id string) error {
	sh, err := s.share(id)
	if err != nil {
		return err
	}
	return sh.waitTold(ctx)
}

// Skipped returns what the last complete scan of a folder left out, and why, with
// what was met since. Errors: ErrNotFound.
func (s *Service) Skipped(id string) (Skips, error) {
	sh, err := s.share(id)
	if err != nil {
		return Skips{}, err
	}
	return sh.left().report(), nil
}

// MaxEntries is the most that Entries returns at once.
const MaxEntries = 1000

// Entries returns up to limit entries of a folder, by path, whose paths start
// with prefix, after the one at which cursor, a next of before, stands. next is
// empty at the end. Errors: ErrNotFound.
func (s *Service) Entries(ctx context.Context, id, prefix, cursor string, limit int) (entries []Entry, next string, err error) {
	if _, err := s.share(id); err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), MaxEntries)
	rows, err := s.store.Under(ctx, id, prefix, cursor, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("folder: entries of %s: %w", id, err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].Path
	}
	entries = make([]Entry, len(rows))
	for i, r := range rows {
		entries[i] = r.Entry
	}
	return entries, next, nil
}

// share returns a folder. Errors: ErrNotFound.
func (s *Service) share(id string) (*share, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shares[id]; sh != nil {
		return sh, nil
	}
	return nil, fmt.Errorf("folder: %.30q: %w", id, ErrNotFound)
}

func (s *Service) all() []*share {
	s.mu.Lock()
	defer s.mu.Unlock()
	shares := make([]*share, 0, len(s.shares))
	for _, sh := range s.shares {
		shares = append(shares, sh)
	}
	return shares
}
