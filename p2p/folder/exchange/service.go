package exchange

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/pack"
)

// Options configure New. Identity, Store, Folders, Access and Links are needed.
type Options struct {
	Identity p2p.Identity
	Network  func() p2p.ID // signed in claims
	Store    replica.Store
	Folders  *folder.Service
	// Access says what a member may do with a folder of a creator.
	Access func(folder string, creator, member p2p.ID) Access
	// Key returns the public key of somebody who is or was a member.
	Key func(p2p.ID) (ed25519.PublicKey, bool)
	// Links returns the links to members that there are now.
	Links   func() []p2p.Link
	Publish p2p.Publish
	Logger  *slog.Logger // nil: discard
	// Busy is told when work begins, and when there is none any more. It must not wait.
	// Nil: nobody is told.
	Busy  func(busy bool)
	Times Times
}

// Times are how long things take at most, and how often they are done. Zero: as is
// said.
type Times struct {
	Digest  time.Duration // between two comparisons of everything with a member; 1 hour
	Again   time.Duration // until a difference is believed, for something may be on its way; 20 s
	Hello   time.Duration // for the first message of a stream; 10 s
	Stalled time.Duration // for a peer to take, or bring, anything; 1 minute
	Retry   time.Duration // from what went wrong to the next attempt; 2 s
}

func (t Times) filled() Times {
	return Times{
		Digest: cmp.Or(t.Digest, time.Hour), Again: cmp.Or(t.Again, 20*time.Second), Hello: cmp.Or(t.Hello, 10*time.Second),
		Stalled: cmp.Or(t.Stalled, time.Minute), Retry: cmp.Or(t.Retry, 2*time.Second),
	}
}

// Access is what a member may do with a folder.
type Access struct{ Read, Write bool }

// Service keeps folders. Its methods may be used by several goroutines at once.
type Service struct {
	o     Options
	self  p2p.ID
	log   *slog.Logger
	wake  chan struct{} // the folders may be others
	gate  gate          // streams of contents
	queue gate          // those that wait for room there
	parts gate          // streams that tell what has come of contents
	// deltas are those that are made: each holds a signature in memory.
	deltas    gate
	manifests gate          // that are asked for
	scans     chan struct{} // holds one while a file is read for its manifest
	unmade    unmade
	codec     pack.Codec
	// transferred numbers the transfers.
	transferred atomic.Uint64
	larges      atomic.Int64 // large contents on their way, of all folders
	followed    broadcast    // there may be other runners

	mu       sync.Mutex // guards all following fields
	runners  map[string]*runner
	ending   map[string]*runner // that were stopped and have not ended yet
	links    map[p2p.ID]p2p.Link
	running  map[*transfer]bool
	finished []*transfer // newest last
	early    map[string]folder.Dirty

	working sync.Mutex // guards work, and is held while Options.Busy is called
	work    int        // what is at work
}

// New returns a service that does nothing before Run.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Busy == nil {
		o.Busy = func(bool) {}
	}
	o.Times = o.Times.filled()
	return &Service{
		o: o, self: o.Identity.ID(), log: o.Logger, wake: make(chan struct{}, 1),
		runners: map[string]*runner{}, ending: map[string]*runner{}, links: map[p2p.ID]p2p.Link{}, early: map[string]folder.Dirty{},
		running: map[*transfer]bool{}, scans: make(chan struct{}, 1),
	}
}

// lookEvery is how often it is looked whether the folders are still the same, besides
// when somebody says so.
const lookEvery = 5 * time.Second

// Run keeps the folders until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s.follow(ctx, &wg)
		s.followed.wake()
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
	}
}

// atWork counts what is at work.
func (s *Service) atWork(n int) {
	s.working.Lock()
	defer s.working.Unlock()
	before := s.work
	if s.work += n; (s.work > 0) != (before > 0) {
		s.o.Busy(s.work > 0)
	}
}

// Kick has the folders, what members may do, and the links looked at again.
func (s *Service) Kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// follow starts and ends runners so that there is one for each folder, and lets each
// know whom it is linked to.
func (s *Service) follow(ctx context.Context, wg *sync.WaitGroup) {
	links := map[p2p.ID]p2p.Link{}
	for _, l := range s.o.Links() {
		links[l.Peer()] = l
	}
	kept := map[string]folder.Folder{}
	for _, f := range s.o.Folders.List() {
		kept[f.ID] = f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = links
	s.endRunners(kept)
	for id, f := range kept {
		r := s.runners[id]
		if s.ending[id] != nil {
			continue // two cores must not work in one folder
		}
		if r == nil {
			r = newRunner(s, f)
			s.runners[id] = r
			rctx, stop := context.WithCancel(ctx)
			r.stop = stop
			if d, ok := s.early[id]; ok {
				r.dirty(d)
				delete(s.early, id)
			}
			wg.Go(func() { r.run(rctx) })
		}
		r.meet(ctx, wg, links, f.Paused)
	}
}

// endRunners stops those of folders that are not kept any more, or differently, or in
// another network, where other signatures hold. The caller holds s.mu.
func (s *Service) endRunners(kept map[string]folder.Folder) {
	for id, r := range s.runners {
		f, ok := kept[id]
		if ok && f.Creator == r.offered && r.network == s.o.Network() && !isClosed(r.ended) {
			continue
		}
		r.stop()
		s.ending[id] = r
		delete(s.runners, id)
	}
	for id, r := range s.ending {
		if !isClosed(r.ended) {
			continue
		}
		delete(s.ending, id)
		if _, ok := kept[id]; ok {
			// The next one begins with a complete scan, as after a start.
			if err := s.o.Folders.Scan(id); err != nil {
				s.log.Debug("folder: not scanned", "folder", id, "error", err)
			}
		}
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Changed tells what a scan has found. It is folder.Options.Changed.
func (s *Service) Changed(id string, d folder.Dirty) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runners[id]; r != nil {
		r.dirty(d)
		return
	}
	if d.All {
		s.early[id] = folder.Dirty{All: true}
	}
	s.Kick()
}

// runner returns the runner of a folder. Errors: replica.ErrNotKept.
func (s *Service) runner(id string) (*runner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runners[id]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("exchange: folder %.30q: %w", id, replica.ErrNotKept)
}

// settleWait is how long a person waits for the runner of a folder that was added a moment ago.
const settleWait = 5 * time.Second

// await returns the runner of a folder, which may be about to begin. Errors: replica.ErrNotKept.
func (s *Service) await(ctx context.Context, id string) (*runner, error) {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	for kicked := false; ; kicked = true {
		followed := s.followed.wait()
		r, err := s.runner(id)
		if err == nil || !slices.ContainsFunc(s.o.Folders.List(), func(f folder.Folder) bool { return f.ID == id }) {
			return r, err
		}
		if !kicked {
			s.Kick()
		}
		select {
		case <-followed:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Forget removes what is kept of a folder that this node does not keep any more.
func (s *Service) Forget(ctx context.Context, id string) error {
	s.mu.Lock()
	r := s.runners[id]
	if r == nil {
		r = s.ending[id]
	} else {
		r.stop()
		s.ending[id] = r
		delete(s.runners, id)
	}
	s.mu.Unlock()
	if r != nil {
		<-r.ended
	}
	return s.o.Store.Forget(ctx, id)
}

// claimContext is what claims are signed under.
const claimContext = "shoal folder claim 1"

// claimMessage is what a claim says.
func claimMessage(network p2p.ID, id string, d reconcile.Dot) []byte {
	b := append([]byte(nil), network[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(id)))
	b = append(b, id...)
	b = append(b, d.Member[:]...)
	b = binary.BigEndian.AppendUint64(b, d.Incarnation)
	return binary.BigEndian.AppendUint64(b, d.Counter)
}

func (s *Service) sign(id string, d reconcile.Dot) []byte {
	return s.o.Identity.Sign(claimContext, claimMessage(s.o.Network(), id, d))
}

func (s *Service) verify(id string, c replica.Claim) bool {
	key, ok := s.o.Key(c.Dot.Member)
	return ok && p2p.Verify(key, claimContext, claimMessage(s.o.Network(), id, c.Dot), c.Sig)
}

func (s *Service) knows(id p2p.ID) bool {
	_, ok := s.o.Key(id)
	return ok || id == s.self
}

// isEnd reports whether an error says only that something was ended.
func isEnd(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, p2p.ErrClosed)
}
