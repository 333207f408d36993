package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/pack"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// FilesProtocol is the name of the streams that carry contents. Who wants some opens a
// stream and writes requests; for each item of each the other answers in order with a
// part and the bytes that it announces. A request with Manifest asks what one content is made
// of, one with Gaps for some parts of it as a delta.
const FilesProtocol = "files/2"

// Limits of a request.
const (
	maxItems     = 256
	maxItemBytes = 40 << 10 // of paths and hashes
)

// request asks for contents.
type request struct {
	Folder   string    `cbor:"1,keyasint"`
	Creator  []byte    `cbor:"2,keyasint"`
	Items    []item    `cbor:"3,keyasint"`
	Manifest *outlined `cbor:"4,keyasint,omitempty"` // of one item
	Gaps     *gapped   `cbor:"5,keyasint,omitempty"` // of one item
	Packed   bool      `cbor:"6,keyasint,omitempty"` // the answer is packed, see package pack
	// Sum, of who knows by PartsProtocol that the member is bringing the contents too and has what is
	// asked for: of the chunks by which both do. See sumOf.
	Sum []byte `cbor:"7,keyasint,omitempty"`
}

// item is one content, or a part of it. Without a hash it is of the same content as the one
// before it.
type item struct {
	Hash   []byte `cbor:"1,keyasint,omitempty"`
	Path   string `cbor:"2,keyasint,omitempty"` // where it may be
	Offset int64  `cbor:"3,keyasint,omitempty"`
	Length int64  `cbor:"4,keyasint,omitempty"` // 0: to the end
}

// part announces the bytes of an item.
type part struct {
	Code   string `cbor:"1,keyasint,omitempty"` // empty: they follow
	Length int64  `cbor:"2,keyasint,omitempty"` // of what follows; of a delta 0
}

// codeNotHere: the content is not here (any more).
const codeNotHere = "not_here"

// maxServedStreams is how many streams are served at once to one member, over all folders.
const maxServedStreams = 16

// admit lets a member have one more stream of contents. A few wait for room: who brings many contents at
// once does not count its streams over all folders, and would take an end for a refusal.
func (s *Service) admit(ctx context.Context, from p2p.ID) (leave func(), err error) {
	if leave, ok := s.gate.enter(from, maxServedStreams); ok {
		return leave, nil
	}
	done, ok := s.queue.enter(from, maxServedStreams)
	if !ok {
		return nil, errors.New("exchange: too many streams at once")
	}
	defer done()
	return s.gate.wait(ctx, from, maxServedStreams, s.o.Times.Stalled/4)
}

// serveFiles answers requests until the stream ends.
func (s *Service) serveFiles(ctx context.Context, from p2p.ID, conn net.Conn) error {
	leave, err := s.admit(ctx, from)
	if err != nil {
		return err
	}
	defer leave()
	in := bufio.NewReaderSize(conn, 16<<10)
	may := &permitted{Writer: timedWriter{conn, s.o.Times.Stalled}, s: s, to: from}
	out := bufio.NewWriterSize(may, 64<<10)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(s.o.Times.Stalled)); err != nil {
			return err
		}
		var q request
		if err := wire.ReadMsg(in, &q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(q.Items) > maxItems || (q.Manifest != nil || q.Gaps != nil) && len(q.Items) != 1 {
			return fmt.Errorf("exchange: request for %d contents: %w", len(q.Items), wire.ErrMalformed)
		}
		may.request, may.asked = q, time.Now()
		to := sink(out)
		if q.Packed {
			to = packer{pack.NewWriter(out, &s.codec), out}
		}
		if err := s.serveRequest(ctx, from, q, in, to); err != nil {
			return err
		}
		if err := to.Flush(); err != nil {
			return err
		}
	}
}

// sink takes an answer. Flush sends what has gathered.
type sink interface {
	io.Writer
	Flush() error
}

// packer is a sink that packs.
type packer struct {
	*pack.Writer
	out *bufio.Writer
}

// Flush ends a frame and sends it.
func (p packer) Flush() error { return errors.Join(p.Writer.Flush(), p.out.Flush()) }

// askAgain is how often it is asked whether what is being answered may still be.
const askAgain = 500 * time.Millisecond

// permitted writes to a member as long as it may read the folder: it is asked again from
// time to time, for an answer can take long.
type permitted struct {
	io.Writer
	s       *Service
	to      p2p.ID
	request request
	asked   time.Time
}

func (w *permitted) Write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(w.asked) >= askAgain {
		switch _, code := w.s.permit(w.request.Folder, w.request.Creator, w.to); code {
		case "":
		case codePaused:
			return 0, fmt.Errorf("exchange: folder %.30q: %w", w.request.Folder, errPaused)
		default:
			return 0, fmt.Errorf("exchange: %s may not read the folder any more", w.to.Short())
		}
		w.asked = now
	}
	return w.Writer.Write(p)
}

// timedWriter gives each write its time.
type timedWriter struct {
	conn   net.Conn
	within time.Duration
}

func (w timedWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.within)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

func (s *Service) serveRequest(ctx context.Context, from p2p.ID, q request, in *bufio.Reader, out sink) error {
	r, code := s.permit(q.Folder, q.Creator, from)
	var sig *delta.Signature
	var of []byte
	var err error
	switch {
	case code != "":
	case q.Gaps != nil:
		sig, err = q.Gaps.readTable(in)
	case q.Manifest != nil && (q.Manifest.Length < 0 || q.Manifest.Length > maxOutline):
		err = fmt.Errorf("exchange: outline of %d bytes: %w", q.Manifest.Length, wire.ErrMalformed)
	case q.Manifest != nil:
		of, err = readGrowing(in, q.Manifest.Length)
	}
	if err != nil {
		return err
	}
	var fsys *apply.Root
	if code == "" {
		at, leave, err := r.place.enter()
		if err != nil {
			code = codeNotReady
		} else {
			defer leave()
			r.setBusy(1, false)
			defer func() { r.setBusy(-1, len(q.Items) > largeWork) }()
			fsys = at
		}
	}
	if code != "" {
		for range q.Items {
			if err := wire.WriteMsg(out, part{Code: code}); err != nil {
				return err
			}
		}
		if q.Gaps != nil || q.Manifest != nil {
			return errors.Join(out.Flush(), errors.New("exchange: what follows the request is not read"))
		}
		return nil
	}
	a := served{runner: r, fsys: fsys, to: from}
	if q.Manifest == nil && q.Gaps == nil {
		a.sum = q.Sum
	}
	defer a.close()
	for _, it := range q.Items {
		if err := a.open(ctx, it); err != nil {
			err = wire.WriteMsg(out, part{Code: codeNotHere})
			if err != nil {
				return err
			}
			continue
		}
		switch {
		case q.Manifest != nil:
			err = r.serveManifest(ctx, from, q, a.file, a.size, of, out)
		case q.Gaps != nil:
			err = r.serveGaps(ctx, from, q.Gaps, sig, a.file, a.size, out)
		default:
			err = a.send(it, out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// served is what is served of a request: one file after the other.
type served struct {
	*runner
	fsys *apply.Root
	to   p2p.ID
	sum  []byte     // of the request
	file apply.File // nil: the last item was not here
	part *update    // that brings what is in file; nil: it is whole
	size int64
	buf  []byte
	late bool // it was waited for what was being moved
}

func (a *served) close() {
	if a.file != nil {
		_ = a.file.Close() // nothing was written
		a.file, a.part = nil, nil
	}
}

// open opens the file of an item: the one that is open if it has no hash.
func (a *served) open(ctx context.Context, it item) error {
	if len(it.Hash) > 0 || a.file == nil {
		a.close()
		if f, u := a.openPart(it); u != nil {
			a.file, a.part, a.size = f, u, u.m.Size()
		} else if err := a.openWhole(ctx, it); err != nil {
			return err
		}
	}
	if it.Offset < 0 || it.Length < 0 || it.Offset > a.size || it.Length > a.size-it.Offset {
		return replica.ErrNotFound
	}
	if a.part != nil && !a.part.covers(it.Offset, it.Length) {
		return replica.ErrNotFound
	}
	return nil
}

// openWhole opens the file of an item that is here as a whole.
func (a *served) openWhole(ctx context.Context, it item) error {
	f, st, err := a.findWhole(ctx, a.fsys, it)
	if errors.Is(err, errMoving) && !a.late {
		a.late = true // once a request, so that nobody keeps a stream by asking for what has gone
		if a.turned(ctx) == nil {
			f, st, err = a.findWhole(ctx, a.fsys, it)
		}
	}
	if err != nil {
		return err
	}
	a.file, a.size = f, st.Size
	return nil
}

// send answers an item with its bytes.
func (a *served) send(it item, out sink) error {
	length := it.Length
	if length == 0 {
		length = a.size - it.Offset
	}
	if err := wire.WriteMsg(out, part{Length: length}); err != nil {
		return err
	}
	in := io.NewSectionReader(a.file, it.Offset, length)
	var n int64
	var err error
	if p, ok := out.(packer); ok {
		n, err = p.ReadFrom(in)
	} else {
		a.buf = grow(a.buf, int(min(64<<10, max(length, 512))))
		n, err = io.CopyBuffer(onlyWriter{out}, in, a.buf)
	}
	if err == nil && n < length {
		err = io.ErrUnexpectedEOF // it got shorter meanwhile
	}
	return err
}

// onlyWriter hides ReadFrom, which would fill its own buffer in small pieces.
type onlyWriter struct{ io.Writer }

// errMoving: a content is not where the last scan has seen it. Between a step's change of
// names and its note there is a moment in which it is at neither of the two names.
var errMoving = errors.New("it is not where it was seen")

// turned waits until what the folder's turn has under way is done and noted, but not for longer
// than it takes who asks to ask again.
func (r *runner) turned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.s.o.Times.Retry)
	defer cancel()
	return r.do(ctx, func(context.Context) error { return nil })
}

// find opens a file that has a content: in the tree, or in the trash. Errors: errMoving.
func (r *runner) find(ctx context.Context, fsys *apply.Root, it item) (apply.File, apply.Stat, error) {
	// Directories have no hash, and are no contents.
	if len(it.Hash) != len(reconcile.Hash{}) || reconcile.Hash(it.Hash) == (reconcile.Hash{}) {
		return nil, apply.Stat{}, replica.ErrNotFound
	}
	h := reconcile.Hash(it.Hash)
	d := disk{r.s.o.Folders, r.id, r.place}
	if f, st, err := openRow(ctx, d, fsys, it.Path, h); err == nil {
		return f, st, nil
	}
	if path, found, err := d.ByHash(ctx, h); err == nil && found {
		if f, st, err := openRow(ctx, d, fsys, path, h); err == nil {
			return f, st, nil
		}
		f, st, err := r.findTrash(ctx, fsys, h)
		if err != nil {
			err = fmt.Errorf("%w: %w", errMoving, err)
		}
		return f, st, err
	}
	return r.findTrash(ctx, fsys, h)
}

// openRow opens the file at path if a scan has seen it there with content h, and it
// is as it was seen. What a peer asks for is looked up, never opened.
func openRow(ctx context.Context, d disk, fsys *apply.Root, path string, h reconcile.Hash) (apply.File, apply.Stat, error) {
	s, found, err := d.Row(ctx, path)
	if err == nil && (!found || s.Hash != h) {
		err = replica.ErrNotFound
	}
	if err != nil {
		return nil, apply.Stat{}, err
	}
	return openAs(fsys, s)
}

// openAs opens a file if it is as it was seen.
func openAs(fsys *apply.Root, s replica.Seen) (apply.File, apply.Stat, error) {
	f, err := fsys.Open(s.Path)
	if err != nil {
		return nil, apply.Stat{}, err
	}
	st, err := f.Stat()
	if err == nil && !matches(st, s) {
		err = apply.ErrUnexpected
	}
	if err != nil {
		return nil, apply.Stat{}, errors.Join(err, f.Close())
	}
	return f, st, nil
}

func (r *runner) findTrash(ctx context.Context, fsys *apply.Root, h reconcile.Hash) (apply.File, apply.Stat, error) {
	var all []replica.Discarded
	err := r.s.o.Store.Read(ctx, r.id, func(rd replica.Reader) (err error) {
		all, err = rd.DiscardedAs(h)
		return err
	})
	if err != nil {
		return nil, apply.Stat{}, err
	}
	for _, d := range all {
		f, err := fsys.Open(apply.TrashDir + "/" + d.Name)
		if err != nil {
			continue
		}
		if st, err := f.Stat(); err == nil && st.Size == d.Size {
			return f, st, nil
		}
		_ = f.Close() // nothing was written
	}
	return nil, apply.Stat{}, fmt.Errorf("exchange: content %.8s: %w", h, replica.ErrNotFound)
}
