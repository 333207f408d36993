package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// gapped asks for some parts of a content as a delta against a file that only the one who
// asks has. The sums of its signature follow the request.
type gapped struct {
	Spans []partSpan `cbor:"1,keyasint"`
	Block int        `cbor:"2,keyasint"` // of the signature, in bytes
	Size  int64      `cbor:"3,keyasint"` // of the file that was signed
	Seed  uint64     `cbor:"4,keyasint"`
	Table int64      `cbor:"5,keyasint"` // bytes of the sums
}

// partSpan is a part of a content, in bytes.
type partSpan struct {
	Offset int64 `cbor:"1,keyasint"`
	Length int64 `cbor:"2,keyasint"`
}

const (
	// maxTable bounds the sums of a signature: those of the longest old file that is asked
	// about, in the shortest blocks.
	maxTable = 4 << 20
	// gapsAtOnce is how many deltas are made at once for one member. More wait.
	gapsAtOnce = 2
)

// readTable reads the sums that follow a request.
func (g *gapped) readTable(in *bufio.Reader) (*delta.Signature, error) {
	if g.Table < 0 || g.Table > maxTable || len(g.Spans) == 0 || len(g.Spans) > assemble.MaxExtents {
		return nil, fmt.Errorf("exchange: request for %d parts with %d bytes of sums: %w", len(g.Spans), g.Table, wire.ErrMalformed)
	}
	table, err := readGrowing(in, g.Table)
	if err != nil {
		return nil, err
	}
	return delta.NewSignature(g.Block, g.Size, g.Seed, table)
}

// serveGaps answers with the delta of some parts of an open file.
func (r *runner) serveGaps(ctx context.Context, from p2p.ID, g *gapped, sig *delta.Signature, f apply.File, size int64, out sink) error {
	leave, err := r.s.deltas.wait(ctx, from, gapsAtOnce, r.s.o.Times.Stalled/2)
	if err != nil {
		return wire.WriteMsg(out, part{Code: codeBusy})
	}
	defer leave()
	var parts []assemble.Extent
	var sum int64
	for _, s := range g.Spans {
		// A single chunk may be longer than a bundle is otherwise.
		if s.Offset < 0 || s.Length < 0 || s.Offset > size || s.Length > size-s.Offset || sum+s.Length > 2*assemble.MaxNew {
			return fmt.Errorf("exchange: delta of bytes %d+%d: %w", s.Offset, s.Length, wire.ErrMalformed)
		}
		sum += s.Length
		parts = append(parts, assemble.Extent(s))
	}
	if err := wire.WriteMsg(out, part{}); err != nil {
		return err
	}
	if err := out.Flush(); err != nil { // long may pass before the next byte
		return err
	}
	_, err = delta.EncodeWith(out, sig, assemble.Reader(f, parts), sum, delta.EncodeOptions{Bare: true})
	return err
}

// bringGaps brings what is in some gaps of a content.
func (u *update) bringGaps(ctx context.Context, l p2p.Link, b assemble.Bundle) error {
	base := readable{u.base}
	sig, err := b.Sign(base)
	if errors.Is(err, errBase) {
		u.unreadable(err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: sign the old version: %w", errHere, err)
	}
	g := gapped{Block: sig.Block(), Size: sig.Size(), Seed: sig.Seed(), Table: int64(len(sig.Table()))}
	for _, e := range b.New {
		g.Spans = append(g.Spans, partSpan(e))
	}
	q := request{Items: []item{{Hash: u.x.want.Hash[:], Path: u.x.want.Path}}, Gaps: &g}
	a, err := u.f.r.askWith(ctx, l, q, sig.Table(), u.x.t)
	if err != nil {
		return err
	}
	defer a.end()
	if err := a.complete(); err != nil {
		return err
	}
	if _, err := readPart(a.in); err != nil {
		return err
	}
	u.x.t.from(l.Peer())
	d, err := delta.NewReader(a.in)
	if err != nil {
		return err
	}
	size := assemble.Size(b.New)
	if h := d.Header(); h.Size != size || h.BaseSize != sig.Size() {
		return errOther
	}
	var given, fresh int64
	w := &paced{u.checker(b.New, &fresh), a.timed}
	_, err = delta.Patch(b.Join(base), weighed(d.Ops(), &given), w, delta.PatchOptions{Size: size, Bare: true})
	u.x.t.reused.Add(max(0, fresh-given))
	switch {
	case errors.Is(err, errWrite):
		return fmt.Errorf("%w: %w", errHere, err)
	case errors.Is(err, errBase):
		u.unreadable(err)
		return nil
	case err != nil:
		return err
	}
	u.gained(size, given+g.Table)
	return nil
}

// readable is an old version whose errors can be told from others.
type readable struct{ io.ReaderAt }

// errBase: the old version cannot be read as it was.
var errBase = errors.New("the old version cannot be read")

// ReadAt implements io.ReaderAt. Errors: errBase.
func (r readable) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if n < len(p) {
		return n, fmt.Errorf("%w: at %d: %v", errBase, off+int64(n), err)
	}
	return n, nil
}

// unreadable has the rest brought without the old version.
func (u *update) unreadable(err error) {
	u.f.r.s.log.Debug("folder: no deltas", "folder", u.f.r.label, "path", u.x.want.Path, "error", err)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.noDeltas()
}

// weighed counts the bytes that operations bring.
func weighed(ops iter.Seq2[delta.Op, error], given *int64) iter.Seq2[delta.Op, error] {
	return func(yield func(delta.Op, error) bool) {
		for op, err := range ops {
			*given += int64(len(op.Data))
			if !yield(op, err) {
				return
			}
		}
	}
}

// paced counts what is written as brought: a member that tells what to copy is not slow.
type paced struct {
	w     *assemble.Checker
	timed *timedReader
}

func (p *paced) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.timed.got += int64(n)
	if err != nil {
		err = fmt.Errorf("%w: %w", errWrite, err)
	}
	return n, err
}

// errWrite marks that this disk has failed, not the member.
var errWrite = errors.New("write")
