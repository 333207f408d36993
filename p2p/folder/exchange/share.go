package exchange

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// maxPartsStreams is how many streams of PartsProtocol one member may have, over all folders.
	maxPartsStreams = 64
	// newsEvery is how long it is gathered what chunks have come before others are told.
	newsEvery = 75 * time.Millisecond
)

// share lets others have what is here of a content that is being brought: chunks that are in its
// file, checked. That is said by who has them now, and nothing of it is to be remembered: it may be
// lost with the power.
func (f *fetcher) share(u *update) {
	u.sum = sumOf(u.m)
	u.mu.Lock()
	u.came = u.came[:0]
	for i, have := range u.have {
		if have {
			u.came = append(u.came, int32(i))
		}
	}
	u.mu.Unlock()
	f.mu.Lock()
	f.shares[u.x.want.Hash] = u
	f.mu.Unlock()
	f.crowd.wake()
}

// unshare ends share, once. What others read at the time they read to its end.
func (f *fetcher) unshare(u *update) {
	f.mu.Lock()
	if f.shares[u.x.want.Hash] == u {
		delete(f.shares, u.x.want.Hash)
	}
	f.mu.Unlock()
	close(u.over)
	f.crowd.wake()
}

// shared returns what brings a content by the chunks of a manifest, if somebody may have of it what
// is here. Nil: there is no such thing now; wanted: there may be soon.
func (f *fetcher) shared(h reconcile.Hash, sum []byte, with p2p.ID) (u *update, wanted bool) {
	f.mu.Lock()
	u, wanted = f.shares[h], f.running[h] != nil
	f.mu.Unlock()
	if u == nil || !u.maySee(with) || string(sum) != string(u.sum[:]) {
		return nil, wanted && u == nil
	}
	return u, true
}

// covers reports whether all chunks are here that have something of some bytes, which lie within the
// content.
func (u *update) covers(offset, length int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := u.m.Find(offset); i >= 0 && i < u.m.Len() && u.m.Chunk(i).Offset < offset+length; i++ {
		if !u.have[i] {
			return false
		}
	}
	return length > 0
}

// openPart opens what is here of a content that is being brought. What a member asks for is looked
// up, as with whole contents; the file has the name that this node has given it.
func (a *served) openPart(it item) (apply.File, *update) {
	if len(a.sum) == 0 || len(it.Hash) != len(reconcile.Hash{}) {
		return nil, nil
	}
	u, _ := a.fetch.shared(reconcile.Hash(it.Hash), a.sum, a.to)
	if u == nil {
		return nil, nil
	}
	f, err := a.fsys.Open(u.name)
	if err != nil {
		return nil, nil // it has just become whole, or was given up
	}
	return f, u
}

// serveParts tells a member what is here of a content, and what comes.
func (s *Service) serveParts(ctx context.Context, from p2p.ID, conn net.Conn) error {
	out := timedWriter{conn, s.o.Times.Stalled}
	leave, ok := s.parts.enter(from, maxPartsStreams)
	if !ok {
		return wire.WriteMsg(out, partsWelcome{Code: codeBusy})
	}
	defer leave()
	if err := conn.SetReadDeadline(time.Now().Add(s.o.Times.Hello)); err != nil {
		return err
	}
	var h partsHello
	in := bufio.NewReaderSize(conn, 512)
	if err := wire.ReadMsg(in, &h); err != nil {
		return err
	}
	r, code := s.permit(h.Folder, h.Creator, from)
	if code == "" && (len(h.Hash) != len(reconcile.Hash{}) || len(h.Sum) != len(chunk.Hash{})) {
		code = codeMalformed
	}
	whole := code == "" && r.holds(ctx, item{Hash: h.Hash, Path: h.Path})
	if code == "" && !whole {
		if _, wanted := r.fetch.shared(reconcile.Hash(h.Hash), h.Sum, from); !wanted {
			code = codeNotHere
		}
	}
	if err := wire.WriteMsg(out, partsWelcome{Code: code, Whole: whole}); err != nil || code != "" || whole {
		return err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	// Who asks says nothing more, and goes when it likes.
	ctx, cancel := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer cancel()
		_, _ = in.ReadByte() // whatever it is, that is all
	}()
	defer func() {
		cancel()
		_ = conn.SetReadDeadline(time.Now()) // it is broken if that fails, and nobody reads from it
		<-gone
	}()
	return r.tellParts(ctx, from, h, out)
}

// holds reports whether a content is here as a whole.
func (r *runner) holds(ctx context.Context, it item) bool {
	fsys, leave, err := r.place.enter()
	if err != nil {
		return false
	}
	defer leave()
	f, _, err := r.findWhole(ctx, fsys, it)
	if err == nil {
		_ = f.Close() // nothing was written
	}
	return err == nil
}

// tellParts tells a member what comes of a content from when it begins to come until that ends.
func (r *runner) tellParts(ctx context.Context, to p2p.ID, h partsHello, out io.Writer) error {
	for {
		turned := r.fetch.crowd.wait()
		u, wanted := r.fetch.shared(reconcile.Hash(h.Hash), h.Sum, to)
		switch {
		case u != nil:
			u.meets(to)
			return u.tell(ctx, to, out)
		case !wanted:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.ended:
			return nil
		case <-turned:
		}
	}
}

// tell tells a member what is here, and what comes until all is here or it ends.
func (u *update) tell(ctx context.Context, to p2p.ID, out io.Writer) error {
	told := 0
	for last := false; ; {
		turned := u.arrivals.wait()
		u.mu.Lock()
		came := slices.Clone(u.came[told:])
		u.mu.Unlock()
		told += len(came)
		slices.Sort(came)
		r := u.f.r
		for _, news := range newsOf(came) {
			if _, code := r.s.permit(r.id, r.creator[:], to); code != "" || !u.maySee(to) {
				return fmt.Errorf("exchange: %s may not have the folder any more: %.20q", to.Short(), code)
			}
			if err := wire.WriteMsg(out, news); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-u.over:
			last = true
			continue
		case <-turned:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-u.over:
		case <-time.After(newsEvery):
		}
	}
}

// maySee reports whether a member may know which chunks are here: some may have been copied from
// other folders.
func (u *update) maySee(id p2p.ID) bool {
	return !slices.ContainsFunc(u.foreign, func(r *runner) bool { return !u.f.r.s.o.Access(r.id, r.creator, id).Read })
}

// meets notes that a member brings the same content, so that it is asked soon.
func (u *update) meets(id p2p.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.met == nil {
		u.met = map[p2p.ID]bool{}
	}
	u.met[id] = true
}

// findWhole is find that also finds what has come and is not where it belongs yet.
func (r *runner) findWhole(ctx context.Context, fsys *apply.Root, it item) (apply.File, apply.Stat, error) {
	f, st, err := r.find(ctx, fsys, it)
	if err == nil || len(it.Hash) != len(reconcile.Hash{}) {
		return f, st, err
	}
	if f, st, lerr := r.findLanded(fsys, reconcile.Hash(it.Hash)); lerr == nil {
		return f, st, nil
	}
	return nil, apply.Stat{}, err
}

// findLanded opens a content that is whole, and not yet where it belongs.
func (r *runner) findLanded(fsys *apply.Root, h reconcile.Hash) (apply.File, apply.Stat, error) {
	size, ok := r.fetch.hasLanded(h)
	if !ok {
		return nil, apply.Stat{}, replica.ErrNotFound
	}
	f, err := fsys.Open(replica.ArrivalName(h))
	if err != nil {
		return nil, apply.Stat{}, err
	}
	st, err := f.Stat()
	if err == nil && st.Size != size {
		err = apply.ErrUnexpected
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, apply.Stat{}, err
	}
	return f, st, nil
}

// hasLanded reports whether a large content is whole and waits to be put where it belongs, and how
// long it is.
func (f *fetcher) hasLanded(h reconcile.Hash) (size int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.landed {
		if l.t.want.Hash == h && l.t.want.Size > small {
			return l.t.want.Size, true
		}
	}
	return 0, false
}
