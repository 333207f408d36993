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

	sum      chunk.Hash    // of m, see sumOf; from when it is shared
	over     chan struct{} // closed when it is not shared any more
	arrivals broadcast     // came is more

	mu       sync.Mutex   // guards all following fields
	turned   *sync.Cond   // something below has changed
	have     []bool       // chunks that are in t, checked
	left     int          // chunks that are not, without those that are equal to others
	later    map[int]bool // chunks that are equal to others, until the end
	queue    []assemble.Bundle
	running  map[*running]bool
	portions portions
	copying  bool
	poor     int             // deltas in a row that brought hardly anything
	plain    bool            // no more deltas
	since    int64           // bytes since the last sync
	came     []int32         // chunks that are in t, in the order in which they came, from when it is shared
	moved    time.Time       // when one came last
	met      map[p2p.ID]bool // members that have asked what is here, since it was looked at
	failed   error           // this disk has failed
	unsynced bool            // what was written may not be on the disk, and never be
	wrong    bool            // m is not that of the content: that is proven
	doubtful bool            // giver has sent something else than m says
	pieces   []chunk.Hash    // of the file, as far as they went by as a whole; zero: not known
	cut      []bool          // chunks of which it is known whether everybody would cut them so
	odd      bool            // some would not be
}

func newUpdate(f *fetcher, x *fetch, m *chunk.Manifest) *update {
	u := &update{f: f, x: x, m: m, have: make([]bool, m.Len()), cut: make([]bool, m.Len()), left: m.Len(), running: map[*running]bool{}, over: make(chan struct{})}
	u.pieces = make([]chunk.Hash, (m.Size()+chunk.PieceSize-1)/chunk.PieceSize)
	u.turned = sync.NewCond(&u.mu)
	u.portions = newPortions(u)
	return u
}

// running is what a member does: it brings gaps, or else portions.
type running struct {
	by      *sender
	bundle  assemble.Bundle
	errand  *errand // nil: gaps
	since   time.Time
	doubled bool // somebody else does it too
}

// bringChunks brings a content whose manifest is known, which giver has told. Errors:
// errManifest if it is that of something else.
func (f *fetcher) bringChunks(ctx context.Context, fsys *apply.Root, links []p2p.Link, x *fetch, m *chunk.Manifest, giver p2p.ID, base *older) error {
	u := newUpdate(f, x, m)
	defer f.unshare(u)
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
		if u.unsynced || (u.wrong || u.doubtful) && len(u.foreign) > 0 {
			x.kept = nil
			x.t.restart()
			return errors.Join(err, u.t.Close(), fsys.Remove(u.name))
		}
		switch {
		case u.doubtful:
			x.kept = nil // what is right of it is right by the next manifest too
		case !u.wrong:
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
	u.f.share(u)
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
	var deltas []assemble.Gap
	var runs []assemble.Run
	for _, g := range gaps {
		if u.plain || u.hopeless(g) {
			runs = append(runs, g.Run)
		} else {
			deltas = append(deltas, g)
		}
	}
	u.queue = append(u.queue, assemble.Bundles(u.m, u.made, deltas)...)
	u.addRuns(runs)
}

// hopeless reports whether a delta can save hardly anything of a gap: much was put in where little had
// been. A delta comes of one member, and only of those that have all.
func (u *update) hopeless(g assemble.Gap) bool {
	n := u.extent(g.Run).Length
	return n >= portionsWorth && assemble.Size(g.Old) < n/16
}

// portionsWorth is from how many bytes it matters whom they come from.
const portionsWorth = 1 << 20

// addRuns queues runs to be brought whole. The caller holds u.mu.
func (u *update) addRuns(runs []assemble.Run) {
	if len(runs) > 0 {
		u.portions.add(u, runs)
		u.decide()
	}
	u.turned.Broadcast()
}

// decide has the picker say whom to ask for what. The caller holds u.mu.
func (u *update) decide() {
	lost, asked := u.portions.decide()
	for r := range u.running {
		if r.errand != nil && slices.Contains(lost, r.by) && r.errand.stop != nil && r.errand.idle(r.by) {
			r.errand.stop() // what comes of it is here, or comes sooner from another one
		}
	}
	if asked {
		u.turned.Broadcast()
	}
}

func (u *update) wake() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turned.Broadcast()
}

// lagging is after how long another member is asked for gaps that one has not brought yet, if
// there is nothing else to do.
const lagging = 3 * time.Second

// next waits until there is something to do for a member. There is nothing any more when all is
// there, or nothing that is missing can still be given back, or the disk has failed, or the
// manifest is wrong.
func (u *update) next(ctx context.Context, s *sender) (*running, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		if ctx.Err() != nil || u.stopped() || s.gone {
			return nil, false
		}
		if r := u.take(s); r != nil {
			r.since = time.Now()
			u.running[r] = true
			return r, true
		}
		if len(u.running) == 0 && len(u.queue) == 0 && !u.copying && u.portions.picker.Done() {
			return nil, false
		}
		u.turned.Wait() // at the latest until bringAll looks again
	}
}

// stopped reports whether there is nothing to be done any more. The caller holds u.mu.
func (u *update) stopped() bool { return u.failed != nil || u.wrong || u.left == 0 }

// take returns gaps that wait, or what the picker wants of a member, or gaps that another member
// does not get done. The caller holds u.mu.
func (u *update) take(s *sender) *running {
	if len(u.queue) > 0 && !s.partial() {
		b := u.queue[0]
		u.queue = u.queue[1:]
		return &running{by: s, bundle: b}
	}
	if e := u.portions.take(u, s); e != nil {
		return &running{by: s, errand: e}
	}
	for r := range u.running {
		if r.errand == nil && !s.partial() && r.by.link.Peer() != s.link.Peer() && !r.doubled && time.Since(r.since) > lagging {
			r.doubled = true
			return &running{by: s, bundle: r.bundle}
		}
	}
	return nil
}

// done notes that something has ended, and queues what it has not brought; delta: that may be
// brought as a delta again.
func (u *update) done(r *running, delta bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.running, r)
	u.giveBack([]assemble.Bundle{r.bundle}, nil, delta)
	u.turned.Broadcast()
}

// giveBack queues what has not come of some gaps, and of some runs. The caller holds u.mu.
func (u *update) giveBack(bundles []assemble.Bundle, all []assemble.Run, delta bool) {
	var gaps []assemble.Gap
	var runs []assemble.Run
	for _, b := range bundles {
		for _, g := range b.Gaps {
			switch some := u.lacking(g.Run); {
			case len(some) == 0:
			case delta && len(some) == 1 && some[0] == g.Run:
				gaps = append(gaps, g)
			default:
				runs = append(runs, some...)
			}
		}
	}
	for _, r := range all {
		runs = append(runs, u.lacking(r)...)
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
		runs = join(runs, assemble.Run{First: i, N: 1})
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
	u.giveBack(queue, nil, false)
}

// got notes that a chunk is in the file, and reports whether it was missing.
func (u *update) got(i int) bool {
	u.mu.Lock()
	if u.have[i] {
		u.mu.Unlock()
		return false
	}
	u.have[i] = true
	u.came, u.moved = append(u.came, int32(i)), time.Now()
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
	u.arrivals.wake()
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

// look decides anew whom to ask, and lets those look who have nothing to do: some gap may lag.
func (u *update) look() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.decide()
	u.turned.Broadcast()
}

// work does with one member, on one stream at a time, what there is to do.
func (u *update) work(ctx context.Context, s *sender) error {
	in, on := u.intake(), &line{u: u, to: s.link}
	defer on.end()
	for {
		r, ok := u.next(ctx, s)
		if !ok {
			return nil
		}
		var err error
		if r.errand != nil {
			err = u.bringErrand(ctx, r, on, in)
		} else {
			err = u.bringGaps(ctx, s.link, r.bundle)
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
		}
		blamed := u.f.blames(s.link, err)
		if u.lose(s, r, blamed, err); blamed {
			u.f.mu.Lock()
			u.x.lacks(s.link.Peer(), err)
			u.f.mu.Unlock()
		}
		return fmt.Errorf("from %s: %w", s.link.Peer().Short(), err)
	}
}

// lose notes that a stream of a member has failed: what was asked for on it is asked for on
// another one, of the same member if that has one left and is not to blame.
func (u *update) lose(s *sender, r *running, blamed bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s.streams--
	u.doubtful = u.doubtful || errors.Is(err, errOther) && s.link.Peer() == u.giver
	switch {
	case blamed && r.errand != nil:
		u.portions.ban(s, r.errand)
	case blamed || s.streams == 0:
		u.portions.leave(s)
	case r.errand != nil:
		u.portions.back(s, r.errand)
	}
	u.divide()
	u.decide()
	u.turned.Broadcast()
}

// answered notes how long the answer to an errand took to begin.
func (u *update) answered(r *running, d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.portions.answered(r.by, d)
}

// took notes that a chunk of an errand has come, right or wrong.
func (u *update) took(r *running, i int, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.portions.took(r.by, r.errand, i, u.m.Chunk(i).Length, ok) {
		u.decide()
	}
}

// bringErrand brings portions.
func (u *update) bringErrand(ctx context.Context, r *running, on *line, in *intake) error {
	within, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	u.mu.Lock()
	r.errand.stop = func() { stop(errIdle) }
	idle := r.errand.idle(r.by)
	u.mu.Unlock()
	if idle {
		return nil // taken back meanwhile
	}
	err := u.bringRuns(ctx, within, r, on, in)
	if err == nil {
		return nil
	}
	on.end()
	for _, matters := range []error{errHere, errOther, errManifest} {
		if errors.Is(err, matters) {
			return err
		}
	}
	if errors.Is(context.Cause(within), errIdle) {
		return nil
	}
	return err
}

// errIdle: nobody waits for the rest of an answer.
var errIdle = errors.New("the rest of it has come from others")

// bringRuns brings the runs of an errand until within ends. The stream lives as long as ctx.
func (u *update) bringRuns(ctx, within context.Context, r *running, on *line, in *intake) error {
	runs := r.errand.runs
	q := request{Packed: true}
	u.mu.Lock()
	if r.by.partial() {
		q.Sum = u.sum[:]
	}
	u.mu.Unlock()
	parts := make([]assemble.Extent, len(runs))
	for i, r := range runs {
		parts[i] = u.extent(r)
		q.Items = append(q.Items, item{Offset: parts[i].Offset, Length: parts[i].Length})
	}
	q.Items[0].Hash, q.Items[0].Path = u.x.want.Hash[:], u.x.want.Path
	began := time.Now()
	a, err := on.ask(ctx, q)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(within, func() { reset(a.conn) })
	defer stop()
	if _, err := a.in.Peek(1); err != nil {
		return err
	}
	u.answered(r, time.Since(began))
	u.x.t.from(on.to.Peer())
	bad, err := readRuns(a.in, runs, parts, in, func(i int, ok bool) { u.took(r, i, ok) })
	if err := errors.Join(err, in.flush()); err != nil {
		return err
	}
	if on.came(); bad >= 0 || !stop() { // else it may have been reset when all had come
		on.end()
	}
	switch {
	case bad < 0:
		return nil
	case q.Sum != nil: // by the same chunks it has checked it, or says so
		return fmt.Errorf("chunk %d: %w", bad, errOther)
	}
	return u.judge(ctx, on.to, bad)
}

// readRuns reads the answer to a request for runs, and tells took of each chunk whether it is what
// the manifest says. It returns the last chunk that is not; less than 0: none.
func readRuns(from *bufio.Reader, runs []assemble.Run, parts []assemble.Extent, in *intake, took func(i int, ok bool)) (bad int, err error) {
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
			took(i, ok)
		}
	}
	return bad, nil
}

func (u *update) extent(r assemble.Run) assemble.Extent {
	first, last := u.m.Chunk(r.First), u.m.Chunk(r.First+r.N-1)
	return assemble.Extent{Offset: first.Offset, Length: last.Offset + int64(last.Length) - first.Offset}
}
