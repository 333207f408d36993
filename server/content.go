package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/node"
)

// openTimeout is how long a file may take to be found and opened, here or on
// another member.
const openTimeout = 30 * time.Second

// content serves the bytes of a file: RFC 9110's conditional requests and single
// ranges. Whatever the bytes are, the browser saves them and never runs or shows
// them as a page of this origin.
func (a *nodeAPI) content(w http.ResponseWriter, r *http.Request) error {
	rep, ok := w.(*reply)
	if !ok {
		return errInternal
	}
	ctx, done, err := a.stream(r.Context())
	if err != nil {
		return err
	}
	defer done()
	rep.deadline(time.Now().Add(openTimeout + writeTimeout))
	c, err := a.open(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing was written
	f := file{name: c.Name, size: c.Size, modified: c.Modified.UTC().Truncate(time.Second), read: c.ReadRange}
	if c.Hash != [32]byte{} { // else it is not known yet
		f.etag = `"` + hex.EncodeToString(c.Hash[:]) + `"`
	}
	return serveFile(ctx, rep, r, f)
}

// file is what serveFile serves.
type file struct {
	name     string
	size     int64
	etag     string    // with its quotes; empty: what the file has is not known
	modified time.Time // zero: not known
	// read returns length bytes from offset on.
	read func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// serveFile answers a request for the bytes of f.
func serveFile(ctx context.Context, rep *reply, r *http.Request, f file) error {
	header := rep.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", attachment(f.name))
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	header.Set("Accept-Ranges", "bytes")
	if f.etag != "" {
		header.Set("Etag", f.etag)
	}
	if !f.modified.IsZero() {
		header.Set("Last-Modified", f.modified.Format(http.TimeFormat))
	}
	switch status, err := precondition(r, f.etag, f.modified); {
	case err != nil:
		return err
	case status == http.StatusNotModified:
		rep.WriteHeader(status)
		return nil
	}
	part, partial, err := rangeOf(r, f.etag, f.size)
	if err != nil {
		header.Set("Content-Range", fmt.Sprintf("bytes */%d", f.size))
		return err
	}
	return send(ctx, rep, r, f, part, partial)
}

// open finds the file, which may be on another member, within openTimeout.
func (a *nodeAPI) open(ctx context.Context, r *http.Request) (*node.Content, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	query := r.URL.Query()
	name := query.Get("node")
	from, err := nodeID(&name)
	if err != nil {
		return nil, err
	}
	return a.node.Content(ctx, r.PathValue("id"), from, query.Get("path"))
}

// send writes part of f. An error before the first byte is reported as usual;
// after that the connection is broken off, so that a part is never taken for
// the whole.
func send(ctx context.Context, rep *reply, r *http.Request, f file, part byteRange, partial bool) error {
	var body io.ReadCloser = http.NoBody
	if r.Method != http.MethodHead && part.length > 0 {
		var err error
		if body, err = f.read(ctx, part.start, part.length); err != nil {
			return err
		}
	}
	defer func() { _ = body.Close() }() // reading has told all there is to tell
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		rep.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.length-1, f.size))
	}
	rep.Header().Set("Content-Length", strconv.FormatInt(part.length, 10))
	rep.WriteHeader(status)
	if r.Method == http.MethodHead || part.length == 0 {
		return nil
	}
	_, err := io.CopyN(&movingWriter{rep}, body, part.length)
	return err
}

// movingWriter allows each write its time, however long all of them take.
type movingWriter struct{ rep *reply }

func (m *movingWriter) Write(b []byte) (int, error) {
	m.rep.deadline(time.Now().Add(writeTimeout))
	return m.rep.Write(b)
}

// precondition evaluates RFC 9110 §13.2.2, steps 1 to 4. Status 304 means that
// the client has the file. An empty etag, of a file that is newer than the index,
// equals no other one, and of a file without a date no date is looked at.
func precondition(r *http.Request, etag string, modified time.Time) (status int, err error) {
	h := r.Header
	if want := h["If-Match"]; len(want) > 0 {
		if !matchesStrongly(want, etag) {
			return 0, errPrecondition
		}
	} else if t, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && modified.After(t) {
		return 0, errPrecondition
	}
	if none := h["If-None-Match"]; len(none) > 0 {
		if matches(none, etag) {
			return http.StatusNotModified, nil
		}
	} else if t, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && !modified.IsZero() && !modified.After(t) {
		return http.StatusNotModified, nil
	}
	return http.StatusOK, nil
}

// matchesStrongly is matches by strong comparison: a weak tag equals nothing.
func matchesStrongly(list []string, etag string) bool {
	for _, header := range list {
		for tag := range strings.SplitSeq(header, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || etag != "" && tag == etag {
				return true
			}
		}
	}
	return false
}

// byteRange is a part of a file.
type byteRange struct{ start, length int64 }

// rangeOf returns the part of a file of the given size that r asks for, and
// whether it asks for a part at all. As RFC 9110 §14.2 has it, a Range that is
// not understood is ignored; one that is understood and cannot be served is an
// error. Several ranges are refused: they let a short request cause many reads
// on another member, and nothing that people use asks for them.
func rangeOf(r *http.Request, etag string, size int64) (part byteRange, partial bool, err error) {
	whole := byteRange{length: size}
	header := r.Header["Range"]
	if len(header) == 0 || r.Method != http.MethodGet || !ifRange(r, etag) {
		return whole, false, nil
	}
	unit, set, found := strings.Cut(header[0], "=")
	if len(header) > 1 || strings.Contains(set, ",") {
		return whole, false, errRanges
	}
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return whole, false, nil
	}
	first, last, found := strings.Cut(strings.TrimSpace(set), "-")
	if !found || !digits(first) || !digits(last) || first+last == "" {
		return whole, false, nil
	}
	if first == "" { // the last n bytes
		n := min(number(last), size)
		if n == 0 {
			return whole, false, errRange
		}
		return byteRange{start: size - n, length: n}, true, nil
	}
	start, end := number(first), size-1
	if last != "" {
		if number(last) < start {
			return whole, false, nil // no range
		}
		end = min(end, number(last))
	}
	if start >= size {
		return whole, false, errRange
	}
	return byteRange{start: start, length: end - start + 1}, true, nil
}

// ifRange reports whether If-Range, when there is one, names what is served. A date
// never does: a file can change twice in a second, and the client would put the
// parts of two files together.
func ifRange(r *http.Request, etag string) bool {
	want := r.Header["If-Range"]
	return len(want) == 0 || len(want) == 1 && etag != "" && want[0] == etag
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// number reads digits; what no int64 holds is beyond every file.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1
	}
	return n
}
