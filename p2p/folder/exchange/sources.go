package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// older is a file that has probably much in common with a content that is wanted.
type older struct {
	file     apply.File
	manifest *chunk.Manifest
}

// source is a file from which chunks are copied.
type source struct {
	file  apply.File
	leave func() // of the folder that it is in; nil: it is somebody else's to close
}

func (u *update) closeSources() {
	for _, s := range u.sources {
		if s.leave != nil {
			_ = s.file.Close() // nothing was written
			s.leave()
		}
	}
}

// older opens the old version that a want names, if it is known what that is made of, or can
// be found out. Nil: there is none.
func (f *fetcher) older(ctx context.Context, fsys *apply.Root, x *fetch) (*older, error) {
	if x.want.Old == "" || x.want.OldSize < folder.ManifestFrom {
		return nil, nil
	}
	d := disk{f.r.s.o.Folders, f.r.id, f.r.place}
	row, found, err := d.Row(ctx, x.want.Old)
	if err != nil || !found {
		return nil, err
	}
	return f.openOlder(ctx, fsys, row.Path, folder.Hash(row.Hash))
}

// openOlder opens a file of this folder as an old version.
func (f *fetcher) openOlder(ctx context.Context, fsys *apply.Root, path string, h folder.Hash) (*older, error) {
	// It need not be just as it was scanned: what is copied is checked.
	in, err := fsys.Open(path)
	if err != nil {
		return nil, nil // a person has moved it: then there is no old version
	}
	st, err := in.Stat()
	if err == nil {
		var m *chunk.Manifest
		m, err = f.r.manifest(ctx, reconcile.Hash(h), in, st.Size)
		if err == nil && m.Len() > 0 {
			return &older{in, m}, nil
		}
	}
	_ = in.Close() // nothing was written
	if errors.Is(err, errNoManifest) || errors.Is(err, errOther) {
		return nil, nil
	}
	return nil, err
}

const (
	// maxSimilar is how many files of a folder are looked at for chunks of a content, and
	// maxSources how many of all folders are used.
	maxSimilar = 8
	maxSources = 32
)

// similar looks for a file of this folder that has much in common with a content. Nil: none.
func (f *fetcher) similar(ctx context.Context, fsys *apply.Root, m *chunk.Manifest) (*older, error) {
	found, err := f.r.s.o.Folders.Similar(ctx, f.r.id, m.Sketch(), 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return f.openOlder(ctx, fsys, found[0].Path, found[0].Hash)
}

// locate finds chunks on this disk that the old version has not. A folder is searched only if
// all who are asked for the content may read it: they could tell by what they are not asked for
// what is in it.
func (u *update) locate(ctx context.Context, fsys *apply.Root, links []p2p.Link) (map[chunk.Hash]assemble.Place, error) {
	missing := map[chunk.Hash]bool{}
	for i := range u.m.Len() {
		if !u.have[i] {
			missing[u.m.Chunk(i).Hash] = true
		}
	}
	if u.made != nil {
		for i := range u.made.Len() {
			delete(missing, u.made.Chunk(i).Hash)
		}
	}
	places := map[chunk.Hash]assemble.Place{}
	for _, r := range u.f.r.s.readable(u.f.r, links) {
		if len(missing) == 0 {
			break
		}
		before := len(places)
		if err := u.locateIn(ctx, fsys, r, missing, places); err != nil {
			return nil, err
		}
		if r != u.f.r && len(places) > before && !slices.Contains(u.foreign, r) {
			u.foreign = append(u.foreign, r)
		}
	}
	if len(u.foreign) == 0 {
		return places, nil
	}
	// Nobody else may see later what is not asked for: what is copied so is in a file with which
	// only an attempt goes on that asks nobody else; see goOn.
	mixed := apply.TempName(u.x.want.Hash) + ".mixed.part"
	if u.name == mixed {
		return places, nil
	}
	if err := errors.Join(remove(fsys, mixed), fsys.Rename(u.name, mixed)); err != nil {
		return nil, err
	}
	u.name = mixed
	return places, nil
}

// readable returns the runners of the folders that all of some members may read, that of r
// first.
func (s *Service) readable(r *runner, links []p2p.Link) []*runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []*runner{r}
	for _, other := range s.runners {
		secret := func(l p2p.Link) bool { return !s.o.Access(other.id, other.creator, l.Peer()).Read }
		if other != r && !slices.ContainsFunc(links, secret) {
			all = append(all, other)
		}
	}
	return all
}

// locateIn finds chunks in one folder, and takes them out of those that are missing.
func (u *update) locateIn(ctx context.Context, fsys *apply.Root, r *runner, missing map[chunk.Hash]bool, places map[chunk.Hash]assemble.Place) error {
	found, err := u.f.r.s.o.Folders.Similar(ctx, r.id, u.m.Sketch(), maxSimilar)
	if err != nil {
		return err
	}
	for _, file := range found {
		m, err := u.f.r.s.o.Folders.Manifest(ctx, file.Hash)
		if err != nil {
			continue // forgotten meanwhile
		}
		n := 0
		for i := range m.Len() {
			c := m.Chunk(i)
			if !missing[c.Hash] {
				continue
			}
			if n == 0 {
				if n = u.open(ctx, fsys, r, file); n == 0 {
					break
				}
			}
			places[c.Hash] = assemble.Place{File: n, Offset: c.Offset}
			delete(missing, c.Hash)
		}
	}
	return nil
}

// open opens a file of a folder as a source and returns its number; 0: it cannot be used.
func (u *update) open(ctx context.Context, fsys *apply.Root, r *runner, file folder.Similar) int {
	if len(u.sources) > maxSources {
		return 0
	}
	leave := func() {}
	if r != u.f.r {
		var err error
		if fsys, leave, err = r.place.enter(); err != nil {
			return 0
		}
	}
	in, _, err := openRow(ctx, disk{r.s.o.Folders, r.id, r.place}, fsys, file.Path, reconcile.Hash(file.Hash))
	if err != nil {
		leave()
		return 0
	}
	u.sources = append(u.sources, source{in, leave})
	return len(u.sources) - 1
}

// copyBytes is how much of a run one goroutine copies at a time.
const copyBytes = 8 << 20

// copyAll copies chunks that are here. What is not as it should be is queued.
func (u *update) copyAll(ctx context.Context, copies []assemble.Copy) {
	pieces := make(chan assemble.Copy)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		wg.Go(func() {
			in := u.intake()
			for c := range pieces {
				u.copyRun(c, in)
			}
		})
	}
	for _, c := range copies {
		for c.N > 0 && ctx.Err() == nil && !u.hasFailed() {
			piece := c
			piece.N = 1
			for piece.N < c.N && u.extent(piece.Run).Length < copyBytes {
				piece.N++
			}
			pieces <- piece
			n := u.extent(piece.Run).Length
			c.First, c.N, c.Offset = c.First+piece.N, c.N-piece.N, c.Offset+n
		}
	}
	close(pieces)
	wg.Wait()
	runs := make([]assemble.Run, len(copies))
	for i, c := range copies {
		runs[i] = c.Run
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.copying = false
	u.giveBack(nil, runs, false)
	u.turned.Broadcast()
}

func (u *update) copyRun(c assemble.Copy, in *intake) {
	from := io.ReaderAt(u.sources[c.File].file)
	in.out = u.out
	if u.cloned && c.File == assemble.Base && c.Offset == u.extent(c.Run).Offset {
		// It is there, as the old version was when it was cloned.
		from, in.out = u.t, nowhere{}
	}
	before := in.fresh
	r := io.NewSectionReader(from, c.Offset, u.extent(c.Run).Length)
	var err error
	for i := c.First; i < c.First+c.N && err == nil; i++ {
		_, err = in.take(i, r) // if it cannot be read, it is not as it was any more
	}
	if err := errors.Join(err, in.flush()); errors.Is(err, errHere) {
		u.fail(fmt.Errorf("copy %v: %w", u.x, err))
	}
	u.x.t.reused.Add(in.fresh - before)
}

// nowhere is written to for what is in its place.
type nowhere struct{}

// WriteAt implements io.WriterAt.
func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// repeat copies chunks that are equal to others of the content.
func (u *update) repeat(all []assemble.Repeat) error {
	var buf []byte
	for _, r := range all {
		c := u.m.Chunk(r.Chunk)
		buf = grow(buf, c.Length)
		if _, err := u.t.ReadAt(buf, u.m.Chunk(r.Of).Offset); err != nil {
			return err
		}
		to := u.checker([]assemble.Extent{{Offset: c.Offset, Length: int64(c.Length)}}, nil)
		if _, err := to.Write(buf); err != nil {
			return err
		}
		u.x.t.reused.Add(int64(c.Length))
		if !u.have[r.Chunk] {
			return fmt.Errorf("chunk %d: %w", r.Chunk, errOther)
		}
	}
	return nil
}

// verify finds out whether the file is the content, and returns the manifest with all pieces, or
// nil if that is not as everybody would make it. Only what was not hashed and cut when it went into
// the file is read again. Errors: errManifest if the manifest is that of another content.
func (u *update) verify(ctx context.Context) (*chunk.Manifest, error) {
	size := u.m.Size()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(runtime.GOMAXPROCS(0), 4))
	rooms := sync.Pool{New: func() any { return new([chunk.PieceSize]byte) }}
	for i := range u.pieces {
		if u.pieces[i] != (chunk.Hash{}) {
			continue
		}
		g.Go(func() error {
			room := rooms.Get().(*[chunk.PieceSize]byte)
			defer rooms.Put(room)
			at := int64(i) * chunk.PieceSize
			b := room[:min(chunk.PieceSize, size-at)]
			if err := errors.Join(ctx.Err(), readFull(u.t, b, at)); err != nil {
				return err
			}
			h, err := chunk.PieceHash(size, i, b)
			u.pieces[i] = h // nobody else looks at this one
			return err
		})
	}
	for first := 0; first < u.m.Len(); first += cutsAtOnce {
		if end := min(first+cutsAtOnce, u.m.Len()); slices.Contains(u.cut[first:end], false) {
			g.Go(func() error { return u.cutAgain(ctx, first, end) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	m, err := u.m.WithPieces(u.pieces)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errManifest, err)
	}
	if u.odd {
		return nil, nil
	}
	return m, nil
}

// cutsAtOnce is how many chunks one goroutine cuts again.
const cutsAtOnce = 64

// cutAgain finds out whether the file would be cut into just these chunks, as far as that is not
// known.
func (u *update) cutAgain(ctx context.Context, first, end int) error {
	var b []byte
	for i := first; i < end; i++ {
		if u.cut[i] {
			continue
		}
		c := u.m.Chunk(i)
		b = grow(b, c.Length)
		if err := errors.Join(ctx.Err(), readFull(u.t, b, c.Offset)); err != nil {
			return err
		}
		if !chunk.Ends(b, i == u.m.Len()-1) {
			u.mu.Lock()
			u.odd = true
			u.mu.Unlock()
			return nil
		}
	}
	return nil
}

// readFull reads as many bytes as b has.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	return err
}

func sum(b []byte) chunk.Hash { return blake3.Sum256(b) }

// grow returns b with a length of n.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
