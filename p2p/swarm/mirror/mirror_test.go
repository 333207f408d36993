package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// TestFetch: any pieces arrive, each once, over at most four connections, in requests
// for single ranges.
func TestFetch(t *testing.T) {
	data := noise(1, 20<<20+12345)
	s := newServer(t, data)
	c := newTestClient(t, Options{})
	m := mustOpen(t, c, s)
	l := layoutOf(t, data)
	if !m.Ranges() {
		t.Error("no ranges")
	}
	rapid.Check(t, func(t *rapid.T) {
		density := rapid.SampledFrom([]int{1, 2, 5, 20, 100}).Draw(t, "density")
		var pieces []int
		for i := range l.Count() {
			if rapid.IntRange(1, density).Draw(t, "in") == 1 {
				pieces = append(pieces, i)
			}
		}
		before := s.sentBytes()
		b := &basket{l: l, data: data}
		shuffled := rapid.Permutation(pieces).Draw(t, "order")
		if err := m.Fetch(context.Background(), l, shuffled, b.sink()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(b.got)
		if !slices.Equal(b.got, pieces) && len(pieces) > 0 || len(b.wrong) > 0 {
			t.Fatalf("%v came, %v of them wrong; want %v", b.got, b.wrong, pieces)
		}
		want := 0
		for _, i := range pieces {
			_, n := l.Extent(i)
			want += n
		}
		if b.received != want {
			t.Fatalf("told of %d bytes, want %d", b.received, want)
		}
		if sent := int(s.sentBytes() - before); sent > want+len(pieces)*shortGap {
			t.Fatalf("%d bytes were sent for %d", sent, want)
		}
	})
	if s.most > perHost+1 { // a server hears late that one has ended
		t.Errorf("%d connections at once", s.most)
	}
	if n, asked := s.connections(), len(s.asked()); n > perHost+asked/20 {
		t.Errorf("%d connections for %d requests: they are not used again", n, asked)
	}
	for _, r := range s.asked() {
		if strings.Contains(r.Header.Get("Range"), ",") || r.Header.Get("Accept-Encoding") != "identity" || r.Method != http.MethodGet {
			t.Fatalf("asked %s %v", r.Method, r.Header)
		}
	}
}

func (s *server) sentBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// TestPlan: spans hold all pieces in order, are as long as they may be, and leave out
// what is not wanted but for short gaps.
func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.Int64Range(0, 30<<20), rapid.Int64Range(0, 3<<30)).Draw(t, "size")
		l, err := seed.LayoutOf(size)
		if err != nil {
			t.Fatal(err)
		}
		pieces := rapid.SliceOfN(rapid.IntRange(0, l.Count()-1), 1, 300).Draw(t, "pieces")
		spans, err := plan(l, pieces, true)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		end := int64(-shortGap)
		for _, s := range spans {
			if s.length > longestSpan || s.end() > l.Size || s.offset < max(end, 0) {
				t.Fatalf("a span of %d bytes at %d, after %d", s.length, s.offset, end)
			}
			wanted, at := int64(0), s.offset
			for _, i := range s.pieces {
				offset, n := l.Extent(i)
				if offset-at >= shortGap {
					t.Fatalf("a gap of %d bytes", offset-at)
				}
				at, wanted = offset+int64(n), wanted+int64(n)
			}
			if at != s.end() || wanted != s.wanted {
				t.Fatalf("%d bytes wanted up to %d in %+v", wanted, at, s)
			}
			got, end = append(got, s.pieces...), s.end()
		}
		slices.Sort(pieces)
		if !slices.Equal(got, slices.Compact(pieces)) {
			t.Fatalf("%v became %v", pieces, got)
		}
	})
	for pieces, want := range map[int][]int64{1: {64 << 10}, 16: {1 << 20}, 17: {1 << 20, 64 << 10}, 640: {8 << 20, 8 << 20, 8 << 20, 8 << 20, 8 << 20}, 64: {1 << 20, 1 << 20, 1 << 20, 1 << 20}} {
		l := seed.Layout{Size: 200 << 20, PieceLen: 64 << 10}
		spans, err := plan(l, all(l)[:pieces], true)
		var got []int64
		for _, s := range spans {
			got = append(got, s.length)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d pieces: spans of %v, %v, want %v", pieces, got, err, want)
		}
	}
	if _, err := plan(seed.Layout{Size: 10, PieceLen: 16 << 10}, []int{1}, true); err == nil {
		t.Error("a piece that the file does not have")
	}
}

// TestUnfit: what servers answer that cannot be used, at the opening and later.
func TestUnfit(t *testing.T) {
	data := noise(1, 4<<20)
	l := layoutOf(t, data)
	partial := func(contentRange string, n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[:n])
		}
	}
	stream := func(contentRange string) http.HandlerFunc { // without Content-Length
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(data[:2<<16+1])
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, c := range map[string]struct {
		handle      http.HandlerFunc
		open, fetch error
	}{
		"not found":              {status(404), ErrUnfit, ErrUnfit},
		"not permitted":          {status(403), ErrUnfit, ErrUnfit},
		"no content":             {status(204), ErrUnfit, ErrUnfit},
		"not modified":           {status(304), ErrUnfit, ErrUnfit},
		"no range":               {status(416), ErrUnfit, ErrChanged},
		"another range":          {partial("bytes 1-1/4194304", 1), ErrUnfit, ErrUnfit},
		"a longer range":         {partial("bytes 0-1/4194304", 2), ErrUnfit, ErrUnfit},
		"another length":         {partial("bytes 0-0/4194305", 1), ErrUnfit, ErrChanged},
		"no length":              {partial("bytes 0-0/*", 1), ErrUnfit, ErrUnfit},
		"other units":            {partial("pieces 0-0/4194304", 1), ErrUnfit, ErrUnfit},
		"nonsense":               {partial("bytes 0--1/-1", 1), ErrUnfit, ErrUnfit},
		"no range said":          {partial("", 1), ErrUnfit, ErrUnfit},
		"a range beyond the end": {partial("bytes 0-9999999999999/4194304", 1), ErrUnfit, ErrUnfit},
		"shifted":                {stream("bytes 1310721-1441792/4194304"), ErrUnfit, ErrUnfit},
		"from later on":          {stream("bytes 1310721-1441791/4194304"), ErrUnfit, ErrUnfit},
		"too long":               {stream("bytes 1310720-1441792/4194304"), ErrUnfit, ErrUnfit},
		"several ranges": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/byteranges; boundary=x")
			w.WriteHeader(http.StatusPartialContent)
		}, ErrUnfit, ErrUnfit},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			http.ServeContent(w, r, "file.bin", time.Time{}, strings.NewReader(string(data)))
		}, ErrUnfit, ErrUnfit},
		"a page for all that is not there": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>")
		}, ErrUnfit, ErrChanged},
		"the whole of another length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4194305")
			w.WriteHeader(http.StatusOK)
		}, ErrUnfit, ErrChanged},
		"another file": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"2"`)
			http.ServeContent(w, r, "file.bin", time.Time{}, strings.NewReader(string(data)))
		}, nil, ErrChanged},
		"redirected too often": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}, ErrUnfit, ErrUnfit},
		"redirected to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, ErrUnfit, ErrUnfit},
		"redirected with a password": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://u:p@example.org/", http.StatusFound)
		}, ErrUnfit, ErrUnfit},
		"redirected to this computer": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace("http://"+r.Host, "127.0.0.1", "[::1]", 1), http.StatusFound)
		}, ErrForbidden, ErrForbidden},
		"redirected to a local name": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace("http://"+r.Host, "127.0.0.1", "localhost", 1), http.StatusFound)
		}, ErrForbidden, ErrForbidden},
		"redirected to metadata": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/", http.StatusFound)
		}, ErrForbidden, ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, data)
			cl := newTestClient(t, Options{})
			m := mustOpen(t, cl, s)
			s.answer(c.handle)
			if _, err := cl.Open(t.Context(), s.URL, int64(len(data)), true); !errors.Is(err, c.open) {
				t.Errorf("open: %v, want %v", err, c.open)
			}
			b := &basket{l: l, data: data}
			if err := m.Fetch(t.Context(), l, []int{20, 21}, b.sink()); !errors.Is(err, c.fetch) || len(b.got) > 0 {
				t.Errorf("fetch: %v, want %v; %v came", err, c.fetch, b.got)
			}
			var e *Error
			if err := m.Fetch(t.Context(), l, []int{0}, b.sink()); !errors.As(err, &e) || e.URL != s.URL+"/file" {
				t.Errorf("fetch: %v", err)
			}
		})
	}
}

// TestRedirected: three times is no harm, and tells nobody where it came from.
func TestRedirected(t *testing.T) {
	data := noise(1, 100000)
	s := newServer(t, data)
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) < len("/filexxx") {
			http.Redirect(w, r, r.URL.Path+"x#part", http.StatusTemporaryRedirect)
			return
		}
		s.serve(w, r)
	})
	m := mustOpen(t, newTestClient(t, Options{}), s)
	b := &basket{l: layoutOf(t, data), data: data}
	if err := m.Fetch(t.Context(), b.l, all(b.l), b.sink()); err != nil || len(b.got) != b.l.Count() || len(b.wrong) > 0 {
		t.Fatalf("%v: %v, %v wrong", err, b.got, b.wrong)
	}
	for _, r := range s.asked() {
		if r.Referer() != "" || r.Header.Get("Range") == "" {
			t.Errorf("%s was asked with %v", r.URL, r.Header)
		}
	}
}

// TestBusy: a server that wants to be left alone is.
func TestBusy(t *testing.T) {
	s := newServer(t, noise(1, 1000))
	c := newTestClient(t, Options{})
	for after, want := range map[string]time.Duration{
		"7": 7 * time.Second, "": 0, "-3": 0, "soon": 0, "99999999999999999999": 0, "999999": MaxWait,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): MaxWait, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		s.answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := c.Open(t.Context(), s.URL, 1000, true)
		var e *Error
		if !errors.As(err, &e) || e.Wait != want || errors.Is(err, ErrUnfit) {
			t.Errorf("%q: %v, wait %v, want %v", after, err, e.Wait, want)
		}
	}
}

// TestChanged: the file changes between two requests, in every way that shows.
func TestChanged(t *testing.T) {
	old, later := noise(1, 2<<20), noise(2, 2<<20)
	long := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		etag1, etag2 string
		time1, time2 time.Time
		data2        []byte
		changed      bool
	}{
		"another tag":                {`"1"`, `"2"`, time.Time{}, time.Time{}, later, true},
		"another weak tag":           {`W/"1"`, `W/"2"`, time.Time{}, time.Time{}, later, true},
		"another date":               {"", "", long, long.Add(time.Second), later, true},
		"another date, not long ago": {"", "", time.Now(), time.Now().Add(2 * time.Second), later, true},
		"it has got shorter":         {`"1"`, `"1"`, time.Time{}, time.Time{}, later[:1<<20], true},
		"it has got longer":          {`"1"`, `"1"`, time.Time{}, time.Time{}, append(slices.Clone(old), 1), true},
		"the same":                   {`"1"`, `"1"`, long, long, old, false},
		"the same, and dated anew":   {`"1"`, `"1"`, long, long.Add(time.Minute), old, false},
		"it says nothing":            {"", "", time.Time{}, time.Time{}, old, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, old)
			now := func(etag string, at time.Time, data []byte) {
				s.answer(func(w http.ResponseWriter, r *http.Request) {
					if etag != "" {
						w.Header().Set("ETag", etag)
					}
					http.ServeContent(w, r, "file.bin", at, strings.NewReader(string(data)))
				})
			}
			now(c.etag1, c.time1, old)
			m := mustOpen(t, newTestClient(t, Options{}), s)
			now(c.etag2, c.time2, c.data2)
			b := &basket{l: layoutOf(t, old), data: old}
			err := m.Fetch(t.Context(), b.l, []int{20}, b.sink())
			if errors.Is(err, ErrChanged) != c.changed || !c.changed && err != nil || len(b.wrong) > 0 {
				t.Errorf("%v; wrong pieces: %v", err, b.wrong)
			}
		})
	}
}

// TestIfRange: only what names a version for sure is asked for.
func TestIfRange(t *testing.T) {
	data := noise(1, 100000)
	long := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for name, c := range map[string]struct{ etag, modified, want string }{
		"a tag":                  {`"1"`, long, `"1"`},
		"a weak tag":             {`W/"1"`, long, ""},
		"a date":                 {"", long, long},
		"the date of the answer": {"", time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat), ""},
		"nonsense":               {"", "yesterday", ""},
		"nothing":                {"", "", ""},
	} {
		s := newServer(t, data)
		s.answer(func(w http.ResponseWriter, r *http.Request) {
			for key, value := range map[string]string{"ETag": c.etag, "Last-Modified": c.modified} {
				if value != "" {
					w.Header().Set(key, value)
				}
			}
			http.ServeContent(w, r, "file.bin", time.Time{}, strings.NewReader(string(data)))
		})
		m := mustOpen(t, newTestClient(t, Options{}), s)
		l := layoutOf(t, data)
		if err := m.Fetch(t.Context(), l, []int{1}, (&basket{l: l, data: data}).sink()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.asked()[1].Header.Get("If-Range"); got != c.want {
			t.Errorf("%s: If-Range %q, want %q", name, got, c.want)
		}
	}
}

// TestConnections: several downloads of one file have four connections together.
func TestConnections(t *testing.T) {
	data := noise(1, 16<<20)
	s := newServer(t, data)
	c := newTestClient(t, Options{})
	l := layoutOf(t, data)
	g, ctx := errgroup.WithContext(t.Context())
	for range 3 {
		m := mustOpen(t, c, s)
		g.Go(func() error { return m.Fetch(ctx, l, all(l), (&basket{l: l, data: data}).sink()) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if s.most > perHost+1 {
		t.Errorf("%d connections at once", s.most)
	}
}

// TestWithoutRanges: a server that only knows whole files is read from the beginning,
// where little of that is in vain.
func TestWithoutRanges(t *testing.T) {
	data := noise(1, 6<<20)
	s := newServer(t, data)
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	})
	m := mustOpen(t, newTestClient(t, Options{}), s)
	l := layoutOf(t, data)
	if m.Ranges() {
		t.Error("it has ranges")
	}
	b := &basket{l: l, data: data}
	if err := m.Fetch(t.Context(), l, all(l), b.sink()); err != nil || !slices.Equal(b.got, all(l)) || len(b.wrong) > 0 {
		t.Errorf("%v: %v, %v wrong", err, b.got, b.wrong)
	}
	requests := len(s.asked())
	if requests != 2 {
		t.Errorf("%d requests", requests)
	}
	b = &basket{l: l, data: data}
	if err := m.Fetch(t.Context(), l, []int{3, 9}, b.sink()); err != nil || !slices.Equal(b.got, []int{3, 9}) || len(b.wrong) > 0 {
		t.Errorf("%v: %v, %v wrong", err, b.got, b.wrong)
	}
	if err := m.Fetch(t.Context(), l, []int{80}, b.sink()); !errors.Is(err, ErrUnfit) {
		t.Errorf("one piece far behind: %v", err)
	}
	if n := len(s.asked()); n != requests+1 {
		t.Error("what would be in vain was asked for")
	}
}

// TestForgetsRanges: a server that sent ranges once sends everything now.
func TestForgetsRanges(t *testing.T) {
	data := noise(1, 8<<20)
	s := newServer(t, data)
	m := mustOpen(t, newTestClient(t, Options{}), s)
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	})
	l := layoutOf(t, data)
	b := &basket{l: l, data: data}
	if err := m.Fetch(t.Context(), l, []int{10}, b.sink()); err != nil || !slices.Equal(b.got, []int{10}) || len(b.wrong) > 0 {
		t.Errorf("near: %v, %v, wrong %v", err, b.got, b.wrong)
	}
	if err := m.Fetch(t.Context(), l, []int{100}, b.sink()); !errors.Is(err, ErrUnfit) {
		t.Errorf("far: %v", err)
	}
}

// TestHostile: servers that keep a client busy. All of it ends soon, and costs little.
func TestHostile(t *testing.T) {
	data := noise(1, 4<<20)
	l := layoutOf(t, data)
	flush := func(w http.ResponseWriter) bool { return http.NewResponseController(w).Flush() == nil }
	head := func(w http.ResponseWriter) {
		w.Header().Set("Content-Range", "bytes 1310720-1441791/4194304") // pieces 20 and 21
		w.WriteHeader(http.StatusPartialContent)
	}
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		want   error // nil: any
		got    []int
	}{
		"it says nothing": {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, nil},
		"it stops": {func(w http.ResponseWriter, r *http.Request) {
			head(w)
			_, _ = w.Write(data[20<<16 : 21<<16+100])
			flush(w)
			<-r.Context().Done()
		}, ErrSlow, []int{20}},
		"it drips": {func(w http.ResponseWriter, r *http.Request) {
			head(w)
			for i := 0; r.Context().Err() == nil && flush(w); i++ {
				_, _ = w.Write(data[20<<16+i : 20<<16+i+1])
				time.Sleep(20 * time.Millisecond)
			}
		}, ErrSlow, nil},
		"its header drips": {func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = rw.WriteString("HTTP/1.1 206 Partial Content\r\n")
			for i := 0; rw.Flush() == nil && i < 200; i++ {
				_, _ = fmt.Fprintf(rw, "X-%d: 1\r\n", i)
				time.Sleep(20 * time.Millisecond)
			}
		}, nil, nil},
		"its header is long": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("X-A", strings.Repeat("a", 2*maxHeader))
			http.ServeContent(w, r, "file.bin", time.Time{}, strings.NewReader(string(data)))
		}, nil, nil},
		"its header does not end": {func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = rw.WriteString("HTTP/1.1 206 Partial Content\r\n")
			for i := 0; rw.Flush() == nil; i++ {
				_, _ = fmt.Fprintf(rw, "X-%d: %s\r\n", i, strings.Repeat("a", 1000))
			}
		}, nil, nil},
		"its body does not end": {func(w http.ResponseWriter, r *http.Request) {
			head(w)
			if _, err := w.Write(data[20<<16 : 22<<16]); err != nil {
				return
			}
			for flush(w) {
				if _, err := w.Write(data[:1<<16]); err != nil {
					return
				}
			}
		}, nil, []int{20, 21}},
		"it breaks off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(2<<16))
			head(w)
			_, _ = w.Write(data[20<<16 : 21<<16+100])
			panic(http.ErrAbortHandler)
		}, io.ErrUnexpectedEOF, []int{20}},
		"it is short": {func(w http.ResponseWriter, r *http.Request) {
			head(w)
			_, _ = w.Write(data[20<<16 : 21<<16+100])
			flush(w)
		}, io.ErrUnexpectedEOF, []int{20}},
		"it is not HTTP": {func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = rw.WriteString("+OK\r\n")
			_ = rw.Flush()
			_ = c.Close()
		}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, data)
			m := mustOpen(t, newTestClient(t, hasty), s)
			s.answer(c.handle)
			b := &basket{l: l, data: data}
			start := time.Now()
			err := m.Fetch(t.Context(), l, []int{20, 21}, b.sink())
			if took := time.Since(start); took > 20*hasty.Timeout {
				t.Errorf("it took %v", took)
			}
			complete := len(c.got) == 2
			if (err == nil) != complete || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if !slices.Equal(b.got, c.got) || len(b.wrong) > 0 {
				t.Errorf("%v came, %v wrong, want %v", b.got, b.wrong, c.got)
			}
			if sent := s.sentBytes(); sent > 16<<20 {
				t.Errorf("%d bytes were sent", sent)
			}
		})
	}
}

// TestSinkStops: the first piece that is wrong ends the fetch.
func TestSinkStops(t *testing.T) {
	data := noise(1, 32<<20)
	s := newServer(t, data)
	m := mustOpen(t, newTestClient(t, Options{}), s)
	l := layoutOf(t, data)
	bad := errors.New("not that piece")
	err := m.Fetch(t.Context(), l, all(l), Sink{Piece: func(int, []byte) error { return bad }})
	if !errors.Is(err, bad) {
		t.Error(err)
	}
	if err := m.Fetch(t.Context(), seed.Layout{Size: 1, PieceLen: 16 << 10}, []int{0}, Sink{}); !errors.Is(err, ErrUnfit) {
		t.Errorf("another layout: %v", err)
	}
}

// TestSlowSink: the time that the sink takes is not the server's.
func TestSlowSink(t *testing.T) {
	data := noise(1, 64<<10)
	s := newServer(t, data)
	m := mustOpen(t, newTestClient(t, hasty), s)
	l := layoutOf(t, data)
	err := m.Fetch(t.Context(), l, all(l), Sink{Piece: func(int, []byte) error {
		time.Sleep(hasty.Timeout / 2)
		return nil
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	data := noise(1, 1<<20)
	s := newServer(t, data)
	m := mustOpen(t, newTestClient(t, Options{}), s)
	s.answer(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := m.Fetch(ctx, layoutOf(t, data), []int{0}, Sink{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestEmptyFile has one piece, for which nobody is asked.
func TestEmptyFile(t *testing.T) {
	s := newServer(t, nil)
	c := newTestClient(t, Options{})
	for _, code := range []int{200, 416} {
		s.answer(func(w http.ResponseWriter, _ *http.Request) {
			if code == 416 {
				w.Header().Set("Content-Range", "bytes */0")
			}
			w.WriteHeader(code)
		})
		m := mustOpen(t, c, s)
		b := &basket{l: layoutOf(t, nil)}
		if err := m.Fetch(t.Context(), b.l, []int{0}, b.sink()); err != nil || len(b.got) != 1 {
			t.Errorf("%d: %v, %v", code, err, b.got)
		}
	}
}

// TestStrangersConnections: what the user may reach is not reached by a stranger's URL
// through the connection that is open already.
func TestStrangersConnections(t *testing.T) {
	s := newServer(t, noise(1, 1000))
	c := newTestClient(t, Options{})
	mustOpen(t, c, s)
	before := len(s.asked())
	if _, err := c.Open(t.Context(), s.URL+"/file", 1000, false); !errors.Is(err, ErrForbidden) {
		t.Error(err)
	}
	if len(s.asked()) != before {
		t.Error("it was asked")
	}
}

func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 0-0/1", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 0-9/5", "bytes 0-9/9", "bytes 0-18446744073709551615/18446744073709551616", "bytes +1-+2/+3", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, last, size, ok := contentRange(http.Header{"Content-Range": {text}})
		if !ok {
			return
		}
		if first < 0 || last < first || size >= 0 && size <= last {
			t.Fatalf("%q: %d to %d of %d", text, first, last, size)
		}
	})
}
