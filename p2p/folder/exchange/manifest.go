package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// maxManifest is the most bytes of a manifest as it travels.
	maxManifest = 36*chunk.MaxChunks + 64<<20
	// manifestWithin is how long a member may be silent before it sends a manifest: it may
	// have to read the whole file for it.
	manifestWithin = 15 * time.Minute
	// manifestsAtOnce is how many are made at once for one member.
	manifestsAtOnce = 2
)

// codeNoManifest: the content is here, but not known chunk by chunk.
const codeNoManifest = "no_manifest"

// errNoManifest: the member has no manifest of it.
var errNoManifest = errors.New("the member has no manifest of it")

// serveManifest answers with what the content of an open file is made of.
func (r *runner) serveManifest(ctx context.Context, from p2p.ID, q request, f apply.File, size int64, of []byte, out sink) error {
	leave, err := r.s.deltas.wait(ctx, from, manifestsAtOnce, r.s.o.Times.Stalled)
	if err != nil {
		return err
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
	outline, err := chunk.ParseOutline(of)
	if err != nil {
		return fmt.Errorf("exchange: outline: %w: %w", wire.ErrMalformed, err)
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
	m, err := r.s.o.Folders.Manifest(ctx, folder.Hash(h))
	if err == nil || !errors.Is(err, folder.ErrNotFound) {
		return m, err
	}
	if size < folder.ManifestFrom {
		return nil, errNoManifest
	}
	m, err = chunk.Scan(ctxReader{ctx, io.NewSectionReader(f, 0, size)}, size)
	if errors.Is(err, chunk.ErrTooLarge) || err == nil && m.Len() == 0 {
		return nil, errNoManifest
	}
	if err != nil {
		return nil, err
	}
	if reconcile.Hash(m.Root()) != h {
		return nil, errOther
	}
	return m, r.s.o.Folders.SaveManifest(ctx, m)
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
	var p part
	if err := wire.ReadMsg(a.in, &p); err != nil {
		return nil, err
	}
	switch {
	case p.Code == codeNoManifest:
		return nil, errNoManifest
	case p.Code != "":
		return nil, fmt.Errorf("%w: %.40q", errNotHere, p.Code)
	case p.Length < 0 || p.Length > maxManifest:
		return nil, fmt.Errorf("manifest of %d bytes: %w", p.Length, wire.ErrMalformed)
	}
	a.timed.within = f.r.s.o.Times.Stalled
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
