package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// maxServers is how many index streams of one folder one member may have.
const maxServers = 4

// reset ends a stream so that the other end cannot take it for complete.
func reset(conn net.Conn) {
	if r, ok := conn.(interface{ Reset(code uint64) error }); ok && r.Reset(0) == nil {
		return
	}
	_ = conn.Close() // it is broken: there is nobody to tell
}

// Serve answers a stream of IndexProtocol, FilesProtocol or PartsProtocol that a member has
// opened, and closes it.
func (s *Service) Serve(ctx context.Context, l p2p.Link, proto string, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { reset(conn) })
	defer stop()
	var err error
	switch proto {
	case IndexProtocol:
		err = s.serveIndex(ctx, l.Peer(), conn)
	case FilesProtocol:
		err = s.serveFiles(ctx, l.Peer(), conn)
	case PartsProtocol:
		err = s.serveParts(ctx, l.Peer(), conn)
	default:
		err = p2p.ErrNoProtocol
	}
	if err != nil {
		if ctx.Err() == nil {
			s.log.Debug("folder: stream ended", "proto", proto, "peer", l.Peer().Short(), "error", err)
		}
		reset(conn)
		return
	}
	_ = conn.Close() // everything was written
}

// permit finds the folder that a member asks for. To who may not read it, it is the
// same as one that is not here, so that nobody learns which folders there are.
func (s *Service) permit(id string, creator []byte, from p2p.ID) (*runner, string) {
	r, err := s.runner(id)
	if err != nil || string(creator) != string(r.creator[:]) || !s.o.Access(id, r.creator, from).Read {
		return nil, codeNotKept
	}
	if r.rests() {
		return r, codePaused
	}
	return r, ""
}

// errPaused: a person here has paused the folder.
var errPaused = errors.New("it is paused")

// serveIndex takes this node's entries to a member.
func (s *Service) serveIndex(ctx context.Context, from p2p.ID, conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(s.o.Times.Hello)); err != nil {
		return err
	}
	var h hello
	in := bufio.NewReader(conn)
	if err := wire.ReadMsg(in, &h); err != nil {
		return err
	}
	r, code := s.permit(h.Folder, h.Creator, from)
	if code == "" && r.incarnation.Load() == 0 {
		code = codeNotReady
	}
	if code == "" && !r.serving(from, 1) {
		code = codeNotReady
	}
	if code != "" {
		return s.answer(conn, welcome{Code: code})
	}
	defer r.serving(from, -1)
	// Who has this folder may be asked for it.
	r.heardOf(from)
	return r.serveIndex(ctx, from, h, conn, in)
}

func (s *Service) answer(conn net.Conn, w welcome) error {
	return wire.WriteMsg(timedWriter{conn, s.o.Times.Stalled}, w)
}

// serving counts the streams that go to a member, and reports whether one more may.
func (r *runner) serving(to p2p.ID, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 && r.servers[to] >= maxServers {
		return false
	}
	if r.servers[to] += n; r.servers[to] == 0 {
		delete(r.servers, to)
	}
	return true
}

func (r *runner) serveIndex(ctx context.Context, to p2p.ID, h hello, conn net.Conn, in *bufio.Reader) error {
	news := r.news.wait()
	last, err := r.lastSeq(ctx)
	if err != nil {
		return err
	}
	mine := r.incarnation.Load()
	if err := r.s.answer(conn, welcome{Incarnation: mine, Last: last}); err != nil {
		return err
	}
	after := h.After
	if h.Incarnation != mine || after > last {
		after = 0
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel(nil)
		_ = conn.SetReadDeadline(time.Now()) // it is broken if that fails, and nobody reads from it
		wg.Wait()
	}()
	wg.Go(func() { cancel(r.readAcks(ctx, to, in)) })
	told := map[node]uint64{}
	for {
		p, more, err := r.nextPage(ctx, after, told)
		if err != nil {
			return err
		}
		if !r.s.o.Access(r.id, r.creator, to).Read {
			return fmt.Errorf("exchange: %s may not read the folder any more", to.Short())
		}
		if r.rests() {
			return fmt.Errorf("exchange: folder %s: %w", r.label, errPaused)
		}
		if p.upto > after || len(p.claims) > 0 {
			if err := writePage(timedWriter{conn, r.s.o.Times.Stalled}, p); err != nil {
				return err
			}
			after = p.upto
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.ended: // who keeps the folder here from now on is another one
			return fmt.Errorf("exchange: folder %s: %w", r.label, p2p.ErrClosed)
		case <-news:
			news = r.news.wait()
		}
	}
}

// node is a member's incarnation.
type node struct {
	member      p2p.ID
	incarnation uint64
}

func (r *runner) lastSeq(ctx context.Context) (seq uint64, err error) {
	err = r.s.o.Store.Read(ctx, r.id, func(rd replica.Reader) error {
		st, err := rd.State()
		seq = st.Seq
		return err
	})
	return seq, err
}

// nextPage reads what follows a number. Claims come along when they say more than
// those that were told before: in one snapshot with the entries, so that none of these has an
// event that is not claimed.
func (r *runner) nextPage(ctx context.Context, after uint64, told map[node]uint64) (p page, more bool, err error) {
	p.upto = after
	err = r.s.o.Store.Read(ctx, r.id, func(rd replica.Reader) error {
		claims, err := rd.Claims()
		if err != nil {
			return err
		}
		for _, c := range claims {
			n := node{c.Dot.Member, c.Dot.Incarnation}
			if c.Dot.Counter > told[n] {
				told[n] = c.Dot.Counter
				p.claims = append(p.claims, c)
			}
		}
		entries, err := rd.Since(after, pageEntries)
		if err != nil {
			return err
		}
		for _, e := range entries {
			p.entries = append(p.entries, e.Entry)
			p.upto = e.Seq
		}
		more = len(entries) == pageEntries
		return nil
	})
	return p, more, err
}

// writePage writes a page, or several if it is too large for one.
func writePage(out io.Writer, p page) error {
	b, err := appendPage(nil, p)
	if errors.Is(err, p2p.ErrTooLarge) && len(p.entries) > 1 {
		half := len(p.entries) / 2
		// Only the last part leads as far as the whole: a number in between is not known.
		first := page{claims: p.claims, entries: p.entries[:half]}
		if err := writePage(out, first); err != nil {
			return err
		}
		return writePage(out, page{upto: p.upto, entries: p.entries[half:]})
	}
	if err != nil {
		return err
	}
	for len(b) > 0 {
		n, err := out.Write(b[:min(len(b), 64<<10)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// readAcks notes how far the member has come, until the stream ends.
func (r *runner) readAcks(ctx context.Context, from p2p.ID, in *bufio.Reader) error {
	for {
		var a ack
		if err := wire.ReadMsg(in, &a); err != nil {
			return err
		}
		last, err := r.lastSeq(ctx)
		if err != nil {
			return err
		}
		err = r.do(ctx, func(ctx context.Context) error { return r.core.Acked(ctx, from, min(a.Applied, last)) })
		if err != nil {
			return err
		}
	}
}
