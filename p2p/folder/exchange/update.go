package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	t       apply.Temp
	out     io.WriterAt     // t
	cloned  bool            // what was in base is in t, in the same place
	base    apply.File      // an older version; nil: none
	made    *chunk.Manifest // of base
	sources []source

	mu     sync.Mutex   // guards all following fields
	turned *sync.Cond   // something below has changed
	have   []bool       // chunks that are in t, checked
	left   int          // chunks that are not, without those that are equal to others
	later  map[int]bool // chunks that are equal to others, until the end
	queue  []job
	busy   int   // workers that have a job, and one while chunks are copied
	plain  bool  // deltas bring nothing here
	since  int64 // bytes since the last sync
	failed error // this disk has failed
}

// job is some chunks to be brought at once: gaps, or else runs.
type job struct {
	bundle assemble.Bundle
	runs   []assemble.Run
}

const (
	// jobBytes is how much is asked for at once of what is brought whole.
	jobBytes = 4 << 20
	// jobRuns is the most runs of a job. Each is an item of a request.
	jobRuns = 128
)

// bringChunks brings a content whose manifest is known; more returns the members that can be
// asked by then.
func (f *fetcher) bringChunks(ctx context.Context, fsys *apply.Root, links []p2p.Link, x *fetch, m *chunk.Manifest, base *older, more func() []*pull) error {
	t, err := fsys.Create(begun(x.want.Hash))
	if err != nil {
		return err
	}
	u := &update{f: f, x: x, m: m, t: t, out: t, have: make([]bool, m.Len()), left: m.Len()}
	u.turned = sync.NewCond(&u.mu)
	x.t.restart()
	err = u.run(ctx, fsys, links, base, more)
	if u.failed != nil { // what was not synced may look as if it had been
		return errors.Join(u.failed, t.Close(), fsys.Remove(begun(x.want.Hash)))
	}
	if err != nil {
		x.kept = &progress{manifest: m, have: u.have}
		return errors.Join(err, t.Close())
	}
	if err := errors.Join(t.Truncate(x.want.Size), t.Sync()); err != nil {
		return errors.Join(err, t.Close(), fsys.Remove(begun(x.want.Hash)))
	}
	// All chunks are as the manifest says. Whether that is the content's is seen now.
	x.kept = nil
	m, err = u.verify(ctx)
	if err := errors.Join(err, t.Close()); err != nil {
		return err
	}
	if err := f.r.s.o.Folders.SaveManifest(ctx, m); err != nil {
		return err
	}
	return complete(fsys, x.want.Hash)
}

// errManifest: the manifest is that of another content.
var errManifest = errors.New("the manifest is that of another content")

func (u *update) run(ctx context.Context, fsys *apply.Root, links []p2p.Link, base *older, more func() []*pull) error {
	if err := u.resume(ctx); err != nil {
		return err
	}
	if err := enough(fsys, u.missing()); err != nil {
		return err
	}
	if base != nil {
		u.base, u.made = base.file, base.manifest
		u.sources = []source{{file: base.file}}
	} else {
		u.sources = []source{{}}
	}
	defer u.closeSources()
	elsewhere, err := u.locate(ctx, fsys, links)
	if err != nil {
		return err
	}
	plan := assemble.Make(u.m, assemble.Sources{
		Base: u.made, Have: func(i int) bool { return u.have[i] },
		Elsewhere: func(i int) (assemble.Place, bool) { at, ok := elsewhere[i]; return at, ok },
	})
	u.later = map[int]bool{}
	for _, r := range plan.Repeats {
		u.later[r.Chunk] = true
	}
	u.left -= len(plan.Repeats)
	u.clone(plan.Copies)
	u.add(plan)
	var copying sync.WaitGroup
	defer copying.Wait()
	stop := context.AfterFunc(ctx, u.wake)
	defer stop()
	u.busy++
	copying.Go(func() {
		defer u.rest()
		u.copyAll(ctx, plan.Copies)
	})
	errs := u.bringAll(ctx, links, more)
	copying.Wait()
	if u.failed != nil {
		return u.failed
	}
	if u.left > 0 {
		return errors.Join(errs, ctx.Err(), errLeft)
	}
	return u.repeat(plan.Repeats)
}

// errLeft: something of a content did not come.
var errLeft = errors.New("a part of it did not come")

// progress is how far an attempt of this run has come.
type progress struct {
	manifest *chunk.Manifest
	from     p2p.ID // who told it
	have     []bool
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
				u.x.t.add(int64(u.m.Chunk(i).Length), 0)
			}
		}
		return nil
	}
	buf := make([]byte, 0, chunk.Average)
	for i := range u.m.Len() {
		c := u.m.Chunk(i)
		if c.Offset+int64(c.Length) > st.Size {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = grow(buf, c.Length)
		if _, err := u.t.ReadAt(buf, c.Offset); err != nil {
			return err
		}
		if sum(buf) == c.Hash {
			u.have[i] = true
			u.left--
			u.x.t.add(int64(c.Length), 0)
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
	if len(gaps) == 0 {
		return
	}
	if u.plain {
		for _, g := range gaps {
			u.addRuns([]assemble.Run{g.Run})
		}
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

// next waits for a job. There is none any more when all is there, or nothing that is
// missing can still be given back, or the disk has failed.
func (u *update) next(ctx context.Context) (job, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil || u.failed != nil || u.left == 0:
			return job{}, false
		case len(u.queue) > 0:
			j := u.queue[0]
			u.queue = u.queue[1:]
			u.busy++
			return j, true
		case u.busy == 0:
			return job{}, false
		}
		u.turned.Wait()
	}
}

// rest notes that a worker has no job.
func (u *update) rest() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy--
	u.turned.Broadcast()
}

// giveBack queues what a job has not brought. delta: it may be brought as a delta again.
func (u *update) giveBack(j job, delta bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var gaps []assemble.Gap
	var runs []assemble.Run
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

// gained notes what a delta has taken on the network for so many bytes. Where it is hardly
// less than these, the rest is brought whole: from several members at once, and without
// reading the old version.
func (u *update) gained(size, cost int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.x.t.reused.Add(max(0, size-cost))
	if u.plain || cost < size-size/16 {
		return
	}
	u.plain = true
	queue := u.queue
	u.queue = nil
	for _, j := range queue {
		if len(j.runs) > 0 {
			u.queue = append(u.queue, j)
			continue
		}
		for _, g := range j.bundle.Gaps {
			u.addRuns([]assemble.Run{g.Run})
		}
	}
}

// got notes that a chunk is in the file.
func (u *update) got(i int) {
	u.mu.Lock()
	if u.have[i] {
		u.mu.Unlock()
		return
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
		u.turned.Broadcast()
	}
	u.mu.Unlock()
	u.x.t.add(n, 0)
	if !sync {
		return
	}
	// So that not all is written at the end.
	if err := u.t.Sync(); err != nil {
		u.fail(err)
	}
}

func (u *update) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed == nil {
		u.failed = err
	}
	u.turned.Broadcast()
}

// checker writes what comes of some parts of the content.
func (u *update) checker(parts []assemble.Extent) *assemble.Checker {
	c := assemble.NewChecker(u.m, u.out, parts)
	c.OK = u.got
	return c
}

// bringAll has all links work at once, and those that come to be while it lasts.
func (u *update) bringAll(ctx context.Context, links []p2p.Link, more func() []*pull) error {
	var errs []error
	running, results, used := 0, make(chan error), map[p2p.ID]bool{}
	use := func(l p2p.Link) {
		if used[l.Peer()] {
			return
		}
		used[l.Peer()] = true
		for range segmentsPeer {
			running++
			go func() { results <- u.work(ctx, l) }()
		}
	}
	for _, l := range links {
		use(l)
	}
	tick := time.NewTicker(lookForMore)
	defer tick.Stop()
	for running > 0 {
		select {
		case err := <-results:
			running--
			errs = append(errs, err)
		case <-tick.C:
			for _, p := range more() {
				use(p.link)
			}
		}
	}
	return errors.Join(errs...)
}

// work does jobs with one member until there are none.
func (u *update) work(ctx context.Context, l p2p.Link) error {
	for {
		j, ok := u.next(ctx)
		if !ok {
			return nil
		}
		var err error
		if len(j.runs) > 0 {
			err = u.bringRuns(ctx, l, j.runs)
		} else {
			err = u.bringGaps(ctx, l, j.bundle)
		}
		// What a delta has made wrong is not made right by another.
		u.giveBack(j, err != nil && !errors.Is(err, errHere))
		u.rest()
		if err == nil {
			continue
		}
		if !errors.Is(err, errHere) && ctx.Err() == nil && !linkEnded(l) {
			u.f.mu.Lock()
			u.x.tried[l.Peer()] = true
			u.f.mu.Unlock()
		}
		return fmt.Errorf("from %s: %w", l.Peer().Short(), err)
	}
}

// bringRuns brings runs of chunks whole.
func (u *update) bringRuns(ctx context.Context, l p2p.Link, runs []assemble.Run) error {
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
	bad := 0
	buf := make([]byte, 128<<10)
	for _, e := range parts {
		p, err := readPart(a.in)
		if err != nil {
			return err
		}
		if p.Length != e.Length {
			return fmt.Errorf("%w: %d bytes instead of %d", errOther, p.Length, e.Length)
		}
		c := u.checker([]assemble.Extent{e})
		c.Bad = func(int) { bad++ }
		for done := int64(0); done < e.Length; {
			n, err := io.ReadFull(a.in, buf[:min(int64(len(buf)), e.Length-done)])
			if err != nil {
				return err
			}
			done += int64(n)
			if _, err := c.Write(buf[:n]); err != nil {
				return fmt.Errorf("%w: %w", errHere, err)
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d chunks of it: %w", bad, errOther)
	}
	return nil
}

func (u *update) extent(r assemble.Run) assemble.Extent {
	first, last := u.m.Chunk(r.First), u.m.Chunk(r.First+r.N-1)
	return assemble.Extent{Offset: first.Offset, Length: last.Offset + int64(last.Length) - first.Offset}
}
