package dht

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/route"
)

// How copies are kept where they should be.
const (
	repairEvery  = 5 * time.Minute // compare with the others, also if nothing seems to have changed
	repairAfter  = time.Second     // wait for this long when somebody came or went: more may follow
	expireEvery  = time.Minute     // delete what has expired at least so often: it is not served in any case
	expireAtOnce = 1000
	comparisons  = 4    // that run at once
	maxOutbox    = 4096 // writes that wait to be sent in the background
)

// repairs is what is to be done in the background.
type repairs struct {
	changed chan struct{} // has room for one: somebody came or went
	kicked  chan struct{} // has room for one: the outbox is not empty

	mu     sync.Mutex // guards outbox
	outbox map[p2p.ID][]Write
	queued int

	shared sumsCache // what this node and one peer both keep
	all    sumsCache // what it keeps

	offered offered

	fetching sync.Map // of addresses of large records that a comparison is fetching

	// keeping is held for reading by who stores records, so that none comes while it is
	// decided that what is here may go.
	keeping sync.RWMutex
}

func (r *repairs) init() {
	r.changed, r.kicked = make(chan struct{}, 1), make(chan struct{}, 1)
	r.outbox = map[p2p.ID][]Write{}
}

// Changed makes Run look soon whether copies are where they should be: somebody came or
// went.
func (t *Table) Changed() { wake(t.repair.changed) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// offered remembers of which locations others have asked whether this node has them all, to
// leave them to it: who goes does so, while this node may still see that one as a replica,
// and itself as none.
type offered struct {
	mu sync.Mutex // guards at
	at map[p2p.Key]time.Time
}

const (
	offeredFor = 10 * time.Second // longer than it takes to learn that who has handed over is gone
	maxOffered = 1 << 16
)

// note remembers that locations were offered.
func (o *offered) note(locations []p2p.Key, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at == nil {
		o.at = map[p2p.Key]time.Time{}
	}
	if len(o.at)+len(locations) > maxOffered {
		maps.DeleteFunc(o.at, func(_ p2p.Key, at time.Time) bool { return now.Sub(at) > offeredFor })
	}
	for _, l := range locations[:min(len(locations), max(maxOffered-len(o.at), 0))] {
		o.at[l] = now
	}
}

// lately reports whether a location was offered a short time ago.
func (o *offered) lately(location p2p.Key, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, is := o.at[location]
	return is && now.Sub(at) <= offeredFor
}

// deliver queues writes for members. What does not find room is left to the next
// comparison.
func (r *repairs) deliver(to map[p2p.ID][]Write) {
	r.mu.Lock()
	for id, writes := range to {
		if r.queued+len(writes) <= maxOutbox {
			r.outbox[id] = append(r.outbox[id], writes...)
			r.queued += len(writes)
		}
	}
	r.mu.Unlock()
	wake(r.kicked)
}

// take empties the outbox.
func (r *repairs) take() map[p2p.ID][]Write {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.outbox
	r.outbox, r.queued = map[p2p.ID][]Write{}, 0
	return out
}

// hurries is how often in a row the rest of a comparison follows at once: a member that
// always has more must not keep this node busy.
const hurries = 16

// Run keeps copies where they should be, refreshes what was asked for (Refresh), chooses the
// number of replicas (Auto), and deletes what has expired, until ctx ends. A
// member that is slow delays what is sent to it and compared with it only.
func (t *Table) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { t.runRepair(ctx) })
	running.Go(func() { t.runOutbox(ctx) })
	running.Go(func() { t.runRefresh(ctx) })
	running.Go(func() { t.runAuto(ctx) })
	expire := time.NewTimer(0)
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-expire.C:
			expire.Reset(t.expire(ctx))
		}
	}
}

// runOutbox sends what waits.
func (t *Table) runOutbox(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.repair.kicked:
			t.sendOutbox(ctx)
		}
	}
}

// runRepair compares from time to time, and when somebody came or went.
func (t *Table) runRepair(ctx context.Context) {
	repair, due := time.NewTimer(repairAfter), time.Now().Add(repairAfter)
	defer repair.Stop()
	in := func(d time.Duration) {
		due = time.Now().Add(d)
		repair.Reset(d)
	}
	hurried := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.repair.changed:
			// Where somebody always comes or goes it is not put off.
			if time.Until(due) > repairAfter {
				in(repairAfter)
			}
		case <-repair.C:
			err := t.Repair(ctx)
			next := repairEvery
			switch {
			case errors.Is(err, errRest) && hurried < hurries:
				hurried++
				next = repairAfter
			case err != nil && ctx.Err() == nil && !errors.Is(err, errRest):
				t.o.Logger.Warn("copies not compared", "error", err)
				hurried = 0
			default:
				hurried = 0
			}
			in(next)
		}
	}
}

// expire deletes some of what has expired, and returns when to look again.
func (t *Table) expire(ctx context.Context) time.Duration {
	t.repair.shared.forget()
	t.repair.all.forget()
	deleted, next, err := t.o.Store.Expire(ctx, t.now(), expireAtOnce)
	switch {
	case err != nil && ctx.Err() == nil:
		t.o.Logger.Error("expired records not deleted", "error", err)
	case deleted == expireAtOnce:
		return 10 * time.Millisecond
	case next > 0:
		return min(max(time.Duration(next-t.now())*time.Millisecond, time.Second), expireEvery)
	}
	return expireEvery
}

// sendOutbox sends what waits, one message to each member. Who cannot be asked gets it
// with the next comparison.
func (t *Table) sendOutbox(ctx context.Context) {
	op := t.begin("repair")
	each(t.repair.take(), func(to p2p.ID, writes []Write) {
		if _, err := t.push(ctx, op, 1, to, writes); err != nil && ctx.Err() == nil {
			t.o.Logger.Debug("copies not sent", "to", t.nameOf(to), "error", err)
		}
	})
}

// pushed says what became of copies: so many has the other side stored, and of so many more
// it has something newer, so that nobody needs them any more.
type pushed struct {
	stored, superseded int
	results            []result // in the order of the copies
}

// push sends copies to one member.
func (t *Table) push(ctx context.Context, op *operation, round int, to p2p.ID, writes []Write) (p pushed, err error) {
	batch := make([]*putting, len(writes))
	for i, w := range writes {
		batch[i] = &putting{write: w}
	}
	for _, some := range split(batch, t.limit(to)) {
		results, err := t.sendTo(ctx, op, round, to, some)
		if err != nil {
			return p, err
		}
		p.results = append(p.results, results...)
		for _, r := range results {
			switch {
			case r.Status.Stored():
				p.stored++
			case r.Status == StatusStale, r.Status == StatusDeleted:
				p.superseded++
			}
		}
	}
	return p, nil
}

// Repair compares what this node keeps with each member that is to keep the same, and
// brings both in line. What this node need not keep any more goes to those who should,
// and is dropped when all of them have it.
func (t *Table) Repair(ctx context.Context) error {
	v, err := t.keeping(ctx)
	if err != nil {
		return err
	}
	return t.repairIn(ctx, v)
}

// keeping returns who is there around all that this node keeps.
func (t *Table) keeping(ctx context.Context) (view, error) {
	if !t.Large() {
		return t.view(), nil
	}
	var locations []p2p.Key
	for sum, err := range t.o.Store.Sums(ctx, t.now()) {
		if err != nil {
			return view{}, fmt.Errorf("dht: sums: %w", err)
		}
		locations = append(locations, sum.Location)
	}
	v, err := t.survey(ctx, t.begin("repair"), locations, route.SurveyOptions{N: t.Replicas(), Since: time.Now().Add(-route.Around), Lookups: repairLookups}, maxWithin)
	if err != nil {
		return v, fmt.Errorf("dht: who keeps what is here: %w", err)
	}
	return v, nil
}

// leaveTries is how often a node that goes offers what it keeps.
const leaveTries = 3

// Leave hands over what this node keeps to those who are to keep it when it is gone. It is
// an error if there are records that nobody has taken: they would be gone with this node. What
// some of the replicas have they bring to the others themselves.
func (t *Table) Leave(ctx context.Context) error {
	v, err := t.keeping(ctx)
	if err != nil {
		return err
	}
	delete(v.alive, t.self)
	if len(v.alive) == 0 {
		return nil
	}
	sets, err := t.sets(ctx, v)
	if err != nil {
		return err
	}
	strays, alone := sets.strays, sets.left
	for try := 0; try < leaveTries && len(strays) > 0; try++ {
		given := t.give(ctx, v, strays)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("dht: hand over %d locations: %w", len(strays), err)
		}
		alone = sets.left
		strays = slices.DeleteFunc(strays, func(s LocationSum) bool {
			g := given[s.Location]
			if g.has == 0 {
				alone++
			}
			return g.has == g.of
		})
	}
	if alone > 0 {
		return fmt.Errorf("dht: hand over %d locations: %w", alone, ErrNoReplica)
	}
	return nil
}

func (t *Table) repairIn(ctx context.Context, v view) error {
	sets, err := t.sets(ctx, v)
	if err != nil {
		return err
	}
	limit := make(chan struct{}, comparisons)
	others := map[p2p.ID][]LocationSum{}
	for _, m := range t.partners(v, sets.shared) {
		others[m] = sets.shared[m]
	}
	var rest atomic.Bool
	each(others, func(peer p2p.ID, shared []LocationSum) {
		limit <- struct{}{}
		defer func() { <-limit }()
		if err := t.compare(ctx, v, peer, shared); errors.Is(err, errRest) {
			rest.Store(true)
		} else if err != nil && ctx.Err() == nil {
			t.o.Logger.Debug("copies not compared", "with", t.nameOf(peer), "error", err)
		}
	})
	if err := t.handOver(ctx, v, sets.strays); err != nil {
		return err
	}
	if sets.left > 0 {
		rest.Store(true)
	}
	if err := ctx.Err(); err != nil || !rest.Load() {
		return err
	}
	return fmt.Errorf("dht: compare: %w", errRest)
}

// With so many members a node compares with all. In larger networks it compares with those that
// are to keep something that it keeps; what it lacks itself comes from those who have it, when
// they notice that it has come, or with their next comparison.
const partnersOfAll = 64

// partners returns with whom a node compares.
func (t *Table) partners(v view, shared map[p2p.ID][]LocationSum) []p2p.ID {
	if v.parts != nil || len(v.alive) > partnersOfAll {
		return slices.Collect(maps.Keys(shared))
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(v.alive)), func(id p2p.ID) bool { return id == t.self })
}

// locationSets sorts the locations that this node has records of.
type locationSets struct {
	shared map[p2p.ID][]LocationSum // by member that is to keep them too
	strays []LocationSum            // that others should keep, and not this node
	left   int                      // locations of which it is not known who should
}

// sets sorts all locations once for all members.
func (t *Table) sets(ctx context.Context, v view) (locationSets, error) {
	out := locationSets{shared: map[p2p.ID][]LocationSum{}}
	n := t.Replicas()
	keep := n
	seen := v
	if t.Large() {
		seen = t.view() // v has those who were looked up too
	}
	t.observer.look(seen)
	if t.auto.Load().Reliability > 0 {
		keep = t.observer.most(n, t.o.Now())
	}
	for sum, err := range t.o.Store.Sums(ctx, t.now()) {
		if err != nil {
			return out, fmt.Errorf("dht: sums: %w", err)
		}
		if !v.covers(sum.Location) {
			out.left++
			continue
		}
		n := v.want(sum.Location, n)
		replicas := v.replicas(sum.Location, n)
		at := slices.IndexFunc(replicas, func(m Member) bool { return m.ID == t.self })
		if at < 0 {
			wanted := keep > n && slices.ContainsFunc(v.replicas(sum.Location, keep), func(m Member) bool { return m.ID == t.self })
			if len(replicas) > 0 && !wanted {
				out.strays = append(out.strays, sum)
			}
			continue
		}
		for i, m := range replicas {
			if i != at && (t.o.Root == RootEvery || i == 0 || at == 0) {
				out.shared[m.ID] = append(out.shared[m.ID], sum)
			}
		}
	}
	return out, nil
}

// given says how many of those who should keep a location have all of it that is here.
type given struct{ of, has int }

// give brings strays to those who should keep them.
func (t *Table) give(ctx context.Context, v view, strays []LocationSum) map[p2p.Key]given {
	to := map[p2p.ID][]LocationSum{}
	out := map[p2p.Key]given{}
	for _, s := range strays {
		replicas := v.replicas(s.Location, v.want(s.Location, t.Replicas()))
		for _, m := range replicas {
			to[m.ID] = append(to[m.ID], s)
		}
		out[s.Location] = given{of: len(replicas)}
	}
	var mu sync.Mutex // guards out
	each(to, func(peer p2p.ID, sums []LocationSum) {
		same, err := t.giveAll(ctx, peer, sums)
		if err != nil && ctx.Err() == nil {
			t.o.Logger.Debug("copies not handed over", "to", t.nameOf(peer), "error", err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, location := range same {
			g := out[location]
			g.has++
			out[location] = g
		}
	})
	return out
}

// handOver brings strays to those who should keep them, and deletes here what all of them
// have.
func (t *Table) handOver(ctx context.Context, v view, strays []LocationSum) error {
	if len(strays) == 0 {
		return ctx.Err()
	}
	given := t.give(ctx, v, strays)
	if err := ctx.Err(); err != nil {
		return err
	}
	// What has come since then others may lack: it was stored here because they could not be
	// asked, perhaps, and whoever did so was told that it is safe.
	t.repair.keeping.Lock()
	defer t.repair.keeping.Unlock()
	var done []p2p.Key
	for _, s := range strays {
		if g := given[s.Location]; g.has < g.of {
			continue
		}
		sum, err := t.sumOf(ctx, s.Location)
		if err != nil {
			return err
		}
		switch {
		case sum != s.Sum:
		case t.repair.offered.lately(s.Location, time.Now()):
			t.Changed() // and look again
		default:
			done = append(done, s.Location)
		}
	}
	slices.SortFunc(done, p2p.Key.Compare)
	if len(done) == 0 {
		return nil
	}
	t.changes.Add(1)
	if err := t.o.Store.Drop(ctx, done); err != nil {
		return fmt.Errorf("dht: drop what others keep: %w", err)
	}
	return nil
}

// sumOf returns the sum over what is live here of a location.
func (t *Table) sumOf(ctx context.Context, location p2p.Key) (sum Sum, err error) {
	q, now := everything(location), t.now()
	q.Bare = true
	for h, err := range t.o.Store.Read(ctx, q) {
		if err != nil {
			return sum, fmt.Errorf("dht: read %x: %w", location[:4], err)
		}
		if h.live(now) {
			sum.Add(h.Header)
		}
	}
	return sum, nil
}

// Clear deletes everything that is kept here: the network it was signed for is left.
func (t *Table) Clear(ctx context.Context) error {
	var all []p2p.Key
	for sum, err := range t.o.Store.Sums(ctx, t.now()) {
		if err != nil {
			return fmt.Errorf("dht: sums: %w", err)
		}
		all = append(all, sum.Location)
	}
	t.changes.Add(1)
	if err := t.o.Store.Drop(ctx, all); err != nil {
		return fmt.Errorf("dht: clear: %w", err)
	}
	return nil
}
