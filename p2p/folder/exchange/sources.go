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

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
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
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	m, err := f.r.manifest(ctx, [32]byte(h), in, st.Size)
	if err == nil {
		return &older{in, m}, nil
	}
	_ = in.Close() // nothing was written
	if errors.Is(err, errNoManifest) || errors.Is(err, errOther) {
		return nil, nil
	}
	return nil, err
}

const (
	// probes is how many chunks of a content are looked for on this disk before all are.
	probes = 256
	// maxSources is from how many files besides an old version a content is copied.
	maxSources = 64
)

// similar looks for a file of this folder that has much in common with a content. Nil: none.
func (f *fetcher) similar(ctx context.Context, fsys *apply.Root, m *chunk.Manifest) (*older, error) {
	found, err := f.r.s.o.Folders.Locate(ctx, f.r.id, sample(m))
	if err != nil {
		return nil, err
	}
	votes := map[folder.Located]int{}
	var best folder.Located
	for _, l := range found {
		if l.Path == "" {
			continue
		}
		l.Offset = 0
		if votes[l]++; votes[l] > votes[best] {
			best = l
		}
	}
	if best.Path == "" {
		return nil, nil
	}
	return f.openOlder(ctx, fsys, best.Path, best.Hash)
}

// sample returns the hashes of some chunks, evenly spread.
func sample(m *chunk.Manifest) []chunk.Hash {
	n := min(m.Len(), probes)
	hashes := make([]chunk.Hash, n)
	for i := range hashes {
		hashes[i] = m.Chunk(i * m.Len() / n).Hash
	}
	return hashes
}

// locate finds chunks on this disk that the old version has not. A folder is searched only if
// all who are asked for the content may read it: they could tell by what they are not asked for
// what is in it.
func (u *update) locate(ctx context.Context, fsys *apply.Root, links []p2p.Link) (map[int]assemble.Place, error) {
	known := map[chunk.Hash]bool{}
	if u.made != nil {
		for i := range u.made.Len() {
			known[u.made.Chunk(i).Hash] = true
		}
	}
	var missing []int
	for i := range u.m.Len() {
		if !u.have[i] && !known[u.m.Chunk(i).Hash] {
			missing = append(missing, i)
		}
	}
	places := map[int]assemble.Place{}
	for _, r := range u.f.r.s.readable(u.f.r, links) {
		if len(missing) == 0 {
			break
		}
		if err := u.locateIn(ctx, fsys, r, missing, places); err != nil {
			return nil, err
		}
		missing = slices.DeleteFunc(missing, func(i int) bool { _, found := places[i]; return found })
	}
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

// locateIn finds chunks in one folder.
func (u *update) locateIn(ctx context.Context, fsys *apply.Root, r *runner, chunks []int, places map[int]assemble.Place) error {
	if len(chunks) > 4*probes {
		// Where no chunk of many is, the others are hardly worth a look for each.
		some := make([]chunk.Hash, probes)
		for i := range some {
			some[i] = u.m.Chunk(chunks[i*len(chunks)/probes]).Hash
		}
		found, err := u.f.r.s.o.Folders.Locate(ctx, r.id, some)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(l folder.Located) bool { return l.Path != "" }) {
			return nil
		}
	}
	hashes := make([]chunk.Hash, len(chunks))
	for i, c := range chunks {
		hashes[i] = u.m.Chunk(c).Hash
	}
	found, err := u.f.r.s.o.Folders.Locate(ctx, r.id, hashes)
	if err != nil {
		return err
	}
	files := map[string]int{}
	for i, l := range found {
		if l.Path == "" {
			continue
		}
		n, opened := files[l.Path]
		if !opened {
			n = u.open(ctx, fsys, r, l)
			files[l.Path] = n
		}
		if n > 0 {
			places[chunks[i]] = assemble.Place{File: n, Offset: l.Offset}
		}
	}
	return nil
}

// open opens a file of a folder as a source and returns its number; 0: it cannot be used.
func (u *update) open(ctx context.Context, fsys *apply.Root, r *runner, l folder.Located) int {
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
	in, _, err := openRow(ctx, disk{r.s.o.Folders, r.id, r.place}, fsys, l.Path, [32]byte(l.Hash))
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
			buf := make([]byte, 256<<10)
			for c := range pieces {
				u.copyRun(c, buf)
			}
		})
	}
	for _, c := range copies {
		for c.N > 0 && ctx.Err() == nil {
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
	for _, c := range copies {
		u.giveBack(job{runs: []assemble.Run{c.Run}}, false)
	}
}

func (u *update) copyRun(c assemble.Copy, buf []byte) {
	e := u.extent(c.Run)
	from, to := io.ReaderAt(u.sources[c.File].file), u.checker([]assemble.Extent{e})
	if u.cloned && c.File == assemble.Base && c.Offset == e.Offset {
		// It is there, as the old version was when it was cloned.
		from, to = u.t, assemble.NewChecker(u.m, nowhere{}, []assemble.Extent{e})
	}
	var copied int64
	to.OK = func(i int) {
		copied += int64(u.m.Chunk(i).Length)
		u.got(i)
	}
	for done := int64(0); done < e.Length; {
		n, err := from.ReadAt(buf[:min(int64(len(buf)), e.Length-done)], c.Offset+done)
		if n == 0 {
			break // it is not as it was any more
		}
		if _, err := to.Write(buf[:n]); err != nil {
			u.fail(fmt.Errorf("copy %v: %w", u.x, err))
			break
		}
		if done += int64(n); err != nil {
			break
		}
	}
	u.x.t.reused.Add(copied)
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
		to := u.checker([]assemble.Extent{{Offset: c.Offset, Length: int64(c.Length)}})
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

// verify reads the whole content, and returns its manifest with all pieces. Errors:
// errManifest if it is another one.
func (u *update) verify(ctx context.Context) (*chunk.Manifest, error) {
	size := u.m.Size()
	pieces := make([]chunk.Hash, (size+chunk.PieceSize-1)/chunk.PieceSize)
	next, results := make(chan int), make(chan error)
	workers := min(runtime.GOMAXPROCS(0), 4, len(pieces))
	for range workers {
		go func() {
			buf := make([]byte, chunk.PieceSize)
			var errs error
			for i := range next {
				at := int64(i) * chunk.PieceSize
				b := buf[:min(chunk.PieceSize, size-at)]
				_, err := u.t.ReadAt(b, at)
				if err == nil {
					pieces[i], err = chunk.PieceHash(size, i, b)
				}
				errs = errors.Join(errs, err)
			}
			results <- errs
		}()
	}
	for i := range pieces {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	errs := ctx.Err()
	for range workers {
		errs = errors.Join(errs, <-results)
	}
	if errs != nil {
		return nil, errs
	}
	m, err := u.m.WithPieces(pieces)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errManifest, err)
	}
	return m, nil
}

func sum(b []byte) chunk.Hash { return blake3.Sum256(b) }

// grow returns b with a length of n.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
