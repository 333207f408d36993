package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ErrCorrupt: the bytes that came are not those of the hash that was announced.
var ErrCorrupt = errors.New("content does not match its hash")

// Fetch reads a file, or a part of it, from the peer at the other end of l. The
// body has exactly Header.Length bytes; it ends with an error other than io.EOF
// when it is cut off, or the file changes on the way, and with ErrCorrupt when a
// whole file does not have the hash of the header. ctx bounds all of it, up to
// the last byte. The body must be closed.
//
// Errors: ErrBadPath, ErrNotFound, ErrForbidden, ErrChanged, ErrInvalid (no such
// range), ErrBusy, ErrUnavailable, and those of the link.
func Fetch(ctx context.Context, l p2p.Link, req Request) (Header, io.ReadCloser, error) {
	if err := CheckPath(req.Path); err != nil {
		return Header{}, nil, err
	}
	if req.Offset < 0 || req.Length < 0 {
		return Header{}, nil, fmt.Errorf("folder: fetch %v: %w: bytes %d+%d", req, ErrInvalid, req.Offset, req.Length)
	}
	conn, err := l.Open(ctx, ContentProtocol)
	if err != nil {
		return Header{}, nil, fmt.Errorf("folder: fetch %v from %s: %w", req, l.Peer().Short(), err)
	}
	b := &body{conn: conn}
	b.stop = context.AfterFunc(ctx, func() { abort(conn) })
	h, err := req.ask(conn)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Header{}, nil, errors.Join(fmt.Errorf("folder: fetch %v from %s: %w", req, l.Peer().Short(), err), b.Close())
	}
	b.left = h.Length
	if h.Length == h.Size && h.Hash != (Hash{}) {
		b.hash, b.want = blake3.New(), h.Hash
	}
	return h, b, nil
}

// ask writes the request and reads the answer's header.
func (req Request) ask(conn net.Conn) (Header, error) {
	if err := wire.WriteMsg(conn, req); err != nil {
		return Header{}, err
	}
	var r reply
	if err := wire.ReadMsg(conn, &r); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Header{}, err
	}
	return r.header(req)
}

// header checks what a peer has answered to req.
func (r reply) header(req Request) (Header, error) {
	if r.Code != "" {
		for _, known := range refusals {
			if r.Code == known.code {
				return Header{}, known.err
			}
		}
		return Header{}, fmt.Errorf("refused: %.40q", r.Code)
	}
	h := Header{Size: r.Size, Modified: time.Unix(0, r.Modified).UTC(), Type: r.Type, Length: r.Length}
	want := req.Length
	if want == 0 {
		want = r.Size - req.Offset
	}
	if req.Head {
		want = 0
	}
	switch {
	case r.Size < 0 || req.Offset > r.Size || want < 0 || r.Length != want || want > r.Size-req.Offset:
		return Header{}, fmt.Errorf("answer of %d of %d bytes does not fit the request", r.Length, r.Size)
	case len(r.Hash) != 0 && len(r.Hash) != len(h.Hash):
		return Header{}, fmt.Errorf("hash of %d bytes", len(r.Hash))
	case len(req.IfHash) > 0 && string(r.Hash) != string(req.IfHash):
		return Header{}, ErrChanged
	}
	copy(h.Hash[:], r.Hash)
	if len(r.Type) > 127 || strings.ContainsFunc(r.Type, func(c rune) bool { return c < ' ' || c > '~' }) {
		h.Type = ""
	}
	return h, nil
}

// body reads the bytes behind a header.
type body struct {
	conn net.Conn
	stop func() bool
	left int64
	hash *blake3.Hasher // of a whole file with a known hash
	want Hash
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.verify()
	}
	n, err := b.conn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.hash != nil {
		_, _ = b.hash.Write(p[:n]) // never fails (hash.Hash)
	}
	switch {
	case b.left == 0:
		err = nil // what the stream says after its last byte does not matter
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = fmt.Errorf("folder: %d bytes missing: %w", b.left, err)
	}
	return n, err
}

// verify returns io.EOF if all that came is what was announced.
func (b *body) verify() error {
	if b.hash != nil {
		var is Hash
		b.hash.Sum(is[:0])
		if is != b.want {
			return fmt.Errorf("folder: %w", ErrCorrupt)
		}
	}
	return io.EOF
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.stop()
	return b.conn.Close()
}
