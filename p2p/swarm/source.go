package swarm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// A source is somebody who may have pieces of a download: a member, over a stream, or a server. Its
// goroutines read and verify; what is done is decided by the download.
type source struct {
	d       *download
	peer    p2p.ID     // zero: a server
	url     string     // of a server
	pass    *pass.Pass // the peer is of another network, and this lets this node in; nil: it is a member
	trusted bool       // a person here has named the server
	list    bool       // the server is asked for the values of the pieces only
	number  picker.Source
	ctx     context.Context
	cancel  context.CancelFunc
	kick    chan struct{} // has room for one: there is something to send
	heard   atomic.Int64  // when bytes of a piece came last: ns, of download.now

	// What follows is the download's.
	joined     bool      // it was let in
	introduced bool      // the picker knows what it has
	answering  bool      // it was asked for the values of the pieces
	good       time.Time // when it came, sent something, or could have, last
	batch      []byte

	// What follows is guarded by download.mu.
	index  uint16
	have   *picker.Bitmap // nil: nothing yet
	got    int64          // bytes
	pieces int            // that were the first of their kind
	before int            // pieces, when it joined
	rate   gauge
	wrong  bool
	ended  bool
	why    string

	mu      sync.Mutex // guards all following fields
	link    p2p.Link
	pending []byte
	answer  time.Duration // of a server: how long it took to answer
	asked   map[int]int   // how often each piece may come
	awaited int           // answers in bytes that may come
	queue   map[int]bool  // of a server: pieces that are not being fetched yet
}

// who names the source.
func (s *source) who() string {
	if s.url != "" {
		return s.url
	}
	return s.peer.String()
}

func (s *source) rtt() time.Duration {
	s.mu.Lock()
	l, answer := s.link, s.answer
	s.mu.Unlock()
	if l == nil {
		return answer
	}
	return l.Stats().RTT
}

func (s *source) relayed() bool {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	return l != nil && l.Path().Kind == p2p.PathRelayed
}

// send has a message sent with the next flush.
func (s *source) send(msg []byte) { s.batch = append(s.batch, msg...) }

func (s *source) want(piece int) {
	s.mu.Lock()
	s.asked[piece]++
	if s.url != "" {
		s.queue[piece] = true
	}
	s.mu.Unlock()
	s.batch = appendMessage(s.batch, msgWant, piece)
}

// cancelPiece takes back what was asked for. It may be on its way: then it is welcome.
func (s *source) cancelPiece(piece int) {
	if s.url == "" {
		s.batch = appendMessage(s.batch, msgCancel, piece)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue[piece] {
		delete(s.queue, piece)
		delete(s.asked, piece)
	}
}

// askBytes asks for something that is answered in bytes.
func (s *source) askBytes(kind byte) {
	s.mu.Lock()
	s.awaited++
	s.mu.Unlock()
	s.send(appendMessage(nil, kind))
	s.flush()
}

// isAwaited reports whether an answer in bytes may come, once.
func (s *source) isAwaited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaited == 0 {
		return false
	}
	s.awaited--
	return true
}

// flush hands what is to be sent to the goroutine that sends.
func (s *source) flush() {
	if len(s.batch) == 0 {
		return
	}
	if s.url == "" {
		s.mu.Lock()
		s.pending = append(s.pending, s.batch...)
		s.mu.Unlock()
	}
	s.batch = s.batch[:0]
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// maxPending is how many bytes wait for a source that does not read.
const maxPending = 1 << 20

// run talks to the source until it, or the download, has ended.
func (s *source) run() {
	err := s.talk()
	s.cancel()
	s.d.post(event{kind: evEnded, src: s, err: err})
}

func (s *source) talk() error {
	if s.url != "" {
		return s.browse()
	}
	l, release, err := s.dial()
	if err != nil {
		return err
	}
	defer release()
	s.mu.Lock()
	s.link = l
	s.mu.Unlock()
	conn, err := l.Open(s.ctx, Protocol)
	if err != nil {
		return err
	}
	defer reset(conn)
	stop := context.AfterFunc(s.ctx, func() { reset(conn) })
	defer stop()
	in, err := s.greet(conn)
	if err != nil {
		return err
	}
	s.d.post(event{kind: evJoined, src: s})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer reset(conn)
	wg.Go(func() {
		if err := s.write(conn); err != nil {
			reset(conn)
		}
	})
	defer s.cancel()
	return s.read(in)
}

// dial returns the link to the peer, and what is to be called when it is not used any more.
func (s *source) dial() (p2p.Link, func(), error) {
	if s.pass == nil {
		l, err := s.d.s.o.Link(s.ctx, s.peer)
		return l, func() {}, err
	}
	if s.pass.Expired(s.d.s.now()) {
		return nil, nil, fmt.Errorf("swarm: %w", pass.ErrExpired)
	}
	return s.d.s.o.Through(s.ctx, *s.pass)
}

// greet asks to be let in.
func (s *source) greet(conn net.Conn) (*bufio.Reader, error) {
	if err := wire.WriteMsg(conn, hello{ID: s.d.id, Size: s.d.layout.Size}); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(greeting)); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	var w welcome
	if err := wire.ReadMsg(in, &w); err != nil {
		return nil, err
	}
	if w.Code == codeSoon {
		return nil, errSoon
	}
	if w.Code != "" {
		return nil, fmt.Errorf("swarm: %w: %s", errRefused, refusal(w.Code))
	}
	return in, conn.SetReadDeadline(time.Time{})
}

// errSoon: the member has just begun to want the file itself.
var errSoon = errors.New("it has nothing yet")

var errRefused = errors.New("it gives nothing")

// refusal says in words why a source gives nothing.
func refusal(code string) string {
	switch code {
	case codeNotHere:
		return "it has it not"
	case codeSize:
		return "there the file has another length"
	case codeBusy:
		return "too many take something from it"
	}
	return fmt.Sprintf("%.40q", code)
}

// write sends what is pending.
func (s *source) write(conn net.Conn) error {
	for {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-s.kick:
		}
		s.mu.Lock()
		b := s.pending
		s.pending = nil
		s.mu.Unlock()
		if len(b) > maxPending {
			return violation("it does not take %d bytes of requests", len(b))
		}
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
}

// part is after how many bytes of a piece the download hears of it.
const part = 64 << 10

// read takes what the source sends.
func (s *source) read(in *bufio.Reader) error {
	pieces := s.d.layout.Count()
	buf := make([]byte, s.d.layout.PieceLen)
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return err
		}
		switch kind {
		case msgHave:
			first, err := readNumber(in, int64(pieces))
			if err != nil {
				return err
			}
			count, err := readNumber(in, int64(pieces-first)+1)
			if err != nil {
				return err
			}
			if count > 0 {
				s.d.post(event{kind: evHave, src: s, piece: first, n: count})
			}
		case msgNot:
			i, err := readNumber(in, int64(pieces))
			if err != nil {
				return err
			}
			if s.unask(i) {
				s.d.post(event{kind: evNot, src: s, piece: i})
			}
		case msgBytes:
			if !s.isAwaited() {
				return violation("bytes that were not asked for")
			}
			most := int64(maxManifest)
			if s.d.c.Load() == nil {
				most = int64(pieces) * int64(len(chunk.Hash{}))
			}
			b, err := readBlob(in, most)
			if err != nil {
				return err
			}
			s.d.post(event{kind: evBytes, src: s, bytes: b})
		case msgPiece:
			i, err := readNumber(in, int64(pieces))
			if err != nil {
				return err
			}
			if !s.unask(i) {
				return violation("piece %d, which was not asked for", i)
			}
			if err := s.readPiece(in, i, buf); err != nil {
				return err
			}
		default:
			return violation("message %d", kind)
		}
	}
}

// unask reports whether a piece may come, once.
func (s *source) unask(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.asked[i]
	if n > 1 {
		s.asked[i] = n - 1 // it was taken back too late, and asked for again
	} else {
		delete(s.asked, i)
	}
	return n > 0
}

// readPiece reads, verifies and writes a piece.
func (s *source) readPiece(in *bufio.Reader, i int, buf []byte) error {
	_, n := s.d.layout.Extent(i)
	for rest := range slices.Chunk(buf[:n], part) {
		if _, err := io.ReadFull(heard{s, in}, rest); err != nil {
			return unexpected(err)
		}
		s.d.post(event{kind: evReceived, src: s, n: len(rest)})
	}
	kind, err := s.d.put(i, buf[:n])
	s.d.post(event{kind: kind, src: s, piece: i, err: err})
	if kind == evBad {
		return errBad
	}
	return err
}

// heard reads from a source, and notes when something came.
type heard struct {
	s  *source
	in *bufio.Reader
}

func (h heard) Read(b []byte) (int, error) {
	n, err := h.in.Read(b)
	if n > 0 {
		h.s.heard.Store(h.s.d.now().Nanoseconds())
	}
	return n, err
}

// put verifies a piece and writes it, unless it is there.
func (d *download) put(i int, data []byte) (eventKind, error) {
	c := d.c.Load()
	if c.has(i) {
		return evPiece, nil
	}
	if !c.seed.Verify(i, data) {
		return evBad, nil
	}
	if err := c.write(i, data); err != nil {
		return evDisk, fmt.Errorf("swarm: write piece %d of %s: %w", i, c.seed.Name, err)
	}
	return evPiece, nil
}
