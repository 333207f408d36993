package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// A Mirror is a file on a web server. Its methods may be called from any goroutine.
type Mirror struct {
	client  *Client
	http    *http.Client
	url     string
	host    string
	size    int64
	trusted bool
	ranges  bool

	etag, modified string // what the server called this version of the file
	ifRange        string // how it can be asked for this version only, or ""
}

// URL returns where the file is.
func (m *Mirror) URL() string { return m.url }

// Ranges reports whether the server serves ranges. From one that does not, a file can
// only be read from its beginning on.
func (m *Mirror) Ranges() bool { return m.ranges }

// A Sink takes what arrives. Its functions are called from several goroutines at
// once, each for a piece of its own, and may take their time: meanwhile nothing more
// is read.
type Sink struct {
	// Received is told of n more bytes of a piece. It can be nil.
	Received func(piece, n int)
	// Piece takes a whole piece, which is not verified. The data are valid until it
	// returns. An error ends the fetch.
	Piece func(piece int, data []byte) error
}

// Fetch fetches pieces of the file, which has the layout l, and returns when all are
// in the sink. Errors: ErrForbidden, ErrUnfit, ErrChanged, ErrSlow, those of the
// sink, and those of the network; they are *Error.
func (m *Mirror) Fetch(ctx context.Context, l seed.Layout, pieces []int, sink Sink) error {
	if err := m.fetch(ctx, l, pieces, sink); err != nil {
		return m.wrap("fetch", err)
	}
	return nil
}

func (m *Mirror) fetch(ctx context.Context, l seed.Layout, pieces []int, sink Sink) error {
	if l.Size != m.size {
		return fmt.Errorf("%w: a layout of %d bytes, and %d on the server", ErrUnfit, l.Size, m.size)
	}
	spans, err := plan(l, pieces, m.ranges)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(perHost)
	for _, s := range spans {
		g.Go(func() error { return m.span(ctx, l, s, sink) })
	}
	return g.Wait()
}

// span fetches a span.
func (m *Mirror) span(ctx context.Context, l seed.Layout, s span, sink Sink) error {
	if s.length == 0 { // the piece of an empty file
		return s.deliver(l, nil, 0, sink)
	}
	if !m.ranges && s.vain() > s.wanted+maxSkip {
		return fmt.Errorf("%w: without ranges, %d bytes would be read for %d", ErrUnfit, s.end(), s.wanted)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := m.get(ctx, s)
	if err != nil {
		return cause(ctx, err)
	}
	defer r.Body.Close()
	at, err := m.begin(r, s)
	if err != nil {
		return err
	}
	body := &patient{r: r.Body, cancel: cancel, timeout: m.client.options.Timeout, slowest: m.client.options.Slowest}
	if err := s.deliver(l, body, at, sink); err != nil {
		return cause(ctx, err)
	}
	return nil
}

// cause returns why the context was cancelled, if this package did it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); errors.Is(c, ErrSlow) {
		return c
	}
	return err
}

// get asks for a span.
func (m *Mirror) get(ctx context.Context, s span) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "shoal")
	r.Header.Set("Accept-Encoding", "identity")
	if m.ranges {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", s.offset, s.end()-1))
		if m.ifRange != "" {
			r.Header.Set("If-Range", m.ifRange)
		}
	}
	return m.http.Do(r)
}

// begin judges the answer to a request for a span, and returns where in the file its
// body begins.
func (m *Mirror) begin(r *http.Response, s span) (at int64, err error) {
	if err := refused(r); err != nil {
		return 0, err
	}
	if m.differs(r) {
		return 0, fmt.Errorf("%w: it has other validators", ErrChanged)
	}
	switch r.StatusCode {
	case http.StatusPartialContent:
		first, last, size, ok := contentRange(r.Header)
		switch {
		case !ok || !m.ranges:
			return 0, fmt.Errorf("%w: Content-Range %.80q", ErrUnfit, r.Header.Get("Content-Range"))
		case size >= 0 && size != m.size:
			return 0, fmt.Errorf("%w: it has %d bytes, not %d", ErrChanged, size, m.size)
		case first != s.offset || last != s.end()-1 || r.ContentLength >= 0 && r.ContentLength != s.length:
			return 0, fmt.Errorf("%w: it sends bytes %d to %d, %d of them, for %d to %d", ErrUnfit, first, last, r.ContentLength, s.offset, s.end()-1)
		}
		return s.offset, nil
	case http.StatusOK:
		switch {
		case r.ContentLength >= 0 && r.ContentLength != m.size:
			return 0, fmt.Errorf("%w: it has %d bytes, not %d", ErrChanged, r.ContentLength, m.size)
		case m.ranges && s.offset > maxSkip:
			return 0, fmt.Errorf("%w: it sends the whole file for bytes %d to %d", ErrUnfit, s.offset, s.end()-1)
		}
		return 0, nil
	case http.StatusRequestedRangeNotSatisfiable:
		return 0, fmt.Errorf("%w: it ends before byte %d", ErrChanged, s.offset)
	}
	return 0, fmt.Errorf("%w: it answers %.40s", ErrUnfit, r.Status)
}

// refused returns an error where the server does not send the file as it is.
func refused(r *http.Response) error {
	switch code := r.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return &busyError{fmt.Sprintf("%.40s", r.Status), waitOf(r.Header, time.Now())}
	case code >= 300 && code != http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%w: it answers %.40s", ErrUnfit, r.Status)
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return fmt.Errorf("%w: it sends the file as %.40q", ErrUnfit, e)
	}
	return nil
}

// differs reports whether an answer is of another version of the file.
func (m *Mirror) differs(r *http.Response) bool {
	etag, modified := r.Header.Get("ETag"), r.Header.Get("Last-Modified")
	if m.etag != "" && etag != "" {
		return m.etag != etag
	}
	return m.modified != "" && modified != "" && m.modified != modified
}

// probe asks for the first byte and learns from the answer what the server can do.
func (m *Mirror) probe(ctx context.Context) error {
	m.ranges = true
	r, err := m.get(ctx, span{length: 1})
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if err := refused(r); err != nil {
		return err
	}
	size := r.ContentLength
	switch r.StatusCode {
	case http.StatusOK:
		m.ranges = false
	case http.StatusPartialContent:
		var first, last int64
		var ok bool
		if first, last, size, ok = contentRange(r.Header); !ok || first != 0 || last != 0 {
			return fmt.Errorf("%w: Content-Range %.80q for the first byte", ErrUnfit, r.Header.Get("Content-Range"))
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if r.Header.Get("Content-Range") != "bytes */0" {
			return fmt.Errorf("%w: it has no first byte", ErrUnfit)
		}
		size = 0
	default:
		return fmt.Errorf("%w: it answers %.40s", ErrUnfit, r.Status)
	}
	switch {
	case size < 0:
		return fmt.Errorf("%w: it does not say how long the file is", ErrUnfit)
	case size != m.size:
		return fmt.Errorf("%w: the file has %d bytes, not %d", ErrUnfit, size, m.size)
	}
	m.remember(r.Header)
	if r.StatusCode == http.StatusPartialContent && r.ContentLength == 1 {
		// Read to its end, it leaves the connection for the next request.
		_, err = io.ReadFull(r.Body, make([]byte, 1))
	}
	return err
}

// remember notes the validators of the file. If-Range takes strong ones only (RFC
// 9110 §13.1.5): a date is one if it was over when the server answered (§8.8.2.2).
func (m *Mirror) remember(h http.Header) {
	m.etag, m.modified = h.Get("ETag"), h.Get("Last-Modified")
	switch {
	case strings.HasPrefix(m.etag, `"`):
		m.ifRange = m.etag
	case m.etag == "" && m.modified != "":
		modified, err1 := http.ParseTime(m.modified)
		date, err2 := http.ParseTime(h.Get("Date"))
		if err1 == nil && err2 == nil && date.Sub(modified) >= time.Second {
			m.ifRange = m.modified
		}
	}
}

// contentRange reads the header for a single range. The size is -1 where the server
// does not say it.
func contentRange(h http.Header) (first, last, size int64, ok bool) {
	if len(h.Values("Content-Range")) != 1 {
		return 0, 0, 0, false
	}
	rest, ok1 := strings.CutPrefix(h.Get("Content-Range"), "bytes ")
	extent, total, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(extent, "-")
	first, ok4 := number(from)
	last, ok5 := number(to)
	size, ok6 := number(total)
	if total == "*" {
		size, ok6 = -1, true
	}
	return first, last, size, ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && first <= last && (size < 0 || last < size)
}

func number(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err == nil
}

// deliver reads the pieces of a span from a body that begins at at in the file.
func (s span) deliver(l seed.Layout, body io.Reader, at int64, sink Sink) error {
	buf := make([]byte, min(int64(l.PieceLen), s.length))
	for _, i := range s.pieces {
		offset, n := l.Extent(i)
		if _, err := io.CopyN(io.Discard, body, offset-at); err != nil {
			return broken(err)
		}
		for have := 0; have < n; {
			k, err := body.Read(buf[have:n])
			have += k
			if k > 0 && sink.Received != nil {
				sink.Received(i, k)
			}
			if err != nil && have < n {
				return broken(err)
			}
		}
		if err := sink.Piece(i, buf[:n]); err != nil {
			return err
		}
		at = offset + int64(n)
	}
	return nil
}

// broken names the end of a body for what it is.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the answer breaks off: %w", err)
}

// A patient reads a body and gives up where it is too slow. Only the time that is
// spent waiting counts.
type patient struct {
	r       io.Reader
	cancel  context.CancelCauseFunc
	timeout time.Duration // for the next bytes
	slowest int64         // bytes per second after the first timeout

	got    int64
	waited time.Duration
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	since := time.Now()
	t := time.AfterFunc(p.timeout, func() {
		p.cancel(fmt.Errorf("%w: no byte for %v", ErrSlow, p.timeout))
	})
	n, err := p.r.Read(b)
	t.Stop()
	p.got += int64(n)
	p.waited += time.Since(since)
	if err == nil && p.waited > p.timeout && float64(p.got) < float64(p.slowest)*p.waited.Seconds() {
		err = fmt.Errorf("%w: %d bytes in %v", ErrSlow, p.got, p.waited.Round(time.Millisecond))
	}
	return n, err
}
