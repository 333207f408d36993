package swarm

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/mirror"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

const (
	// again is how long a source that failed is left alone at first, and againMost at last.
	again     = 2 * time.Second
	againMost = time.Minute
)

// failure is what is remembered of a source that failed.
type failure struct {
	until time.Time
	wait  time.Duration
	bad   bool // it sent a wrong piece
}

// bad gives up a source that has sent a piece which is another one.
func (d *download) bad(now time.Duration, e event) {
	_, size := d.seed.Extent(e.piece)
	d.picker.Bad(now, e.src.number, e.piece)
	d.mu.Lock()
	d.counts.Wasted += int64(size)
	e.src.wrong = true
	d.mu.Unlock()
	d.failureOf(e.src).bad = true
	d.s.log.Warn("a source sent a piece that is another one, and is not asked any more", "seed", d.seed.Name, "source", e.src.who(), "piece", e.piece)
	d.s.o.Publish(Bad{Seed: d.id, Name: d.seed.Name, Member: e.src.peer, URL: e.src.url, Piece: e.piece})
	d.drop(e.src, errBad)
}

var errBad = errors.New("it sent a piece that is another one")

func (d *download) failureOf(src *source) *failure {
	f := d.failures[src.who()]
	if f == nil {
		f = &failure{wait: again}
		d.failures[src.who()] = f
	}
	return f
}

// meet begins with sources that the tracker has named.
func (d *download) meet(peers []tracker.Peer) {
	now := d.s.now()
	d.peers = peers
	if len(d.sources) < maxSources {
		for _, p := range d.waiting(now) {
			if len(d.sources) >= maxSources {
				break
			}
			d.add(&source{d: d, peer: p.ID})
		}
	}
	if d.picker != nil {
		up, _ := d.s.o.Rates()
		if from, to, ok := sliceOf(d.s.o.ID, up, peers); ok {
			d.picker.Share(from, to)
		} else {
			d.picker.Slice(d.s.o.Tracker.Slice(d.id))
		}
	}
	d.reckon(peers)
	d.mirrors(now)
	d.outside(now)
}

// sliceOf returns the part of the file with which a member begins, as two fractions of it, when others begin at the same
// time: as large as what it can send of what all of them can. Who waits for slow ones in the end has sent nothing
// meanwhile. False: not all say how fast they are.
func sliceOf(self p2p.ID, up int64, peers []tracker.Peer) (from, to float64, ok bool) {
	before, all := int64(0), up
	for _, p := range peers {
		if !p.Wants || p.Have.All || p.ID == self {
			continue
		}
		if p.Rate <= 0 {
			return 0, 0, false
		}
		all += p.Rate
		if p.ID.Compare(self) < 0 {
			before += p.Rate
		}
	}
	if up <= 0 {
		return 0, 0, false
	}
	return float64(before) / float64(all), float64(before+up) / float64(all), true
}

// reckon finds out in what time the file could be here at best, by what others say that they can send.
func (d *download) reckon(peers []tracker.Peer) {
	up, down := d.s.o.Rates()
	us, sum, n := int64(0), up, 1
	for _, p := range peers {
		switch {
		case p.Have.All:
			us += p.Rate
		case p.Wants:
			sum += p.Rate
			n++
		}
	}
	least := Bound(d.seed.Size, n, float64(us), float64(down), float64(sum))
	d.mu.Lock()
	defer d.mu.Unlock()
	if us > 0 && n >= d.crowd {
		d.crowd, d.bound = n, time.Duration(least*float64(time.Second))
	}
}

// add begins with a source.
func (d *download) add(src *source) {
	d.number++
	src.number, src.good = d.number, d.s.now()
	src.ctx, src.cancel = context.WithCancel(d.ctx)
	src.kick = make(chan struct{}, 1)
	src.asked, src.queue = map[int]int{}, map[int]bool{}
	d.sources[src.number] = src
	d.byPeer[src.who()] = src
	d.mu.Lock()
	old := slices.IndexFunc(d.roster, func(o *source) bool { return o.who() == src.who() })
	if old >= 0 {
		src.index, src.got, src.pieces = d.roster[old].index, d.roster[old].got, d.roster[old].pieces
		src.before = src.pieces
		d.roster[old] = src
	} else {
		d.roster = append(d.roster, src)
		src.index = uint16(min(len(d.roster), 1<<16-1))
	}
	d.mu.Unlock()
	d.s.work.Go(src.run)
}

// drop gives up a source.
func (d *download) drop(src *source, why error) {
	src.cancel()
	delete(d.sources, src.number)
	delete(d.byPeer, src.who())
	if d.picker != nil {
		d.picker.Leave(d.now(), src.number)
	}
	f := d.failureOf(src)
	if src.pieces > src.before {
		f.wait = again // it was good for something
	}
	var served *mirror.Error
	if f.until = d.s.now().Add(f.wait); errors.As(why, &served) && served.Wait > f.wait {
		f.until = d.s.now().Add(served.Wait)
	} else if errors.Is(why, errUseless) {
		f.until = d.s.now().Add(againMost)
	} else if errors.Is(why, errSoon) {
		f.until = d.s.now().Add(time.Second / 4)
	} else {
		f.wait = min(2*f.wait, againMost)
	}
	if errors.Is(why, errRefused) && src.url == "" {
		d.s.o.Tracker.Missed(d.id, src.peer)
	}
	d.mu.Lock()
	if src.list && d.picker == nil && !errors.Is(why, errThrough) {
		d.lacking = d.noList(src.url, why)
	}
	src.ended = true
	if why != nil && src.why == "" {
		src.why = why.Error()
	}
	d.mu.Unlock()
	if d.picker == nil && src.answering {
		d.valuesAsked = time.Time{}
		d.askOther()
	}
	d.note()
}

func (d *download) leaveAll() {
	for _, src := range d.sources {
		src.cancel()
	}
}

// join tells the picker of a source.
func (d *download) join(src *source) {
	if !src.joined {
		return
	}
	src.good = d.s.now()
	now := d.now()
	full := src.have != nil && src.have.Count() == src.have.Len()
	d.picker.Join(now, src.number, picker.Info{RTT: src.rtt(), Origin: full, Relayed: src.relayed(), Mirror: src.url != "", Limit: d.share()})
	if src.have != nil {
		d.picker.HasAll(now, src.number, src.have)
		src.introduced = true
	}
}

// budget is how many bytes may be asked of one source and not be there yet, by all downloads together.
const budget = 64 << 20

// share returns how many pieces this download may wait for at a source: all that run share the budget.
func (d *download) share() int {
	return max(2, min(maxWants, budget/d.seed.PieceLen/d.running()))
}

// running returns how many downloads there are, with this one.
func (d *download) running() (n int) {
	d.s.active.Range(func(any, any) bool {
		n++
		return true
	})
	return max(1, n)
}

// gain notes which pieces a source has.
func (d *download) gain(src *source, first, count int) {
	if src.have == nil {
		d.mu.Lock()
		src.have = picker.NewBitmap(d.seed.Count())
		d.mu.Unlock()
	}
	for i := first; i < first+count; i++ {
		if src.have.Has(i) {
			d.drop(src, violation("piece %d is told of twice", i)) // as often as that makes work here
			return
		}
	}
	d.mu.Lock()
	src.have.SetRange(first, first+count-1)
	d.mu.Unlock()
	if d.picker == nil {
		return
	}
	if !src.introduced && count > 1 {
		// The first that is told, of who has all, makes it an origin.
		d.picker.Leave(d.now(), src.number)
		d.join(src)
		return
	}
	src.introduced = true
	pieces := make([]int, count)
	for i := range pieces {
		pieces[i] = first + i
	}
	d.picker.Has(d.now(), src.number, pieces...)
}

const (
	// valuesHedge is how long a source may take to tell the values of the pieces until another one is asked too,
	// valuesWithin until it is given up.
	valuesHedge  = 2 * time.Second
	valuesWithin = 30 * time.Second
)

// askValues asks a source for the values of the pieces, unless one has just been asked.
func (d *download) askValues(src *source) {
	if d.seed.Legacy != nil || src.url != "" || src.answering || d.s.now().Sub(d.valuesAsked) < valuesHedge {
		return
	}
	d.valuesAsked = d.s.now()
	src.answering = true
	src.askBytes(msgValues)
	patience := time.AfterFunc(valuesWithin, func() {
		d.do(func() {
			if d.picker == nil && d.sources[src.number] == src {
				d.drop(src, errors.New("it did not say what the pieces are"))
			}
		})
	})
	context.AfterFunc(src.ctx, func() { patience.Stop() })
}

// askOther asks one of the sources that were not asked for the values of the pieces.
func (d *download) askOther() {
	for _, src := range d.sources {
		if src.joined && !src.answering {
			d.askValues(src)
		}
	}
}

// answer takes the values of the pieces, or a manifest.
func (d *download) answer(e event) error {
	if d.picker != nil {
		if !e.src.list {
			d.takeManifest(e.src, e.bytes)
		}
		return nil
	}
	known, err := withValues(d.seed, e.bytes)
	if err != nil {
		d.failureOf(e.src).bad = len(e.bytes) > 0
		d.drop(e.src, err)
		return nil
	}
	d.seed = known
	d.count(e.src, int64(len(e.bytes)))
	if err := d.s.o.Store.Describe(d.ctx, d.id, e.bytes, nil); err != nil {
		return err
	}
	return d.open()
}
