package exchange

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
)

// update brings one content chunk by chunk, from this disk and from members.
type update struct {
	f       *fetcher
	x       *fetch
	m       *chunk.Manifest
	giver   p2p.ID // who told m
	t       apply.Temp
	name    string          // of t
	out     io.WriterAt     // t
	cloned  bool            // what was in base is in t, in the same place
	base    apply.File      // an older version; nil: none
	made    *chunk.Manifest // of base
	sources []source
	foreign []*runner // other folders that chunks are copied from
	end     context.CancelFunc

	mu       sync.Mutex   // guards all following fields
	turned   *sync.Cond   // something below has changed
	have     []bool       // chunks that are in t, checked
	left     int          // chunks that are not, without those that are equal to others
	later    map[int]bool // chunks that are equal to others, until the end
	queue    []job
	running  map[*running]bool
	copying  bool
	poor     int          // deltas in a row that brought hardly anything
	plain    bool         // no more deltas
	since    int64        // bytes since the last sync
	failed   error        // this disk has failed
	unsynced bool         // what was written may not be on the disk, and never be
	wrong    bool         // m is not that of the content: that is proven
	pieces   []chunk.Hash // of the file, as far as they went by as a whole; zero: not known
	cut      []bool       // chunks of which it is known whether everybody would cut them so
	odd      bool         // some would not be
}

func newUpdate(f *fetcher, x *fetch, m *chunk.Manifest) *update {
	u := &update{f: f, x: x, m: m, have: make([]bool, m.Len()), cut: make([]bool, m.Len()), left: m.Len(), running: map[*running]bool{}}
	u.pieces = make([]chunk.Hash, (m.Size()+chunk.PieceSize-1)/chunk.PieceSize)
	u.turned = sync.NewCond(&u.mu)
	return u
}

// job is some chunks to be brought at once: gaps, or else runs.
type job struct {
	bundle assemble.Bundle
	runs   []assemble.Run
}

// running is a job that a member does.
type running struct {
	job
	by      p2p.ID
	since   time.Time
	doubled bool // somebody else does it too
}

const (
	// jobBytes is how much is asked for at once of what is brought whole.
	jobBytes = 4 << 20
	// jobRuns is the most runs of a job. Each is an item of a request.
	jobRuns = 128
)

// bringChunks brings a content whose manifest is known, which giver has told. Errors:
// errManifest if it is that of something else.
func (f *fetcher) bringChunks(ctx context.Context, fsys *apply.Root, links []p2p.Link, x *fetch, m *chunk.Manifest, giver p2p.ID, base *older) error {
	u := newUpdate(f, x, m)
	u.giver, u.name = giver, begun(x.want.Hash)
	if err := u.goOn(fsys, links); err != nil {
		return err
	}
	var err error
	if u.t, err = fsys.Create(u.name); err != nil {
		return err
	}
	u.out = u.t
	x.t.restart()
	if err := u.run(ctx, fsys, links, base); err != nil {
		if u.unsynced || u.wrong && len(u.foreign) > 0 {
			x.kept = nil
			x.t.restart()
			return errors.Join(err, u.t.Close(), fsys.Remove(u.name))
		}
		if !u.wrong {
			x.kept = &progress{manifest: m, from: giver, have: u.have, name: u.name, foreign: u.foreign}
		}
		return errors.Join(err, u.t.Close())
	}
	x.kept = &progress{manifest: m, from: giver, have: u.have, name: u.name, foreign: u.foreign}
	err = errors.Join(u.t.Truncate(x.want.Size), u.t.Sync())
	if err == nil {
		// All chunks are as the manifest says. Whether that is the content's is seen now.
		m, err = u.verify(ctx)
	}
	if err := errors.Join(err, u.t.Close()); err != nil {
		if ctx.Err() != nil || errors.Is(err, errManifest) {
			return err
		}
		x.kept = nil
		x.t.restart()
		return errors.Join(err, fsys.Remove(u.name)) // it cannot be read, or was not written
	}
	x.kept = nil
	if m != nil {
		if err := f.r.s.o.Folders.SaveManifest(ctx, m); err != nil {
			f.r.s.log.Debug("folder: manifest not kept", "folder", f.r.label, "path", x.want.Path, "error", err)
		}
	}
	return complete(fsys, u.name, x.want.Hash)
}

// errManifest: the manifest is that of another content.
var errManifest = errors.New("the manifest is that of another content")

func (u *update) run(ctx context.Context, fsys *apply.Root, links []p2p.Link, base *older) error {
	if err := u.resume(ctx); err != nil {
		return err
	}
	if err := enough(fsys, u.missing()); err != nil {
		return err
	}
	u.sources = []source{{}}
	if base != nil {
		u.base, u.made = base.file, base.manifest
		u.sources[0].file = base.file
	}
	defer u.closeSources()
	elsewhere, err := u.locate(ctx, fsys, links)
	if err != nil {
		return err
	}
	plan := assemble.Make(u.m, assemble.Sources{
		Base: u.made, Have: func(i int) bool { return u.have[i] },
		Elsewhere: func(i int) (assemble.Place, bool) { at, ok := elsewhere[u.m.Chunk(i).Hash]; return at, ok },
	})
	u.later = map[int]bool{}
	for _, r := range plan.Repeats {
		u.later[r.Chunk] = true
	}
	u.left -= len(plan.Repeats)
	u.clone(plan.Copies)
	u.add(plan)
	if err := u.bring(ctx, links, plan.Copies); err != nil {
		return err
	}
	return u.repeat(plan.Repeats)
}

// bring has chunks copied and brought until all are there.
func (u *update) bring(ctx context.Context, links []p2p.Link, copies []assemble.Copy) error {
	within, end := context.WithCancel(ctx)
	defer end()
	u.end = end
	if u.left == 0 {
		return nil
	}
	stop := context.AfterFunc(within, u.wake)
	defer stop()
	var copying sync.WaitGroup
	defer copying.Wait()
	u.copying = true
	copying.Go(func() { u.copyAll(within, copies) })
	errs := u.bringAll(within, links)
	copying.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.failed != nil:
		return u.failed
	case u.wrong:
		return errManifest
	case u.left > 0:
		return errors.Join(errs, ctx.Err(), errLeft)
	}
	return nil
}

// errLeft: something of a content did not come.
var errLeft = errors.New("a part of it did not come")

// progress is how far an attempt of this run has come.
type progress struct {
	manifest *chunk.Manifest
	from     p2p.ID // who told it
	have     []bool
	name     string    // of the file
	foreign  []*runner // other folders from which chunks in it were copied
}

// goOn takes over the file of an attempt of this run. If chunks of other folders are in it, those
// who are asked now must all be allowed to read these: or else they could learn what is there.
func (u *update) goOn(fsys *apply.Root, links []p2p.Link) error {
	k := u.x.kept
	if k == nil || len(k.foreign) == 0 {
		return nil
	}
	u.foreign = k.foreign
	if !slices.ContainsFunc(links, func(l p2p.Link) bool { return !u.mayJoin(l) }) {
		u.name = k.name
		return nil
	}
	u.foreign, u.x.kept = nil, nil
	return remove(fsys, k.name)
}

// resume looks what an earlier attempt has left. That of an earlier run is checked, each chunk:
// it is not known what of it was on the disk when that ended.
func (u *update) resume(ctx context.Context) error {
	st, err := u.t.Stat()
	if err != nil {
		return err
	}
	if st.Size == 0 {
		u.out = holes{u.t}
		return u.t.Truncate(u.m.Size())
	}
	if k := u.x.kept; k != nil && k.manifest == u.m {
		for i, have := range k.have {
			if have {
				u.have[i] = true
				u.left--
				u.x.t.resumed(int64(u.m.Chunk(i).Length))
			}
		}
		return nil
	}
	buf, sums := make([]byte, 0, chunk.Average), u.hasher()
	for i := range u.m.Len() {
		c := u.m.Chunk(i)
		if c.Offset+int64(c.Length) > st.Size {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = grow(buf, c.Length)
		// What cannot be read is missing.
		if _, err := u.t.ReadAt(buf, c.Offset); err == nil && sum(buf) == c.Hash {
			u.pass(sums, i, buf)
			u.have[i] = true
			u.left--
			u.x.t.resumed(int64(c.Length))
		}
	}
	return nil
}

// holes leaves out zeros: nothing was written in the file yet, and what is not written is a
// hole that reads as zeros. So images of disks that are mostly empty stay small.
type holes struct{ io.WriterAt }

// WriteAt implements io.WriterAt.
func (h holes) WriteAt(p []byte, off int64) (int, error) {
	// Zero, and each byte equal to the next.
	if len(p) > 0 && p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1]) {
		return len(p), nil
	}
	return h.WriterAt.WriteAt(p, off)
}

// clone begins with the old version's blocks, if the disk can share them and most of what is
// copied stays where it was: then nothing of that has to be written.
func (u *update) clone(copies []assemble.Copy) {
	var stays int64
	for _, c := range copies {
		if e := u.extent(c.Run); c.File == assemble.Base && c.Offset == e.Offset {
			stays += e.Length
		}
	}
	_, fresh := u.out.(holes)
	if !fresh || stays < u.m.Size()/2 || u.t.Clone(u.base) != nil {
		return
	}
	if err := u.t.Truncate(u.m.Size()); err != nil {
		u.fail(err)
		return
	}
	u.out, u.cloned = u.t, true
}

// missing returns how many bytes are still to come.
func (u *update) missing() (n int64) {
	for i, have := range u.have {
		if !have {
			n += int64(u.m.Chunk(i).Length)
		}
	}
	return n
}

// add queues what members have to bring.
func (u *update) add(p assemble.Plan) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.addGaps(p.Gaps)
	u.addRuns(p.Fetch)
}

// addGaps queues gaps. The caller holds u.mu.
func (u *update) addGaps(gaps []assemble.Gap) {
	if u.plain {
		runs := make([]assemble.Run, len(gaps))
		for i, g := range gaps {
			runs[i] = g.Run
		}
		u.addRuns(runs)
		return
	}
	for _, b := range assemble.Bundles(u.m, u.made, gaps) {
		u.queue = append(u.queue, job{bundle: b})
	}
	u.turned.Broadcast()
}

// addRuns queues runs to be brought whole. The caller holds u.mu.
func (u *update) addRuns(runs []assemble.Run) {
	var j job
	size := 0
	flush := func() {
		if len(j.runs) > 0 {
			u.queue = append(u.queue, j)
		}
		j, size = job{}, 0
	}
	for _, r := range runs {
		for i := r.First; i < r.First+r.N; i++ {
			n := u.m.Chunk(i).Length
			if size+n > jobBytes {
				flush()
			}
			size += n
			if k := len(j.runs); k > 0 && j.runs[k-1].First+j.runs[k-1].N == i {
				j.runs[k-1].N++
				continue
			}
			if len(j.runs) == jobRuns {
				flush()
				size = n
			}
			j.runs = append(j.runs, assemble.Run{First: i, N: 1})
		}
	}
	flush()
	u.turned.Broadcast()
}

func (u *update) wake() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turned.Broadcast()
}

// lagging is after how long another member is asked for what one has not brought yet, if
// there is nothing else to do.
const lagging = 3 * time.Second

// next waits for a job. There is none any more when all is there, or nothing that is
// missing can still be given back, or the disk has failed, or the manifest is wrong.
func (u *update) next(ctx context.Context, by p2p.ID) (*running, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		if ctx.Err() != nil || u.stopped() {
			return nil, false
		}
		if j, ok := u.take(by); ok {
			r := &running{job: j, by: by, since: time.Now()}
			u.running[r] = true
			return r, true
		}
		if len(u.running) == 0 && !u.copying {
			return nil, false
		}
		u.turned.Wait() // at the latest until bringAll looks again
	}
}

// stopped reports whether there is nothing to be done any more. The caller holds u.mu.
func (u *update) stopped() bool { return u.failed != nil || u.wrong || u.left == 0 }

// take returns a job that waits, or one that another member does not get done. The caller
// holds u.mu.
func (u *update) take(by p2p.ID) (job, bool) {
	if len(u.queue) > 0 {
		j := u.queue[0]
		u.queue = u.queue[1:]
		return j, true
	}
	for r := range u.running {
		if r.by != by && !r.doubled && time.Since(r.since) > lagging {
			r.doubled = true
			return r.job, true
		}
	}
	return job{}, false
}

// done notes that a job has ended, and queues what it has not brought; delta: that may be
// brought as a delta again.
func (u *update) done(r *running, delta bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.running, r)
	u.giveBack([]job{r.job}, delta)
	u.turned.Broadcast()
}

// giveBack queues what jobs have not brought. The caller holds u.mu.
func (u *update) giveBack(jobs []job, delta bool) {
	var gaps []assemble.Gap
	var runs []assemble.Run
	for _, j := range jobs {
		for _, g := range j.bundle.Gaps {
			switch some := u.lacking(g.Run); {
			case len(some) == 0:
			case delta && len(some) == 1 && some[0] == g.Run:
				gaps = append(gaps, g)
			default:
				runs = append(runs, some...)
			}
		}
		for _, r := range j.runs {
			runs = append(runs, u.lacking(r)...)
		}
	}
	u.addGaps(gaps)
	u.addRuns(runs)
}

// lacking returns the parts of a run that are missing. The caller holds u.mu.
func (u *update) lacking(r assemble.Run) (runs []assemble.Run) {
	for i := r.First; i < r.First+r.N; i++ {
		if u.have[i] {
			continue
		}
		if k := len(runs); k > 0 && runs[k-1].First+runs[k-1].N == i {
			runs[k-1].N++
			continue
		}
		runs = append(runs, assemble.Run{First: i, N: 1})
	}
	return runs
}

// gained notes that a delta of some bytes has taken so many on the network. Where several in a
// row take hardly less than the bytes themselves the rest is brought whole: from all members at
// once, and without reading the old version.
func (u *update) gained(size, cost int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if cost < size-size/16 {
		u.poor = 0
		return
	}
	if u.poor++; u.poor >= 2 {
		u.noDeltas()
	}
}

// noDeltas has the rest brought whole. The caller holds u.mu.
func (u *update) noDeltas() {
	if u.plain {
		return
	}
	u.plain = true
	queue := u.queue
	u.queue = nil
	u.giveBack(queue, false)
}

// got notes that a chunk is in the file, and reports whether it was missing.
func (u *update) got(i int) bool {
	u.mu.Lock()
	if u.have[i] {
		u.mu.Unlock()
		return false
	}
	u.have[i] = true
	if !u.later[i] {
		u.left--
	}
	n := int64(u.m.Chunk(i).Length)
	u.since += n
	sync := u.since >= syncEvery
	if sync {
		u.since = 0
	}
	if u.left == 0 {
		u.end() // who still brings something of it need not
		u.turned.Broadcast()
	}
	u.mu.Unlock()
	u.x.t.add(n, 0)
	if !sync {
		return true
	}
	// So that not all is written at the end.
	if err := u.t.Sync(); err != nil {
		u.mu.Lock()
		u.unsynced = true
		u.mu.Unlock()
		u.fail(err)
	}
	return true
}

func (u *update) hasFailed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed != nil
}

func (u *update) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed == nil {
		u.failed = err
	}
	u.turned.Broadcast()
}

// bringAll has all links work at once, and those that come to be while it lasts.
func (u *update) bringAll(ctx context.Context, links []p2p.Link) error {
	var errs []error
	type ended struct {
		link p2p.Link
		err  error
	}
	active, results, used := 0, make(chan ended), map[p2p.Link]int{}
	use := func(l p2p.Link) {
		if _, ok := used[l]; ok {
			return
		}
		used[l] = segmentsPeer
		for range segmentsPeer {
			active++
			go func() { results <- ended{l, u.work(ctx, l)} }()
		}
	}
	for _, l := range links {
		use(l)
	}
	tick := time.NewTicker(lookForMore)
	defer tick.Stop()
	for active > 0 {
		select {
		case e := <-results:
			active--
			errs = append(errs, e.err)
			if used[e.link]--; used[e.link] == 0 && u.f.gone(e.link) {
				delete(used, e.link) // it may come back
			}
		case <-tick.C:
			u.wake() // some job may lag
			for _, l := range u.f.askable(u.x) {
				if u.mayJoin(l) {
					use(l)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// mayJoin reports whether a member may see what it is not asked for.
func (u *update) mayJoin(l p2p.Link) bool {
	return !slices.ContainsFunc(u.foreign, func(r *runner) bool { return !u.f.r.s.o.Access(r.id, r.creator, l.Peer()).Read })
}

// work does jobs with one member until there are none.
func (u *update) work(ctx context.Context, l p2p.Link) error {
	in := u.intake()
	for {
		r, ok := u.next(ctx, l.Peer())
		if !ok {
			return nil
		}
		var err error
		if len(r.runs) > 0 {
			err = u.bringRuns(ctx, l, r.runs, in)
		} else {
			err = u.bringGaps(ctx, l, r.bundle)
		}
		// What a delta has made wrong is not made right by another.
		u.done(r, err != nil)
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errManifest):
			u.mu.Lock()
			u.wrong = true
			u.mu.Unlock()
			u.end()
			return nil
		case errors.Is(err, errHere):
			u.fail(err)
			return nil
		case u.f.blames(l, err):
			u.f.mu.Lock()
			u.x.tried[l.Peer()] = true
			u.f.mu.Unlock()
		}
		return fmt.Errorf("from %s: %w", l.Peer().Short(), err)
	}
}

// bringRuns brings runs of chunks whole.
func (u *update) bringRuns(ctx context.Context, l p2p.Link, runs []assemble.Run, in *intake) error {
	q := request{Packed: true}
	parts := make([]assemble.Extent, len(runs))
	for i, r := range runs {
		parts[i] = u.extent(r)
		q.Items = append(q.Items, item{Offset: parts[i].Offset, Length: parts[i].Length})
	}
	q.Items[0].Hash, q.Items[0].Path = u.x.want.Hash[:], u.x.want.Path
	a, err := u.f.r.askWith(ctx, l, q, nil, u.x.t)
	if err != nil {
		return err
	}
	defer a.end()
	if err := a.complete(); err != nil {
		return err
	}
	u.x.t.from(l.Peer())
	bad, err := readRuns(a.in, runs, parts, in)
	if err := errors.Join(err, in.flush()); err != nil {
		return err
	}
	if bad >= 0 {
		return u.judge(ctx, l, bad)
	}
	return nil
}

// readRuns reads the answer to a request for runs. It returns the last chunk that is not what the
// manifest says; less than 0: none.
func readRuns(from *bufio.Reader, runs []assemble.Run, parts []assemble.Extent, in *intake) (bad int, err error) {
	bad = -1
	for k, r := range runs {
		p, err := readPart(from)
		if err != nil {
			return bad, err
		}
		if p.Length != parts[k].Length {
			return bad, fmt.Errorf("%w: %d bytes instead of %d", errOther, p.Length, parts[k].Length)
		}
		for i := r.First; i < r.First+r.N; i++ {
			ok, err := in.take(i, from)
			if err != nil {
				return bad, err
			}
			if !ok {
				bad = i
			}
		}
	}
	return bad, nil
}

func (u *update) extent(r assemble.Run) assemble.Extent {
	first, last := u.m.Chunk(r.First), u.m.Chunk(r.First+r.N-1)
	return assemble.Extent{Offset: first.Offset, Length: last.Offset + int64(last.Length) - first.Offset}
}
