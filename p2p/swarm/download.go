package swarm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

const (
	// maxSources is how many sources a download has at once.
	maxSources = 64
	// lookEvery is how often the tracker is asked for sources, hurry when there are none.
	lookEvery = 15 * time.Second
	hurry     = 2 * time.Second
)

// A download brings what is missing of a seed. One goroutine owns it (run); others send it events.
type download struct {
	s      *Service
	id     seed.ID
	layout seed.Layout // of the seed
	ctx    context.Context
	cancel context.CancelCauseFunc
	events chan event
	looks  chan struct{} // has room for one: the tracker may know others
	c      atomic.Pointer[content]
	over   chan struct{} // closed when run has returned
	idle   atomic.Bool   // only what somebody reads is wanted

	// What follows is the owner's.
	seed        seed.Seed
	pass        *pass.Pass // to somebody of another network who has it; nil: none
	picker      *picker.Picker
	epoch       time.Time // from which the picker's time counts
	sources     map[picker.Source]*source
	byPeer      map[string]*source
	failures    map[string]*failure
	number      picker.Source
	peers       []tracker.Peer // as the tracker said last
	rotated     time.Time      // when it was looked last whether places are taken by somebody useless
	looking     bool
	valuesAsked time.Time   // when a source was asked last for the values of the pieces
	curious     bool        // a source is to be asked for the manifest
	manifests   chan []byte // has room for one

	root   *os.Root
	keptAt time.Time
	fresh  int64 // bytes that came since
	saving bool
	saves  sync.WaitGroup // what is kept when run has returned could be taken for the next attempt's

	mu     sync.Mutex // guards what others look at
	counts Counts
	down   gauge
	from   []uint16 // of each piece: who sent it, by members; 0: it was here
	roster []*source
	began  time.Time
	served int           // sources that pieces came from
	bound  time.Duration // the least time that is possible, when most wanted the file; 0: not known
	crowd  int           // who wanted it then
	state  State
	// lacking says what there is to be known before anything can come, and how; empty: nothing, as far as is known.
	lacking string
}

// event is what happens to a download.
type event struct {
	kind  eventKind
	src   *source
	piece int
	n     int
	bytes []byte
	peers []tracker.Peer
	err   error
	do    func()
}

type eventKind int

const (
	evJoined   eventKind = iota // src: it has been let in
	evHave                      // src has n pieces from piece on
	evReceived                  // n bytes of a piece came from src
	evPiece                     // src sent a piece, which is verified and written
	evBad                       // src sent a piece that is another one
	evNot                       // src will not send a piece
	evBytes                     // src answers what was asked besides pieces
	evEnded                     // src is gone
	evPeers                     // the tracker knows peers
	evLocal                     // a piece was found on this disk
	evDisk                      // the disk fails
	evSaved                     // what was there is durable
	evDo                        // somebody wants something done
)

// begin starts to bring what is missing. s.mu is held.
func (s *Service) begin(e *entry) {
	if e.d != nil || e.row.Whole || e.moving || s.closed || !s.running {
		return
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	d := &download{
		s: s, id: e.row.ID, layout: e.seed.Layout, ctx: ctx, cancel: cancel, events: make(chan event, 256), looks: make(chan struct{}, 1),
		over: make(chan struct{}), seed: e.seed, epoch: s.now(), sources: map[picker.Source]*source{}, byPeer: map[string]*source{},
		pass:     passIn(e.row.Via),
		failures: map[string]*failure{}, counts: e.row.Counts, began: s.now(), state: StateWaiting,
	}
	d.idle.Store(e.row.Reading)
	e.d, e.row.Error = d, ""
	s.active.Store(d.id, d)
	s.announce(e)
	row := e.row
	s.work.Go(func() { d.run(row) })
}

// Reasons for which a download ends before all is there.
var (
	errPaused = errors.New("paused")
	errClosed = errors.New("the node is closing")
)

// run brings all, or as much as it can until it is stopped.
func (d *download) run(r Row) {
	defer close(d.over)
	err := d.bring(&r)
	if err != nil && d.ctx.Err() != nil {
		err = context.Cause(d.ctx) // whatever that has made fail
	}
	d.cancel(errClosed)
	d.leaveAll()
	d.saves.Wait()
	if c := d.c.Load(); c != nil && err != nil {
		if saveErr := d.save(c); saveErr != nil {
			d.s.log.Error("not kept how far a download came", "name", d.seed.Name, "error", saveErr)
		}
	}
	if d.root != nil {
		_ = d.root.Close() // nothing is written through it any more
	}
	d.s.ended(d, r, err)
}

// ended notes how a download has ended.
func (s *Service) ended(d *download, r Row, err error) {
	s.active.CompareAndDelete(d.id, d)
	stopped := errors.Is(err, errPaused) || errors.Is(err, errMoved) || errors.Is(err, ErrForgotten) || s.ctx.Err() != nil
	s.mu.Lock()
	e := s.entries[d.id]
	if e == nil || e.d != d {
		s.mu.Unlock()
		return
	}
	e.d, e.last = nil, d
	d.mu.Lock()
	sent := e.row.Sent
	e.row.Counts = d.counts
	e.row.Sent = sent
	d.mu.Unlock()
	switch {
	case err == nil:
		e.row.Dir, e.row.Name, e.row.Whole, e.row.Ended = r.Dir, r.Name, true, r.Ended
		e.row.Size, e.row.Modified, e.row.Settling, e.row.Error, e.row.Via, e.row.Paused = r.Size, r.Modified, "", "", "", false
		s.announce(e)
		s.copyOut(e)
	case !stopped:
		e.row.Error = plainly(err)
		s.queue.Forget(e.number)
	}
	var left *content
	if err != nil && e.c != nil {
		e.here = e.c.number()
		e.c.end(err)
		left, e.c = e.c, nil
		s.o.Tracker.Withdraw(d.id)
	}
	reason, name := e.row.Error, e.seed.Name
	s.mu.Unlock()
	if left != nil {
		left.leave()
	}
	if err == nil {
		d.mu.Lock()
		done := Finished{Seed: d.id, Name: name, Path: place{r.Dir, r.Name}.path(), Size: r.Size, Seconds: s.now().Sub(d.began).Seconds(), Sources: d.served}
		d.mu.Unlock()
		s.o.Publish(done)
		return
	}
	if stopped {
		return
	}
	s.log.Warn("a download stands still", "name", name, "error", err)
	if err := s.save(s.ctx, e); err != nil {
		s.log.Error("not kept why a download stands still", "name", name, "error", err)
	}
	s.o.Publish(Failed{Seed: d.id, Name: name, Reason: reason})
}

// plainly says an error to people.
func plainly(err error) string {
	switch {
	case isTooLarge(err):
		return ErrTooLarge.Error()
	case isFull(err):
		return ErrFull.Error()
	}
	return err.Error()
}

// ofDisk names the error of a disk that has no place for a file: ErrFull, ErrTooLarge.
func ofDisk(err error) error {
	switch {
	case isTooLarge(err):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case isFull(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// bring is the life of a download.
func (d *download) bring(r *Row) error {
	if err := d.prepare(r); err != nil || r.Whole {
		return err
	}
	d.look()
	if d.known() {
		if err := d.open(); err != nil {
			return err
		}
	}
	if err := d.loop(); err != nil {
		return err
	}
	return d.finish(r)
}

// known reports whether the values of the pieces are known.
func (d *download) known() bool { return d.seed.Pieces != nil || d.seed.Legacy != nil }

// now is the picker's time.
func (d *download) now() time.Duration { return d.s.now().Sub(d.epoch) }

// look lets the tracker be asked for sources.
func (d *download) look() {
	select {
	case d.looks <- struct{}{}:
	default:
	}
}

// post sends the owner an event.
func (d *download) post(e event) {
	select {
	case d.events <- e:
	case <-d.ctx.Done():
	}
}

// loop takes events, and does what the picker decides, until all is there.
func (d *download) loop() error {
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	pace := time.NewTicker(time.Second / 4)
	defer pace.Stop()
	var looked time.Time
	for {
		if d.picker != nil {
			if d.c.Load().number() == d.seed.Count() {
				return nil
			}
			d.act(d.picker.Decide(d.now()), wake)
		}
		select {
		case <-d.ctx.Done():
			return context.Cause(d.ctx)
		case <-wake.C:
		case <-d.looks:
			looked = d.s.now()
			d.ask()
		case <-pace.C:
			d.consider(&looked)
		case e := <-d.events:
			if err := d.take(e); err != nil {
				return err
			}
			// What has come together is decided about once.
			for more := true; more; {
				select {
				case e := <-d.events:
					if err := d.take(e); err != nil {
						return err
					}
				default:
					more = false
				}
			}
		}
	}
}

// consider is done four times a second.
func (d *download) consider(looked *time.Time) {
	now := d.s.now()
	wait := lookEvery
	if len(d.sources) == 0 {
		wait = hurry
	}
	if now.Sub(*looked) >= wait {
		*looked = now
		d.ask()
	}
	if d.picker == nil {
		d.askOther()
	}
	d.rotate(now)
	d.meet(d.peers) // some may have been left alone for long enough
	for _, src := range d.sources {
		if rtt := src.rtt(); rtt > 0 && d.picker != nil {
			d.picker.RTT(d.now(), src.number, rtt)
		}
	}
	if c := d.c.Load(); c != nil {
		d.keep(c)
	}
	d.note()
}

// note keeps for others what state this is in.
func (d *download) note() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = StateWaiting
	for _, src := range d.sources {
		if src.joined {
			d.state = StateDownloading
		}
	}
}

// ask asks the tracker who has the seed.
func (d *download) ask() {
	if d.looking {
		return
	}
	d.looking = true
	d.s.work.Go(func() {
		peers, err := d.s.o.Tracker.Sources(d.ctx, d.id, maxNamed)
		if err != nil && d.ctx.Err() == nil {
			d.s.log.Debug("swarm: no sources", "seed", d.id.Short(), "error", err)
		}
		d.post(event{kind: evPeers, peers: peers})
	})
}

// act does what the picker has decided.
func (d *download) act(plan picker.Plan, wake *time.Timer) {
	for _, q := range plan.Cancel {
		if src := d.sources[q.Source]; src != nil {
			src.cancelPiece(q.Piece)
		}
	}
	for _, q := range plan.Ask {
		if src := d.sources[q.Source]; src != nil {
			src.want(q.Piece)
		}
	}
	for _, src := range d.sources {
		src.flush()
	}
	if plan.Wake == picker.Never {
		wake.Reset(time.Hour)
		return
	}
	wake.Reset(max(0, plan.Wake-d.now()))
}

// take takes an event. An error ends the download.
func (d *download) take(e event) error {
	now := d.now()
	if e.src != nil && d.sources[e.src.number] != e.src {
		return d.late(e)
	}
	switch e.kind {
	case evJoined:
		e.src.joined = true
		d.note()
		if d.picker == nil {
			d.askValues(e.src)
			return nil
		}
		d.join(e.src)
		if d.curious && e.src.url == "" {
			d.askManifestOf(e.src)
		}
	case evHave:
		d.gain(e.src, e.piece, e.n)
	case evReceived:
		d.count(e.src, int64(e.n))
		e.src.good = d.s.now()
		if d.picker != nil {
			d.picker.Received(now, e.src.number, e.n)
		}
	case evPiece, evLocal:
		d.arrived(now, e)
	case evBad:
		d.bad(now, e)
	case evNot:
		if d.picker != nil {
			d.picker.Refused(now, e.src.number, e.piece)
		}
	case evBytes:
		return d.answer(e)
	case evEnded:
		d.drop(e.src, e.err)
		return d.turnedAway(e.src, e.err)
	case evPeers:
		d.looking = false
		d.meet(e.peers)
	case evDisk:
		return e.err
	case evSaved:
		d.saving = false
		return e.err
	case evDo:
		e.do()
	}
	return nil
}

// late takes an event of a source that has been given up: pieces are welcome.
func (d *download) late(e event) error {
	switch e.kind {
	case evPiece:
		d.arrived(d.now(), e)
	case evDisk:
		return e.err
	}
	return nil
}

// arrived notes a piece that is there.
func (d *download) arrived(now time.Duration, e event) {
	from := picker.Source(0) // of nobody
	if e.src != nil {
		from = e.src.number
	}
	_, size := d.seed.Extent(e.piece)
	was, _ := d.picker.State(e.piece)
	d.picker.Arrived(now, from, e.piece)
	d.mu.Lock()
	defer d.mu.Unlock()
	if was == picker.Here {
		d.counts.Wasted += int64(size)
		return
	}
	d.fresh += int64(size)
	if e.src == nil {
		d.counts.Reused += int64(size)
		return
	}
	if e.src.pieces == 0 {
		d.served++
	}
	e.src.pieces++
	d.from[e.piece] = e.src.index
}

// count counts bytes that came over the network.
func (d *download) count(src *source, n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Wire += n
	now := d.s.now()
	d.down.add(now, n)
	src.got += n
	src.rate.add(now, n)
}
