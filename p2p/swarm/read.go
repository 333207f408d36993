package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

const (
	// readAhead is how many bytes before a reader come before all others.
	readAhead = 8 << 20
	// readWait is how long a reader waits while nobody is there who has the file.
	readWait = 30 * time.Second
	// readKeep is how long what was read is kept after that, for the next one who does.
	readKeep = 10 * time.Minute
)

// ErrNoSource: nobody who has the file is there.
var ErrNoSource = errors.New("nobody who has it is there")

// Reader reads the file of a seed, wherever it is: pieces that are not here are fetched, those that are read
// next before all others. Each was verified. One goroutine uses a Reader.
type Reader struct {
	s        *Service
	id       seed.ID
	e        *entry
	ctx      context.Context
	size     int64
	pieceLen int // in bytes
	at       int64
	number   uint32

	c      *content // nil: not yet known, or not entered
	buf    []byte
	piece  int // that is in buf; -1: none
	length int
	urgent int // piece up to which the picker knows that it is read; -1: none
}

// Open opens the file of a seed for reading. What is not here, and not being downloaded, is fetched as it is
// read, and forgotten some time after the last reader was closed. Reads fail when ctx has ended, or with
// ErrNoSource. Errors: ErrUnusable.
func (s *Service) Open(ctx context.Context, known seed.Seed) (*Reader, error) {
	id := known.ID()
	s.mu.Lock()
	e := s.entries[id]
	anew := e == nil || !e.row.Whole && e.row.Reading
	s.mu.Unlock()
	if anew {
		if _, err := s.Download(ctx, GetOptions{Seed: known, Keep: true, reading: true}); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(id)
	if err != nil {
		return nil, err
	}
	s.lastReader++
	e.readers++
	return &Reader{s: s, id: id, e: e, ctx: ctx, size: e.seed.Size, pieceLen: e.seed.PieceLen, number: s.lastReader, piece: -1, urgent: -1}, nil
}

// Size returns the length of the file in bytes.
func (r *Reader) Size() int64 { return r.size }

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("swarm: seek to %d: before the file", offset)
	}
	r.at = offset
	return offset, nil
}

// Read implements io.Reader. It waits until what it reads is there.
func (r *Reader) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	i := int(r.at / int64(r.pieceLen))
	for r.piece != i {
		if err := r.enter(); err != nil {
			return 0, err
		}
		err := r.load(i)
		if errors.Is(err, errMoved) {
			r.c.leave()
			r.c, r.urgent = nil, -1
			continue
		}
		if err != nil {
			return 0, err
		}
	}
	start, _ := r.c.seed.Extent(i)
	n := copy(p, r.buf[r.at-start:r.length])
	r.at += int64(n)
	return n, nil
}

// enter waits until it is known what the pieces are.
func (r *Reader) enter() error {
	if r.c != nil {
		return nil
	}
	began := r.s.now()
	for {
		r.s.mu.Lock()
		c, why, d, moving := r.e.c, r.e.why, r.e.d, r.e.moving
		failed := r.e.row.Error
		r.s.mu.Unlock()
		switch {
		case moving:
		case c != nil:
			if err := c.enter(); errors.Is(err, errMoved) {
				break // just now
			} else if err != nil {
				return err
			}
			r.c, r.buf = c, make([]byte, c.seed.PieceLen)
			return nil
		case why != nil:
			return fmt.Errorf("swarm: %w", why)
		case failed != "":
			return fmt.Errorf("swarm: %s", failed)
		case d == nil:
			return fmt.Errorf("swarm: the download was stopped: %w", ErrNoSource)
		}
		if err := r.pause(nil, began); err != nil {
			return err
		}
	}
}

// pause waits until something may have changed, unless nobody who has the file has been there for too long.
func (r *Reader) pause(turned <-chan struct{}, began time.Time) error {
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-r.s.ctx.Done():
		return errClosed
	case <-turned:
		return nil
	case <-t.C:
	}
	if d, ok := r.s.active.Load(r.id); ok && r.s.now().Sub(began) > readWait && !d.(*download).isServed() {
		return fmt.Errorf("swarm: %w", ErrNoSource)
	}
	return nil
}

// isServed reports whether somebody who has pieces is there.
func (d *download) isServed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state == StateDownloading
}

// load reads piece i into the buffer, when it is there.
func (r *Reader) load(i int) error {
	r.hurry(i)
	began := r.s.now()
	for !r.c.has(i) {
		_, turned, gone := r.c.since(0)
		if gone != nil {
			return gone
		}
		if r.c.has(i) {
			break
		}
		if err := r.pause(turned, began); err != nil {
			return err
		}
	}
	data, err := r.c.read(i, r.buf)
	if err != nil {
		return err
	}
	r.piece, r.length = i, len(data)
	return nil
}

// hurry says that this piece and those behind it come before all others.
func (r *Reader) hurry(i int) {
	v, ok := r.s.active.Load(r.id)
	if !ok {
		return
	}
	ahead := max(2, readAhead/r.c.seed.PieceLen)
	if r.urgent >= 0 && i >= r.urgent && i < r.urgent+ahead/4 {
		return // near enough
	}
	r.urgent = i
	d := v.(*download)
	number, last := r.number, r.c.seed.Count()-1
	if d.idle.Load() {
		last = min(last, i+2*ahead)
	}
	d.urge(number, i, last, ahead)
}

// urge tells the picker which pieces somebody reads. A download that has begun since the reader was opened may
// not have one yet.
func (d *download) urge(reader uint32, first, last, ahead int) {
	d.do(func() {
		if d.picker != nil {
			d.picker.Urgent(d.now(), reader, first, last, ahead)
		}
	})
}

// Close ends the reading. It must be called.
func (r *Reader) Close() error {
	if r.e == nil {
		return nil
	}
	if v, ok := r.s.active.Load(r.id); ok && r.urgent >= 0 {
		v.(*download).urge(r.number, 0, 0, 0)
	}
	if r.c != nil {
		r.c.leave()
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.e.readers--
	r.e.read = r.s.now()
	r.e = nil
	return nil
}

// wantAll has all pieces fetched, or, where only what is read is wanted, those.
func (d *download) wantAll() {
	if d.idle.Load() {
		d.picker.Want(d.now())
		return
	}
	d.picker.Want(d.now(), picker.All)
}

// forgetRead forgets what was only read, and not for some time.
func (s *Service) forgetRead() {
	now := s.now()
	old := map[seed.ID]*entry{}
	long := func(e *entry) bool { return onlyRead(e) && e.readers == 0 && now.Sub(e.read) > readKeep }
	s.mu.Lock()
	for id, e := range s.entries {
		if long(e) {
			old[id] = e
		}
	}
	s.mu.Unlock()
	for id, e := range old {
		if err := s.forget(s.ctx, id, e, true, long); err != nil && !errors.Is(err, ErrNotFound) {
			s.log.Error("what was only read is not deleted", "seed", id.Short(), "error", err)
		}
	}
}
