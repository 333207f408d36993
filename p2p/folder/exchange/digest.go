package exchange

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// DigestProtocol is the name of the calls by which two members compare all that they
// know of a folder. Numbers and cursors say what should be equal; this says whether
// it is.
const DigestProtocol = "folder-digest/1"

// digestRequest asks for the digest of a folder.
type digestRequest struct {
	Folder  string `cbor:"1,keyasint"`
	Creator []byte `cbor:"2,keyasint"`
}

// digest is what a node knows of a folder, in short: the number of entries, and the
// exclusive or of their BLAKE3-256, which does not depend on an order.
type digest struct {
	Entries uint64 `cbor:"1,keyasint"`
	Sum     []byte `cbor:"2,keyasint"`
}

func (d digest) equal(o digest) bool { return d.Entries == o.Entries && bytes.Equal(d.Sum, o.Sum) }

// entryDigest is the BLAKE3-256 of an entry with its ID.
func entryDigest(e reconcile.Entry) ([32]byte, error) {
	b, err := appendPage(nil, page{entries: []reconcile.Entry{e}})
	return blake3.Sum256(b), err
}

// digest reads all entries.
func (r *runner) digest(ctx context.Context) (digest, error) {
	d := digest{Sum: make([]byte, 32)}
	for after := uint64(0); ; {
		var part []replica.Stored
		err := r.s.o.Store.Read(ctx, r.id, func(rd replica.Reader) (err error) {
			part, err = rd.Since(after, pageEntries)
			return err
		})
		if err != nil || len(part) == 0 {
			return d, err
		}
		for _, s := range part {
			after = s.Seq
			sum, err := entryDigest(s.Entry)
			if err != nil {
				return d, err
			}
			d.Entries++
			for i := range sum {
				d.Sum[i] ^= sum[i]
			}
		}
	}
}

// cachedDigest is digest, made again only if something has changed: others can ask as
// often as they like. The caller holds r.digests.
func (r *runner) cachedDigest(ctx context.Context) (digest, error) {
	seq, err := r.lastSeq(ctx)
	if err != nil {
		return digest{}, err
	}
	if r.digestOf == seq && r.lastDigest.Sum != nil {
		return r.lastDigest, nil
	}
	d, err := r.digest(ctx)
	if err == nil {
		r.lastDigest, r.digestOf = d, seq
	}
	return d, err
}

// HandleDigest answers a call of DigestProtocol.
func (s *Service) HandleDigest(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) {
	var q digestRequest
	if err := wire.Unmarshal(req, &q); err != nil {
		return nil, &p2p.CallError{Code: codeMalformed, Message: "not a request for a digest"}
	}
	r, code := s.permit(q.Folder, q.Creator, from.Peer())
	if code != "" {
		return nil, &p2p.CallError{Code: code, Message: "no digest"}
	}
	if !r.digests.TryLock() {
		return nil, &p2p.CallError{Code: codeNotReady, Message: "one is being made"}
	}
	defer r.digests.Unlock()
	d, err := r.cachedDigest(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(d)
}

// compare compares with the member from time to time, and has everything sent again
// where something is missing.
func (p *pull) compare(ctx context.Context) {
	tick := time.NewTimer(p.r.s.o.Times.Digest)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		same, err := p.same(ctx)
		if err == nil && !same {
			select {
			case <-ctx.Done():
				return
			case <-time.After(p.r.s.o.Times.Again):
			}
			same, err = p.same(ctx)
		}
		if err == nil && !same {
			p.r.s.log.Warn("folder: a member knows something else; it is asked for everything again",
				"folder", p.r.label, "peer", p.link.Peer().Short())
			p.mu.Lock()
			p.afresh = true
			p.mu.Unlock()
			return // the stream is opened again
		}
		tick.Reset(p.r.s.o.Times.Digest)
	}
}

// same compares the digests once.
func (p *pull) same(ctx context.Context) (bool, error) {
	req, err := wire.Marshal(digestRequest{Folder: p.r.id, Creator: p.r.creator[:]})
	if err != nil {
		return false, err
	}
	b, err := p.link.Call(ctx, DigestProtocol, req)
	if err != nil {
		return false, err
	}
	var theirs digest
	if err := wire.Unmarshal(b, &theirs); err != nil {
		return false, err
	}
	ours, err := p.r.digest(ctx)
	if err != nil {
		return false, fmt.Errorf("exchange: digest of %s: %w", p.r.label, err)
	}
	return ours.equal(theirs), nil
}
