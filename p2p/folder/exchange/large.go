package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// segment is what is asked of one member at a time.
	segment = 4 << 20
	// segmentsPeer is how many segments one member is asked for at once: while one
	// comes, the next is on its way.
	segmentsPeer = 2
	// syncEvery is after how many bytes what has come is made durable, so that not
	// all is written at the end.
	syncEvery = 64 << 20
)

// fetchLarge brings one large content.
func (f *fetcher) fetchLarge(ctx context.Context, x *fetch) {
	defer func() {
		f.mu.Lock()
		f.larges--
		f.r.s.larges.Add(-1)
		f.bytes -= x.want.Size
		f.mu.Unlock()
		f.kick()
	}()
	tried, plain, alone := len(x.tried), x.plain, x.alone
	err := f.bringLarge(ctx, x)
	if err == nil {
		f.finish(x, nil)
		return
	}
	if ctx.Err() != nil {
		f.put(x)
		return
	}
	if !ofDisk(err) && len(f.sources()) == 0 {
		f.putOff(x) // it goes on when there is somebody who lets this node have it
		return
	}
	f.r.s.log.Debug("folder: content not fetched", "folder", f.r.label, "path", x.want.Path, "error", err)
	if len(x.tried) > tried || x.plain != plain || x.alone != alone {
		f.put(x) // now it is tried otherwise
		return
	}
	f.finish(x, err)
}

func (f *fetcher) bringLarge(ctx context.Context, x *fetch) error {
	fsys, leave, err := f.enter()
	if err != nil {
		return err
	}
	defer leave()
	links := f.askable(x)
	if len(links) == 0 {
		return errNotHere
	}
	// Nobody has so large a disk as somebody can say that a file is.
	if _, disk, err := fsys.Free(); err == nil && x.want.Size > disk {
		return fmt.Errorf("%w: it has %d bytes, the file %d", errFull, disk, x.want.Size)
	}
	if !x.plain {
		err := f.update(ctx, fsys, links, x)
		if !errors.Is(err, errNoManifest) {
			return err
		}
		x.plain = true
	}
	if x.alone {
		return f.bringSegments(ctx, fsys, links[:1], x, nil)
	}
	return f.bringSegments(ctx, fsys, links, x, func() []p2p.Link { return f.askable(x) })
}

// begun is where a content grows.
func begun(h reconcile.Hash) string { return apply.TempName(h) + ".part" }

// update brings a content chunk by chunk. Errors: errNoManifest if all who have it do not
// know it so.
func (f *fetcher) update(ctx context.Context, fsys *apply.Root, links []p2p.Link, x *fetch) error {
	old, err := f.older(ctx, fsys, x)
	if err != nil {
		return err
	}
	var m *chunk.Manifest
	var from p2p.ID
	if x.kept != nil {
		m, from = x.kept.manifest, x.kept.from
	} else {
		m, from, err = f.manifestOf(ctx, links, x, old)
	}
	if err == nil && old == nil {
		old, err = f.similar(ctx, fsys, m)
	}
	if old != nil {
		defer old.file.Close() // nothing was written
	}
	if err != nil {
		return err
	}
	// Who has just not known it is not asked again.
	links = slices.DeleteFunc(links, func(l p2p.Link) bool { return x.tried[l.Peer()] })
	err = f.bringChunks(ctx, fsys, links, x, m, from, old)
	if errors.Is(err, errManifest) {
		x.tried[from], x.kept = true, nil
		f.accuse(from)
	}
	return err
}

// hedge is how long a member may take to tell a manifest before the next one is asked too.
const hedge = 3 * time.Second

// told is what a member has said that a content is made of.
type told struct {
	link p2p.Link
	made *chunk.Manifest
	err  error
}

// manifestOf asks members what a content is made of: one, and the next when that fails or takes
// long.
func (f *fetcher) manifestOf(ctx context.Context, links []p2p.Link, x *fetch, old *older) (*chunk.Manifest, p2p.ID, error) {
	var base *chunk.Manifest
	if old != nil {
		base = old.manifest
	}
	within, cancel := context.WithCancel(ctx)
	answers := make(chan told)
	asked, waiting := 0, 0
	ask := func() {
		if asked == len(links) {
			return
		}
		l := links[asked]
		asked, waiting = asked+1, waiting+1
		go func() {
			m, err := f.askManifest(within, l, x, base)
			if errors.Is(err, errOther) && base != nil {
				// Two groups of chunks can have the same short name.
				m, err = f.askManifest(within, l, x, nil)
			}
			answers <- told{l, m, err}
		}()
	}
	defer func() {
		cancel()
		for range waiting {
			<-answers
		}
	}()
	ask()
	tick := time.NewTicker(min(hedge, f.r.s.o.Times.Stalled))
	defer tick.Stop()
	var errs []error
	without := 0
	for waiting > 0 {
		select {
		case <-tick.C:
			ask()
		case a := <-answers:
			waiting--
			if a.err == nil {
				return a.made, a.link.Peer(), nil
			}
			errs = append(errs, a.err)
			switch {
			case errors.Is(a.err, errNoManifest):
				without++
			case ctx.Err() == nil && f.blames(a.link, a.err):
				f.mu.Lock()
				x.lacks(a.link.Peer(), a.err)
				f.mu.Unlock()
			}
			ask()
		}
	}
	if without < len(links) {
		errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, errNoManifest) })
	}
	return nil, p2p.ID{}, errors.Join(errs...)
}

// complete gives a content that is whole the name by which the core knows it.
func complete(fsys *apply.Root, path string, h reconcile.Hash) error {
	if err := errors.Join(remove(fsys, replica.ArrivalName(h)), remove(fsys, mapOf(h))); err != nil {
		return err
	}
	return fsys.Rename(path, replica.ArrivalName(h))
}

// segments is what is still to come of a content.
type segments struct {
	mu     sync.Mutex // guards all following fields
	size   int64
	have   []bool
	taken  []bool
	since  int64
	failed error // of a sync
}

// take returns a segment that nobody brings yet.
func (s *segments) take() (i int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.have {
		if !s.have[i] && !s.taken[i] {
			s.taken[i] = true
			return i, true
		}
	}
	return 0, false
}

func (s *segments) giveBack(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[i] = false
}

func (s *segments) span(i int) (offset, length int64) {
	offset = int64(i) * segment
	return offset, min(segment, s.size-offset)
}

func (s *segments) missing() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.have {
		if !have {
			n++
		}
	}
	return n
}

// bytes is how many are missing.
func (s *segments) bytes() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, have := range s.have {
		if !have {
			_, length := s.span(i)
			n += length
		}
	}
	return n
}

// mapOf is the file that says which segments are in begun.
func mapOf(h reconcile.Hash) string { return apply.TempName(h) + ".map.part" }

// resume reads what an earlier attempt has brought. It is not believed: the whole is
// checked in the end.
func resume(fsys *apply.Root, h reconcile.Hash, size int64) *segments {
	n := int((size + segment - 1) / segment)
	s := &segments{size: size, have: make([]bool, n), taken: make([]bool, n)}
	if _, err := fsys.Lstat(begun(h)); err != nil {
		return s
	}
	f, err := fsys.Open(mapOf(h))
	if err != nil {
		return s
	}
	defer f.Close() // nothing was written
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return s
	}
	for i := range b {
		s.have[i] = b[i] == 1
	}
	return s
}

// lookForMore is how often it is looked for more members that can bring a content.
const lookForMore = 100 * time.Millisecond

// bringAll brings segments from all links at once, and from those of more that come to
// be while it lasts.
func (f *fetcher) bringAll(ctx context.Context, links []p2p.Link, x *fetch, s *segments, t, m apply.Temp, more func() []p2p.Link) error {
	var errs []error
	running, results, used := 0, make(chan error), map[p2p.ID]bool{}
	use := func(l p2p.Link) {
		if used[l.Peer()] {
			return
		}
		used[l.Peer()] = true
		for range segmentsPeer {
			running++
			go func() { results <- f.bringFrom(ctx, l, x, s, t, m) }()
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
			if more == nil {
				continue
			}
			for _, l := range more() {
				use(l)
			}
		}
	}
	return errors.Join(errs...)
}

// bringSegments brings the content from all links at once; more, if it is not nil,
// returns the members that can be asked by then.
func (f *fetcher) bringSegments(ctx context.Context, fsys *apply.Root, links []p2p.Link, x *fetch, more func() []p2p.Link) error {
	h := x.want.Hash
	s := resume(fsys, h, x.want.Size)
	if err := enough(fsys, s.bytes()); err != nil {
		return err
	}
	t, err := fsys.Create(begun(h))
	if err != nil {
		return err
	}
	m, err := fsys.Create(mapOf(h))
	if err != nil {
		return errors.Join(err, t.Close())
	}
	x.t.restart()
	for i, have := range s.have {
		if have {
			_, length := s.span(i)
			x.t.resumed(length)
		}
	}
	errs := f.bringAll(ctx, links, x, s, t, m, more)
	if err := s.unsynced(); err != nil {
		return errors.Join(err, t.Close(), m.Close(), forgetBegun(fsys, h))
	}
	if s.missing() > 0 {
		return errors.Join(errs, t.Close(), m.Close())
	}
	err = t.Truncate(x.want.Size)
	if err == nil {
		err = t.Sync()
	}
	if err := errors.Join(err, t.Close(), m.Close()); err != nil {
		return errors.Join(err, forgetBegun(fsys, h))
	}
	is, err := hashOf(ctx, fsys, begun(h))
	if err != nil {
		return err
	}
	if is != h {
		// With several members nobody knows who is wrong; one after the other they are asked.
		if len(links) == 1 {
			x.tried[links[0].Peer()] = true
		}
		x.alone = true
		return errors.Join(errOther, forgetBegun(fsys, h))
	}
	return complete(fsys, begun(h), h)
}

// errHere: not the member's fault.
var errHere = errors.New("cannot be written")

// reserve is how much of a disk is left free.
const reserve = 64 << 20

// errFull says that there is no room.
var errFull = errors.New("the disk is nearly full")

// enough reports, as errFull, that there is no room for size bytes.
func enough(fsys *apply.Root, size int64) error {
	free, _, err := fsys.Free()
	if err == nil && free < size+reserve {
		err = fmt.Errorf("%w: %d bytes are free, %d are needed", errFull, free, size+reserve)
	}
	return err
}

func forgetBegun(fsys *apply.Root, h reconcile.Hash) error {
	return errors.Join(fsys.Remove(begun(h)), fsys.Remove(mapOf(h)))
}

// bringFrom brings segments from one member until none is left.
func (f *fetcher) bringFrom(ctx context.Context, l p2p.Link, x *fetch, s *segments, t, m apply.Temp) error {
	for {
		i, ok := s.take()
		if !ok {
			return nil
		}
		if err := f.bringSegment(ctx, l, x, s, i, t); err != nil {
			s.giveBack(i)
			if !errors.Is(err, errHere) && ctx.Err() == nil && f.blames(l, err) {
				f.mu.Lock()
				x.tried[l.Peer()] = true
				f.mu.Unlock()
			}
			return err
		}
		if err := s.got(i, t, m); err != nil {
			return err
		}
	}
}

// unsynced returns why a part could not be made durable. The file must be thrown away
// then: another sync would report nothing.
func (s *segments) unsynced() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// got notes that a segment is in the file. The map is written after what it speaks
// of; whether it is on the disk earlier does not matter, since the whole is checked.
func (s *segments) got(i int, t, m apply.Temp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have[i] = true
	s.since += segment
	if s.since >= syncEvery {
		s.since = 0
		if err := t.Sync(); err != nil {
			s.failed = err
			return err
		}
	}
	_, err := m.WriteAt([]byte{1}, int64(i))
	return err
}

func (f *fetcher) bringSegment(ctx context.Context, l p2p.Link, x *fetch, s *segments, i int, t apply.Temp) error {
	offset, length := s.span(i)
	a, err := f.r.ask(ctx, l, request{Items: []item{{Hash: x.want.Hash[:], Path: x.want.Path, Offset: offset, Length: length}}})
	if err != nil {
		return err
	}
	defer a.end()
	if err := a.complete(); err != nil {
		return err
	}
	var p part
	if err := wire.ReadMsg(a.in, &p); err != nil {
		return err
	}
	switch {
	case p.Code != "":
		return refused(p.Code)
	case p.Length != length:
		return fmt.Errorf("%w: %d bytes instead of %d", errOther, p.Length, length)
	}
	x.t.from(l.Peer())
	buf := make([]byte, 128<<10)
	for done := int64(0); done < length; {
		n, err := io.ReadFull(a.in, buf[:min(int64(len(buf)), length-done)])
		if err != nil {
			x.t.add(-done, 0)
			return err
		}
		if _, err := t.WriteAt(buf[:n], offset+done); err != nil {
			return fmt.Errorf("%w: %w", errHere, err)
		}
		done += int64(n)
		x.t.add(int64(n), int64(n))
	}
	return nil
}

// hashOf reads the file at path.
func hashOf(ctx context.Context, fsys *apply.Root, path string) (h reconcile.Hash, err error) {
	in, err := fsys.Open(path)
	if err != nil {
		return h, err
	}
	defer in.Close() // nothing was written
	hash := blake3.New()
	buf := make([]byte, 256<<10)
	for {
		n, err := in.Read(buf)
		_, _ = hash.Write(buf[:n]) // never fails (hash.Hash)
		if err == io.EOF {
			hash.Sum(h[:0])
			return h, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return h, err
		}
	}
}
