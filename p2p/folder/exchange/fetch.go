package exchange

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

const (
	// small is up to which size contents travel many in one stream.
	small = 1 << 20
	// batchItems and batchBytes bound what one stream is asked for.
	batchItems = 128
	batchBytes = 2 << 20
	// batchesPeer is how many batches one member is asked for at once.
	batchesPeer = 2
	// largeAtOnce is how many large contents come at once, and manyAtOnce how many if all of
	// them have manyBytes at most: for each a member is asked twice.
	largeAtOnce = 2
	manyAtOnce  = 8
	manyBytes   = 64 << 20
)

// fetcher brings contents: from this disk if they are there, or else from members
// that have them.
type fetcher struct {
	r     *runner
	wake  chan struct{}
	crowd broadcast // something is shared, or is not any more, or has ended

	mu      sync.Mutex // guards all following fields
	small   []*fetch
	large   []*fetch
	running map[reconcile.Hash]*fetch
	busy    map[p2p.ID]int
	larges  int   // on their way,
	bytes   int64 // and how many bytes they have
	results []result
	landed  []landed // what has come and is not installed yet
	again   map[reconcile.Hash]retry
	liars   map[p2p.ID]time.Time       // who have told wrong manifests, and when
	shares  map[reconcile.Hash]*update // what is here of contents that are being brought
	away    time.Time                  // until then nothing is begun: the folder's directory was not there
}

// fetch is one content on its way.
type fetch struct {
	want   replica.Want
	tried  map[p2p.ID]bool // members that have it not, or sent something else
	partly map[p2p.ID]bool // of those the ones that may have it later, or a part of it: they said only that they have it not, or do not let it go now
	local  bool            // this disk was searched
	single bool            // asked for by itself: a stream with it and others has broken
	plain  bool            // nobody knows chunk by chunk what it is made of
	alone  bool            // of one member at a time: one of several has sent something else
	t      *transfer
	kept   *progress // of an attempt that did not come to its end; nil: of none
	far    int64     // of it, when it was put off last
}

// lacks notes that a member does not bring it, and why. Who was to blame once stays that. The caller
// holds fetcher.mu.
func (x *fetch) lacks(peer p2p.ID, why error) {
	if x.tried[peer] && !x.partly[peer] {
		return
	}
	x.tried[peer] = true
	if !errors.Is(why, errNotHere) && !errors.Is(why, errAway) {
		delete(x.partly, peer)
		return
	}
	if x.partly == nil {
		x.partly = map[p2p.ID]bool{}
	}
	x.partly[peer] = true
}

// large reports whether it is brought by itself, and chunk by chunk: what is small is sooner sent
// with others than asked about.
func (x *fetch) large() bool {
	return x.want.Size > small
}

// retry is when a content that did not come is asked for again.
type retry struct {
	at       time.Time
	failures int
	disk     error // why it could not be written; nil: that was not it
	kept     *progress
}

// result is what has become of a fetch.
type result struct {
	hash   reconcile.Hash
	failed bool
	path   string     // where the content is
	stat   apply.Stat // of the file, if it is known
}

// landed is a content that has come.
type landed struct {
	t     *transfer
	given bool // the core knows
}

func newFetcher(r *runner) *fetcher {
	return &fetcher{
		r: r, wake: make(chan struct{}, 1), running: map[reconcile.Hash]*fetch{},
		busy: map[p2p.ID]int{}, again: map[reconcile.Hash]retry{}, liars: map[p2p.ID]time.Time{}, shares: map[reconcile.Hash]*update{},
	}
}

func (f *fetcher) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// add queues contents.
func (f *fetcher) add(wants []replica.Want) {
	f.mu.Lock()
	for _, w := range wants {
		if f.running[w.Hash] != nil {
			continue
		}
		x := &fetch{want: w, tried: map[p2p.ID]bool{}, local: w.Far, kept: f.again[w.Hash].kept}
		x.t = f.r.s.begin(f.r.id, w)
		f.running[w.Hash] = x
		if !x.large() {
			f.small = append(f.small, x)
		} else {
			f.large = append(f.large, x)
		}
	}
	// Small ones first: they are soon done.
	slices.SortStableFunc(f.large, func(a, b *fetch) int { return int(min(1, max(-1, a.want.Size-b.want.Size))) })
	f.mu.Unlock()
	f.kick()
}

// arrived takes the results so far.
func (f *fetcher) arrived() []result {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.results
	f.results = nil
	for i := range f.landed {
		f.landed[i].given = true
	}
	return out
}

func (f *fetcher) hasArrived() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.results) > 0
}

// gatherUntil is how many results are worth to be dealt with at once.
const gatherUntil = 256

// gathering reports whether many contents are on their way, and few have come since
// they were last taken.
func (f *fetcher) gathering() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.results) < gatherUntil && len(f.running)-len(f.large) >= gatherUntil && len(f.busy) > 0
}

// settle ends the transfers of what a turn has installed. If there is nothing left to do, what
// the core was given and keeps waits, for a directory that can be changed; the rest of it is not
// wanted any more.
func (f *fetcher) settle(turn replica.Turn, keeps func(reconcile.Hash) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.landed) == 0 {
		return
	}
	installed := map[reconcile.Hash]bool{}
	for _, x := range turn.Installed {
		installed[x.Hash] = true
	}
	f.landed = slices.DeleteFunc(f.landed, func(l landed) bool {
		switch {
		case installed[l.t.want.Hash]:
			f.r.s.ended(l.t, nil)
			return true
		case turn.Idle && l.given && keeps(l.t.want.Hash):
			l.t.queued.Store(true)
		case turn.Idle && l.given:
			f.r.s.dropped(l.t)
			return true
		}
		return false
	})
}

// run starts what can be started until ctx ends, and waits for it. While the folder is
// paused nothing is: what is on its way stops where it is.
func (f *fetcher) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		if f.r.rests() {
			f.wait(ctx, longestRetry)
		} else {
			f.work(ctx, &wg)
		}
	}
}

// work starts what can be started until ctx ends or the folder is paused.
func (f *fetcher) work(ctx context.Context, wg *sync.WaitGroup) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for ctx.Err() == nil && !f.r.rests() {
		f.wait(ctx, f.start(ctx, wg))
	}
}

// wait waits until something has changed, but not for longer than most.
func (f *fetcher) wait(ctx context.Context, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.wake:
	case <-timer.C:
	}
}

// forget ends the transfers of a folder that is not kept any more, or not by this runner.
func (f *fetcher) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.running {
		f.r.s.dropped(x.t)
	}
	for _, l := range f.landed {
		f.r.s.dropped(l.t)
	}
	f.landed = nil
}

// start starts what can be started now, and returns when to look again.
func (f *fetcher) start(ctx context.Context, wg *sync.WaitGroup) time.Duration {
	sources := f.sources()
	f.mu.Lock()
	defer f.mu.Unlock()
	if wait := time.Until(f.away); wait > 0 {
		return wait
	}
	for f.busy[p2p.ID{}] < batchesPeer {
		batch := f.unsearched()
		if len(batch) == 0 {
			break
		}
		f.busy[p2p.ID{}]++
		wg.Go(func() { f.searchHere(ctx, batch) })
	}
	wait := longestRetry
	for _, p := range sources {
		for f.busy[p.link.Peer()] < batchesPeer {
			batch := f.batchFor(p.link.Peer(), len(sources))
			if len(batch) == 0 {
				break
			}
			f.busy[p.link.Peer()]++
			wg.Go(func() { f.fetchBatch(ctx, p.link, batch) })
		}
	}
	for {
		x := f.largeFor(sources)
		if x == nil {
			break
		}
		f.larges++
		f.r.s.larges.Add(1)
		f.bytes += x.want.Size
		wg.Go(func() { f.fetchLarge(ctx, x) })
	}
	f.giveUp(sources)
	for h, a := range f.again {
		// What need not wait any more was looked at above: something else holds it up.
		if left := time.Until(a.at); left > 0 && f.running[h] != nil {
			wait = min(wait, left)
		}
	}
	return max(wait, 10*time.Millisecond)
}

// sources are the members that can be asked, in any order.
func (f *fetcher) sources() []*pull {
	f.r.mu.Lock()
	all := f.r.active()
	f.r.mu.Unlock()
	all = slices.DeleteFunc(all, func(p *pull) bool { return !p.granted.Load() })
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// waits reports whether a content is not to be asked for now. The caller holds f.mu.
func (f *fetcher) waits(x *fetch) bool {
	a, ok := f.again[x.want.Hash]
	return ok && time.Now().Before(a.at)
}

// unsearched takes contents that may be on this disk. The caller holds f.mu.
func (f *fetcher) unsearched() []*fetch {
	var out []*fetch
	take := func(x *fetch) bool {
		if x.local || len(out) >= batchItems {
			return false
		}
		x.t.queued.Store(false)
		out = append(out, x)
		return true
	}
	f.small = slices.DeleteFunc(f.small, take)
	f.large = slices.DeleteFunc(f.large, take)
	return out
}

// batchFor takes small contents that a member may have. With several members each
// gets its share. The caller holds f.mu.
func (f *fetcher) batchFor(peer p2p.ID, members int) []*fetch {
	most := batchItems
	if members > 1 {
		most = min(most, max(8, len(f.small)/(members*batchesPeer)))
	}
	var out []*fetch
	var bytes int64
	f.small = slices.DeleteFunc(f.small, func(x *fetch) bool {
		if !x.local || len(out) >= most || bytes >= batchBytes || x.tried[peer] || f.waits(x) {
			return false
		}
		if x.single && len(out) > 0 || len(out) > 0 && out[0].single {
			return false
		}
		x.t.queued.Store(false)
		out = append(out, x)
		bytes += x.want.Size
		return true
	})
	return out
}

// largeFor takes a large content that some member may have, if one more can come. The caller
// holds f.mu.
func (f *fetcher) largeFor(sources []*pull) *fetch {
	for i, x := range f.large {
		if f.larges >= largeAtOnce && (f.larges >= manyAtOnce || f.bytes+x.want.Size > manyBytes) {
			return nil // the next are not smaller
		}
		if x.local && !f.waits(x) && slices.ContainsFunc(sources, func(p *pull) bool { return !x.tried[p.link.Peer()] }) {
			f.large = slices.Delete(f.large, i, i+1)
			x.t.queued.Store(false)
			return x
		}
	}
	return nil
}

// giveUp ends for now what no member has that is linked. The caller holds f.mu.
func (f *fetcher) giveUp(sources []*pull) {
	if len(sources) == 0 {
		return // it goes on when there is one
	}
	hopeless := func(x *fetch) bool {
		if !x.local || f.waits(x) {
			return false
		}
		for _, p := range sources {
			if !x.tried[p.link.Peer()] {
				return false
			}
		}
		f.end(x, errors.New("nobody who is linked has it"))
		return true
	}
	f.small = slices.DeleteFunc(f.small, hopeless)
	f.large = slices.DeleteFunc(f.large, hopeless)
}

// end notes what has become of a fetch. The caller holds f.mu.
func (f *fetcher) end(x *fetch, err error) {
	f.endAt(x, replica.ArrivalName(x.want.Hash), apply.Stat{}, err)
}

// endAt is end of a fetch that has brought the content to path.
func (f *fetcher) endAt(x *fetch, path string, st apply.Stat, err error) {
	h := x.want.Hash
	delete(f.running, h)
	f.crowd.wake()
	f.results = append(f.results, result{hash: h, failed: err != nil, path: path, stat: st})
	if err == nil {
		delete(f.again, h)
		x.t.land()
		f.landed = append(f.landed, landed{t: x.t})
	} else {
		f.r.s.ended(x.t, err)
		f.delay(x)
		if a, ok := f.again[h]; ok && ofDisk(err) {
			a.disk = err
			f.again[h] = a
		}
	}
	f.r.wake()
}

// putOff gives a fetch back that nobody can bring now. Unless more of it has come since it
// was put off last, it waits for longer each time: whoever comes and goes is not asked again
// and again.
func (f *fetcher) putOff(x *fetch) {
	f.mu.Lock()
	if done := x.t.done.Load(); done > x.far {
		x.far = done
	} else {
		f.delay(x)
	}
	f.mu.Unlock()
	f.put(x)
}

// delay has a fetch wait, for longer each time. The caller holds f.mu.
func (f *fetcher) delay(x *fetch) {
	a := f.again[x.want.Hash]
	a.at = time.Now().Add(min(f.r.s.o.Times.Retry<<min(a.failures, 5), longestRetry))
	a.failures++
	a.disk, a.kept = nil, x.kept
	f.again[x.want.Hash] = a
	if len(f.again) > 4*batchItems*batchItems {
		clear(f.again) // far more than are wanted at once: most are forgotten by now
	}
}

// anew has what nobody could bring be asked for again now: there is somebody else.
func (f *fetcher) anew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h, a := range f.again {
		if a.disk == nil {
			a.at = time.Time{}
			f.again[h] = a
		}
	}
}

// finish is end for who does not hold f.mu.
func (f *fetcher) finish(x *fetch, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(x, err)
}

// put gives a fetch back, to be tried elsewhere.
func (f *fetcher) put(x *fetch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x.t.queued.Store(true)
	if !x.large() {
		f.small = append(f.small, x)
	} else {
		f.large = append(f.large, x)
	}
}

// rested notes that a source has room again.
func (f *fetcher) rested(peer p2p.ID) {
	f.mu.Lock()
	if f.busy[peer]--; f.busy[peer] <= 0 {
		delete(f.busy, peer)
	}
	f.mu.Unlock()
	f.kick()
}

// enter opens the folder's directory. If it is not there, nothing more is begun for a
// while: a disk that was taken away does not come back at once.
func (f *fetcher) enter() (fsys *apply.Root, leave func(), err error) {
	fsys, leave, err = f.r.place.enter()
	if err != nil {
		f.mu.Lock()
		f.away = time.Now().Add(f.r.s.o.Times.Retry)
		f.mu.Unlock()
	}
	return fsys, leave, err
}

// searchHere looks for contents on this disk.
func (f *fetcher) searchHere(ctx context.Context, batch []*fetch) {
	defer f.rested(p2p.ID{})
	fsys, leave, err := f.enter()
	if err == nil {
		defer leave()
	}
	for _, x := range batch {
		x.local = ctx.Err() == nil
		if err == nil && x.local && f.copyHere(ctx, fsys, x) {
			f.finish(x, nil)
			continue
		}
		if ctx.Err() != nil {
			x.local = false
		}
		f.put(x)
	}
}

// String names a fetch in errors.
func (x *fetch) String() string { return fmt.Sprintf("content %.8s of %s", x.want.Hash, x.want.Path) }
