package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// judge finds out who is wrong where a member has sent a chunk that is not as the manifest
// says: the member, or who told the manifest. The pieces of a content prove by its hash what
// is in it, whoever sends them. Errors: errManifest or errOther, or what kept it from being found
// out, for which the member is not to blame if its link has ended.
func (u *update) judge(ctx context.Context, l p2p.Link, i int) error {
	other := fmt.Errorf("chunk %d: %w", i, errOther)
	if l.Peer() == u.giver {
		return other // it contradicts itself
	}
	m, err := u.f.askManifest(ctx, l, u.x, nil)
	if err != nil {
		return unproven(other, err)
	}
	if m.Pieces() == nil {
		return other
	}
	c := u.m.Chunk(i)
	first := c.Offset / chunk.PieceSize * chunk.PieceSize
	end := min((c.Offset+int64(c.Length)+chunk.PieceSize-1)/chunk.PieceSize*chunk.PieceSize, m.Size())
	b, err := u.f.bringRange(ctx, l, u.x, first, end-first)
	if err != nil {
		return unproven(other, err)
	}
	for off := int64(0); off < int64(len(b)); off += chunk.PieceSize {
		piece := b[off:min(off+chunk.PieceSize, int64(len(b)))]
		if !chunk.VerifyPiece(m.Size(), m.Pieces(), int((first+off)/chunk.PieceSize), piece) {
			return other
		}
	}
	if sum(b[c.Offset-first:][:c.Length]) == c.Hash {
		return other // it was wrong before
	}
	return fmt.Errorf("chunk %d: %w", i, errManifest)
}

// unproven is what is said of a member that has sent something else if nothing is proven by what it has
// answered then. That it has the content not, or does not know it chunk by chunk, proves nothing against
// who told the manifest, nor is it a reason to ask anybody otherwise. All else may be nobody's fault.
func unproven(other, err error) error {
	switch {
	case errors.Is(err, errNotHere), errors.Is(err, errNoManifest):
		return other
	case errors.Is(err, errAway):
		return fmt.Errorf("%v, and then: %v", other, err) // it is not asked again as who is only away
	}
	return err // it may have been cut off
}

// bringRange brings some bytes of a content, few enough to be in memory.
func (f *fetcher) bringRange(ctx context.Context, l p2p.Link, x *fetch, offset, length int64) ([]byte, error) {
	q := request{Items: []item{{Hash: x.want.Hash[:], Path: x.want.Path, Offset: offset, Length: length}}}
	a, err := f.r.askWith(ctx, l, q, nil, x.t)
	if err != nil {
		return nil, err
	}
	defer a.end()
	if err := a.complete(); err != nil {
		return nil, err
	}
	p, err := readPart(a.in)
	if err != nil {
		return nil, err
	}
	if p.Length != length {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", errOther, p.Length, length)
	}
	b := make([]byte, length)
	_, err = io.ReadFull(a.in, b)
	return b, err
}

// distrust is how long somebody is not asked for contents who has told a manifest that is
// proven to be wrong, as long as there are others.
const distrust = time.Hour

// accuse notes that a member has told a wrong manifest.
func (f *fetcher) accuse(peer p2p.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.liars[peer] = time.Now()
	f.r.s.log.Warn("folder: a member has told what a content is made of, and that was wrong", "folder", f.r.label, "peer", peer.Short())
}

// askable are the links to the members that can be asked for a content: those that have not
// failed to bring it, and none that lies, if there are others.
func (f *fetcher) askable(x *fetch) []p2p.Link {
	all := f.sources()
	f.mu.Lock()
	defer f.mu.Unlock()
	var good, bad []p2p.Link
	for _, p := range all {
		switch id := p.link.Peer(); {
		case x.tried[id]:
		case time.Since(f.liars[id]) < distrust:
			bad = append(bad, p.link)
		default:
			good = append(good, p.link)
		}
	}
	if len(good) == 0 {
		return bad
	}
	return good
}
