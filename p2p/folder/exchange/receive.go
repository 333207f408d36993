package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/pack"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// errOther: what came is not what was asked for.
var errOther = errors.New("the content is another one")

// errNotHere: the member has it not.
var errNotHere = errors.New("the member has it not")

// slowest is how many bytes a second a member has to bring on average: who brings
// less keeps a content from being asked of others.
const slowest = 512

// timedReader gives each read its time, and all of them together no more than slowest
// says. Only waiting counts.
type timedReader struct {
	conn   net.Conn
	within time.Duration
	got    int64
	waited time.Duration
	t      *transfer // that counts what is read; nil: none
}

func (r *timedReader) Read(p []byte) (int, error) {
	start := time.Now()
	if err := r.conn.SetReadDeadline(start.Add(r.patience())); err != nil {
		return 0, err
	}
	n, err := r.conn.Read(p)
	r.got += int64(n)
	if r.t != nil {
		r.t.add(0, int64(n))
	}
	r.waited += time.Since(start)
	return n, err
}

// patience is how long the next read may take.
func (r *timedReader) patience() time.Duration {
	earned := time.Duration(r.got/slowest) * time.Second
	return min(r.within, r.within+earned-r.waited)
}

// asked is a stream on which an answer comes.
type asked struct {
	conn  net.Conn
	timed *timedReader
	in    *bufio.Reader
	packs *pack.Reader // under in; nil: the answer is not packed
	out   io.Writer    // for more requests
	end   func()
}

// complete tells the member that nothing more is asked.
func (a *asked) complete() error {
	if c, ok := a.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// ask opens a stream for a request.
func (r *runner) ask(ctx context.Context, l p2p.Link, q request) (*asked, error) {
	return r.askWith(ctx, l, q, nil, nil)
}

// askWith is ask with bytes that follow the request. All that goes over the network is
// counted for a transfer, if there is one.
func (r *runner) askWith(ctx context.Context, l p2p.Link, q request, more []byte, t *transfer) (*asked, error) {
	conn, err := l.Open(ctx, FilesProtocol)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { reset(conn) })
	end := func() {
		stop()
		reset(conn) // a no-op if all was read
	}
	q.Folder, q.Creator = r.id, r.creator[:]
	within := r.s.o.Times.Stalled
	out := &counting{w: timedWriter{conn, within}, t: t}
	err = wire.WriteMsg(out, q)
	if err == nil && len(more) > 0 {
		_, err = out.Write(more)
	}
	if err != nil {
		end()
		return nil, err
	}
	timed := &timedReader{conn: conn, within: within, t: t}
	room := q.room()
	a := &asked{conn: conn, timed: timed, in: bufio.NewReaderSize(timed, room), out: out, end: end}
	if q.Packed {
		a.packs = pack.NewReader(a.in, &r.s.codec)
		a.in = bufio.NewReaderSize(a.packs, room)
	}
	return a, nil
}

// askMore asks for more on a stream on which all has come that was asked for. It has to be packed if
// that was.
func (r *runner) askMore(a *asked, q request) error {
	q.Folder, q.Creator = r.id, r.creator[:]
	return wire.WriteMsg(a.out, q)
}

// room is how much of the answer is worth to be read at once. Of long items most goes by these
// buffers, straight to where it belongs.
func (q request) room() int {
	if len(q.Items) > 0 && q.Items[0].Length >= 64<<10 {
		return 4 << 10
	}
	return 64 << 10
}

// counting counts what is written for a transfer, if there is one.
type counting struct {
	w io.Writer
	t *transfer
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.t != nil {
		c.t.add(0, int64(n))
	}
	return n, err
}

// readPart reads the announcement of an item.
func readPart(in *bufio.Reader) (part, error) {
	var p part
	if err := wire.ReadMsg(in, &p); err != nil {
		return p, err
	}
	switch p.Code {
	case "":
		return p, nil
	case codeNoManifest:
		return p, errNoManifest
	case codeBusy:
		return p, errBusy
	}
	return p, refused(p.Code)
}

// errAway: the member lets nobody have the folder now, or not this node.
var errAway = errors.New("the member does not let it go")

// refused is the error of an answer without bytes.
func refused(code string) error {
	switch code {
	case codePaused, codeNotReady, codeNotKept:
		return fmt.Errorf("%w: %s", errAway, code)
	}
	return fmt.Errorf("%w: %.40q", errNotHere, code)
}

// fetchBatch asks a member for small contents.
func (f *fetcher) fetchBatch(ctx context.Context, l p2p.Link, batch []*fetch) {
	defer f.rested(l.Peer())
	left, err := f.readBatch(ctx, l, batch)
	for _, x := range left {
		switch {
		case errors.Is(err, errFull):
			f.finish(x, err)
		case err != nil && ctx.Err() == nil && len(f.sources()) == 0:
			f.putOff(x)
		default:
			f.put(x)
		}
	}
	if err != nil && ctx.Err() == nil {
		f.r.s.log.Debug("folder: contents not fetched", "folder", f.r.label, "peer", l.Peer().Short(), "left", len(left), "error", err)
	}
}

// blame notes that a member does not bring contents, unless nobody can any more.
func (f *fetcher) blame(ctx context.Context, l p2p.Link, batch []*fetch, err error) {
	if ctx.Err() != nil || !f.blames(l, err) {
		return
	}
	for _, x := range batch {
		x.tried[l.Peer()] = true
	}
}

// blames reports whether an error tells that a member does not bring a content. What is wrong
// is always its fault.
func (f *fetcher) blames(l p2p.Link, err error) bool {
	if errors.Is(err, errOther) {
		return true
	}
	return !errors.Is(err, errBusy) && !f.absent(l, err)
}

// absent reports whether an error is that of a member that has gone, or says that it lets nobody
// have the folder now. If there are others, these are asked sooner.
func (f *fetcher) absent(l p2p.Link, err error) bool {
	return f.gone(l) || errors.Is(err, errAway) && len(f.sources()) < 2
}

// gone reports whether a member has gone, or does not let this node have the folder now: it
// has paused it, or restarts. That it does not bring a content is not about the content.
func (f *fetcher) gone(l p2p.Link) bool {
	f.r.mu.Lock()
	p := f.r.pulls[l.Peer()]
	f.r.mu.Unlock()
	return linkEnded(l) || p == nil || p.link != l || !p.granted.Load()
}

func linkEnded(l p2p.Link) bool {
	select {
	case <-l.Done():
		return true
	default:
		return false
	}
}

// readBatch returns what has not been answered.
func (f *fetcher) readBatch(ctx context.Context, l p2p.Link, batch []*fetch) (left []*fetch, err error) {
	fsys, leave, err := f.enter()
	if err != nil {
		return batch, err
	}
	defer leave()
	if err := enough(fsys, batchBytes); err != nil {
		return batch, err
	}
	var q request
	bytes := 0
	for _, x := range batch {
		if bytes += len(x.want.Path) + 48; bytes > maxItemBytes {
			break
		}
		q.Items = append(q.Items, item{Hash: x.want.Hash[:], Path: x.want.Path})
	}
	q.Packed = true
	a, err := f.r.ask(ctx, l, q)
	if err != nil {
		f.blame(ctx, l, batch, err)
		return batch, err
	}
	defer a.end()
	if err := a.complete(); err != nil {
		f.blame(ctx, l, batch, err)
		return batch, err
	}
	buf := make([]byte, 0, 64<<10)
	for i := range q.Items {
		x := batch[i]
		x.t.from(l.Peer())
		buf, err = readSmall(a.in, x.want.Size, buf)
		switch {
		case err == nil && reconcile.Hash(blake3.Sum256(buf)) != x.want.Hash:
			err = errOther
			fallthrough
		case errors.Is(err, errAway) && !f.blames(l, err):
			f.putOff(x)
			continue
		case errors.Is(err, errNotHere), errors.Is(err, errOther), errors.Is(err, errAway):
			x.tried[l.Peer()] = true
			f.put(x)
			continue
		case err != nil:
			// With its stream a member ends also what it has sent before, so that it is not
			// known about which content it was: each is asked for alone.
			if len(q.Items) == 1 {
				f.blame(ctx, l, batch[:1], err)
			}
			if ctx.Err() == nil && !f.gone(l) {
				for _, y := range batch[i:] {
					y.single = true
				}
			}
			return batch[i:], err
		}
		x.t.add(int64(len(buf)), a.packs.Spent())
		path := replica.UniqueName(x.want.Hash, rand.Uint64())
		st, err := writeTemp(fsys, path, x.want, buf)
		if err != nil {
			err = errors.Join(fmt.Errorf("write %v: %w", x, err), remove(fsys, path))
		}
		f.mu.Lock()
		f.endAt(x, path, st, err)
		f.mu.Unlock()
	}
	return batch[len(q.Items):], nil
}

// readSmall reads one answer into buf.
func readSmall(in *bufio.Reader, size int64, buf []byte) ([]byte, error) {
	var p part
	if err := wire.ReadMsg(in, &p); err != nil {
		return buf, err
	}
	switch {
	case p.Code != "":
		return buf, refused(p.Code)
	case p.Length != size:
		// The bytes have to be read all the same: others follow.
		if p.Length < 0 || p.Length > small {
			return buf, fmt.Errorf("answer of %d bytes: %w", p.Length, wire.ErrMalformed)
		}
		if _, err := in.Discard(int(p.Length)); err != nil {
			return buf, err
		}
		return buf, errOther
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	_, err := io.ReadFull(in, buf)
	return buf, err
}

// writeTemp makes a file with a content, and with the mode and time that are wanted, and
// returns its state. Where the disk does not take the latter two the state is not known:
// the step that needs them will say so.
func writeTemp(fsys *apply.Root, path string, w replica.Want, b []byte) (apply.Stat, error) {
	t, err := fsys.Create(path)
	if err != nil {
		return apply.Stat{}, err
	}
	if _, err = t.WriteAt(b, 0); err != nil {
		return apply.Stat{}, errors.Join(err, t.Close())
	}
	var st apply.Stat
	if w.Mode&0o400 != 0 { // else another file of this content could not be made of it
		if st, err = t.SetMeta(w.Mode, w.Modified); err != nil {
			st = apply.Stat{}
		}
	}
	return st, t.Close()
}

// remove removes a file of the program that may not be there.
func remove(fsys *apply.Root, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// copyHere finds a content on this disk, and copies it.
func (f *fetcher) copyHere(ctx context.Context, fsys *apply.Root, x *fetch) bool {
	in, st, err := f.r.find(ctx, fsys, item{Hash: x.want.Hash[:], Path: x.want.Path})
	if err != nil || st.Size != x.want.Size {
		if err == nil {
			_ = in.Close() // nothing was written
		}
		return false
	}
	defer in.Close() // nothing was written
	t, err := fsys.Create(replica.ArrivalName(x.want.Hash))
	if err != nil {
		return false
	}
	hash := blake3.New()
	buf := make([]byte, min(256<<10, max(st.Size, 1)))
	for off := int64(0); ; {
		n, err := in.Read(buf)
		_, _ = hash.Write(buf[:n]) // never fails (hash.Hash)
		if _, werr := t.WriteAt(buf[:n], off); werr != nil || ctx.Err() != nil {
			_ = t.Close() // it is written anew before it is used
			x.t.add(-off, 0)
			return false
		}
		off += int64(n)
		x.t.add(int64(n), 0)
		if err == io.EOF {
			break
		}
		if err != nil {
			_ = t.Close() // as above
			x.t.add(-off, 0)
			return false
		}
	}
	var h reconcile.Hash
	hash.Sum(h[:0])
	if err := errors.Join(t.Truncate(st.Size), t.Close()); err != nil || h != x.want.Hash {
		x.t.add(-st.Size, 0)
		return false
	}
	x.t.reused.Add(st.Size)
	return true
}
