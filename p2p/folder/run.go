package folder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// progressEvery is the time between two events about a scan that goes on.
const progressEvery = 250 * time.Millisecond

// maxRetry is the longest time between attempts after a failure that is not the
// folder's absence: each of them may read much.
const maxRetry = time.Minute

// runner does the work of one share. It belongs to one goroutine.
type runner struct {
	*share
	watcher  *watcher
	unwatch  func() // ends watcher and waits for it
	next     time.Time
	failures int
	misses   int   // scans in a row after which something had to be looked at again
	dirty    dirty // found, but not told yet
}

// run scans when it is asked to, when something has changed, and from time to
// time, until ctx ends.
func (sh *share) run(ctx context.Context) {
	r := &runner{share: sh, unwatch: func() {}}
	defer func() { r.unwatch() }()
	for ctx.Err() == nil {
		wait := r.turn(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-sh.wake:
		case <-timer.C:
		case <-r.events():
			// What belongs to one action comes within a moment; while others' changes are
			// installed, that of most events is ours.
			wait := sh.service.options.Quiet
			if sh.isBusy() {
				wait = max(wait, busyQuiet)
			}
			quiet(ctx, wait)
		}
		timer.Stop()
	}
}

// busyQuiet is how long events gather while the folder is being synchronised.
const busyQuiet = 400 * time.Millisecond

func quiet(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// events is ready when the watcher has hints; without one it never is.
func (r *runner) events() <-chan struct{} {
	if r.watcher == nil {
		return nil
	}
	return r.watcher.ready
}

// turn does what is due and returns how long nothing is.
func (r *runner) turn(ctx context.Context) time.Duration {
	var asked uint64
	var paused, due bool
	var hints []hint
	r.set(func() {
		asked, paused, due = r.asked, r.rec.Paused, r.asked > r.done
		hints, r.hints = r.hints, nil
		if paused {
			r.done = asked
		}
	})
	if paused {
		r.stopWatching()
		return r.service.options.Rescan
	}
	if r.watcher != nil {
		more, lost := r.watcher.take()
		hints = append(hints, more...)
		due = due || lost
	}
	// Without a watcher, or after an error, something may have been missed.
	full := due || r.watcher == nil || !time.Now().Before(r.next)
	if !full && len(hints) == 0 {
		return time.Until(r.next)
	}
	err := r.scan(ctx, full, hints)
	return r.conclude(ctx, err, asked, full)
}

// conclude records how a scan has ended and returns when the next is due.
func (r *runner) conclude(ctx context.Context, err error, asked uint64, full bool) time.Duration {
	o := &r.service.options
	switch {
	case ctx.Err() != nil || errors.Is(err, context.Canceled):
		r.stopWatching() // interrupted: what was not looked at is looked at from the start
		return 0
	case err == nil:
		r.failures = 0
		if full {
			r.next = time.Now().Add(o.Rescan)
		}
		warning := r.warning()
		if warning != "" && full {
			r.next = time.Now().Add(o.Unwatched)
		}
		r.set(func() {
			r.done = asked
			r.share.warning = warning
			if !r.rec.Paused {
				r.state, r.fault = StateIdle, ""
			}
		})
		return time.Until(r.next)
	}
	r.stopWatching()
	wait := o.Retry
	if !errors.Is(err, ErrUnavailable) {
		wait = min(wait<<min(r.failures, 8), max(maxRetry, o.Retry))
		r.failures++
	}
	r.next = time.Now().Add(wait)
	failed := false
	r.set(func() {
		r.done = asked
		if !r.rec.Paused {
			failed = r.fault != err.Error()
			r.state, r.fault = StateError, err.Error()
		}
	})
	if failed {
		r.service.log.Warn("folder: scan failed", "folder", r.id, "path", r.path, "error", err)
		o.Publish.Emit(Failed{ID: r.id, Label: r.record().Label, Error: err.Error(), Time: time.Now()})
	}
	return wait
}

// warning says what hinders watching.
func (r *runner) warning() string {
	if r.watcher == nil {
		return ""
	}
	return r.watcher.warning()
}

// startWatching makes a watcher unless there is one, and reports whether it is new.
func (r *runner) startWatching(ctx context.Context) bool {
	if r.watcher != nil {
		return false
	}
	w, err := r.service.watch(r.path)
	if err != nil {
		w = unwatchable(r.path, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.run(ctx); err != nil {
			r.service.log.Info("folder: stop watching", "path", r.path, "error", err)
		}
	})
	r.watcher = w
	r.unwatch = func() { cancel(); running.Wait() }
	return true
}

func (r *runner) stopWatching() {
	r.unwatch()
	r.watcher, r.unwatch = nil, func() {}
}

// scan compares the folder, or what the hints name, with the index.
func (r *runner) scan(ctx context.Context, full bool, hints []hint) error {
	t, err := r.open()
	if err != nil {
		return err
	}
	defer t.close() // nothing was written
	if full && r.watcher != nil && r.watcher.dead {
		r.stopWatching() // and try again
	}
	full = r.startWatching(ctx) || full
	if hints = r.strange(t, hints); !full && len(hints) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &scan{
		folder: r.id, tree: t, store: r.service.store, watch: r.watcher, full: full, workers: r.service.options.Workers,
		now: time.Now, own: r.isOwn, more: r.more, out: make(chan change, filesAtOnce), skips: r.left(), look: make(map[string]bool, len(hints)),
	}
	for _, h := range hints {
		s.look[h.path] = true
	}
	if full {
		hints, s.skips = []hint{{deep: true}}, &skips{}
		r.watcher.unlimited()
	}
	r.set(func() {
		r.device, r.stop = t.stat.device, cancel
		if r.rec.Paused {
			cancel()
		} else if full {
			r.state = StateScanning
		}
	})
	defer r.showReading()()
	some, err := s.store.Under(ctx, r.id, "", "", 1)
	if err != nil {
		return fmt.Errorf("folder: scan %s: %w", r.path, err)
	}
	s.renamed = len(some) > 0
	s.sure.Store(!s.renamed)
	begun := time.Now()
	sum, err := r.compare(ctx, s, hints)
	for _, h := range s.late {
		r.hint(h)
	}
	if err != nil {
		return fmt.Errorf("folder: scan %s: %w", r.path, err)
	}
	back, err := s.back(ctx)
	if err != nil {
		return fmt.Errorf("folder: scan %s: %w", r.path, err)
	}
	r.lookBack(back)
	if full {
		if err := r.finish(ctx, s, sum, time.Since(begun)); err != nil {
			return err
		}
	}
	r.report(full)
	return nil
}

// lookBack has what a scan has missed looked at soon, and later each time: there may be names that can
// be listed and never be opened.
func (r *runner) lookBack(hints []hint) {
	if len(hints) == 0 {
		r.misses = 0
		return
	}
	wait := min(r.service.options.Quiet<<min(r.misses, 16), maxRetry)
	r.misses++
	time.AfterFunc(wait, func() {
		for _, h := range hints {
			r.hint(h)
		}
	})
}

// readsLong is after which time a look at what has changed is shown to people: a large file
// is being read.
const readsLong = 500 * time.Millisecond

// showReading has the state say that the folder is being looked at once that takes long, until
// end is called. What comes of it is set by conclude.
func (r *runner) showReading() (end func()) {
	r.set(func() { r.reading = true })
	timer := time.AfterFunc(readsLong, func() {
		r.set(func() {
			if r.reading && r.state == StateIdle {
				r.state = StateScanning
			}
		})
	})
	return func() {
		timer.Stop()
		r.set(func() { r.reading = false })
	}
}

// more takes the hints that have come since the scan began.
func (r *runner) more() []hint {
	hints, lost := r.watcher.take()
	if lost {
		r.ask()
	}
	return hints
}

// report calls the hook with what was found since it was called last.
func (r *runner) report(full bool) {
	if d, any := r.dirty.take(full); any {
		r.tellChanged(d)
	}
}

// tellChanged calls the hook.
func (r *runner) tellChanged(d Dirty) {
	if r.service.options.Changed != nil {
		r.service.options.Changed(r.id, d)
	}
}

// strange returns the hints at places that are not just as Record has told: the file
// system tells of what was done here as of everything else.
func (r *runner) strange(t *tree, hints []hint) []hint {
	return slices.DeleteFunc(hints, func(h hint) bool {
		if h.deep || h.path == h.dir || h.path == "" {
			return false
		}
		info, err := t.root.Lstat(h.path)
		return err == nil && info.Mode().IsRegular() && r.isOwn(h.path, statOf(info))
	})
}

// compare runs a scan together with the delivery of what it finds.
func (r *runner) compare(ctx context.Context, s *scan, hints []hint) (totals, error) {
	d := &delivery{
		share: r.share, present: r.stillThere, dirty: &r.dirty,
		sure: func() bool { return !s.full && s.sure.Load() },
		tell: r.tellChanged,
	}
	r.scanning(true)
	defer r.scanning(false)
	if !s.full {
		r.set(func() { r.looks = true })
		defer r.set(func() { r.looks = false })
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.walk(ctx, hints) })
	ended := make(chan struct{})
	g.Go(func() error {
		defer close(ended)
		return d.run(ctx, s.out)
	})
	if s.full {
		g.Go(func() error { r.progress(s, ended); return nil })
	}
	err := g.Wait()
	return d.sum, err
}

// stillThere reports, as ErrUnavailable, that the folder is not there any more.
func (r *runner) stillThere() error {
	t, err := r.open()
	if err != nil {
		return err
	}
	return t.close()
}

// progress tells how far s has come until ended is closed.
func (r *runner) progress(s *scan, ended <-chan struct{}) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			r.service.options.Publish.Emit(s.progress(r.id, true))
			return
		case <-tick.C:
			r.service.options.Publish.Emit(s.progress(r.id, false))
		}
	}
}

func (s *scan) progress(id string, done bool) Scanning {
	return Scanning{ID: id, Files: int(s.files.Load()), Bytes: s.bytes.Load(), Read: s.read.Load(), Done: done}
}

// keepManifest is how long it is at least remembered what a content is made of that no file
// has: one that is about to be installed has none yet.
const keepManifest = time.Hour

// finish records what a complete scan has found.
func (r *runner) finish(ctx context.Context, s *scan, sum totals, took time.Duration) error {
	files, bytes, err := r.service.store.Count(ctx, r.id)
	if err != nil {
		return fmt.Errorf("folder: count %s: %w", r.path, err)
	}
	if err := r.service.store.Sweep(ctx, time.Now().Add(-keepManifest)); err != nil && ctx.Err() == nil {
		r.service.log.Warn("folder: what nobody needs to know any more was not forgotten", "folder", r.path, "error", err)
	}
	r.set(func() {
		r.files, r.bytes, r.skips, r.scanned = int64(files), bytes, s.skips, time.Now()
		r.took = took
	})
	r.service.options.Publish.Emit(Scanned{
		ID: r.id, Files: files, Bytes: bytes, Changed: sum.changed, Removed: sum.removed,
		Skipped: s.skips.len(), Took: took.Milliseconds(),
	})
	return nil
}
