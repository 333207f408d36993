package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// outlined says what a member knows of the manifest of a content: that of an older one.
type outlined struct {
	Length int64 `cbor:"1,keyasint"` // of the outline, which follows the request; 0: it knows none
}

const (
	// maxOutline is the most bytes of an outline: that of the largest manifest has a third.
	maxOutline = 1 << 20
	// manifestWithin is how long a member may be silent before it sends a manifest: it may
	// have to read the whole file for it.
	manifestWithin = 15 * time.Minute
	// manifestsAtOnce is how many are made at once for one member.
	manifestsAtOnce = 2
)

// codeNoManifest: the content is here, but not known chunk by chunk. codeBusy: too much is
// asked for at once.
const (
	codeNoManifest = "no_manifest"
	codeBusy       = "busy"
)

// errBusy: the member has too much to do, which is nobody's fault.
var errBusy = errors.New("the member is busy")

// errNoManifest: the member has no manifest of it.
var errNoManifest = errors.New("the member has no manifest of it")

// serveManifest answers with what the content of an open file is made of.
func (r *runner) serveManifest(ctx context.Context, from p2p.ID, q request, f apply.File, size int64, of []byte, out sink) error {
	outline, err := chunk.ParseOutline(of)
	if err != nil {
		return fmt.Errorf("exchange: outline: %w: %w", wire.ErrMalformed, err)
	}
	leave, err := r.s.manifests.wait(ctx, from, manifestsAtOnce, r.s.o.Times.Stalled/2)
	if err != nil {
		return wire.WriteMsg(out, part{Code: codeBusy})
	}
	defer leave()
	m, err := r.manifest(ctx, reconcile.Hash(q.Items[0].Hash), f, size)
	if errors.Is(err, errNoManifest) {
		return wire.WriteMsg(out, part{Code: codeNoManifest})
	}
	if errors.Is(err, errOther) {
		return wire.WriteMsg(out, part{Code: codeNotHere})
	}
	if err != nil {
		return err
	}
	b := m.Difference(outline)
	if err := wire.WriteMsg(out, part{Length: int64(len(b))}); err != nil {
		return err
	}
	_, err = out.Write(b)
	return err
}

// manifest returns what a content is made of that an open file has. Errors:
// errNoManifest if it has none, errOther if the file has another content.
func (r *runner) manifest(ctx context.Context, h reconcile.Hash, f io.ReaderAt, size int64) (*chunk.Manifest, error) {
	if size < folder.ManifestFrom {
		return nil, errNoManifest
	}
	m, err := r.s.o.Folders.Manifest(ctx, folder.Hash(h))
	if err == nil || !errors.Is(err, folder.ErrNotFound) {
		return m, err
	}
	// One file is read at a time: the next who waits may want the same.
	select {
	case r.s.scans <- struct{}{}:
		defer func() { <-r.s.scans }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m, err := r.s.o.Folders.Manifest(ctx, folder.Hash(h)); err == nil {
		return m, nil
	}
	if r.s.unmade.has(h) {
		return nil, errNoManifest
	}
	m, err = chunk.Scan(ctxReader{ctx, io.NewSectionReader(f, 0, size)}, size)
	if errors.Is(err, chunk.ErrTooLarge) || err == nil && m.Len() == 0 {
		r.s.unmade.add(h)
		return nil, errNoManifest
	}
	if err != nil {
		return nil, err
	}
	if reconcile.Hash(m.Root()) != h {
		r.s.unmade.add(h)
		return nil, errOther
	}
	return m, r.s.o.Folders.SaveManifest(ctx, m)
}

// unmade remembers for a while of what no manifest could be made. The zero value works.
type unmade struct {
	mu    sync.Mutex // guards since
	since map[reconcile.Hash]time.Time
}

const (
	unmadeFor = 10 * time.Minute
	maxUnmade = 1000
)

func (u *unmade) has(h reconcile.Hash) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, ok := u.since[h]
	return ok && time.Since(at) < unmadeFor
}

func (u *unmade) add(h reconcile.Hash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.since == nil || len(u.since) >= maxUnmade {
		u.since = map[reconcile.Hash]time.Time{}
	}
	u.since[h] = time.Now()
}

// ctxReader is a reader that ends with its context.
type ctxReader struct {
	ctx context.Context
	io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// askManifest asks a member what a content is made of; base is the manifest of one that has
// much in common with it, or nil. Errors: errNotHere, errNoManifest, errOther for what cannot
// be the content's.
func (f *fetcher) askManifest(ctx context.Context, l p2p.Link, x *fetch, base *chunk.Manifest) (*chunk.Manifest, error) {
	// Of a new file the pieces come too: by them a wrong manifest is found at once. Of a new
	// version they would often be more than what has changed.
	outline := chunk.Outline{Pieces: base == nil}
	if base == nil {
		base = &chunk.Manifest{}
	} else {
		outline = base.Outline(chunk.OutlineBits(base.Len()))
		outline.Pieces = false
	}
	packed, err := outline.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	q := request{Items: []item{{Hash: x.want.Hash[:], Path: x.want.Path}}, Manifest: &outlined{Length: int64(len(packed))}}
	a, err := f.r.askWith(ctx, l, q, packed, x.t)
	if err != nil {
		return nil, err
	}
	defer a.end()
	if err := a.complete(); err != nil {
		return nil, err
	}
	a.timed.within = max(a.timed.within, manifestWithin)
	p, err := readPart(a.in)
	if err != nil {
		return nil, err
	}
	if most := longestManifest(x.want.Size) + 16*int64(outline.Groups()); p.Length < 0 || p.Length > most {
		return nil, fmt.Errorf("manifest of %d bytes: %w", p.Length, wire.ErrMalformed)
	}
	// That it had to read the file is not held against the member.
	a.timed.within, a.timed.waited = f.r.s.o.Times.Stalled, 0
	b, err := readGrowing(a.in, p.Length)
	if err != nil {
		return nil, err
	}
	m, err := base.Apply(outline, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOther, err)
	}
	if m.Size() != x.want.Size || reconcile.Hash(m.Root()) != x.want.Hash {
		return nil, errOther
	}
	if m.Len() == 0 && m.Size() > 0 {
		return nil, errNoManifest
	}
	return m, nil
}

// longestManifest is the most bytes that the manifest of a file takes as it travels.
func longestManifest(size int64) int64 {
	return 36*min(size/chunk.Least+1, chunk.MaxChunks) + 32*(size/chunk.PieceSize+1) + 4096
}

// readGrowing reads n bytes. Room is made as they arrive.
func readGrowing(in io.Reader, n int64) ([]byte, error) {
	b := make([]byte, 0, min(n, 64<<10))
	for int64(len(b)) < n {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		k, err := io.ReadFull(in, b[len(b):min(int64(cap(b)), n)])
		b = b[:len(b)+k]
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}
