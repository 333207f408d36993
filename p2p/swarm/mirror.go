package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/mirror"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// mirrors begins with the servers that have the file: those that a person has named here, and those of the seed.
func (d *download) mirrors(now time.Time) {
	named := d.named()
	for i, url := range slices.Concat(named, d.seed.Web) {
		list := !d.known()
		if list {
			url = seed.ListURL(url)
		}
		f := d.failures[url]
		if d.byPeer[url] != nil || f != nil && (f.bad || now.Before(f.until)) {
			continue
		}
		d.add(&source{d: d, url: url, trusted: i < len(named), list: list})
	}
}

// named returns the servers that a person here has named.
func (d *download) named() []string {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if e := d.s.entries[d.id]; e != nil {
		return e.web
	}
	return nil
}

// browse fetches pieces from a server.
func (s *source) browse() error {
	if s.list {
		return s.fetchList()
	}
	began := time.Now()
	m, err := s.d.s.web.Open(s.ctx, s.url, s.d.layout.Size, s.trusted)
	if err != nil {
		return err
	}
	if !m.Ranges() {
		return s.readThrough(m)
	}
	s.mu.Lock()
	s.answer = time.Since(began)
	s.mu.Unlock()
	s.d.post(event{kind: evJoined, src: s})
	s.d.post(event{kind: evHave, src: s, piece: 0, n: s.d.layout.Count()})
	return s.fetchAsked(m)
}

// fetchList fetches the values of the pieces, which lie beside the file. They prove themselves by the root.
func (s *source) fetchList() error {
	l, err := seed.LayoutOf(int64(s.d.layout.Count()) * int64(len(chunk.Hash{})))
	if err != nil {
		return err
	}
	m, err := s.d.s.web.Open(s.ctx, s.url, l.Size, s.trusted)
	if err != nil {
		return err
	}
	pieces := make([]int, l.Count())
	for i := range pieces {
		pieces[i] = i
	}
	list := make([]byte, l.Size)
	err = m.Fetch(s.ctx, l, pieces, mirror.Sink{Piece: func(i int, data []byte) error {
		at, _ := l.Extent(i)
		copy(list[at:], data)
		return nil
	}})
	if err != nil {
		return err
	}
	s.d.post(event{kind: evBytes, src: s, bytes: list})
	return errThrough
}

// noList says why a download does not begin whose pieces nobody describes, and what can be done about it.
func (d *download) noList(url string, why error) string {
	var served *mirror.Error
	if errors.As(why, &served) {
		why = served.Err
	}
	return fmt.Sprintf("the hashes of its %d pieces are not known: nobody who has the file is there, and %s does not give them (%v). They come from any member who has the file, or from there, when whoever has made the seed puts the file of them there, which shoal seed --web writes", d.seed.Count(), url, why)
}

// fetches is how many requests to a server are under way at once.
const fetches = 2

// fetchAsked fetches what the download asks for, as it does.
func (s *source) fetchAsked(m *mirror.Mirror) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, fetches)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.kick:
		}
		for {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			pieces := s.take()
			if len(pieces) == 0 {
				<-slots
				break
			}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := m.Fetch(ctx, s.d.layout, pieces, s.sink()); err != nil {
					cancel(err)
				}
			})
		}
	}
}

// take returns what is asked for and not being fetched, in order.
func (s *source) take() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pieces []int
	for i := range s.queue {
		pieces = append(pieces, i)
	}
	clear(s.queue)
	slices.Sort(pieces)
	return pieces
}

// sink takes what a server sends.
func (s *source) sink() mirror.Sink {
	return mirror.Sink{
		Received: func(_, n int) { s.d.post(event{kind: evReceived, src: s, n: n}) },
		Piece: func(i int, data []byte) error {
			s.mu.Lock()
			delete(s.asked, i)
			s.mu.Unlock()
			kind, err := s.d.put(i, data)
			s.d.post(event{kind: kind, src: s, piece: i, err: err})
			if kind == evBad {
				return errBad
			}
			return err
		},
	}
}

// aloneFor is how long a server that serves no ranges is kept for when nobody else is there.
const aloneFor = 3 * time.Second

// readThrough reads all from a server that serves no ranges, from the beginning on, unless somebody else has
// the file, from whom just what is missing comes.
func (s *source) readThrough(m *mirror.Mirror) error {
	tick := time.NewTicker(aloneFor)
	defer tick.Stop()
	for s.d.isServed() {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-tick.C:
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				if s.d.isServed() {
					cancel()
				}
			}
		}
	})
	defer wg.Wait()
	defer cancel()
	var pieces []int
	for c, i := s.d.c.Load(), 0; c != nil && i < s.d.layout.Count(); i++ {
		if !c.has(i) {
			pieces = append(pieces, i)
		}
	}
	err := m.Fetch(ctx, s.d.layout, pieces, s.sink())
	if err == nil {
		err = errThrough
	}
	return err
}

// errThrough: a server has been read to the end.
var errThrough = errors.New("it was read to the end")
