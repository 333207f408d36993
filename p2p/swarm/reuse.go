package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// File is a file on this disk from which pieces are copied. It need not be as it was: what is copied is
// verified.
type File interface {
	io.ReaderAt
	io.Closer
}

// LocalFile is a file of which the chunks are known.
type LocalFile struct {
	Manifest *chunk.Manifest
	Open     func() (File, error)
}

// Local finds files on this disk that all members may know of: by what is not asked for, they could tell what
// is in them.
type Local interface {
	// Whole opens a file that has a content; nil: there is none.
	Whole(ctx context.Context, root chunk.Hash) File
	// Similar finds files that share chunks of a sketch (chunk.Manifest.Sketch), the likeliest first.
	Similar(ctx context.Context, sketch []chunk.Hash) []LocalFile
}

// hold is how long nothing is asked of others while it is found out what is here already.
const hold = 700 * time.Millisecond

// reuse begins to find out what of the file is on this disk already. Until that is known, others are asked for
// nothing.
func (d *download) reuse() {
	local := d.s.o.Local != nil && d.seed.Size >= manifestFrom
	if d.idle.Load() || d.seed.Legacy != nil || d.c.Load().number() == d.seed.Count() || !local && len(d.seed.Bases) == 0 {
		return
	}
	d.picker.Want(d.now())
	d.manifests = make(chan []byte, 1)
	d.s.work.Go(func() {
		defer d.do(d.wantAll)
		if local && d.copyWhole() || d.patchAll() || !local {
			return
		}
		d.do(d.askManifest)
		select {
		case b := <-d.manifests:
			d.copySimilar(b)
		case <-time.After(hold):
		case <-d.ctx.Done():
		}
	})
}

// do has the owner do something.
func (d *download) do(f func()) { d.post(event{kind: evDo, do: f}) }

// askManifest asks a source for the manifest of the file: the first that is there.
func (d *download) askManifest() {
	d.curious = true
	for _, src := range d.sources {
		if src.joined && src.url == "" {
			d.askManifestOf(src)
			return
		}
	}
}

func (d *download) askManifestOf(src *source) {
	d.curious = false
	src.askBytes(msgManifest)
}

// takeManifest takes the manifest that a source has told.
func (d *download) takeManifest(src *source, b []byte) {
	d.count(src, int64(len(b)))
	select {
	case d.manifests <- b:
	default: // nobody waits for it any more, or it was not asked for
	}
}

// copyWhole copies the file from one that has the same content; it returns false if there is none.
func (d *download) copyWhole() bool {
	f := d.s.o.Local.Whole(d.ctx, d.seed.Root)
	if f == nil {
		return false
	}
	defer f.Close() // nothing was written
	c := d.c.Load()
	buf := make([]byte, d.seed.PieceLen)
	for i := range d.seed.Count() {
		if d.ctx.Err() != nil {
			return false
		}
		if c.has(i) {
			continue
		}
		offset, n := d.seed.Extent(i)
		if _, err := f.ReadAt(buf[:n], offset); err != nil {
			return false // it has been changed
		}
		if !d.offer(i, buf[:n]) {
			return false
		}
	}
	return true
}

// offer takes a piece from this disk; it returns false if that is another one, or cannot be written.
func (d *download) offer(i int, data []byte) bool {
	kind, err := d.put(i, data)
	switch kind {
	case evBad:
		return false
	case evDisk:
		d.post(event{kind: evDisk, err: err})
		return false
	}
	d.post(event{kind: evLocal, piece: i})
	return true
}

// A stretch is a chunk of the file that is in a file on this disk.
type stretch struct {
	file   int
	offset int64 // in that file
}

// maxLocal is how many files pieces are copied from.
const maxLocal = 32

// copySimilar copies pieces whose chunks are in files on this disk.
func (d *download) copySimilar(b []byte) {
	m, err := chunk.Parse(b)
	if err != nil || m.Root() != d.seed.Root || m.Size() != d.seed.Size {
		return // it helps nobody, and costs nobody anything
	}
	if err := d.s.o.Store.Describe(d.ctx, d.id, nil, b); err != nil {
		d.s.log.Error("not kept what a download is made of", "name", d.seed.Name, "error", err)
	}
	files := slices.Concat(d.s.similar(d.ctx, d.id, m.Sketch()), d.s.o.Local.Similar(d.ctx, m.Sketch()))
	files = files[:min(len(files), maxLocal)]
	found := map[chunk.Hash]stretch{}
	for n, f := range files {
		for i := range f.Manifest.Len() {
			c := f.Manifest.Chunk(i)
			if _, ok := found[c.Hash]; !ok {
				found[c.Hash] = stretch{n, c.Offset}
			}
		}
	}
	plan := d.covered(m, found)
	if plan.Count() == 0 {
		return
	}
	d.do(func() { d.picker.Want(d.now(), besides(plan)...) })
	open := make([]File, len(files))
	defer func() {
		for _, f := range open {
			if f != nil {
				_ = f.Close() // nothing was written
			}
		}
	}()
	buf := make([]byte, d.seed.PieceLen)
	for first, count := range plan.Runs() {
		for i := first; i < first+count && d.ctx.Err() == nil; i++ {
			_, n := d.seed.Extent(i)
			if d.gather(m, found, files, open, i, buf[:n]) == nil {
				d.offer(i, buf[:n]) // another one, if a file was changed: then it is asked for
			}
		}
	}
}

// covered returns the missing pieces of which all chunks are found.
func (d *download) covered(m *chunk.Manifest, found map[chunk.Hash]stretch) *picker.Bitmap {
	c := d.c.Load()
	plan := picker.NewBitmap(d.seed.Count())
	for i := range d.seed.Count() {
		if c.has(i) {
			continue
		}
		offset, n := d.seed.Extent(i)
		all := true
		for k := m.Find(offset); all && k >= 0 && k < m.Len() && m.Chunk(k).Offset < offset+int64(n); k++ {
			_, all = found[m.Chunk(k).Hash]
		}
		if all {
			plan.Set(i)
		}
	}
	return plan
}

// besides returns what is not in a set, as ranges.
func besides(plan *picker.Bitmap) []picker.Range {
	var ranges []picker.Range
	at := 0
	for first, count := range plan.Runs() {
		if first > at {
			ranges = append(ranges, picker.Range{First: at, Last: first - 1})
		}
		at = first + count
	}
	if at < plan.Len() {
		ranges = append(ranges, picker.Range{First: at, Last: plan.Len() - 1})
	}
	return ranges
}

// gather reads a piece from where its chunks are.
func (d *download) gather(m *chunk.Manifest, found map[chunk.Hash]stretch, files []LocalFile, open []File, i int, buf []byte) error {
	start, _ := d.seed.Extent(i)
	for at := start; at < start+int64(len(buf)); {
		k := m.Find(at)
		if k < 0 {
			return errNoChunk
		}
		c := m.Chunk(k)
		from, ok := found[c.Hash]
		if !ok {
			return errNoChunk
		}
		if open[from.file] == nil {
			f, err := files[from.file].Open()
			if err != nil {
				return err
			}
			open[from.file] = f
		}
		part := buf[at-start : min(int64(len(buf)), c.Offset+int64(c.Length)-start)]
		if _, err := open[from.file].ReadAt(part, from.offset+at-c.Offset); err != nil {
			return err
		}
		at += int64(len(part))
	}
	return nil
}

var errNoChunk = errors.New("a chunk is not there")

// maxKnown is how many of the other seeds that are kept here are looked at for chunks, the newest ones.
const maxKnown = 64

// similar finds other seeds that are whole here and share chunks of a sketch.
func (s *Service) similar(ctx context.Context, but seed.ID, sketch []chunk.Hash) []LocalFile {
	type candidate struct {
		id seed.ID
		at place
	}
	var all []candidate
	s.mu.Lock()
	for _, id := range slices.Backward(s.order) {
		e := s.entries[id]
		if id != but && e.row.Whole && e.why == nil && len(all) < maxKnown {
			all = append(all, candidate{id, place{e.row.Dir, e.row.Name}})
		}
	}
	s.mu.Unlock()
	wanted := map[chunk.Hash]bool{}
	for _, h := range sketch {
		wanted[h] = true
	}
	var out []LocalFile
	for _, c := range all {
		b, err := s.o.Store.Manifest(ctx, c.id)
		if err != nil || b == nil {
			continue
		}
		m, err := chunk.Parse(b)
		if err != nil || !slices.ContainsFunc(m.Sketch(), func(h chunk.Hash) bool { return wanted[h] }) {
			continue
		}
		out = append(out, LocalFile{m, func() (File, error) {
			f, _, err := c.at.open()
			return f, err
		}})
	}
	return out
}

// base opens a file on this disk that has a content, an older version of a seed; nil: there is none.
func (s *Service) base(ctx context.Context, root chunk.Hash) File {
	s.mu.Lock()
	e := s.entries[seed.ID(root)]
	var at place
	whole := e != nil && e.row.Whole && e.why == nil
	if whole {
		at = place{e.row.Dir, e.row.Name}
	}
	s.mu.Unlock()
	if whole {
		if f, _, err := at.open(); err == nil {
			return f
		}
	}
	if s.o.Local == nil {
		return nil
	}
	return s.o.Local.Whole(ctx, root)
}

// patchAll makes the file out of an older version that is here, by a delta that somebody has made; it returns
// false if there is no such version or delta.
func (d *download) patchAll() bool {
	c := d.c.Load()
	for _, b := range d.seed.Bases {
		missing := d.seed.Size * int64(d.seed.Count()-c.number()) / int64(d.seed.Count())
		if b.DeltaSize > missing*4/5 || d.ctx.Err() != nil {
			continue
		}
		old := d.s.base(d.ctx, b.Root)
		if old == nil {
			continue
		}
		err := d.patch(old, b)
		if err = errors.Join(err, old.Close()); err == nil {
			return true
		}
		d.s.log.Info("a delta was of no use", "name", d.seed.Name, "error", err)
	}
	return false
}

// patch fetches a delta and applies it.
func (d *download) patch(old File, b seed.Base) error {
	link := seed.Link{ID: seed.ID(b.Delta), Size: b.DeltaSize, Name: seed.PortableName(d.seed.Name + ".delta")}
	wanted, err := link.Seed()
	if err != nil {
		return err
	}
	if _, err := d.s.Download(d.ctx, GetOptions{Seed: wanted, Keep: true}); err != nil {
		return err
	}
	f, err := d.s.await(d.ctx, link.ID)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	r, err := delta.NewReader(io.NewSectionReader(f, 0, b.DeltaSize))
	if err != nil {
		return err
	}
	to := &pieces{d: d}
	if _, err := r.Patch(old, to); err != nil {
		return err
	}
	return to.close()
}

// patience is how long nothing of a delta may come before it is done without: whoever is there for it need not
// have any of it.
const patience = 8 * time.Second

// await opens a file when its download is over.
func (s *Service) await(ctx context.Context, id seed.ID) (File, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last, here := s.now(), int64(0)
	for {
		st, err := s.Get(id)
		if err == nil && st.Wire+st.Reused != here {
			last, here = s.now(), st.Wire+st.Reused // somebody sends something
		}
		switch {
		case err != nil:
			return nil, err
		case st.State == StateSeeding:
			f := s.base(ctx, chunk.Hash(id))
			if f == nil {
				return nil, fmt.Errorf("swarm: %s: %w", id.Short(), ErrNotFound)
			}
			return f, nil
		case st.State == StateError || st.State == StateChanged || st.State == StatePaused:
			return nil, fmt.Errorf("swarm: %s is %s: %s", st.Seed.Name, st.State, st.Error)
		case s.now().Sub(last) > patience:
			return nil, fmt.Errorf("swarm: %s: nobody sends it", st.Seed.Name)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// pieces takes a file from its first byte to its last, and the pieces of it.
type pieces struct {
	d    *download
	next int
	buf  bytes.Buffer
}

// Write implements io.Writer.
func (p *pieces) Write(b []byte) (int, error) {
	p.buf.Write(b)
	for p.next < p.d.seed.Count() {
		_, n := p.d.seed.Extent(p.next)
		if p.buf.Len() < n || n == 0 {
			break
		}
		if err := p.d.ctx.Err(); err != nil {
			return 0, err
		}
		if !p.d.offer(p.next, p.buf.Next(n)) {
			return 0, fmt.Errorf("piece %d: %w", p.next, seed.ErrMismatch)
		}
		p.next++
	}
	return len(b), nil
}

func (p *pieces) close() error {
	if p.next != p.d.seed.Count() {
		return fmt.Errorf("it ends with piece %d: %w", p.next, seed.ErrMismatch)
	}
	return nil
}
