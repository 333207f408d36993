package swarm

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/upload"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// maxTakers is how many streams are served at the same time.
	maxTakers = 512
	// maxOutsiders is how many of them may be of nodes that are no members, and outsiderStreams how many of one for a seed.
	maxOutsiders    = 64
	outsiderStreams = 2
	// maxTakersOf is how many of them are of one member.
	maxTakersOf = 64
	// sending is how many pieces are on their way at once: so many that the line is never idle. Each
	// one more would make all of them arrive later, and what is whole elsewhere is passed on.
	sending = 3
	// slowly is how long a piece may take at least until another one is sent beside it, and
	// slower how many times as long as others: whoever is slow holds up nobody else.
	slowly = 50 * time.Millisecond
	slower = 4
	// haveEvery is how often a taker is told of new pieces.
	haveEvery = 60 * time.Millisecond
	// ahead is how many bytes of a piece a stream takes before they are on their way: more would have
	// to wait there, where nobody can decide any more who is first.
	ahead = 32 << 10
	// greeting is how long the first message of a stream may take.
	greeting = 20 * time.Second
)

// A taker is a stream on which somebody takes pieces.
type taker struct {
	number  uint32
	peer    p2p.ID
	outside bool // it is no member
	c       *content
	conn    net.Conn
	since   time.Time

	writing chan struct{} // has room for one: whoever writes something

	mu   sync.Mutex // guards sent and rate
	sent int64
	rate gauge
}

// write writes a message as a whole.
func (t *taker) write(parts ...[]byte) error {
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	for _, p := range parts {
		if _, err := t.conn.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// Serve answers a stream of [Protocol] that a member has opened, until it ends.
func (s *Service) Serve(ctx context.Context, l p2p.Link, conn net.Conn) {
	s.serveTo(ctx, l, conn, nil)
}

// ServeOutside answers a stream of [Protocol] that a node has opened which is no member, and may have the seeds for
// which may is true. Of others it is told what it would be if they were not here.
func (s *Service) ServeOutside(ctx context.Context, l p2p.Link, conn net.Conn, may func(seed.ID) bool) {
	s.serveTo(ctx, l, conn, may)
}

// serveTo serves whoever may have a seed; may is nil for a member, who may have all.
func (s *Service) serveTo(ctx context.Context, l p2p.Link, conn net.Conn, may func(seed.ID) bool) {
	stop := context.AfterFunc(ctx, func() { reset(conn) })
	defer stop()
	if err := s.serve(ctx, l.Peer(), conn, may); err != nil && ctx.Err() == nil && !errors.Is(err, p2p.ErrClosed) {
		s.log.Debug("swarm: a stream ended", "peer", l.Peer().Short(), "error", err)
	}
	reset(conn)
}

func (s *Service) serve(ctx context.Context, peer p2p.ID, conn net.Conn, may func(seed.ID) bool) error {
	if err := conn.SetReadDeadline(s.now().Add(greeting)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 4<<10)
	var h hello
	if err := wire.ReadMsg(in, &h); err != nil {
		return fmt.Errorf("swarm: hello: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	t, code := s.admit(peer, h, conn, may)
	if err := wire.WriteMsg(conn, welcome{Code: code}); err != nil || t == nil {
		return errors.Join(err, closeAfter(conn))
	}
	defer s.dismiss(t)
	if b, ok := conn.(interface{ SetWriteBuffer(int) }); ok {
		b.SetWriteBuffer(ahead)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer reset(conn) // ends tell
	wg.Go(func() {
		defer reset(conn)
		if err := s.tell(ctx, t); err != nil && ctx.Err() == nil {
			s.log.Debug("swarm: a taker is not told any more", "peer", peer.Short(), "error", err)
		}
	})
	defer cancel()
	return s.listen(ctx, t, in)
}

// admit decides about a hello.
func (s *Service) admit(peer p2p.ID, h hello, conn net.Conn, may func(seed.ID) bool) (*taker, string) {
	if h.Size < 0 || h.ID.IsZero() {
		return nil, codeMalformed
	}
	if may != nil && !may(h.ID) {
		return nil, codeNotHere
	}
	s.mu.Lock()
	c, code := s.servable(peer, h, may != nil)
	s.mu.Unlock()
	if code != "" {
		return nil, code
	}
	err := c.enter() // the disk may be slow, and nobody else is to wait for it
	if err != nil && !errors.Is(err, errChanged) {
		s.log.Error("a shared file cannot be opened", "file", c.at.path(), "error", err)
		return nil, codeBusy
	}
	s.mu.Lock()
	if e := s.entries[h.ID]; err != nil && e != nil && e.c == c {
		s.spoiled(e, err)
	}
	now, code := s.servable(peer, h, may != nil)
	if err != nil || code != "" || now != c {
		s.mu.Unlock()
		if err == nil {
			c.leave()
		}
		return nil, cmp.Or(code, codeSoon)
	}
	defer s.mu.Unlock()
	s.lastTaker++
	t := &taker{number: s.lastTaker, peer: peer, outside: may != nil, c: c, conn: conn, since: s.now(), writing: make(chan struct{}, 1)}
	s.takers[t.number] = t
	if t.outside {
		s.outsiders++
	}
	return t, ""
}

// servable returns what is here of the seed that is asked for, or why it is not served. s.mu is held.
func (s *Service) servable(peer p2p.ID, h hello, outside bool) (*content, string) {
	e := s.entries[h.ID]
	switch {
	case e != nil && e.c == nil && e.d != nil:
		return nil, codeSoon
	case e == nil || e.c == nil:
		return nil, codeNotHere
	case e.c.seed.Size != h.Size:
		return nil, codeSize
	case len(s.takers) >= maxTakers, s.takersBy(peer) >= maxTakersOf, outside && !s.roomOutside(peer, e.c):
		return nil, codeBusy
	}
	return e.c, ""
}

// roomOutside reports whether one more stream for a seed is served of a node that is no member. s.mu is held.
func (s *Service) roomOutside(peer p2p.ID, c *content) bool {
	own := 0
	for _, t := range s.takers {
		if t.peer == peer && t.c == c {
			own++
		}
	}
	return s.outsiders < maxOutsiders && own < outsiderStreams
}

// takersBy counts the streams of a member. s.mu is held.
func (s *Service) takersBy(peer p2p.ID) int {
	n := 0
	for _, t := range s.takers {
		if t.peer == peer {
			n++
		}
	}
	return n
}

func (s *Service) dismiss(t *taker) {
	s.mu.Lock()
	delete(s.takers, t.number)
	if t.outside {
		s.outsiders--
	}
	s.queue.Leave(t.number)
	s.mu.Unlock()
	t.c.leave()
}

// tell tells a taker which pieces there are, as long as the stream lasts.
func (s *Service) tell(ctx context.Context, t *taker) error {
	have, told := t.c.held()
	news := appendHave(nil, have)
	for {
		fresh, turned, gone := t.c.since(told)
		if gone != nil {
			return nil
		}
		told += len(fresh)
		if news = appendNew(news, fresh); len(news) > 0 {
			if err := t.write(news); err != nil {
				return err
			}
		}
		news = news[:0]
		// The first after a silence is told at once: while a swarm begins, everybody waits for it.
		pause := time.NewTimer(haveEvery)
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-turned:
		}
	}
}

// listen takes what a taker asks for.
func (s *Service) listen(ctx context.Context, t *taker, in *bufio.Reader) error {
	pieces := int64(t.c.seed.Count())
	told := false // the manifest
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return err
		}
		switch kind {
		case msgWant, msgCancel:
			i, err := readNumber(in, pieces)
			if err != nil {
				return err
			}
			if kind == msgCancel {
				s.unwant(t, i)
			} else if err := s.want(t, i); err != nil {
				return err
			}
		case msgValues:
			if err := t.writeValues(); err != nil {
				return err
			}
		case msgManifest:
			if told {
				return violation("the manifest again")
			}
			told = true
			if err := s.tellManifest(ctx, t); err != nil {
				return err
			}
		default:
			return violation("message %d", kind)
		}
	}
}

// writeValues tells the values of all pieces. A copy of them all would have to wait with each taker that does not
// read.
func (t *taker) writeValues() error {
	all := t.c.seed.Pieces
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	if _, err := t.conn.Write(appendMessage(nil, msgBytes, len(all)*len(chunk.Hash{}))); err != nil {
		return err
	}
	b := make([]byte, 0, min(len(all), 1<<10)*len(chunk.Hash{}))
	for part := range slices.Chunk(all, 1<<10) {
		b = b[:0]
		for _, h := range part {
			b = append(b, h[:]...)
		}
		if _, err := t.conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func blob(b []byte) [][]byte {
	return [][]byte{appendMessage(nil, msgBytes, len(b)), b}
}

// manifests is how many manifests are told at once: one can have many megabytes, and whoever asks for it may take
// them as slowly as he likes.
const manifests = 4

// tellManifest tells a taker what the file is made of; that there is none, when others are being told.
func (s *Service) tellManifest(ctx context.Context, t *taker) error {
	var m []byte
	select {
	case s.telling <- struct{}{}:
		defer func() { <-s.telling }()
		var err error
		if m, err = s.o.Store.Manifest(ctx, t.c.seed.ID()); err != nil {
			return err
		}
	default:
	}
	return t.write(blob(m)...)
}

// want puts a piece into the queue, or tells the taker that it will not come.
func (s *Service) want(t *taker, i int) error {
	_, n := t.c.seed.Extent(i)
	s.mu.Lock()
	e := s.entries[t.c.seed.ID()]
	queued := e != nil && e.c == t.c && t.c.has(i) && s.queue.Ask(t.number, upload.Piece{Seed: e.number, Index: uint32(i)}, n)
	s.mu.Unlock()
	if !queued {
		return t.write(appendMessage(nil, msgNot, i))
	}
	s.send()
	return nil
}

func (s *Service) unwant(t *taker, i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[t.c.seed.ID()]; e != nil {
		s.queue.Cancel(t.number, upload.Piece{Seed: e.number, Index: uint32(i)})
	}
}

// send sends pieces whose turn it is, as long as there is room on the line.
func (s *Service) send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.underWay < sending && !s.closed {
		number, piece, size, ok := s.queue.Next()
		if !ok {
			return
		}
		t := s.takers[number]
		if t == nil {
			s.queue.Sent(number, piece, size, 0)
			continue
		}
		s.underWay++
		s.work.Go(func() { s.sendOne(t, piece, size) })
	}
}

// sendOne sends a piece to a taker, and then those whose turn is next.
func (s *Service) sendOne(t *taker, piece upload.Piece, size int) {
	var once sync.Once
	over := func() { // another one may be sent beside it
		once.Do(func() {
			s.mu.Lock()
			s.underWay--
			s.mu.Unlock()
		})
		s.send()
	}
	began := s.now()
	s.mu.Lock()
	patience := max(slowly, slower*s.pace)
	s.mu.Unlock()
	late := time.AfterFunc(patience, over)
	n, err := s.sendPiece(t, int(piece.Index))
	late.Stop()
	s.mu.Lock()
	s.pace += (min(s.now().Sub(began), patience) - s.pace) / 8
	s.queue.Sent(t.number, piece, size, n)
	if e := s.entries[t.c.seed.ID()]; e != nil && e.c == t.c {
		e.row.Sent += int64(n)
		now := s.now()
		e.up.add(now, int64(n))
		e.peak = max(e.peak, e.up.at(now))
		if errors.Is(err, errChanged) {
			s.spoiled(e, err)
		}
	}
	s.mu.Unlock()
	over()
	if err != nil && s.ctx.Err() == nil {
		s.log.Debug("swarm: a piece was not sent", "peer", t.peer.Short(), "seed", t.c.seed.ID().Short(), "piece", piece.Index, "error", err)
		reset(t.conn)
	}
}

// sendPiece returns how many bytes of a piece were sent.
func (s *Service) sendPiece(t *taker, i int) (int, error) {
	// The taker may be leaving: the file stays open for as long as this lasts.
	if err := t.c.enter(); err != nil {
		return 0, err
	}
	defer t.c.leave()
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	_, n := t.c.seed.Extent(i)
	*buf = slices.Grow((*buf)[:0], n)
	data, err := t.c.read(i, (*buf)[:n])
	if err != nil {
		return 0, err
	}
	if err := t.write(appendMessage(nil, msgPiece, i), data); err != nil {
		return 0, err
	}
	t.mu.Lock()
	t.sent += int64(n)
	t.rate.add(s.now(), int64(n))
	t.mu.Unlock()
	return n, nil
}

// reset breaks a stream off.
func reset(conn net.Conn) {
	if c, ok := conn.(interface{ Reset(uint64) error }); ok {
		_ = c.Reset(0) // it ends either way
		return
	}
	_ = conn.Close() // as above
}

// closeAfter ends this side of a stream, and waits a little for the other to have read it.
func closeAfter(conn net.Conn) error {
	c, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	err := c.CloseWrite()
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(time.Second))
	}
	if err != nil {
		return err
	}
	_, _ = conn.Read(make([]byte, 1)) // the other side closes, or time is up
	return nil
}
