package folder

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// share is a folder of a running service: what is known about it, and what its
// runner has been asked to do.
type share struct {
	service *Service
	id      string
	path    string
	wake    chan struct{} // capacity 1: the runner has something to do
	outbox  chan struct{} // capacity 1: the teller has something to do

	// Guarded by Service.mu.
	cancel context.CancelFunc
	ended  chan struct{}

	// moving is held for writing from before directories have other paths in the index
	// until whoever keeps the folder in sync was told; see Service.Pin. Before writes.
	moving sync.RWMutex

	writes    sync.Mutex // serialises changes of the index, and guards the following; before mu
	overtaken overtaken
	scans     uint64 // that have ended
	pinned    uint64 // scans, at the last Pin
	own       own

	mu      sync.Mutex // guards all following fields
	rec     Record
	device  uint64 // at the last look in this run; 0: none yet
	state   State
	fault   string
	warning string
	behind  string // why the sink is not told
	status  Status // of the synchronisation
	busy    bool   // it is being synchronised
	looks   bool   // at what the watcher has named
	reading bool   // a scan of whatever runs
	files   int64
	bytes   int64
	scanned time.Time
	took    time.Duration // the last complete scan
	looking bool          // a complete scan follows in a while; see look
	skips   *skips
	asked   uint64 // complete scans
	done    uint64 // asked, when the last scan to end began
	hints   []hint
	stop    context.CancelFunc // of the scan that runs
	turned  chan struct{}      // closed and replaced when anything above changes
	told    Changed            // last
	at      time.Time          // of told
	late    *time.Timer        // that will tell what was held back; nil: nothing is
	posted  uint64             // changes of the index
	passed  uint64             // posted, when the teller's last pass that left nothing began
}

// newShare returns the share of a record, for which a first scan is asked, and of
// which the sink may have missed something.
func newShare(s *Service, r Record) *share {
	sh := &share{
		service: s, id: r.ID, path: r.Path, rec: r, wake: make(chan struct{}, 1), outbox: make(chan struct{}, 1), skips: &skips{}, asked: 1, posted: 1,
		state: StateIdle, stop: func() {}, turned: make(chan struct{}),
	}
	if r.Paused {
		sh.state = StatePaused
	}
	sh.told = sh.changed()
	return sh
}

// count takes the totals from the index.
func (sh *share) count(ctx context.Context) error {
	files, bytes, err := sh.service.store.Count(ctx, sh.id)
	if err != nil {
		return fmt.Errorf("folder: count %s: %w", sh.id, err)
	}
	sh.set(func() { sh.files, sh.bytes = int64(files), bytes })
	return nil
}

func (sh *share) record() Record {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.rec
}

func (sh *share) left() *skips {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.skips
}

// open opens the folder's directory. Errors: ErrUnavailable.
func (sh *share) open() (*tree, error) {
	sh.mu.Lock()
	r, device := sh.rec, sh.device
	sh.mu.Unlock()
	return openRecord(r, device)
}

// present reports whether the folder is where it was added.
func (sh *share) present() bool {
	t, err := sh.open()
	return err == nil && t.close() == nil
}

// update replaces the record and has the runner follow it.
func (sh *share) update(r Record) {
	granted := !slices.Equal(sh.record().Grants, r.Grants)
	sh.alter(func() {
		resumed := sh.rec.Paused && !r.Paused
		sh.rec = r
		switch {
		case r.Paused:
			sh.stop()
			sh.state, sh.fault = StatePaused, ""
		case resumed:
			sh.state = StateIdle
			sh.asked++
		}
	}, granted)
	sh.nudge()
}

// ask asks for a complete scan.
func (sh *share) ask() {
	sh.set(func() { sh.asked++ })
	sh.nudge()
}

// hint asks for a look at one place.
func (sh *share) hint(h hint) {
	sh.set(func() {
		if len(sh.hints) < maxHints {
			sh.hints = append(sh.hints, h)
		} else {
			sh.asked++
			sh.hints = nil
		}
	})
	sh.nudge()
}

func (sh *share) nudge() {
	select {
	case sh.wake <- struct{}{}:
	default:
	}
}

// wait returns when all that was asked before has been done.
func (sh *share) wait(ctx context.Context) error {
	var until uint64
	sh.set(func() { until = sh.asked })
	return sh.await(ctx, func() bool { return sh.done >= until })
}

// waitTold returns when the sink was told all that is in the index.
func (sh *share) waitTold(ctx context.Context) error {
	var until uint64
	sh.set(func() { until = sh.posted })
	return sh.await(ctx, func() bool { return sh.passed >= until })
}

// await returns when done, which is called with sh.mu held, says so after a turn.
func (sh *share) await(ctx context.Context, done func() bool) error {
	sh.mu.Lock()
	for !done() {
		turned := sh.turned
		sh.mu.Unlock()
		select {
		case <-turned:
		case <-ctx.Done():
			return ctx.Err()
		}
		sh.mu.Lock()
	}
	sh.mu.Unlock()
	return nil
}

// end stops the runner, if there is one, and waits for it.
func (sh *share) end() {
	sh.service.mu.Lock()
	cancel, ended := sh.cancel, sh.ended
	sh.service.mu.Unlock()
	if cancel != nil {
		cancel()
		<-ended
	}
}
