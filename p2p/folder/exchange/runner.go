package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

const (
	// longestRetry bounds the time to the next attempt when things go wrong again and again.
	longestRetry = time.Minute
	// tellEvery is the time between two statuses while there is work.
	tellEvery = 200 * time.Millisecond
	// tidyEvery is the time between two looks at what can go from the trash.
	tidyEvery = time.Hour
)

// runner keeps one folder. Its goroutine owns the core.
type runner struct {
	s       *Service
	id      string
	label   string
	offered p2p.ID // folder.Folder.Creator
	network p2p.ID // in which it began
	creator p2p.ID // whom the folder follows; this node itself where offered is zero
	core    *replica.Core
	place   *place
	fetch   *fetcher
	stop    context.CancelFunc
	ended   chan struct{}

	commands chan func(context.Context)
	incoming chan incoming
	nudge    chan struct{}

	mu      sync.Mutex // guards all following fields
	paths   []string
	moved   []replica.Move
	all     bool
	looked  bool // a scan has told something
	scanned bool // a complete scan has ended in this run
	paused  bool
	own     Access // of this node
	pulls   map[p2p.ID]*pull
	readers map[p2p.ID]bool // members that might not change the folder when something came from them last
	servers map[p2p.ID]int  // streams that take entries to a member
	busy    int             // what is at work
	shown   bool            // the scan was told that something is
	lingers time.Time       // until when it is told so
	met     bool            // all that some member had is merged, in this run or an earlier one

	incarnation atomic.Uint64 // 0 until the core is open
	ready       atomic.Bool   // entries of others are merged
	news        broadcast     // this node's entries are more
	digests     sync.Mutex    // one is made at a time; guards the next two
	lastDigest  digest
	digestOf    uint64

	// Of the runner's goroutine.
	failures int
	problem  string
	told     time.Time
	refusals map[p2p.ID]*tally
	unmerged error // why the last page could not be merged; nil: it was
	tidied   time.Time
}

// incoming is a page on its way to the core.
type incoming struct {
	pull *pull
	page page
	of   uint64     // the sender's incarnation
	done chan error // has room for one
}

// broadcast wakes all who wait.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

func newRunner(s *Service, f folder.Folder) *runner {
	r := &runner{
		s: s, id: f.ID, label: f.Label, offered: f.Creator, network: s.o.Network(), creator: f.Creator, ended: make(chan struct{}),
		commands: make(chan func(context.Context)), incoming: make(chan incoming), nudge: make(chan struct{}, 1),
		pulls: map[p2p.ID]*pull{}, readers: map[p2p.ID]bool{}, servers: map[p2p.ID]int{}, refusals: map[p2p.ID]*tally{},
	}
	if r.creator.IsZero() {
		r.creator = s.self
	}
	r.own = s.o.Access(f.ID, r.creator, s.self)
	r.place = &place{folders: s.o.Folders, id: f.ID}
	r.fetch = newFetcher(r)
	r.core = replica.NewCore(replica.CoreOptions{
		Folder: f.ID, Self: s.self, Store: s.o.Store, Disk: disk{s.o.Folders, f.ID, r.place},
		Known:  s.knows,
		Writer: func(m p2p.ID) bool { return s.o.Access(f.ID, r.creator, m).Write },
		Verify: func(c replica.Claim) bool { return s.verify(f.ID, c) },
		Sign:   func(d reconcile.Dot) []byte { return s.sign(f.ID, d) },
	})
	return r
}

// dirty tells what a scan has found.
func (r *runner) dirty(d folder.Dirty) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, d.Paths...)
	for _, m := range d.Moved {
		r.moved = append(r.moved, replica.Move(m))
	}
	// After a complete scan everything is compared, whatever it names: neither what the last run
	// has not planned nor what was overlooked since is left as it is.
	r.all = r.all || d.All
	r.scanned = r.scanned || d.All
	r.looked = true
	r.wake()
}

func (r *runner) wake() {
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (r *runner) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer func() {
		close(r.ended)
		r.s.Kick() // another one may follow
	}()
	defer r.fetch.forget()
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { r.fetch.run(ctx) })
	wait := time.Duration(0)
	for {
		timer := time.NewTimer(wait)
		var incoming chan incoming
		if r.ready.Load() {
			incoming = r.incoming
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-r.nudge:
		case f := <-r.commands:
			r.inPlace(ctx, f)
		case in := <-incoming:
			r.merge(ctx, in)
		}
		timer.Stop()
		wait = r.session(ctx)
	}
}

// inPlace runs f with the folder's directory open.
func (r *runner) inPlace(ctx context.Context, f func(context.Context)) {
	fsys, leave, err := r.place.enter()
	if err == nil {
		r.core.Use(fsys)
		defer leave()
	}
	f(ctx)
}

// session works until there is nothing to do, and returns how long there will not
// be.
func (r *runner) session(ctx context.Context) time.Duration {
	if !r.workable() {
		return longestRetry
	}
	fsys, leave, err := r.place.enter()
	if err != nil {
		r.tell(false, err)
		r.missed(err)
		return r.s.o.Times.Retry
	}
	defer leave()
	r.core.Use(fsys)
	if r.incarnation.Load() == 0 {
		if err := r.core.Open(ctx); err != nil {
			return r.failed(ctx, err)
		}
		r.incarnation.Store(r.core.Incarnation())
		r.mu.Lock()
		r.met = r.creator == r.s.self || r.core.Met()
		r.mu.Unlock()
	}
	busy, done := false, 0
	defer func() {
		if busy {
			r.setBusy(-1, done > largeWork)
		}
	}()
	for ctx.Err() == nil && r.workable() {
		unpin, err := r.s.o.Folders.Pin(r.id)
		if err != nil {
			return longestRetry // it was removed
		}
		if r.takeDirty() > largeWork && !busy {
			busy = true
			r.setBusy(1, false)
		}
		r.takeArrived()
		settled := r.core.Settled()
		turn, err := r.core.Turn(ctx)
		unpin()
		r.after(turn)
		if err != nil {
			return r.failed(ctx, err)
		}
		r.failures, r.problem = 0, ""
		if turn.Idle {
			r.ready.Store(true)
			if !settled && r.core.Settled() {
				continue // what was pending when the program ended is looked at from now on
			}
			if r.fetch.gathering() {
				r.gather(ctx)
			}
			if !r.takeMore(ctx) {
				break
			}
			continue
		}
		if !busy {
			busy = true
			r.setBusy(1, false)
		}
		done += len(turn.Installed) + len(turn.Changes)
		if time.Since(r.told) > tellEvery {
			r.tell(true, nil)
		}
		// However much there is to do, nobody who asks or tells waits for all of it.
		r.takeMore(ctx)
	}
	r.rest(ctx)
	if r.core.Retry(time.Now().Add(-r.s.o.Times.Retry)) {
		return 0
	}
	wait := longestRetry
	if r.core.Parked() {
		wait = min(wait, r.s.o.Times.Retry)
	}
	if at := r.core.Doubt(); !at.IsZero() {
		wait = min(wait, max(time.Until(at), 0))
	}
	return wait
}

// workable reports whether anything can be done: the first scan of a run comes
// first, and a paused folder rests.
func (r *runner) workable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scanned && !r.paused
}

// rests reports whether the folder is paused: nothing comes, and nothing goes.
func (r *runner) rests() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paused
}

// gatherFor is how long it is waited for more contents while many are on their way:
// much that has to be done for one is done once for several.
const gatherFor = 30 * time.Millisecond

func (r *runner) gather(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(gatherFor):
	}
}

// takeDirty has the core look at what scans have found, and returns how much that is.
func (r *runner) takeDirty() int {
	r.mu.Lock()
	paths, moved, all, looked := r.paths, r.moved, r.all, r.looked
	r.paths, r.moved, r.all, r.looked = nil, nil, false, false
	r.mu.Unlock()
	if looked || all {
		r.core.Dirty(paths, moved, all)
	}
	return len(paths)
}

func (r *runner) takeArrived() {
	for _, a := range r.fetch.arrived() {
		if a.failed {
			r.core.Failed(a.hash)
		} else {
			r.core.Arrived(a.hash, a.path, a.stat)
		}
	}
}

// takeMore takes what has come meanwhile, and reports whether there was anything.
func (r *runner) takeMore(ctx context.Context) (any bool) {
	var incoming chan incoming
	if r.ready.Load() {
		incoming = r.incoming
	}
	for {
		select {
		case in := <-incoming:
			r.merge(ctx, in)
			any = true
		case f := <-r.commands:
			f(ctx)
			any = true
		default:
			r.mu.Lock()
			any = any || len(r.paths)+len(r.moved) > 0 || r.all
			r.mu.Unlock()
			return any || r.fetch.hasArrived()
		}
	}
}

// merge takes over a page.
func (r *runner) merge(ctx context.Context, in incoming) {
	upto := in.pull.reach(in.page)
	refused, err := r.core.Merge(ctx, in.pull.link.Peer(), replica.Batch{
		Claims: in.page.claims, Entries: in.page.entries, Incarnation: in.of, Upto: upto,
	})
	if err == nil {
		in.pull.reached(upto)
		r.caughtUp(in.pull)
	}
	if r.core.Relapsed() {
		r.relapse(ctx)
	}
	r.report(refused)
	if err == nil && len(in.page.entries) > 0 {
		r.news.wake() // others may not be linked to who sent it
	}
	r.unmerged = nil
	if err != nil && ctx.Err() == nil {
		r.unmerged = err
	}
	in.done <- err
}

// relapse begins anew: the disk of this node was put back to an earlier moment, which
// another member's knowledge has shown. What is in the directory is compared with what
// others have, as if the folder was joined.
func (r *runner) relapse(ctx context.Context) {
	r.s.log.Warn("folder: this computer's state is older than what others have had from it; it is compared anew", "folder", r.label)
	if err := r.s.o.Store.Forget(ctx, r.id); err != nil {
		r.s.log.Error("folder: old state not forgotten", "folder", r.label, "error", err)
		return
	}
	r.stop()
}

// after does what a turn asks for, and tells what it has done.
func (r *runner) after(t replica.Turn) {
	if len(t.Wants) > 0 {
		r.fetch.add(t.Wants)
	}
	if len(t.Changes) > 0 {
		r.news.wake()
		r.s.o.Publish.Emit(changedOf(r.id, t.Changes))
	}
	r.fetch.settle(t, r.core.Keeps)
	if len(t.Installed) > 0 {
		r.s.o.Publish.Emit(appliedOf(r.id, t.Installed))
	}
}

// failed tells of an error, and returns when to try again.
func (r *runner) failed(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return longestRetry
	}
	if text := err.Error(); text != r.problem {
		r.problem = text
		r.s.log.Error("folder: not kept in line", "folder", r.label, "error", err)
	}
	r.tell(false, err)
	wait := min(r.s.o.Times.Retry<<min(r.failures, 8), longestRetry)
	r.failures++
	return wait
}

// rest is what is done when there is nothing to do: others are told what is on the
// disk, and people how things stand.
func (r *runner) rest(ctx context.Context) {
	r.tell(false, nil)
	if time.Since(r.tidied) > tidyEvery {
		r.tidied = time.Now()
		if err := r.core.Tidy(ctx); err != nil && ctx.Err() == nil {
			r.s.log.Error("folder: trash not tidied", "folder", r.label, "error", err)
		}
	}
	done, err := r.core.Done(ctx)
	if err != nil && ctx.Err() == nil {
		r.s.log.Error("folder: not known what is pending", "folder", r.label, "error", err)
	}
	if !done {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pulls {
		p.settled()
	}
}

// tell tells people how things stand.
func (r *runner) tell(busy bool, problem error) {
	r.told = time.Now()
	st := folder.Status{Conflicts: r.core.ConflictCount()}
	st.NeedFiles, st.NeedBytes = r.needs()
	if problem == nil {
		problem = r.trouble(st.NeedFiles > 0)
	}
	switch {
	case errors.Is(problem, folder.ErrUnavailable):
		return // the scan says so, and better
	case problem != nil:
		st.Error = problem.Error()
	case len(r.core.Holds()) > 0:
		st.State = folder.StateHeld
	case busy || st.NeedFiles > 0 && r.linked() || r.behind():
		st.State = folder.StateSyncing
	case !r.hasMet():
		st.Warning = "Nothing has come yet: no computer that keeps this folder is linked."
	}
	if p := r.core.Problems(); len(p) > 0 {
		st.Warning = fmt.Sprintf("%s is not as in the folder: %s", p[0].Path, p[0].Why)
		if len(p) > 1 {
			st.Warning = fmt.Sprintf("%d files or directories are not as in the folder, among them %s: %s", len(p), p[0].Path, p[0].Why)
		}
	}
	r.s.o.Folders.SetStatus(r.id, st)
}

// largeWork is from how many files on something counts as large.
const largeWork = 64

// busyLinger is how long search steps back after much was done: more follows mostly.
const busyLinger = 500 * time.Millisecond

// setBusy counts what is at work, for whom search steps back; after something large for
// a moment longer.
func (r *runner) setBusy(n int, large bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy += n
	if n > 0 {
		r.showBusy(true)
		return
	}
	if large {
		r.lingers = time.Now().Add(busyLinger)
	}
	if wait := time.Until(r.lingers); r.busy == 0 && wait > 0 {
		time.AfterFunc(wait, func() { r.setBusy(0, false) })
		return
	}
	r.showBusy(r.busy > 0)
}

// showBusy tells the folder's scan. The caller holds r.mu.
func (r *runner) showBusy(busy bool) {
	if busy != r.shown {
		r.shown = busy
		if busy {
			r.s.atWork(1)
		} else {
			r.s.atWork(-1)
		}
		r.s.o.Folders.SetBusy(r.id, busy)
	}
}

func (r *runner) needs() (entries int, bytes int64) {
	err := r.s.o.Store.Read(context.Background(), r.id, func(rd replica.Reader) (err error) {
		entries, bytes, err = rd.Needs()
		return err
	})
	if err != nil {
		return 0, 0
	}
	return entries, bytes
}

// caughtUp notes that all is merged that a member had when it was asked, if it is.
func (r *runner) caughtUp(p *pull) {
	if p.behind() {
		return
	}
	// Who has only just joined, too, says nothing by having nothing.
	if !p.had() && p.link.Peer() != r.creator {
		p.without.Store(true)
		return
	}
	r.mu.Lock()
	news := !r.met
	r.met = true
	r.mu.Unlock()
	if news {
		r.wake()
	}
}

func (r *runner) hasMet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.met
}

// behind reports whether it is known, or to be expected, that members have more than is
// merged.
func (r *runner) behind() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.active(), func(p *pull) bool { return p.behind() || !r.met && !p.without.Load() })
}

func (r *runner) linked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.active(), func(p *pull) bool { return p.granted.Load() })
}

func (r *runner) active() []*pull {
	out := make([]*pull, 0, len(r.pulls))
	for _, p := range r.pulls {
		out = append(out, p)
	}
	return out
}

// do runs f on the runner's goroutine, where it may use the core.
func (r *runner) do(ctx context.Context, f func(context.Context) error) error {
	result := make(chan error, 1)
	command := func(run context.Context) {
		both, cancel := context.WithCancel(ctx)
		defer cancel()
		stop := context.AfterFunc(run, cancel)
		defer stop()
		if r.incarnation.Load() == 0 {
			result <- fmt.Errorf("exchange: folder %s: %w: it is being looked at", r.label, folder.ErrUnavailable)
			return
		}
		result <- f(both)
	}
	select {
	case r.commands <- command:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ended:
		return fmt.Errorf("exchange: folder %s: %w", r.label, p2p.ErrClosed)
	}
	select {
	case err := <-result:
		return err
	case <-r.ended:
		return fmt.Errorf("exchange: folder %s: %w", r.label, p2p.ErrClosed)
	}
}
